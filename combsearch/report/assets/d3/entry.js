// What the pages use of D3, and nothing more; README.md says how this becomes d3.min.js.
export { ascending, bin, bisector, descending, extent, max, min, range, ticks } from "d3-array";
export { axisBottom, axisLeft, axisRight, axisTop } from "d3-axis";
export { rgb } from "d3-color";
export { contours } from "d3-contour";
export { drag } from "d3-drag";
export { format } from "d3-format";
export { interpolateRgb, interpolateRgbBasis } from "d3-interpolate";
export { quadtree } from "d3-quadtree";
export { scaleBand, scaleDiverging, scaleLinear, scaleLog, scalePoint, scaleSequential, scaleSqrt } from "d3-scale";
export { pointer, select, selectAll } from "d3-selection";
export { area, curveMonotoneX, curveStepAfter, line, linkHorizontal, symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle, symbolWye } from "d3-shape";
export { zoom, zoomIdentity } from "d3-zoom";

// What the pages use of D3, and nothing more; README.md says how this becomes d3.min.js.
export { ascending, bisector, descending, extent, max, min, range } from "d3-array";
export { axisBottom } from "d3-axis";
export { rgb } from "d3-color";
export { contours } from "d3-contour";
export { format } from "d3-format";
export { interpolateRgb, interpolateRgbBasis } from "d3-interpolate";
export { quadtree } from "d3-quadtree";
export { scaleLinear, scaleLog, scalePoint, scaleSqrt } from "d3-scale";
export { pointer, select } from "d3-selection";
export { curveStepAfter, line, linkHorizontal, symbol, symbolTriangle } from "d3-shape";
export { zoom, zoomIdentity } from "d3-zoom";

"use strict";
// The marks of methods, the same as in the printed figures, and samples of their lines.
const ComparisonMarks = (() => {
  const polygon = (corners, turn = 0, inner = 1) => {
    const count = inner === 1 ? corners : 2 * corners;
    return d3.range(count).map((at) => {
      const angle = (2 * Math.PI * at) / count - Math.PI / 2 + turn;
      const radius = at % 2 && inner !== 1 ? inner : 1;
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    });
  };
  const plus = [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]]
    .map(([x, y]) => [x / 2.8, y / 2.8]);
  const turned = (points, angle) =>
    points.map(([x, y]) => [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)]);
  const scaled = (points, by) => points.map(([x, y]) => [x * by, y * by]);
  const SHAPES = {
    s: scaled(polygon(4, Math.PI / 4), 1.2), D: scaled(polygon(4), 1.15), d: polygon(4).map(([x, y]) => [x * 0.75, y * 1.3]),
    "^": scaled(polygon(3), 1.25), v: scaled(polygon(3, Math.PI), 1.25),
    "<": scaled(polygon(3, -Math.PI / 2), 1.25), ">": scaled(polygon(3, Math.PI / 2), 1.25),
    p: scaled(polygon(5), 1.1), h: scaled(polygon(6), 1.1), H: scaled(polygon(6, Math.PI / 6), 1.1),
    "*": scaled(polygon(5, 0, 0.45), 1.5), P: scaled(plus, 1.1), X: scaled(turned(plus, Math.PI / 4), 1.1),
  };

  /** The outline of a mark around (0, 0) with radius ``size``, as the ``d`` of a path. */
  function outline(mark, size) {
    const shape = SHAPES[mark];
    if (!shape) return `M${-size},0a${size},${size} 0 1,0 ${2 * size},0a${size},${size} 0 1,0 ${-2 * size},0Z`;
    return `M${shape.map(([x, y]) => `${(x * size).toFixed(2)},${(y * size).toFixed(2)}`).join("L")}Z`;
  }

  /** Give an element the colour of a line, as ``var(--look)``. */
  function colour(node, line) {
    node.style.setProperty("--look", line.search ? "var(--ink)" : `light-dark(${line.light}, ${line.dark})`);
    return node;
  }

  /** Dashes of a line as SVG writes them. */
  const dashes = (line) => {
    if (line.search) return line.id === "trained" ? null : "6 3";
    return line.dashes.length ? line.dashes.map((one) => one * 1.3).join(" ") : null;
  };

  /** A piece of a line with its mark, for a legend. */
  function sample(line) {
    const root = d3.select(document.createElementNS("http://www.w3.org/2000/svg", "svg"))
      .attr("class", "sample").attr("width", 34).attr("height", 16).attr("viewBox", "0 0 34 16").attr("aria-hidden", "true");
    root.append("path").attr("class", line.search ? `stroke search ${line.id}` : "stroke")
      .attr("d", "M1,8H33").attr("stroke-dasharray", dashes(line));
    if (!line.search) root.append("path").attr("class", "fill").attr("transform", "translate(17,8)").attr("d", outline(line.mark, 4.6));
    return colour(root.node(), line);
  }

  return { colour, dashes, outline, sample };
})();

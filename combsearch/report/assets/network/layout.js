"use strict";
// Where the neurons and edges of a drawn network lie, in pixels from the upper left: a column a
// layer, a picture a neuron, edges from right sides to left sides. No elements here.
const Layout = (() => {
  const [HEAD, LABELS, TALL, NARROW] = [30, 30, 620, 600]; // above; left of the inputs; of a column; of a drawing
  const CROWD = 24; // a taller column stands in two files, so that its pictures stay large enough
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

  /**
   * Boxes {x, y, side} (centres) by layer and neuron.
   * columns: the neurons that are drawn, by layer. least: pixels from neuron to neuron. regions: whether the plane is drawn at the
   * end (``plane``); where there is room it lies inside the drawing, and is the one output.
   */
  function layOut(columns, width, regions, least) {
    const layers = columns.length;
    const tallest = d3.max(columns, (neurons) => neurons.length);
    const inside = regions && width >= NARROW;
    const single = columns[layers - 1].length === 1;
    const big = inside ? clamp(0.3 * width, 190, 330) : 0;
    const gap = clamp(TALL / tallest, least, 92);
    const body = Math.max(gap * tallest, inside ? big + 16 : 0, 150);
    const room = width - LABELS - (inside && !single ? big + 40 : 0) - (inside && single ? big : 0);
    const gaps = layers - 1;
    const files = tallest > CROWD ? 2 : 1;
    const share = room / (inside && single ? gaps : gaps + 0.5);
    const side = Math.floor(files === 1 ? Math.min(0.86 * gap, 76, 0.5 * share) : Math.min(1.3 * gap, 0.26 * share));
    const first = LABELS + side / 2;
    const pitch = (inside && single ? room : room - side) / gaps;
    const middle = HEAD + body / 2;
    const centres = columns.map((_, layer) => (inside && single && layer === gaps ? width - big / 2 - 1 : first + pitch * layer));
    const boxes = columns.map((neurons, layer) => {
      const isBig = inside && single && layer === layers - 1;
      const own = isBig ? big : side;
      const x = centres[layer];
      const step = Math.min(body / Math.max(neurons.length, 1), 92);
      const aside = (place) => (neurons.length > CROWD ? (place % 2 ? 0.6 : -0.6) * side : 0);
      return new Map(neurons.map((neuron, place) => [neuron, { x: x + aside(place), y: middle + step * (place - (neurons.length - 1) / 2), side: own }]));
    });
    const height = HEAD + body + 8;
    const below = Math.min(width, 460);
    const plane = inside ? { x: width - big / 2 - 1, y: middle, side: big } : { x: width / 2, y: height + below / 2 + 6, side: below };
    return { boxes, centres, columns, height: inside || !regions ? height : height + below + 12, inside, plane, side, spread: files === 1 ? 0.68 : 0.3, width };
  }

  /** Edges leave and arrive side by side, in the order of the neurons that they lead to. */
  function port(neurons, neuron, side, spread) {
    return neurons.length === 1 ? 0 : spread * Math.min(side, 120) * (neurons.indexOf(neuron) / (neurons.length - 1) - 0.5);
  }

  /** The ends {x0, y0, x1, y1} of the edge of weight [row, column] of ``layer``. */
  function edge({ boxes, columns, spread }, layer, row, column) {
    const [start, end] = [boxes[layer].get(column), boxes[layer + 1].get(row)];
    return {
      x0: start.x + start.side / 2, y0: start.y + port(columns[layer + 1], row, start.side, spread),
      x1: end.x - end.side / 2, y1: end.y + port(columns[layer], column, end.side, spread),
    };
  }

  const BEND = 0.45;

  /** As an SVG path. */
  function path({ x0, y0, x1, y1 }) {
    const bend = BEND * (x1 - x0);
    const text = (number) => number.toFixed(1);
    return `M${text(x0)} ${text(y0)}C${text(x0 + bend)} ${text(y0)} ${text(x1 - bend)} ${text(y1)} ${text(x1)} ${text(y1)}`;
  }

  /** Where an edge's curve is at the share ``t`` of its course: the share of its width and of its height. */
  const course = (t) => [3 * BEND * t * (1 - t) ** 2 + 3 * (1 - BEND) * t * t * (1 - t) + t ** 3, t * t * (3 - 2 * t)];

  /** How far a point is from an edge, about: upright, less where the edge is steep. */
  function distance({ x0, y0, x1, y1 }, x, y) {
    const share = (x - x0) / (x1 - x0);
    if (share < 0 || share > 1) return Infinity;
    let [low, high] = [0, 1];
    for (let step = 0; step < 16; step += 1) {
      const half = (low + high) / 2;
      if (course(half)[0] < share) low = half;
      else high = half;
    }
    const [, down] = course(low);
    const [, next] = course(Math.min(1, low + 0.01));
    const [before] = course(low);
    const slope = ((y1 - y0) * (next - down)) / ((x1 - x0) * (course(Math.min(1, low + 0.01))[0] - before) || 1);
    return Math.abs(y - y0 - (y1 - y0) * down) / Math.hypot(1, slope);
  }

  return { distance, edge, layOut, path };
})();

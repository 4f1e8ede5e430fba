"use strict";
// How the map is drawn: cells, marks of successes, the masks themselves where there is room, labels.
const AtlasCells = (() => {
  const AXIS = 58; // pixels below the base line
  const FONT = getComputedStyle(document.body).fontFamily;
  const DRAWN = 40; // from so many pixels on a cell shows its network
  const MARKED = 400; // up to so many successes are marked beyond their cells

  /** The square of a mask in pixels of the page; null where it is not shown. */
  function boxOf({ layout, fit, transform }, mask) {
    if (mask < 0 || !layout || !layout.shows(mask)) return null;
    const size = fit.cell * transform.k;
    return { left: transform.applyX(fit.x + layout.x[mask] * fit.cell), top: transform.applyY(fit.y + layout.y[mask] * fit.cell), size };
  }

  /** All of the map, as ``state`` of AtlasMap says. */
  function paint(state) {
    const { pen, ratio, width, height, layout } = state;
    if (!layout) return;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = Colours.of("paper");
    pen.fillRect(0, 0, state.canvas.width, state.canvas.height);
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, width * ratio, (height - AXIS) * ratio);
    pen.clip();
    const seen = cells(state);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (state.fit.cell * state.transform.k >= DRAWN) seen.forEach((mask) => network(state, mask));
    marks(state);
    outline(state, state.hovered, 1.5);
    outline(state, state.chosen, 2.5);
    pen.restore();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    axis(state);
  }

  /** Fill all cells in view, on whole pixels of the screen; the masks in view. */
  function cells(state) {
    const { pen, ratio, layout, fit, transform, width, height } = state;
    const size = fit.cell * transform.k * ratio;
    const space = size >= 24 ? Math.round(1.5 * ratio) : size >= 4 ? 1 : 0;
    const [x0, y0] = [transform.applyX(fit.x) * ratio, transform.applyY(fit.y) * ratio];
    const [right, bottom] = [width * ratio, (height - AXIS) * ratio];
    const seen = [];
    const fills = { "left out": Colours.of("raised"), "not trained": AtlasScale.hatch(pen, ratio), "no run": Colours.of("faint") };
    for (const [name, group] of state.groups) {
      pen.fillStyle = fills[name] ?? AtlasScale.ofStep(name);
      for (const mask of group) {
        const left = Math.round(x0 + layout.x[mask] * size);
        const top = Math.round(y0 + layout.y[mask] * size);
        if (left > right || top > bottom || left + size < 0 || top + size < 0) continue;
        const wide = Math.max(1, Math.round(x0 + (layout.x[mask] + 1) * size) - left - space);
        const tall = Math.max(1, Math.round(y0 + (layout.y[mask] + 1) * size) - top - space);
        pen.fillRect(left, top, wide, tall);
        if (name !== "left out") seen.push(mask);
      }
    }
    return seen;
  }

  /** Successes get a frame, and where there is room a tick. */
  function marks(state) {
    const { pen, masks, fit, transform } = state;
    const size = fit.cell * transform.k;
    const least = state.successes.length <= MARKED ? 7 : 0;
    pen.strokeStyle = pen.fillStyle = Colours.of("accent");
    pen.lineWidth = Math.max(1.2, Math.min(3.5, size * 0.1));
    for (const mask of state.successes) {
      const box = boxOf(state, mask);
      if (box.left > state.width || box.top > state.height || box.left + size < 0 || box.top + size < 0) continue;
      const side = Math.max(size - pen.lineWidth - 1, least);
      const frame = [box.left + (size - 1 - side) / 2, box.top + (size - 1 - side) / 2, side, side];
      if (size >= 10) lined(pen, frame);
      pen.strokeRect(...frame);
      if (size >= 24) tick(pen, box.left + size - 1, box.top, Math.min(9, size * 0.14));
    }
    if (size < 22) return;
    pen.fillStyle = Colours.of("ink");
    state.groups.forEach(([name, group]) => {
      if (name === "left out") return;
      group.filter(state.saved).forEach((mask) => dot(state, mask, size));
    });
  }

  /** A light line under a frame, which sets it off from a dark cell. */
  function lined(pen, frame) {
    pen.save();
    pen.strokeStyle = Colours.of("paper");
    pen.lineWidth += 1.4;
    pen.strokeRect(...frame);
    pen.restore();
  }

  /** A tick in the corner whose end is at (x, y). */
  function tick(pen, x, y, radius) {
    const [middle, height] = [x - radius * 1.7, y + radius * 1.7];
    pen.beginPath();
    pen.arc(middle, height, radius, 0, 7);
    pen.fill();
    pen.save();
    pen.strokeStyle = Colours.of("paper");
    pen.lineWidth = radius * 0.34;
    pen.beginPath();
    pen.moveTo(middle - radius * 0.5, height + radius * 0.02);
    pen.lineTo(middle - radius * 0.12, height + radius * 0.42);
    pen.lineTo(middle + radius * 0.52, height - radius * 0.38);
    pen.stroke();
    pen.restore();
  }

  /** A dot where a network can be opened. */
  function dot({ pen, masks, scale, ...state }, mask, size) {
    const box = boxOf(state, mask);
    const radius = Math.min(5, Math.max(2, size * 0.06));
    const inset = Math.max(radius * 2.4, size * 0.12);
    pen.fillStyle = AtlasScale.inkOn(scale.colour(masks.accuracy[mask]));
    pen.beginPath();
    pen.arc(box.left + inset, box.top + inset, radius, 0, 7);
    pen.fill();
  }

  /** The weights that a mask keeps, from the inputs on the left to the output on the right. */
  function network(state, mask) {
    const { pen, masks, scale } = state;
    const box = boxOf(state, mask);
    const known = !Number.isNaN(masks.accuracy[mask]);
    const labelled = box.size >= 110;
    const [wide, tall] = [box.size * 0.72, box.size * (labelled ? 0.58 : 0.7)];
    const [left, top] = [box.left + (box.size - wide) / 2, box.top + (box.size - tall) / 2 - (labelled ? box.size * 0.05 : 0)];
    const x = (layer) => left + (wide * layer) / (masks.shape.length - 1);
    const y = (layer, neuron) => top + (tall * (neuron + 0.5)) / masks.shape[layer];
    pen.strokeStyle = pen.fillStyle = known ? AtlasScale.inkOn(scale.colour(masks.accuracy[mask])) : Colours.of("ink");
    pen.lineWidth = Math.max(0.8, box.size * 0.014);
    pen.beginPath();
    for (const bit of masks.bits(mask)) {
      const { layer, row, column } = masks.weights[bit];
      pen.moveTo(x(layer), y(layer, column));
      pen.lineTo(x(layer + 1), y(layer + 1, row));
    }
    pen.stroke();
    const radius = Math.max(1.2, Math.min(box.size * 0.032, (tall / d3.max(masks.shape)) * 0.3));
    masks.shape.forEach((neurons, layer) => d3.range(neurons).forEach((neuron) => {
      pen.beginPath();
      pen.arc(x(layer), y(layer, neuron), radius, 0, 7);
      pen.fill();
    }));
    if (!labelled) return;
    pen.font = `${Math.round(box.size * 0.09)}px ${FONT}`;
    pen.textAlign = "center";
    pen.fillText(known ? Page.percent(masks.accuracy[mask]) : masks.trained[mask] ? "no run finished" : "not trained", box.left + box.size / 2, box.top + box.size * 0.93);
  }

  /** A frame around a mask, which leaves its own frame to be seen. */
  function outline(state, mask, line) {
    const box = boxOf(state, mask);
    if (!box) return;
    const { pen } = state;
    const side = Math.max(box.size + line, 10);
    const [x, y] = [box.left + (box.size - 1 - side) / 2, box.top + (box.size - 1 - side) / 2];
    for (const [colour, wide] of [["paper", line + 2.5], ["ink", line]]) {
      pen.strokeStyle = Colours.of(colour);
      pen.lineWidth = wide;
      pen.strokeRect(x, y, side, side);
    }
  }

  /** The base line with the nonzeros of every level and how many masks it has, always in view. */
  function axis(state) {
    const { pen, masks, layout, fit, transform, width, height } = state;
    const base = height - AXIS;
    pen.fillStyle = Colours.of("grey");
    pen.fillRect(0, base, width, 1);
    const scaled = fit.cell * transform.k;
    const narrow = d3.min(layout.stacks, (_, column) => layout.starts[column + 1] - layout.starts[column]) * scaled;
    const every = Math.max(1, Math.ceil(19 / narrow));
    pen.textAlign = "center";
    layout.stacks.forEach((stack, column) => {
      const [start, end] = [layout.starts[column], layout.starts[column + 1]].map((x) => transform.applyX(fit.x + x * fit.cell));
      const [left, right] = [Math.max(0, start), Math.min(width, end)];
      if (right - left < 12 || column % every) return;
      const middle = Math.max(14, Math.min(width - 14, (left + right) / 2));
      pen.fillStyle = Colours.of("ink");
      pen.font = `600 13px ${FONT}`;
      pen.fillText(masks.levels[layout.from + column].nonzeros, middle, base + 18);
      if (narrow < 30) return;
      pen.fillStyle = Colours.of("quiet");
      pen.font = `11px ${FONT}`;
      pen.fillText(Page.whole(stack.length), middle, base + 33);
    });
    pen.fillStyle = Colours.of("quiet");
    pen.font = `11px ${FONT}`;
    pen.fillText(narrow < 30 ? "nonzeros" : "nonzeros, and how many masks have so many", width / 2, base + (narrow < 30 ? 36 : 51));
  }

  return { AXIS, boxOf, paint };
})();

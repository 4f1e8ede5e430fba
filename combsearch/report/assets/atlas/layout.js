"use strict";
// Where every mask lies on the map: a column a level, its masks stacked from the base line up.
// The unit is a cell; y runs down, and the base line is at y = height.
const AtlasLayout = (() => {
  const ORDERS = {
    accuracy: { text: "best accuracy first", sort: byAccuracy },
    likeness: { text: "similar masks together", sort: byLayers },
    rank: { text: "rank", sort: (masks, places) => places },
  };

  /** Masks without an accuracy come last, those that were not trained at the very end. */
  function byAccuracy(masks, places) {
    const worth = (mask) => (!masks.trained[mask] ? -2 : Number.isNaN(masks.accuracy[mask]) ? -1 : masks.accuracy[mask]);
    return places.sort((a, b) => worth(b) - worth(a) || a - b);
  }

  /** By the weights of the layers, then by the bits themselves. */
  function byLayers(masks, places) {
    const keys = new Map(places.map((mask) => [mask, [...masks.layerWeights(mask).map((n) => String(n).padStart(4, "0")), masks.hex(mask)].join(" ")]));
    return places.sort((a, b) => d3.ascending(keys.get(a), keys.get(b)));
  }

  const GAP = 1.2; // cells between two columns
  const LABEL = 34; // pixels that the label of a column takes

  /** Rows of every column, when the longest has so many: both sides grow with the masks. */
  const rowsOf = (counts, most) => counts.map((count) => Math.max(1, Math.round(most * Math.sqrt(count / d3.max(counts)))));

  /** The largest cells, in pixels, with which columns of these widths and rows fill width x height. */
  function cellSize(wides, rows, width, height, label) {
    const needed = (cell) => wides.reduce((sum, wide) => sum + Math.max((wide + GAP) * cell, label), 0);
    let [low, high] = [0, height / rows];
    if (needed(high) <= width) return high;
    for (let turn = 0; turn < 40; turn += 1) {
      const middle = (low + high) / 2;
      if (needed(middle) <= width) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Columns for these counts in a view of width x height pixels: rows, wides and starts in cells. */
  function columns(counts, width, height) {
    const label = Math.min(LABEL, (width / counts.length) * 0.9);
    let best = { cell: 0 };
    for (let most = 1; most <= Math.min(d3.max(counts), 600); most += 1) {
      const rows = rowsOf(counts, most);
      const wides = counts.map((count, column) => Math.ceil(count / rows[column]));
      const cell = cellSize(wides, most, width, height, label);
      if (cell > best.cell) best = { cell, wides, rows: Math.max(...counts.map((count, column) => Math.ceil(count / wides[column]))) };
    }
    const starts = [0];
    best.wides.forEach((wide, column) => starts.push(starts[column] + Math.max(wide + GAP, label / best.cell)));
    return { ...best, starts };
  }

  /**
   * Lay out levels ``from`` to ``to`` (numbers of levels) for a view of width x height pixels.
   * ``at(x, y)``, ``step(mask, right, up)`` and ``along(mask, by)`` find masks, -1 where there is none.
   */
  function make(masks, order, from, to, width, height) {
    const stacks = d3.range(from, to + 1).map((level) => ORDERS[order].sort(masks, d3.range(masks.levels[level].first, masks.levels[level].end)));
    const made = { ...columns(stacks.map((stack) => stack.length), width, height), stacks, from, to };
    const { wides, rows, starts } = made;
    const x = new Float32Array(masks.count).fill(NaN);
    const y = new Float32Array(masks.count);
    const position = new Uint32Array(masks.count);
    stacks.forEach((stack, column) => stack.forEach((mask, place) => {
      x[mask] = left(made, column) + (place % wides[column]);
      y[mask] = rows - 1 - Math.floor(place / wides[column]);
      position[mask] = place;
    }));
    return {
      ...made, x, y, width: starts[stacks.length], height: rows,
      shows: (mask) => !Number.isNaN(x[mask]),
      at: (atX, atY) => at(made, atX, atY),
      step: (mask, right, up) => step(made, position[mask], masks.level[mask] - from, right, up),
      along: (mask, by) => stacks[masks.level[mask] - from][position[mask] + by] ?? -1,
    };
  }

  /** Where the cells of a column begin: they stand in its middle. */
  const left = ({ starts, wides }, column) => (starts[column] + starts[column + 1] - wides[column]) / 2;

  function at(made, x, y) {
    const { starts, stacks, wides, rows } = made;
    const column = d3.bisector((start) => start).right(starts, x) - 1;
    if (!stacks[column]) return -1;
    const across = Math.floor(x - left(made, column));
    const row = rows - 1 - Math.floor(y);
    if (across < 0 || across >= wides[column] || row < 0) return -1;
    return stacks[column][row * wides[column] + across] ?? -1;
  }

  function step({ wides, stacks }, place, column, right, up) {
    const wide = wides[column];
    const across = (place % wide) + right;
    const inside = (Math.floor(place / wide) + up) * wide + across;
    if (across >= 0 && across < wide && stacks[column][inside] !== undefined) return stacks[column][inside];
    const next = stacks[column + right];
    if (right === 0 || !next) return -1;
    // Over the edge of a column: the nearest in the same row, or below it, of the next one.
    const last = Math.floor((next.length - 1) / wides[column + right]);
    const row = Math.min(Math.floor(place / wide), last) * wides[column + right];
    return next[Math.min(right > 0 ? row : row + wides[column + right] - 1, next.length - 1)];
  }

  return { ORDERS, make };
})();

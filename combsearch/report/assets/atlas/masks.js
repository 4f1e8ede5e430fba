"use strict";
// The masks of an atlas and what is known of them, decoded from the page's data.
const AtlasMasks = (() => {
  const numbers = (Type, text) => (text === null ? null : new Type(Page.bytes(text).buffer));

  /** Where the weight of every bit lies: {layer, row, column}, as mask.py draws it. */
  function weights(widths) {
    const found = [];
    for (let layer = 0; layer + 1 < widths.length; layer += 1) {
      for (let row = 0; row < widths[layer + 1]; row += 1) {
        for (let column = 0; column < widths[layer]; column += 1) found.push({ layer, row, column });
      }
    }
    return found;
  }

  /** Levels with the places of their first masks, and the level of every mask. */
  function levelled(levels) {
    let first = 0;
    const found = levels.map((level) => {
      const placed = { ...level, first, end: first + level.masks };
      first += level.masks;
      return placed;
    });
    const level = new Uint16Array(first);
    found.forEach((one, number) => level.fill(number, one.first, one.end));
    return { levels: found, level };
  }

  /** All that the page's data say of masks; a mask is named by its place, from 0. */
  function read(data) {
    const { levels, level } = levelled(data.levels);
    const places = weights(data.shape);
    const bytes = Page.bytes(data.masks);
    const size = Math.ceil(places.length / 8);
    const count = level.length;
    const masks = {
      count, level, levels, shape: data.shape, weights: places,
      trained: numbers(Uint8Array, data.trained),
      runs: numbers(Uint32Array, data.runs),
      successes: numbers(Uint32Array, data.successes),
      accuracy: numbers(Float64Array, data.accuracy),
      sizes: numbers(Float64Array, data.sizes),
      /** Why nothing is said of masks one weight apart, where nothing is. */
      apart: data.symmetry === "rows" ? "" : "Masks one weight apart are shown on smaller maps.",
      biases: data.shape.slice(1).reduce((sum, width) => sum + width, 0),
    };
    masks.keeps = (mask, bit) => (bytes[mask * size + (bit >> 3)] >> (bit & 7)) & 1;
    masks.bits = (mask) => d3.range(places.length).filter((bit) => masks.keeps(mask, bit));
    masks.nonzeros = (mask) => levels[level[mask]].nonzeros;
    masks.rank = (mask) => levels[level[mask]].rank + mask - levels[level[mask]].first;
    masks.runRank = (mask) => levels[level[mask]].runRank + mask - levels[level[mask]].first;
    /** Whether a mask has another rank in its run than among those of its shape. */
    masks.twoRanks = levels.some((one) => one.rank !== one.runRank);
    masks.started = (mask) => (masks.trained[mask] ? levels[level[mask]].started : 0);
    masks.hex = (mask) => hex(bytes.subarray(mask * size, (mask + 1) * size));
    masks.layerWeights = (mask) => layerWeights(masks, mask);
    return { ...masks, ...steps(masks, numbers(Uint16Array, data.fewer)), ...finder(masks) };
  }

  /** The words of a mask, 16 hexadecimal digits each. */
  function hex(bytes) {
    const words = [];
    for (let start = 0; start < bytes.length; start += 8) {
      const word = [...bytes.subarray(start, start + 8)].reverse();
      words.push("0x" + word.map((byte) => byte.toString(16).padStart(2, "0")).join("").padStart(16, "0"));
    }
    return words.join(" ");
  }

  /** How many weights each layer keeps. */
  function layerWeights(masks, mask) {
    const counts = new Array(masks.shape.length - 1).fill(0);
    masks.bits(mask).forEach((bit) => { counts[masks.weights[bit].layer] += 1; });
    return counts;
  }

  const NOWHERE = 0xffff;

  /** Masks one weight apart: ``fewer(mask)`` and ``more(mask)``, of each kept bit ``without``. */
  function steps(masks, table) {
    if (table === null) return { without: () => null, fewer: () => null, more: () => null };
    const start = new Uint32Array(masks.count + 1);
    for (let mask = 0; mask < masks.count; mask += 1) start[mask + 1] = start[mask] + masks.bits(mask).length;
    const left = (mask, entry) => (table[entry] === NOWHERE ? -1 : masks.levels[masks.level[mask] - 1].first + table[entry]);
    const all = (mask) => d3.range(start[mask], start[mask + 1]).map((entry) => left(mask, entry));
    const fewer = (mask) => [...new Set(all(mask))].filter((other) => other >= 0);
    return {
      fewer,
      /** Of every bit that a mask keeps, what is left without it; -1 where that is no mask of the map. */
      without: (mask) => new Map(masks.bits(mask).map((bit, entry) => [bit, left(mask, start[mask] + entry)])),
      more: (mask) => {
        const above = masks.levels[masks.level[mask] + 1];
        if (!above) return [];
        return d3.range(above.first, above.end).filter((other) => reaches(start, table, other, mask - masks.levels[masks.level[mask]].first));
      },
    };
  }

  function reaches(start, table, mask, place) {
    for (let entry = start[mask]; entry < start[mask + 1]; entry += 1) if (table[entry] === place) return true;
    return false;
  }

  /**
   * ``find(text)``: the mask of a rank ("9,999"), or of its bits as the panel shows them or in words
   * of 16 digits; -1 where there is none, null where the text is neither.
   */
  function finder(masks) {
    let known = null;
    const byBits = (text) => {
      known ??= new Map(d3.range(masks.count).map((mask) => [masks.hex(mask), mask]));
      const words = text.split(/\s+/).map((word) => `0x${word.replace(/^0x/, "").padStart(16, "0")}`);
      return known.get(words.join(" ")) ?? -1;
    };
    const byRank = (rank) => d3.range(masks.levels.length)
      .map((level) => masks.levels[level])
      .filter((level) => level.rank <= rank && rank < level.rank + level.masks)
      .map((level) => level.first + rank - level.rank)[0] ?? -1;
    return {
      find: (text) => {
        const plain = text.trim().toLowerCase();
        const digits = plain.replace(/[,_]/g, "");
        if (/^\d{1,15}$/.test(digits)) return byRank(Number(digits));
        const word = "(0x[0-9a-f]+|[0-9a-f]{16})";
        return new RegExp(`^${word}(\\s+${word})*$`).test(plain) ? byBits(plain) : null;
      },
    };
  }

  return { read, weights };
})();

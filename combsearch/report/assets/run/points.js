"use strict";
// The runs of a page as numbers: single ones, or how many lie in each bin. Draws nothing.
const RunPoints = (() => {
  /** Columns of single runs, as typed arrays; null where the page has bins. */
  function decoded(points) {
    if (!points) return null;
    const ints = (text) => new Int32Array(Page.bytes(text).buffer);
    return {
      nonzeros: ints(points.nonzeros),
      accuracy: new Float64Array(Page.bytes(points.accuracy).buffer),
      details: points.details.map(({ name, values, labels }) => ({ name, values: ints(values), labels: labels ?? null })),
    };
  }

  /** [name, text] pairs of one run. */
  const details = (points, index) =>
    points.details.map(({ name, values, labels }) => [name, labels ? labels[values[index]] : Page.whole(values[index])]);

  /** A shift of -0.5 to 0.5, always the same for a run: runs of equal nonzeros lie side by side. */
  function shift(index) {
    const mixed = Math.imul(index + 1, 0x9e3779b1) ^ (index >>> 7);
    return ((mixed >>> 8) & 0xffff) / 0xffff - 0.5;
  }

  /** Bins as objects, with the accuracies and nonzeros between which each lies. */
  const bins = (found) =>
    found.count.map((count, index) => ({
      count,
      from: found.nonzeros[found.column[index]],
      to: found.nonzeros[found.column[index] + 1] - 1,
      low: found.accuracy[found.row[index]],
      high: found.accuracy[found.row[index] + 1],
    }));

  /** Lowest and highest accuracy and nonzeros of all that is drawn. */
  function extent(data, points) {
    const nonzeros = data.best.map((one) => one.nonzeros);
    const accuracy = data.best.map((one) => one.accuracy);
    if (points) {
      nonzeros.push(...d3.extent(points.nonzeros));
      accuracy.push(...d3.extent(points.accuracy));
    }
    if (data.bins) {
      nonzeros.push(data.bins.nonzeros[0], data.bins.nonzeros.at(-1) - 1);
      accuracy.push(data.bins.accuracy[0]);
    }
    return { nonzeros: d3.extent(nonzeros.filter((one) => one !== undefined)), accuracy: d3.extent(accuracy.filter((one) => one !== undefined)) };
  }

  return { bins, decoded, details, extent, shift };
})();

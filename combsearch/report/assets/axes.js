"use strict";
// What the axes of accuracy and nonzeros share on all pages: accuracy by the logarithm of its error.
const Axes = (() => {
  const LOG_FROM = 150; // nonzeros: from here on, small networks would be squeezed into the left edge

  // Accuracies to write beside an axis, those that matter most first.
  const ACCURACIES = [
    0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0, 0.8, 0.95, 0.98, 0.995, 0.998, 0.9995, 0.9998, 0.99995,
    0.2, 0.7, 0.85, 0.97, 0.997, 0.9997,
  ];

  /** How high an accuracy stands: the logarithm of its error. */
  const height = (accuracy) => -Math.log10(Math.max(1 - accuracy, 1e-12));

  /** Of ``wanted`` ticks [value, ...], the first ones first, those that keep ``least`` pixels between their ``place``s. */
  function apart(wanted, place, least) {
    const kept = [];
    for (const tick of wanted) {
      if (kept.every(([other]) => Math.abs(place(other) - place(tick[0])) >= least)) kept.push(tick);
    }
    return kept;
  }

  return { ACCURACIES, LOG_FROM, apart, height };
})();

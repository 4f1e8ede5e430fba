"use strict";
// Colours by meaning; style.css holds them for light and dark. Orange is negative or class 0,
// blue is positive or class 1; the two stay apart under all common colour-vision deficiencies.
const Colours = (() => {
  let known = new Map();
  Page.onScheme(() => { known = new Map(); });

  /** The colour that style.css calls ``--name`` just now, as "rgb(…)". */
  function of(name) {
    if (!known.has(name)) {
      const probe = Page.element("span", { class: "unseen" });
      probe.style.color = `var(--${name})`;
      document.body.append(probe);
      known.set(name, getComputedStyle(probe).color);
      probe.remove();
    }
    return known.get(name);
  }

  const ramp = (name, steps) => {
    const key = `ramp ${name}`;
    if (!known.has(key)) known.set(key, d3.interpolateRgbBasis(d3.range(steps).map((step) => of(`${name}-${step}`))));
    return known.get(key);
  };

  /** Of a weight or bias, -1 to 1; a visible grey at 0. */
  const signed = (value) => ramp("signed", 5)((Math.max(-1, Math.min(1, value)) + 1) / 2);

  /** Of a logit over the plane, -1 to 1; the paper's colour at 0. */
  const plane = (value) => ramp("plane", 5)((Math.max(-1, Math.min(1, value)) + 1) / 2);

  /** Of an activation, 0 to 1. */
  const active = (value) => ramp("active", 3)(Math.max(0, Math.min(1, value)));

  /** Of an accuracy or a share, 0 to 1: dark to bright, evenly for every eye. */
  const sequence = (value) => ramp("sequence", 5)(Math.max(0, Math.min(1, value)));

  /** [r, g, b] 0 to 255 of any colour. */
  function channels(colour) {
    const { r, g, b } = d3.rgb(colour);
    return [r, g, b];
  }

  return { active, channels, of, plane, sequence, signed };
})();

"use strict";
// The map itself: a canvas of cells to move over, to zoom into and to walk on with the keyboard.
const AtlasMap = (() => {
  const { AXIS, boxOf, paint } = AtlasCells;
  const TOP = 12, SIDE = 8;
  const LARGEST = 190; // pixels of a cell, zoomed in all the way

  /**
   * A map on ``root``. ``tell.hover(mask)``, ``tell.choose(mask)`` and ``tell.open(mask)`` hear what
   * the reader does; ``saved(mask)`` says whether a network can be opened.
   */
  function make(root, masks, scale, saved, tell) {
    const canvas = Page.element("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": "Map of masks", "aria-describedby": "map-keys" });
    root.append(canvas);
    const state = {
      canvas, masks, scale, saved, tell, pen: canvas.getContext("2d"), width: 0, height: 0, ratio: 1,
      layout: null, groups: [], matches: () => true, chosen: -1, hovered: -1, transform: d3.zoomIdentity, fit: null,
      order: "accuracy", from: 0, to: masks.levels.length - 1, waiting: false,
    };
    const zoom = zooming(state);
    pointing(state);
    keys(state, zoom);
    new ResizeObserver(() => resize(state, zoom)).observe(canvas);
    Page.onScheme(() => paint(state));
    return {
      canvas,
      choose: (mask, show = true) => choose(state, zoom, mask, show),
      neighbour: (by) => alongLevel(state, by),
      zoomBy: (factor) => zoomBy(state, zoom, factor),
      whole: () => zoom.apply(d3.zoomIdentity),
      arrange: (changes) => { Object.assign(state, changes); arrange(state, zoom); },
      filter: (matches) => { state.matches = matches; regroup(state); paint(state); },
      order: () => state.layout,
      where: (mask) => { const box = boxOf(state, mask); return box && { x: box.left + box.size / 2, y: box.top + box.size / 2, size: box.size }; },
    };
  }

  // ---- where things are -----------------------------------------------------------------

  function resize(state, zoom) {
    const { clientWidth: width, clientHeight: height } = state.canvas;
    const ratio = window.devicePixelRatio || 1;
    if (!width || (width === state.width && height === state.height && ratio === state.ratio)) return;
    Object.assign(state, { width, height, ratio });
    state.canvas.width = Math.round(width * ratio);
    state.canvas.height = Math.round(height * ratio);
    arrange(state, zoom);
  }

  /** Lay the cells out again, for another order, other levels or another size. */
  function arrange(state, zoom) {
    if (!state.width) return;
    const [wide, tall] = [state.width - 2 * SIDE, state.height - TOP - AXIS];
    state.layout = AtlasLayout.make(state.masks, state.order, state.from, state.to, wide, tall);
    const cell = Math.min(state.layout.cell, 120);
    state.fit = { cell, x: SIDE + (wide - cell * state.layout.width) / 2, y: TOP + tall - cell * state.layout.height };
    regroup(state);
    zoom.bounds(Math.max(1, LARGEST / cell));
    zoom.apply(d3.zoomIdentity);
  }

  /** Masks by how they are filled, so that a colour is set once and not once a cell. */
  function regroup(state) {
    const { masks, scale, layout } = state;
    if (!layout) return;
    const groups = new Map();
    const enter = (name, mask) => (groups.get(name) ?? groups.set(name, []).get(name)).push(mask);
    for (let mask = 0; mask < masks.count; mask += 1) {
      if (!layout.shows(mask)) continue;
      if (!state.matches(mask)) enter("left out", mask);
      else if (!masks.trained[mask]) enter("not trained", mask);
      else if (Number.isNaN(masks.accuracy[mask])) enter("no run", mask);
      else enter(scale.step(masks.accuracy[mask]), mask);
    }
    state.groups = [...groups];
    state.successes = d3.range(masks.count).filter((mask) => masks.successes[mask] && layout.shows(mask) && state.matches(mask));
  }

  /** Paint once before the next frame, however often the reader moves till then. */
  function later(state) {
    if (state.waiting) return;
    state.waiting = true;
    requestAnimationFrame(() => { state.waiting = false; paint(state); });
  }

  function maskAt({ layout, fit, transform, height }, [x, y]) {
    if (!layout || y > height - AXIS) return -1;
    return layout.at((transform.invertX(x) - fit.x) / fit.cell, (transform.invertY(y) - fit.y) / fit.cell);
  }

  // ---- moving ---------------------------------------------------------------------------

  function zooming(state) {
    const behaviour = d3.zoom().duration(0)
      // One finger on the whole map moves the page, not the map.
      .filter((event) => !event.button && !(event.type === "touchstart" && event.touches.length < 2 && state.transform.k === 1) && (event.type !== "wheel" || !event.shiftKey))
      .clickDistance(4)
      .on("zoom", ({ transform }) => {
        state.transform = transform;
        state.canvas.style.touchAction = transform.k === 1 ? "pan-y" : "none";
        later(state);
      });
    const chosen = d3.select(state.canvas).call(behaviour).on("dblclick.zoom", null);
    return {
      apply: (transform) => { behaviour.transform(chosen, transform); paint(state); },
      by: (factor, at) => { behaviour.scaleBy(chosen, factor, at); paint(state); },
      move: (x, y) => { behaviour.translateBy(chosen, x, y); paint(state); },
      bounds: (most) => behaviour.scaleExtent([1, most]).extent([[0, 0], [state.width, state.height - AXIS]]).translateExtent([[0, 0], [state.width, state.height - AXIS]]),
    };
  }

  /** Larger or smaller around the chosen mask where it is to be seen. */
  function zoomBy(state, zoom, factor) {
    const box = boxOf(state, state.chosen);
    const seen = box && box.left + box.size > 0 && box.left < state.width && box.top + box.size > 0 && box.top < state.height - AXIS;
    zoom.by(factor, seen ? [box.left + box.size / 2, box.top + box.size / 2] : [state.width / 2, (state.height - AXIS) / 2]);
    if (seen) reveal(state, zoom);
  }

  /** Move the map until the chosen mask is in view. */
  function reveal(state, zoom) {
    const box = boxOf(state, state.chosen);
    if (!box) return;
    const over = (start, size, low, high) => (start < low ? low - start : start + size > high ? high - start - size : 0);
    const x = over(box.left, box.size, 4, state.width - 4);
    const y = over(box.top, box.size, 4, state.height - AXIS - 4);
    if (x || y) zoom.move(x / state.transform.k, y / state.transform.k);
  }

  function choose(state, zoom, mask, show) {
    state.chosen = mask;
    if (show) reveal(state, zoom);
    paint(state);
    state.tell.choose(mask);
  }

  /** The next mask of the level, ``by`` 1 or -1, that no filter leaves out. */
  function alongLevel(state, by) {
    let mask = state.chosen;
    while (mask >= 0) {
      mask = state.layout.along(mask, by);
      if (mask >= 0 && state.matches(mask)) return mask;
    }
    return -1;
  }

  function pointing(state) {
    const hover = (mask) => {
      if (mask === state.hovered) return;
      state.hovered = mask;
      later(state);
      state.tell.hover(mask);
    };
    d3.select(state.canvas)
      .on("pointermove.hover", (event) => { if (event.pointerType !== "touch") hover(event.buttons ? -1 : maskAt(state, d3.pointer(event))); })
      .on("pointerleave.hover", () => hover(-1))
      .on("click.choose", (event) => {
        const mask = maskAt(state, d3.pointer(event));
        if (mask < 0) return;
        state.chosen = mask;
        paint(state);
        state.tell.choose(mask);
      })
      .on("dblclick.open", (event) => { const mask = maskAt(state, d3.pointer(event)); if (mask >= 0) state.tell.open(mask); });
  }

  function keys(state, zoom) {
    const level = () => state.masks.level[state.chosen] - state.from;
    const end = (column, last) => { const stack = state.layout.stacks[column]; return stack ? stack[last ? stack.length - 1 : 0] : -1; };
    const steps = {
      ArrowLeft: () => state.layout.step(state.chosen, -1, 0), ArrowRight: () => state.layout.step(state.chosen, 1, 0),
      ArrowUp: () => state.layout.step(state.chosen, 0, 1), ArrowDown: () => state.layout.step(state.chosen, 0, -1),
      Home: () => end(level(), false), End: () => end(level(), true),
      PageUp: () => end(level() + 1, false), PageDown: () => end(level() - 1, false),
    };
    const acts = {
      "+": () => zoomBy(state, zoom, 1.6), "=": () => zoomBy(state, zoom, 1.6), "-": () => zoomBy(state, zoom, 1 / 1.6),
      0: () => zoom.apply(d3.zoomIdentity), Enter: () => state.tell.open(state.chosen), " ": () => state.tell.open(state.chosen),
    };
    state.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = Object.hasOwn(steps, event.key) ? steps[event.key] : null;
      const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
      if (!step && !act) return;
      event.preventDefault();
      if (act) act();
      else {
        const mask = step();
        if (mask >= 0) choose(state, zoom, mask, true);
      }
    });
  }

  return { make };
})();

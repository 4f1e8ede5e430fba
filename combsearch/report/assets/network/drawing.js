"use strict";
// The drawing of a network: edges as curves, neurons as pictures; pointed at, clicked and walked
// over by keyboard. What it shows is told by `show`.
const Drawing = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const number = d3.format(".5~g");

  function shape(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  /** "input x1", "neuron 2 of layer 1", "output"; people count from 1. */
  function nameOf(widths, layer, neuron) {
    if (layer === 0) return `input x${neuron + 1}`;
    if (layer < widths.length - 1) return `neuron ${neuron + 1} of layer ${layer}`;
    return widths[layer] === 1 ? "the output" : `output ${neuron + 1}`;
  }

  /** What a target is, in words. */
  function words(widths, target) {
    if (target.kind === "neuron") return nameOf(widths, target.layer, target.neuron);
    if (target.kind === "bias") return `bias of ${nameOf(widths, target.layer + 1, target.row)}`;
    return `weight from ${nameOf(widths, target.layer, target.column)} to ${nameOf(widths, target.layer + 1, target.row)}`;
  }

  const keyOf = ({ kind, layer, row, column, neuron }) => `${kind} ${layer} ${row ?? neuron} ${column ?? ""}`;

  /** Neurons that are drawn, by layer: all inputs and outputs, and hidden ones with an edge. */
  function drawnColumns({ widths, masks }) {
    return widths.map((width, layer) => d3.range(width).filter((neuron) => {
      if (layer === 0 || layer === widths.length - 1) return true;
      const below = widths[layer - 1];
      const into = masks[layer - 1].subarray(neuron * below, (neuron + 1) * below).some((kept) => kept);
      return into || d3.range(widths[layer + 1]).some((row) => masks[layer][row * width + neuron]);
    }));
  }

  /**
   * A drawing on ``stage``.
   * net: the network as it came. targets: its parameters. regions: a picture of the plane to place
   * at the end, or null. on: {click(target, alone), focus(target), hover(target) -> text, step(target, way)}.
   */
  function drawing(stage, net, targets, regions, on) {
    const { widths } = net;
    const columns = drawnColumns(net);
    const last = widths.length - 1;
    const svg = shape("svg", { class: "edges", role: "group", "aria-label": "edges" });
    const halos = ["hovered", "selected", "core"].map((name) => shape("path", { class: `halo ${name}` }));
    const marked = { hovered: null, selected: null };
    const [heads, curves] = [shape("g", {}), shape("g", {})];
    svg.append(heads, ...halos, curves);
    const tip = Page.element("div", { class: "tip", role: "presentation", hidden: true });
    const found = new Map(); // key of a target -> its element and what it is
    let [place, scale, cursor, fan, reach] = [null, 1, null, null, 7];

    // Weak edges below strong ones.
    const edges = targets.filter((target) => target.kind === "weight")
      .map((target) => ({ target, size: Math.abs(net.weights[target.layer][target.row * widths[target.layer] + target.column]) }))
      .sort((one, other) => one.size - other.size)
      .map(({ target }) => {
        const element = shape("path", { class: "edge", tabindex: "-1", role: "button" });
        curves.append(element);
        const edge = { target, element, shown: "" };
        found.set(keyOf(target), edge);
        return edge;
      });

    const neurons = columns.flatMap((own, layer) => own.map((neuron) => {
      const target = { kind: "neuron", layer, neuron };
      const canvas = Page.element("canvas", { "aria-hidden": "true" });
      const bias = layer && net.biasMasks[layer - 1][neuron] ? Page.element("span", { class: "bias" }) : null;
      const kind = layer === 0 ? "input" : layer === last ? "output" : "hidden";
      const own = layer === last && widths[last] > 1 ? ` class-${neuron % 8}` : "";
      const element = Page.element("div", { class: `neuron ${kind}${own}`, tabindex: "-1", role: "button" }, canvas, bias);
      const one = { target, element, canvas, bias, biasTarget: { kind: "bias", layer: layer - 1, row: neuron } };
      found.set(keyOf(target), one);
      return one;
    }));
    const labels = columns[0].map((neuron) => Page.element("span", { class: "label" }, `x${neuron + 1}`));
    stage.replaceChildren(svg, ...labels, ...(regions ? [regions] : []), ...neurons.map(({ element }) => element), tip);
    const byElement = new Map([...edges, ...neurons].map((one) => [one.element, one]));
    setCursor(neurons[0]);

    /** Put everything where it belongs in ``width`` pixels, neurons ``least`` pixels apart or more. */
    function arrange(width, least) {
      place = Layout.layOut(columns, width, Boolean(regions), least);
      stage.style.height = `${place.height}px`;
      for (const [name, value] of [["width", width], ["height", place.height], ["viewBox", `0 0 ${width} ${place.height}`]]) svg.setAttribute(name, value);
      for (const { target, element, bias } of neurons) {
        const { x, y, side } = place.boxes[target.layer].get(target.neuron);
        Object.assign(element.style, { left: `${x - side / 2}px`, top: `${y - side / 2}px`, width: `${side}px`, height: `${side}px` });
        const size = Math.min(Math.max(0.24 * Math.min(side, 60), 6), 14, 0.5 * side);
        if (bias) Object.assign(bias.style, { width: `${size}px`, height: `${size}px` });
      }
      labels.forEach((label, at) => {
        const { x, y, side } = place.boxes[0].get(columns[0][at]);
        Object.assign(label.style, { left: `${x - side / 2 - 5}px`, top: `${y}px` });
      });
      const covered = place.inside && columns[last].length === 1;
      for (const { target, element } of neurons) element.classList.toggle("frame", Boolean(covered) && target.layer === last);
      if (regions) placeRegions();
      for (const edge of edges) {
        edge.ends = Layout.edge(place, edge.target.layer, edge.target.row, edge.target.column);
        edge.element.setAttribute("d", Layout.path(edge.ends));
        edge.shown = "";
      }
      drawHeads();
      drawHalos();
    }

    function placeRegions() {
      const { x, y, side } = place.plane;
      Object.assign(regions.style, { left: `${x - side / 2}px`, top: `${y - side / 2}px`, width: `${side}px`, height: `${side}px` });
    }

    function drawHeads() {
      const close = place.width / widths.length < 90;
      const names = widths.map((width, layer) => {
        if (layer === 0) return "inputs";
        if (layer < last) return close ? `${layer}` : `layer ${layer}`;
        return width > 1 ? "outputs" : close ? "out" : "output";
      });
      const texts = names.map((name, layer) => [place.centres[layer], name]);
      if (regions && place.inside && widths[last] > 1) texts.push([place.plane.x, "together"]);
      heads.replaceChildren(...texts.map(([x, name]) => {
        const made = shape("text", { x, y: 16, class: "column" });
        made.textContent = name;
        return made;
      }));
    }

    const lineWidth = (value) => 0.5 + Math.min(Math.max(0.1 * place.side, 1.6), 5.6) * Math.min(1, Math.abs(value) / scale);

    /**
     * Show how the network stands.
     * view: {norm, state(target), edge(target) -> class names, neuron(target) -> {classes, text}}.
     */
    function show(view) {
      scale = view.norm;
      for (const edge of edges) {
        const { on, value } = view.state(edge.target);
        const classes = view.edge(edge.target);
        const shown = `${value} ${classes}`;
        if (shown === edge.shown) continue;
        edge.shown = shown;
        edge.element.setAttribute("class", `edge ${classes}`);
        edge.element.style.stroke = classes.includes("off") ? "" : Colours.signed(value / scale);
        edge.element.style.strokeWidth = `${classes.includes("off") ? 1.4 : lineWidth(value)}px`;
        edge.element.setAttribute("aria-pressed", String(on));
        edge.element.setAttribute("aria-label", `${words(widths, edge.target)}, ${number(value)}${on ? "" : ", switched off"}`);
      }
      for (const one of neurons) {
        const { classes, text } = view.neuron(one.target);
        for (const name of ["off", "dead", "lost"]) one.element.classList.toggle(name, classes.includes(name));
        one.element.setAttribute("aria-label", text);
        if (one.target.layer < last) one.element.setAttribute("aria-pressed", String(!classes.includes("off")));
        if (!one.bias) continue;
        const { on, value } = view.state(one.biasTarget);
        one.bias.classList.toggle("off", !on);
        one.bias.style.background = on ? Colours.signed(value / scale) : "";
      }
      drawHalos();
    }

    /** All colours again: the scheme changed. */
    const forget = () => edges.forEach((edge) => { edge.shown = ""; });

    function mark(name, edge) {
      marked[name] = edge;
      drawHalos();
    }

    /** Around the edge pointed at and the selected one; the latter's core is paper, so that dots stay seen. */
    function drawHalos() {
      const { hovered, selected } = marked;
      [hovered === selected ? null : hovered, selected, selected].forEach((edge, at) => {
        halos[at].setAttribute("d", edge ? Layout.path(edge.ends) : "");
        if (edge) halos[at].style.strokeWidth = `${parseFloat(edge.element.style.strokeWidth || 1) + [6, 7, 3][at]}px`;
      });
    }

    function setCursor(one) {
      if (cursor) cursor.element.setAttribute("tabindex", "-1");
      cursor = one;
      one.element.setAttribute("tabindex", "0");
    }

    /** Mark what is selected: a target that is drawn, or null. */
    function select(target) {
      const one = target && found.get(keyOf(target.kind === "bias" ? { kind: "neuron", layer: target.layer + 1, neuron: target.row } : target));
      if (target && !one) return;
      if (one) setCursor(one);
      for (const { element } of neurons) element.classList.toggle("selected", element === one?.element);
      mark("selected", one?.ends ? one : null);
      one?.element.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone the panel covers a part of the window
    }

    /** What lies under the pointer, within ``reach`` pixels. */
    function pick(event, reach) {
      const element = event.target.closest(".neuron, .edge");
      const own = byElement.get(element);
      if (own && own.canvas) return event.target === own.bias ? own.biasTarget : own.target;
      const corner = stage.getBoundingClientRect();
      const [x, y] = [event.clientX - corner.left, event.clientY - corner.top];
      let best = null;
      for (const edge of edges) {
        if (x < edge.ends.x0 || x > edge.ends.x1) continue;
        const away = Layout.distance(edge.ends, x, y);
        if (away < reach && (!best || away < best.away)) best = { away, target: edge.target };
      }
      return best ? best.target : own ? own.target : null;
    }

    stage.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const target = pick(event, 6);
      const corner = stage.getBoundingClientRect();
      const one = target && found.get(keyOf(target));
      mark("hovered", one && one.ends ? one : null);
      stage.classList.toggle("pointing", Boolean(target));
      tip.hidden = !target;
      if (!target) return;
      tip.textContent = on.hover(target);
      const left = Math.min(event.clientX - corner.left + 14, place.width - tip.offsetWidth - 4);
      Object.assign(tip.style, { left: `${Math.max(0, left)}px`, top: `${event.clientY - corner.top + 18}px` });
    });
    stage.addEventListener("pointerleave", () => {
      tip.hidden = true;
      mark("hovered", null);
    });
    // The focus comes with the click: it opens the panel, which on a phone may come to lie under the finger.
    stage.addEventListener("mousedown", (event) => event.preventDefault());
    stage.addEventListener("pointerdown", (event) => { reach = event.pointerType === "touch" ? 14 : 7; });
    stage.addEventListener("click", (event) => {
      const target = pick(event, reach);
      if (!target) return;
      const one = found.get(keyOf(target));
      if (one) one.element.focus({ preventScroll: true });
      tip.hidden = true;
      on.click(target, event.shiftKey);
    });
    stage.addEventListener("focusin", (event) => {
      const one = byElement.get(event.target);
      if (one) on.focus(one.target);
    });
    stage.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const press = { Enter: "switch", " ": "switch", "+": "more", "=": "more", "-": "less" }[event.key];
      if ((!way && !press) || event.ctrlKey || event.metaKey || event.altKey || !byElement.has(event.target)) return;
      event.preventDefault();
      if (press) on.step(cursor.target, press);
      else walk(...way);
    });

    /** From neuron to edge to neuron; up and down among the edges of the same neuron. */
    function walk(right, down) {
      const { target } = cursor;
      const next = target.kind === "neuron" ? fromNeuron(target, right, down) : fromEdge(target, right, down);
      if (next) next.element.focus();
    }

    const among = (list, one, down) => list[(list.indexOf(one) + down + list.length) % list.length];
    const byOrder = (one, other) => one.target.row - other.target.row || one.target.column - other.target.column;
    const leadingTo = (layer, row) => edges.filter(({ target }) => target.layer === layer && target.row === row).sort(byOrder);
    const leadingFrom = (layer, column) => edges.filter(({ target }) => target.layer === layer && target.column === column).sort(byOrder);

    function fromNeuron({ layer, neuron }, right, down) {
      if (down) return found.get(keyOf({ kind: "neuron", layer, neuron: among(columns[layer], neuron, down) }));
      fan = right > 0 ? "from" : "to";
      const [first] = right > 0 ? leadingFrom(layer, neuron) : leadingTo(layer - 1, neuron);
      const beside = columns[layer + right];
      return first ?? (beside && beside.length ? found.get(keyOf({ kind: "neuron", layer: layer + right, neuron: beside[0] })) : null);
    }

    function fromEdge({ layer, row, column }, right, down) {
      if (down) return among(fan === "to" ? leadingTo(layer, row) : leadingFrom(layer, column), cursor, down);
      return found.get(keyOf({ kind: "neuron", layer: right > 0 ? layer + 1 : layer, neuron: right > 0 ? row : column }));
    }

    return { arrange, columns, forget, neurons, select, show };
  }

  return { drawing, words };
})();

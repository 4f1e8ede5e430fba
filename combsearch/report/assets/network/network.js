"use strict";
// A network to look at and to change; this is what other pages open.
const Network = (() => {
  const REACH = 2.25; // half the side of the plane, as the paper draws it
  const [FINE, HEAVY, COARSE] = [200, 120, 64]; // pixels a side: at rest, of large networks, while a slider moves
  const EASY = 8e6; // multiply-adds that a frame may take
  const PAPER = 690; // pixels across a printed page
  const LEAST = { paper: 13, screen: 19 }; // pixels from neuron to neuron: 64 fit on a page

  const number = d3.format(".5~g");

  /** The scale of colours and widths, to the largest weight; one huge bias would fade all edges. */
  function normOf({ weights, biases }) {
    const largest = (arrays) => d3.max(arrays, (one) => one.reduce((found, value) => Math.max(found, Math.abs(value)), 0));
    const [weight, bias] = [Math.max(1e-6, largest(weights)), largest(biases)];
    return bias < 1.5 * weight ? Math.max(weight, bias) : weight;
  }

  function reachOf(x) {
    let farthest = 0;
    for (const value of x) farthest = Math.max(farthest, Math.abs(value));
    return farthest <= REACH ? REACH : farthest * 1.05;
  }

  /** The task's points as the network takes them; null where there are none that fit it. */
  function pointsOf(task, widths, weights) {
    const outputs = widths[widths.length - 1];
    if (!task || task.inputs !== widths[0] || (outputs !== task.classes && !(outputs === 1 && task.classes === 2))) return null;
    const [x, y] = [Page.floats(task.x), Page.bytes(task.y)];
    const count = y.length;
    const step = Math.ceil((weights * count) / EASY);
    const of = (places, own) => ({ evaluator: Forward.evaluator(Forward.columnsOf(x, task.inputs, places), widths), y: own, rough: own !== y });
    const all = of(undefined, y);
    const places = step > 1 ? Forward.thinned(count, step) : [];
    return { all, few: places.length ? of(places, Uint8Array.from(places, (place) => y[place])) : all, reach: reachOf(x) };
  }

  function planeOf(widths, weights, reach) {
    if (widths[0] !== 2) return null;
    const side = weights * FINE * FINE > 5 * EASY ? HEAVY : FINE;
    const sides = [side, COARSE].map((pixels) => ({ side: pixels, evaluator: Forward.evaluator(Forward.plane(pixels, reach), widths) }));
    return { fine: sides[0], coarse: sides[1], reach };
  }

  /** Show ``item`` on ``root``; ``task`` may be null, then nothing is said of accuracy. */
  function open(root, item, task) {
    const editor = Editing.editing(item.network, changed);
    const { start } = editor;
    const { widths } = start;
    const last = widths.length - 1;
    const { targets } = editor;
    const points = pointsOf(task, widths, targets.length);
    const plane = planeOf(widths, targets.length, points ? points.reach : REACH);
    const norm = normOf(start);
    const classes = task ? task.classes : 2;
    const regions = plane || points ? Page.element("div", { class: "regions" }, Page.element("canvas", { role: "img" })) : null;
    const parts = NetworkParts.parts(item, task, { norm, outputs: widths[last], plane: Boolean(plane), points: Boolean(points) });
    const drawing = Drawing.drawing(parts.stage, start, targets, regions, { click, focus: select, hover: described, step });
    const panel = Panel.panel(parts.panel, editor, widths, 1.25 * norm, facts, (target, canvas) => enlarge(target, canvas), () => drawing.select(null));
    let [now, first, frame, moving, closed, width, paper] = [null, null, 0, false, false, 0, false];

    // What the network does as it stands.
    function compute(rough) {
      const net = editor.effective();
      const found = { net, connected: Connectivity.connected(net), nonzeros: Connectivity.nonzeros(net) };
      found.effective = Connectivity.effectiveNonzeros(net);
      if (points) {
        const sample = rough ? points.few : points.all;
        sample.evaluator.refresh(net);
        Object.assign(found, sample, Forward.graded(sample.evaluator.values[last], sample.y), { count: sample.y.length });
      }
      return found;
    }

    function changed(isMoving) {
      moving = isMoving;
      if (!moving) update();
      if (!frame) frame = requestAnimationFrame(draw);
    }

    function update() {
      now = compute(moving);
      first ??= now;
      parts.score(now, first);
      parts.history(editor);
      panel.refresh();
    }

    function draw() {
      frame = 0;
      if (closed || !width) return; // hidden: drawn once it has a place
      if (moving) update();
      const picture = plane && (moving ? plane.coarse : plane.fine);
      if (picture) picture.evaluator.refresh(now.net);
      now.picture = picture;
      drawing.show({ norm, state: shownState, edge: edgeClasses, neuron: statusOf });
      for (const { target, element, canvas } of drawing.neurons) element.classList.toggle("blank", !paint(target, canvas, 80));
      if (regions) drawRegions();
      panel.refresh();
    }

    function shownState(target) {
      const { on, value } = editor.state(target);
      return { on: on && (target.kind !== "weight" || editor.takesPart(target.layer, target.row, target.column)), value };
    }

    const isDead = (layer, neuron) => {
      const evaluator = points ? now.evaluator : now.picture && now.picture.evaluator;
      return layer > 0 && layer < last && Boolean(evaluator) && evaluator.above[layer][neuron] === 0;
    };
    const isLost = (layer, neuron) => !now.connected.neurons.fed[layer][neuron] || !now.connected.neurons.reaching[layer][neuron];
    const isOff = (layer, neuron) => !editor.state({ kind: "neuron", layer, neuron }).on;

    function edgeClasses(target) {
      const { layer, row, column } = target;
      if (!shownState(target).on) return "off";
      if (!now.connected.weights[layer][row * widths[layer] + column]) return "lost";
      return isDead(layer, column) || isDead(layer + 1, row) ? "faint" : "";
    }

    function statusOf(target) {
      const { layer, neuron } = target;
      const found = [];
      if (isOff(layer, neuron)) found.push("off");
      else {
        if (isDead(layer, neuron)) found.push("dead");
        if (isLost(layer, neuron)) found.push("lost");
      }
      return { classes: found, text: described(target) };
    }

    function facts({ layer, neuron }) {
      const found = [];
      if (isOff(layer, neuron)) found.push("switched off: its activation counts as 0");
      else if (isLost(layer, neuron)) found.push("disconnected: on no path from an input to an output");
      if (layer > 0 && layer < last && points) {
        const { above, values } = now.evaluator;
        const share = above[layer][neuron] / now.count;
        found.push(share ? `active at ${Page.percent(share)} of the points` : "dead: active at no point");
        const own = Forward.shares(values[layer][neuron], now.y, classes);
        if (share) found.push(own.map((part, label) => `class ${label}: ${Page.percent(part)}`).join(", "));
      } else if (isDead(layer, neuron)) found.push("dead: active nowhere on the plane");
      return found;
    }

    /** One line on a target, for the pointer and for those who hear the page. */
    function described(target) {
      if (target.kind !== "neuron") {
        const { on, value } = editor.state(target);
        const part = shownState(target).on;
        return `${Drawing.words(widths, target)}: ${number(value)}${!on ? ", switched off" : part ? "" : ", off with its neuron"}`;
      }
      const bias = { kind: "bias", layer: target.layer - 1, row: target.neuron };
      const has = target.layer > 0 && editor.has(bias);
      const own = has ? [`bias ${number(editor.state(bias).value)}${editor.state(bias).on ? "" : " (off)"}`] : target.layer > 0 ? ["no bias"] : [];
      return [Drawing.words(widths, target), [...own, ...facts(target)].join("; ")].filter(Boolean).join(": ");
    }

    /** The picture of a neuron; false where there is none. */
    function paint({ layer, neuron }, canvas, size) {
      if (now.picture) {
        const [values, side] = [now.picture.evaluator.values[layer][neuron], now.picture.side];
        if (layer === 0) Pictures.coordinate(canvas, values, side, plane.reach);
        else if (layer < last) Pictures.activation(canvas, values, side);
        else Pictures.output(canvas, values, side);
        return true;
      }
      if (!points || layer === 0) return false;
      Pictures.bars(canvas, Forward.shares(now.evaluator.values[layer][neuron], now.y, classes), size);
      return true;
    }

    const enlarge = (target, canvas) => (now.picture || !plane ? paint(target, canvas, 160) : false);

    function drawRegions() {
      const canvas = regions.firstChild;
      const shown = Math.max(60, canvas.clientWidth || 280);
      const size = Math.round(shown * (moving ? 1 : Math.min(2, window.devicePixelRatio || 1)));
      if (plane) {
        const logits = now.picture.evaluator.values[last];
        Pictures.regions(canvas, logits, now.picture.side, size);
        if (points && parts.showsPoints()) Pictures.points(canvas, now.evaluator.values[0], now.y, classes, now.wrong, plane.reach);
      } else if (widths[last] === 1) Pictures.spread(canvas, now.evaluator.values[last][0], now.y, size);
      else Pictures.bars(canvas, rightShares(), size);
      canvas.setAttribute("aria-label", plane ? "Regions of the classes over the plane, with the task's points" : "How the classes are told apart");
    }

    /** Of every class the share of its points that are classified right. */
    function rightShares() {
      const right = Float64Array.from(now.wrong, (one) => 1 - one);
      return Forward.shares(right, now.y, classes);
    }

    function select(target) {
      panel.show(target);
      drawing.select(target);
    }

    function click(target, alone) {
      select(target);
      if (!alone && parts.switches()) toggle(target);
    }

    function toggle(target) {
      if (target.kind === "neuron" && target.layer === last) return;
      editor.change(target, { on: !editor.state(target).on });
      say(`${Drawing.words(widths, target)} switched ${editor.state(target).on ? "on" : "off"}`);
    }

    /** Enter and the keys + and - on what the cursor is on; of a neuron they move its bias. */
    function step(target, way) {
      if (way === "switch") return toggle(target);
      const moved = target.kind === "neuron" ? { kind: "bias", layer: target.layer - 1, row: target.neuron } : target;
      if (target.layer === 0 && target.kind === "neuron") return undefined;
      if (!editor.has(moved)) return undefined;
      const { value } = editor.state(moved);
      editor.change(moved, { value: value + (way === "more" ? 1 : -1) * norm * 0.02, on: true });
      return say(described(moved));
    }

    const say = (text) => Page.announce(`${text}. ${parts.spoken()}`);

    function take(way) {
      editor[way]();
      say({ undo: "Undone", redo: "Done again", reset: "As it came" }[way]);
    }

    function onKey(event) {
      const dialogs = document.querySelectorAll("dialog[open]");
      const top = dialogs[dialogs.length - 1];
      const typing = event.target.matches?.('input[type="number"], input[type="text"], input[type="search"], textarea');
      if (closed || typing || (top && !top.contains(root)) || !(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      const way = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : null;
      if (!way) return;
      event.preventDefault();
      take(way);
    }

    function arrange() {
      const isPaper = Page.isPrinting();
      const wanted = isPaper ? PAPER : Math.floor(parts.stage.clientWidth);
      if (closed || !wanted || (wanted === width && paper === isPaper)) return;
      [width, paper] = [wanted, isPaper];
      drawing.arrange(width, isPaper ? LEAST.paper : LEAST.screen);
      if (!frame) frame = requestAnimationFrame(draw);
    }

    /** In other colours, or for paper, and at once: a browser that prints does not wait for the next frame. */
    function recolour() {
      arrange();
      drawing.forget();
      cancelAnimationFrame(frame);
      draw();
    }

    parts.on({
      take,
      download: () => Page.save(Npz.network(now.net, NetworkParts.about(item, task, editor, now, points)), NetworkParts.fileName(item.name, editor)),
      points: () => { if (!frame) frame = requestAnimationFrame(draw); },
    });
    root.append(parts.root);
    document.addEventListener("keydown", onKey);
    const unlisten = Page.onScheme(recolour);
    const observer = new ResizeObserver(arrange);
    observer.observe(parts.stage);
    update();
    arrange();
    cancelAnimationFrame(frame);
    draw();

    function close() {
      closed = true;
      cancelAnimationFrame(frame);
      observer.disconnect();
      unlisten();
      document.removeEventListener("keydown", onKey);
      parts.root.remove();
    }

    return { close };
  }

  return { open };
})();

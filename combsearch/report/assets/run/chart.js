"use strict";
// Accuracy against nonzeros: every run or how many lie where, the best of each number of nonzeros,
// the frontier, the target, the bound. The pointer or the arrow keys show single runs.
const RunChart = (() => {
  const MARGIN = { top: 30, right: 18, bottom: 44, left: 64 };
  const NEAR = 14; // pixels within which a point is meant

  /**
   * Draw ``data`` on ``root``; ``open(index)`` opens a network; ``chosen`` is what ``chosen()`` of an older
   * drawing gave. ``draw`` is to be called when room or colours change.
   */
  function make(root, data, open, chosen = null) {
    const points = RunPoints.decoded(data.points);
    const bins = data.bins ? RunPoints.bins(data.bins) : null;
    const frame = Page.element("div", { class: "frame" });
    const canvas = Page.element("canvas", { "aria-hidden": "true" });
    const tip = Page.element("div", { class: "tip", hidden: true });
    const hint = Page.element("p", { class: "unseen", id: "chart-keys" },
      "Left and right go from one number of nonzeros to the next, up and down through its runs; Enter opens the network.");
    frame.append(canvas);
    const svg = d3.select(frame).append("svg")
      .attr("tabindex", 0).attr("role", "application").attr("data-focus", "chart").attr("aria-describedby", "chart-keys")
      .attr("aria-label", `Accuracy against nonzeros, ${Page.whole(data.runs)} runs`);
    frame.append(tip);
    root.append(legend(data, points), frame, hint);
    const view = { data, points, bins, frame, canvas, svg, tip, open, chosen, left: null, touched: "" };
    listen(view);
    return { chosen: () => view.chosen ?? view.left, draw: () => draw(view), name: "accuracy" };
  }

  function legend(data, points) {
    const mark = (name, text) => Page.element("li", {}, Page.element("span", { class: `mark ${name}`, "aria-hidden": "true" }), text);
    return Page.element("ul", { class: "legend" },
      points ? mark("run", data.drawn) : data.bins ? mark("density", `runs in a bin, 1 to ${Page.whole(d3.max(data.bins.count))}`) : null,
      data.best.length ? mark("best", "best of each number of nonzeros") : null,
      data.best.length ? mark("frontier", "frontier") : null,
      data.target !== null ? mark("target", `target ${Page.plain(data.target)}`) : null,
      data.bound ? mark("bound", data.bound.name) : null);
  }

  function scales(view) {
    const { data, points, frame } = view;
    const width = RunScales.room(frame);
    const tall = Math.round(Math.min(Math.max(width * 0.46, 290), 480));
    const seen = RunPoints.extent(data, points);
    const [low, high] = seen.nonzeros[0] === undefined ? [0, 20] : seen.nonzeros;
    const ends = seen.accuracy[0] === undefined ? [] : seen.accuracy;
    const accuracies = [...data.best.map((one) => one.accuracy), ...ends];
    view.size = [width, tall];
    view.x = RunScales.nonzeros(low, high, [MARGIN.left, width - MARGIN.right]);
    view.y = RunScales.accuracy(accuracies, data.target, [tall - MARGIN.bottom - 8, MARGIN.top + 8]);
  }

  function draw(view) {
    scales(view);
    const { data, svg, size: [width, tall], x, y } = view;
    svg.attr("viewBox", `0 0 ${width} ${tall}`);
    svg.selectAll("*").remove();
    paint(view);
    const right = width - MARGIN.right;
    const bottom = tall - MARGIN.bottom;
    RunScales.axis(svg.append("g").attr("transform", `translate(0,${bottom})`), "bottom", x.scale, x.ticks, right);
    svg.select(".axis.bottom path").attr("d", `M${MARGIN.left},0H${right}`);
    RunScales.axis(svg.append("g").attr("transform", `translate(${MARGIN.left},0)`), "left", y.scale, y.ticks, bottom, right - MARGIN.left);
    svg.select(".axis.left path").attr("d", `M0,${MARGIN.top - 8}V${bottom}`);
    svg.append("text").attr("class", "name").attr("x", (MARGIN.left + right) / 2).attr("y", tall - 6).text("nonzeros (weights and biases)");
    svg.append("text").attr("class", "name start").attr("x", 4).attr("y", 13).text("accuracy (log scale of the error)");
    if (data.target !== null) {
      svg.append("line").attr("class", "target").attr("x1", MARGIN.left).attr("x2", right).attr("y1", y.scale(data.target)).attr("y2", y.scale(data.target));
      svg.selectAll(".axis.left g").filter((_, index) => index === 0).classed("aim", true);
    }
    drawBest(view, right, bottom);
    if (!data.runs && !data.best.length) {
      svg.append("text").attr("class", "none").attr("x", (MARGIN.left + right) / 2).attr("y", tall / 2).text("no run is saved yet");
    }
    svg.append("g").attr("class", "cursor");
    index(view);
    view.chosen = view.chosen && (view.spots.find((spot) => spot.key === view.chosen.key) ?? null);
    cursor(view);
  }

  function drawBest(view, right, bottom) {
    const { data, svg, x, y } = view;
    const line = d3.line((one) => x.scale(one[0]), (one) => y.scale(one[1])).curve(d3.curveStepAfter);
    if (data.frontier.length) {
      const last = data.frontier.at(-1);
      const steps = [...data.frontier, [Math.max(last[0], x.scale.domain()[1]), last[1]]];
      svg.append("path").attr("class", "frontier").attr("d", line(steps));
    }
    const radius = data.best.length > 150 ? 2.2 : Math.min(3.6, Math.max(2.2, x.pitch * 0.42));
    svg.append("g").attr("class", "best").selectAll("circle").data(data.best).join("circle")
      .attr("cx", (one) => x.scale(one.nonzeros)).attr("cy", (one) => y.scale(one.accuracy)).attr("r", radius);
    if (!data.bound) return;
    const at = x.scale(data.bound.nonzeros);
    const group = svg.append("g").attr("class", "bound");
    group.append("line").attr("x1", at).attr("x2", at).attr("y1", y.scale(data.bound.accuracy) + 7).attr("y2", bottom);
    group.append("circle").attr("cx", at).attr("cy", y.scale(data.bound.accuracy)).attr("r", 7);
    drawName(view, group, at, right, bottom);
  }

  /** The bound in words, where nothing is drawn: left of it no run lies so high, it would be the bound. */
  function drawName({ data: { bound }, y }, group, at, right, bottom) {
    const short = `${bound.nonzeros} nonzeros, ${Page.percent(bound.accuracy)}`;
    const room = (text) => at - MARGIN.left > 6.9 * text.length + 20;
    const text = [`${bound.name}: ${short}`, short].find(room);
    const words = group.append("text").attr("class", text ? "end" : "start").text(text ?? short);
    if (text) words.attr("x", at - 13).attr("y", y.scale(bound.accuracy) + 4);
    else words.attr("x", Math.min(at + 7, right - 6.9 * short.length)).attr("y", bottom - 9);
  }

  /** The runs themselves, or their density, on the canvas below the drawing. */
  function paint(view) {
    const { canvas, size: [width, tall], x, y, points, bins } = view;
    const sharp = Math.min(devicePixelRatio || 1, 2);
    canvas.width = width * sharp;
    canvas.height = tall * sharp;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    if (points) {
      view.shift = x.pitch > 4 ? Math.min(x.pitch * 0.7, 16) : 0;
      pen.fillStyle = Colours.of("blue");
      pen.globalAlpha = points.nonzeros.length > 4000 ? 0.22 : points.nonzeros.length > 500 ? 0.4 : 0.65;
      const radius = points.nonzeros.length > 4000 ? 1.5 : 2.2;
      for (let one = 0; one < points.nonzeros.length; one += 1) {
        pen.beginPath();
        pen.arc(pointX(view, one), y.scale(points.accuracy[one]), radius, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    if (bins) {
      const most = Math.log(1 + d3.max(bins, (bin) => bin.count));
      for (const bin of bins) {
        const [left, right, top, bottom] = box(view, bin);
        pen.fillStyle = Colours.sequence(0.12 + 0.88 * (Math.log(1 + bin.count) / most));
        pen.fillRect(left, top, Math.max(right - left, 1), Math.max(bottom - top, 1));
      }
    }
  }

  const pointX = (view, one) => view.x.scale(view.points.nonzeros[one]) + view.shift * RunPoints.shift(one);

  /** [left, right, top, bottom] of a bin in pixels. */
  function box({ x, y }, bin) {
    const gap = x.pitch > 6 ? 0.5 : 0;
    const left = x.scale(Math.max(bin.from - 0.5, x.scale.domain()[0]));
    return [left + gap, x.scale(bin.to + 0.5) - gap, Math.round(y.scale(bin.high)), Math.round(y.scale(bin.low))];
  }

  /** All that can be chosen: the best of each number of nonzeros, then runs or bins. */
  function index(view) {
    const { data, points, bins, x, y } = view;
    view.best = data.best.map((one, place) => ({
      key: `best ${one.nonzeros}`, nonzeros: one.nonzeros, accuracy: one.accuracy, x: x.scale(one.nonzeros), y: y.scale(one.accuracy),
      title: `${Page.whole(one.nonzeros)} nonzeros, ${Page.percent(one.accuracy)}`, lines: one.details, network: one.network, place,
    }));
    const others = [];
    if (points) {
      for (let one = 0; one < points.nonzeros.length; one += 1) {
        others.push({ key: `run ${one} ${points.accuracy[one]}`, run: one, nonzeros: points.nonzeros[one], accuracy: points.accuracy[one], x: pointX(view, one), y: y.scale(points.accuracy[one]) });
      }
    }
    for (const bin of bins ?? []) {
      const [left, right, top, bottom] = box(view, bin);
      others.push({ key: `bin ${bin.from} ${bin.low}`, bin, nonzeros: bin.from, accuracy: bin.low, x: (left + right) / 2, y: (top + bottom) / 2, box: [left, right, top, bottom] });
    }
    view.spots = [...view.best, ...others];
    view.others = others;
    view.columns = new Map();
    for (const spot of others) {
      if (!view.columns.has(spot.nonzeros)) view.columns.set(spot.nonzeros, []);
      view.columns.get(spot.nonzeros).push(spot);
    }
    for (const column of view.columns.values()) column.sort((a, b) => b.accuracy - a.accuracy);
    const at = (spots) => d3.quadtree(spots, (spot) => spot.x, (spot) => spot.y);
    view.bestTree = at(view.best);
    view.tree = points ? at(others) : null;
  }

  /** What the reader means at a place of the drawing. */
  function meant(view, [px, py]) {
    const best = view.bestTree.find(px, py, NEAR);
    if (best && (!view.tree || Math.hypot(best.x - px, best.y - py) < 9)) return best;
    if (view.tree) return view.tree.find(px, py, NEAR) ?? best ?? null;
    return (view.others ?? []).find(({ box: [left, right, top, bottom] }) => px >= left && px <= right && py >= top && py <= bottom) ?? best ?? null;
  }

  /** Words on a choice: title, lines, and the network that it opens. */
  function words(view, spot) {
    if (spot.title) return spot;
    if (spot.bin) {
      const { from, to, low, high, count } = spot.bin;
      return { title: `${Page.whole(count)} ${count === 1 ? "run" : "runs"}`, network: null,
        lines: [["nonzeros", from === to ? Page.whole(from) : `${Page.whole(from)} to ${Page.whole(to)}`], ["accuracy", `${Page.percent(low)} to ${Page.percent(high)}`]] };
    }
    return { title: `${Page.whole(spot.nonzeros)} nonzeros, ${Page.percent(spot.accuracy)}`, lines: RunPoints.details(view.points, spot.run), network: null };
  }

  const network = { "-1": "its network is not saved", "-2": "its network is not on this page, to keep it small" };

  function cursor(view, speak = false) {
    const { chosen, tip, svg, size: [width] } = view;
    const group = svg.select(".cursor");
    group.selectAll("*").remove();
    tip.hidden = !chosen;
    if (!chosen) return;
    if (chosen.box) {
      const [left, right, top, bottom] = chosen.box;
      group.append("rect").attr("x", left).attr("y", top).attr("width", Math.max(right - left, 2)).attr("height", Math.max(bottom - top, 2));
    } else {
      group.append("circle").attr("cx", chosen.x).attr("cy", chosen.y).attr("r", 6);
    }
    const { title, lines, network: opens } = words(view, chosen);
    const does = opens === null ? null : opens >= 0 ? "click or Enter opens it" : network[opens];
    tip.replaceChildren(Page.element("strong", {}, title),
      ...lines.map(([name, text]) => Page.element("span", {}, `${name} ${text}`)),
      ...(does ? [Page.element("em", {}, does)] : []));
    const left = chosen.x > width / 2;
    tip.style.left = left ? "auto" : `${chosen.x + 14}px`;
    tip.style.right = left ? `${width - chosen.x + 14}px` : "auto";
    tip.style.top = `${Math.max(0, chosen.y - 30)}px`;
    if (speak) Page.announce([title, ...lines.map(([name, text]) => `${name} ${text}`), does ?? ""].join(", "));
  }

  function choose(view, spot, speak = false) {
    if (spot === view.chosen) return;
    view.chosen = spot;
    cursor(view, speak);
  }

  function activate(view) {
    const opens = view.chosen && words(view, view.chosen).network;
    if (opens !== null && opens >= 0) view.open(opens);
  }

  function listen(view) {
    const { svg } = view;
    svg.on("pointermove", (event) => { if (event.pointerType !== "touch") choose(view, meant(view, d3.pointer(event))); });
    svg.on("pointerleave", (event) => { if (event.pointerType !== "touch") choose(view, null); });
    svg.on("pointerdown", (event) => {
      view.touched = event.pointerType === "touch" ? view.chosen?.key ?? "" : null;
      choose(view, meant(view, d3.pointer(event)));
    });
    svg.on("click", () => {
      // A first touch shows, a second one opens.
      if (view.touched === null || view.touched === view.chosen?.key) activate(view);
    });
    svg.on("keydown", (event) => keyed(view, event));
    // Back from the network that was opened by keyboard, the cursor stands where it stood.
    svg.on("blur", () => { view.left = view.chosen; choose(view, null); });
    svg.on("focus", () => {
      if (svg.node().matches(":focus-visible")) choose(view, view.chosen ?? (view.left && (view.spots.find(({ key }) => key === view.left.key) ?? null)));
      view.left = null;
    });
  }

  function keyed(view, event) {
    if (event.key === "Enter" || event.key === " ") activate(view);
    else if (event.key === "Escape" && view.chosen) choose(view, null);
    else {
      const next = moved(view, event.key);
      if (!next) return;
      choose(view, next, true);
    }
    event.preventDefault();
  }

  /** What an arrow key goes to from the choice; undefined of other keys. */
  function moved(view, key) {
    const { best, chosen } = view;
    if (!best.length) return undefined;
    const now = chosen ? Math.max(0, d3.bisector((spot) => spot.nonzeros).right(best, chosen.nonzeros) - 1) : -1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: best.length - 1 }[key];
    if (to !== undefined) return best[Math.min(Math.max(chosen ? to : key === "ArrowLeft" ? best.length - 1 : to, 0), best.length - 1)];
    if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
    if (!chosen) return best[0];
    const column = columnOf(view, chosen);
    const place = column.indexOf(chosen);
    const next = place + (key === "ArrowDown" ? 1 : -1);
    return column[Math.min(Math.max(next, 0), column.length - 1)];
  }

  /** The best of a number of nonzeros and all that lies below it. */
  function columnOf(view, { nonzeros, bin }) {
    const low = bin ? bin.from : nonzeros;
    const own = [...view.columns.entries()].filter(([from, spots]) => from <= low && low <= (spots[0].bin ? spots[0].bin.to : from));
    const spots = own.length ? own[0][1] : [];
    const to = spots.length && spots[0].bin ? spots[0].bin.to : low;
    const from = spots.length ? spots[0].nonzeros : low;
    return [...view.best.filter((one) => one.nonzeros >= from && one.nonzeros <= to), ...spots];
  }

  return { make };
})();

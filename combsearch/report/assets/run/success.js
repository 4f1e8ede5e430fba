"use strict";
// How often runs succeed: by nonzeros with intervals and what is excluded, and by shape.
const RunSuccess = (() => {
  const MARGIN = { top: 26, right: 18, bottom: 44, left: 64 };

  /** The share of successes of every level; ``chosen`` as RunChart. */
  function levels(root, data, chosen = null) {
    const shown = data.levels.filter((level) => level.started);
    const closed = shown.filter((level) => level.each !== null);
    const frame = Page.element("div", { class: "frame" });
    const tip = Page.element("div", { class: "tip", hidden: true });
    const svg = d3.select(frame).append("svg").attr("tabindex", 0).attr("role", "application").attr("data-focus", "success")
      .attr("aria-label", "Share of successes by nonzeros; left and right go through the levels");
    frame.append(tip);
    const mark = (name, text) => Page.element("li", {}, Page.element("span", { class: `mark ${name}`, "aria-hidden": "true" }), text);
    root.append(Page.element("ul", { class: "legend" },
      mark("share", "share of all runs that succeed, 95% interval"),
      closed.length ? mark("each", `success probability excluded (95%) for each of the ${data.level_of}`) : null,
      closed.length ? mark("whole", "for all of a level at once") : null), frame);
    const view = { data, shown, svg, tip, frame, chosen: shown.find(({ nonzeros }) => nonzeros === chosen?.nonzeros) ?? null };
    listen(view);
    return { chosen: () => view.chosen, draw: () => draw(view), name: "levels" };
  }

  function draw(view) {
    const { data, shown, svg, frame } = view;
    const width = RunScales.room(frame);
    const tall = 250;
    const right = width - MARGIN.right;
    const bottom = tall - MARGIN.bottom;
    const numbers = [...shown.map((level) => level.nonzeros), ...data.best.map((one) => one.nonzeros)];
    const x = RunScales.nonzeros(d3.min(numbers), d3.max(numbers), [MARGIN.left, right]);
    const marks = shown.flatMap((level) => [level.interval[1], level.share ? Math.max(level.interval[0], level.share / 8) : null, level.each, level.whole]);
    const known = marks.filter((one) => one !== null);
    const y = RunScales.probability(d3.min(known), d3.max(known), [bottom, MARGIN.top]);
    Object.assign(view, { x, width });
    svg.attr("viewBox", `0 0 ${width} ${tall}`).selectAll("*").remove();
    RunScales.axis(svg.append("g").attr("transform", `translate(0,${bottom})`), "bottom", x.scale, x.ticks, right);
    svg.select(".axis.bottom path").attr("d", `M${MARGIN.left},0H${right}`);
    RunScales.axis(svg.append("g").attr("transform", `translate(${MARGIN.left},0)`), "left", y.scale, y.ticks, bottom, right - MARGIN.left);
    svg.select(".axis.left path").attr("d", `M0,${MARGIN.top - 8}V${bottom}`);
    svg.append("text").attr("class", "name").attr("x", (MARGIN.left + right) / 2).attr("y", tall - 6).text("nonzeros (weights and biases)");
    svg.append("text").attr("class", "name start").attr("x", 4).attr("y", 13).text("success probability");
    svg.append("g").attr("class", "cursor");
    const lowest = y.scale.domain()[0];
    const at = (level) => x.scale(level.nonzeros);
    const clipped = (value) => y.scale(Math.max(value, lowest));
    for (const level of shown) {
      const group = svg.append("g").attr("class", level.successes ? "share some" : "share none");
      group.append("line").attr("x1", at(level)).attr("x2", at(level)).attr("y1", clipped(level.interval[0])).attr("y2", clipped(level.interval[1]));
      if (level.successes) group.append("circle").attr("cx", at(level)).attr("cy", clipped(level.share)).attr("r", shown.length > 150 ? 2 : 3.4);
      else group.append("line").attr("x1", at(level) - 3).attr("x2", at(level) + 3).attr("y1", clipped(level.interval[1])).attr("y2", clipped(level.interval[1]));
    }
    const triangle = (size) => d3.symbol(d3.symbolTriangle, size);
    for (const [name, size] of [["whole", shown.length > 150 ? 22 : 52], ["each", shown.length > 150 ? 10 : 26]]) {
      svg.append("g").attr("class", name).selectAll("path").data(shown.filter((level) => level[name] !== null)).join("path")
        .attr("d", triangle(size)).attr("transform", (level) => `translate(${at(level)},${y.scale(level[name])}) rotate(180)`);
    }
    cursor(view);
  }

  function cursor(view, speak = false) {
    const { chosen, svg, tip, x, width, data } = view;
    svg.select(".cursor").selectAll("*").remove();
    tip.hidden = !chosen;
    if (!chosen) return;
    const at = x.scale(chosen.nonzeros);
    svg.select(".cursor").append("line").attr("x1", at).attr("x2", at).attr("y1", MARGIN.top - 8).attr("y2", 250 - MARGIN.bottom);
    const lines = [
      `${Page.whole(chosen.successes)} of ${Page.whole(chosen.started)} runs: ${RunScales.share(chosen.share)}`,
      `95% interval ${chosen.interval.map(RunScales.share).join(" to ")}`,
      `${Page.whole(chosen.masks)} ${data.level_of}, ${chosen.restarts ? `${Page.whole(chosen.restarts)} restarts of each` : "not all of them trained yet"}`,
      ...(chosen.each === null ? [] : [`excluded for each: ${RunScales.share(chosen.each)}, for all at once: ${RunScales.share(chosen.whole)}`]),
    ];
    tip.replaceChildren(Page.element("strong", {}, `${Page.whole(chosen.nonzeros)} nonzeros`), ...lines.map((text) => Page.element("span", {}, text)));
    const left = at > width / 2;
    tip.style.left = left ? "auto" : `${at + 12}px`;
    tip.style.right = left ? `${width - at + 12}px` : "auto";
    tip.style.top = "24px";
    if (speak) Page.announce([`${chosen.nonzeros} nonzeros`, ...lines].join(", "));
  }

  function choose(view, level, speak = false) {
    if (level === view.chosen) return;
    view.chosen = level;
    cursor(view, speak);
  }

  function listen(view) {
    const { svg, shown } = view;
    const nearest = (event) => {
      const [px] = d3.pointer(event);
      const level = shown.reduce((best, one) => (Math.abs(view.x.scale(one.nonzeros) - px) < Math.abs(view.x.scale(best.nonzeros) - px) ? one : best));
      return Math.abs(view.x.scale(level.nonzeros) - px) < 24 ? level : null;
    };
    svg.on("pointermove pointerdown", (event) => choose(view, nearest(event)));
    svg.on("pointerleave", (event) => { if (event.pointerType !== "touch") choose(view, null); });
    svg.on("blur", () => choose(view, null));
    svg.on("keydown", (event) => {
      const now = view.chosen ? shown.indexOf(view.chosen) : -1;
      const to = { ArrowLeft: view.chosen ? now - 1 : shown.length - 1, ArrowRight: now + 1, Home: 0, End: shown.length - 1 }[event.key];
      if (to === undefined) return;
      choose(view, shown[Math.min(Math.max(to, 0), shown.length - 1)], true);
      event.preventDefault();
    });
  }

  /** The share of successes of the shapes around the first success. */
  function shapes(root, data) {
    const frame = Page.element("div", { class: "frame" });
    const svg = d3.select(frame).append("svg").attr("role", "img")
      .attr("aria-label", "Share of successes by shape, with exact 95% intervals; the table below has all numbers");
    root.append(frame);
    return { chosen: () => null, draw: () => drawShapes(frame, svg, data.shares), name: "shapes" };
  }

  function drawShapes(frame, svg, shares) {
    const width = RunScales.room(frame);
    const pitch = 21;
    const [head, left, right] = [22, 138, 142];
    const tall = head + shares.length * pitch + 40;
    const most = Math.min(1, d3.max(shares, (one) => one.interval[1]) * 1.06);
    const x = d3.scaleSqrt([0, most], [left, width - right]);
    svg.attr("viewBox", `0 0 ${width} ${tall}`).selectAll("*").remove();
    const write = (text, at, y, name) => svg.append("text").attr("class", name).attr("x", at).attr("y", y).text(text);
    const columns = [[62, "nonzeros"], [left - 14, "shape"], [width - right + 74, "successes"], [width - 2, "best"]];
    for (const [at, text] of columns) write(text, at, 13, "name end");
    const ticks = [];
    for (const tick of [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1]) {
      if (tick <= most && (!ticks.length || x(tick) - x(ticks.at(-1)[0]) > 42)) ticks.push([tick, Page.plain(tick)]);
    }
    const bottom = head + shares.length * pitch;
    RunScales.axis(svg.append("g").attr("transform", `translate(0,${bottom})`), "bottom", x, ticks, width, bottom - head);
    svg.select(".axis.bottom path").attr("d", `M${left},0H${width - right}`);
    shares.forEach((one, place) => {
      const y = head + (place + 0.5) * pitch;
      const group = svg.append("g").attr("class", one.successes ? "share some" : "share none");
      group.append("line").attr("x1", x(one.interval[0])).attr("x2", x(one.interval[1])).attr("y1", y).attr("y2", y);
      group.append("circle").attr("cx", x(one.share)).attr("cy", y).attr("r", 3.4);
      const quiet = one.successes ? "end" : "end quiet";
      const texts = [place && shares[place - 1].nonzeros === one.nonzeros ? "" : Page.whole(one.nonzeros), one.shape,
        `${Page.whole(one.successes)}/${Page.whole(one.runs)}`, one.accuracy === null ? "diverged" : Page.percent(one.accuracy)];
      texts.forEach((text, column) => write(text, columns[column][0], y + 4, quiet));
    });
    write("share of runs that reach the target", (left + width - right) / 2, tall - 5, "name");
  }

  return { levels, shapes };
})();

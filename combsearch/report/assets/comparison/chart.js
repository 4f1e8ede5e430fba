"use strict";
// Accuracy against nonzeros: a line a method, the searches' lines, a cursor over their steps.
const ComparisonChart = (() => {
  const REACH = 28; // pixels from the pointer to a mark that it means
  const READOUT = 100; // pixels below the chart for what is said of a run
  const NARROW = 560; // pixels: below, the title of the accuracies stands above them
  const MARGIN = { top: 14, right: 14, bottom: 46, left: 82 };

  /**
   * A chart on ``root``. ``onMove(line, step)`` hears where the cursor is (nulls: nowhere),
   * ``onOpen(line, step)`` which step is opened.
   */
  function make(root, onMove, onOpen) {
    const svg = d3.select(root).append("svg").attr("class", "pareto").attr("tabindex", 0).attr("role", "application")
      .attr("aria-roledescription", "chart");
    const tip = Page.element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    root.append(tip);
    let shown = null; // { lines, all, targets }
    let frame = null; // { x, y, width, height, range }
    let at = null; // { line, step }

    function draw(given) {
      shown = given;
      const { all, lines, targets } = shown;
      const width = Math.max(root.clientWidth, 280);
      const left = window.innerHeight - root.getBoundingClientRect().top - window.scrollY - READOUT;
      const height = Math.round(Math.max(330, Math.min(560, width * 0.62, left)));
      svg.attr("viewBox", `0 0 ${width} ${height}`).attr("aria-label",
        `Accuracy against nonzeros, ${lines.length} lines. Arrow keys move over their steps, Enter opens the network.`);
      svg.selectAll("*").remove();
      const range = ComparisonLines.axes(all, targets);
      if (!range) {
        svg.append("text").attr("class", "none").attr("x", width / 2).attr("y", height / 2).text("No run here counts: all diverged or collapsed.");
        frame = null;
        return move(null);
      }
      frame = scales(range, width, height);
      drawAxes(svg, frame, targets);
      const plot = svg.append("g").attr("class", "lines");
      for (const line of [...lines].reverse()) drawLine(plot, frame, line, targets);
      svg.append("circle").attr("class", "cursor").attr("r", 9);
      const kept = at && lines.find((line) => line.id === at.line.id);
      return move(kept && kept.steps.includes(at.step) ? { line: kept, step: at.step } : null);
    }

    /** Put the cursor on a step, or nowhere. */
    function move(next, announced = false) {
      at = next;
      fade(at?.line.id ?? null);
      const cursor = svg.select(".cursor").attr("display", at ? null : "none");
      tip.hidden = !at;
      if (at) {
        const [x, y] = position(at.step);
        ComparisonMarks.colour(cursor.attr("cx", x).attr("cy", y).node(), at.line);
        tip.replaceChildren(Page.element("b", {}, at.line.name), ...told(at.step).map((text) => Page.element("span", {}, text)));
        const share = root.clientWidth / frame.width;
        const left = x > frame.width / 2;
        tip.classList.toggle("left", left);
        tip.classList.toggle("above", y > frame.height / 2);
        tip.style.maxWidth = `${Math.min(320, (left ? x : frame.width - x) * share - 20)}px`;
        tip.style.left = `${x * share}px`;
        tip.style.top = `${y * share}px`;
        if (announced) Page.announce(`${at.line.name}: ${at.step.nonzeros} nonzeros, ${Page.percent(at.step.accuracy)}`);
      }
      onMove(at?.line ?? null, at?.step ?? null);
    }

    /** Let one line stand out; null: all alike. */
    function fade(id) {
      svg.classed("faded", id !== null);
      svg.selectAll(".line").classed("lit", (line) => line.id === id);
    }

    const position = (step) => [frame.x(step.nonzeros), frame.y(step.accuracy)];

    function nearest(event) {
      const [px, py] = d3.pointer(event, svg.node());
      let best = null;
      let reach = REACH;
      for (const line of frame ? shown.lines : []) {
        for (const step of line.steps) {
          const [x, y] = position(step);
          const far = Math.hypot(x - px, y - py) + (line.muted ? 3 : 0);
          if (x <= frame.width && far < reach) { reach = far; best = { line, step }; }
        }
      }
      return best;
    }

    function key(event) {
      if (event.key === "Escape" && at) return move(null);
      if (event.key === "Enter" || event.key === " ") {
        if (at) { event.preventDefault(); onOpen(at.line, at.step); }
        return undefined;
      }
      const next = frame && stepped(shown.lines.filter((line) => inside(line).length), at, event.key, inside);
      if (next) { event.preventDefault(); move(next, true); }
      return undefined;
    }

    const inside = (line) => line.steps.filter((step) => step.nonzeros >= frame.range.low && step.nonzeros <= frame.range.high);

    let touched = false;
    svg.on("pointerdown", (event) => { touched = event.pointerType === "touch"; })
      .on("pointermove", (event) => { const found = nearest(event); if (found?.step !== at?.step) move(found); })
      .on("pointerleave", (event) => { if (event.pointerType !== "touch" && document.activeElement !== svg.node()) move(null); })
      .on("click", (event) => {
        const found = nearest(event);
        move(found);
        if (found && !touched) onOpen(found.line, found.step); // a finger hides what it means: it opens by the button
      })
      .on("keydown", key);
    new ResizeObserver(() => { if (shown && Math.abs(root.clientWidth - (frame?.width ?? 0)) > 1) draw(shown); }).observe(root);
    return { draw, fade, move, node: svg.node() };
  }

  /** What is known of a step, in short lines. */
  function told(step) {
    const found = [`${Page.whole(step.nonzeros)} nonzeros, ${Page.percent(step.accuracy)}`];
    if (step.search) found.push(`shape (${step.shape.slice(1, -1).join(",")})`);
    else found.push(`width ${step.width}, budget ${Page.whole(step.budget)}`, `cell ${step.cell}, restart ${step.restart}`);
    return [...found, step.run];
  }

  /** Where an arrow key leads from ``at``: along a line, or to the nearest step of the next one. */
  function stepped(lines, at, key, inside) {
    if (!lines.length || !["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return null;
    const line = at && lines.find((one) => one.id === at.line.id);
    if (!line || !inside(line).includes(at.step)) return { line: lines[0], step: inside(lines[0])[0] };
    const steps = inside(line);
    const place = steps.indexOf(at.step);
    const along = { ArrowLeft: Math.max(place - 1, 0), ArrowRight: Math.min(place + 1, steps.length - 1), Home: 0, End: steps.length - 1 };
    if (key in along) return { line, step: steps[along[key]] };
    const other = lines[(lines.indexOf(line) + (key === "ArrowDown" ? 1 : lines.length - 1)) % lines.length];
    const near = inside(other).reduce((best, step) =>
      (Math.abs(step.nonzeros - at.step.nonzeros) < Math.abs(best.nonzeros - at.step.nonzeros) ? step : best));
    return { line: other, step: near };
  }

  function scales(range, width, height) {
    const margin = width < NARROW ? { ...MARGIN, top: 30, left: 66, right: 8 } : MARGIN;
    const make = range.log ? d3.scaleLog() : d3.scaleLinear();
    const space = range.log ? [range.low / 1.06, range.high * 1.06] : [range.low - 1.5, range.high + 2];
    const x = make.domain(space).range([margin.left, width - margin.right]);
    const up = d3.scaleLinear().domain([Axes.height(range.bottom), Axes.height(range.top)])
      .range([height - margin.bottom - 10, margin.top + 8]);
    const y = (accuracy) => up(Axes.height(Math.min(accuracy, range.ceiling)));
    return { x, y, width, height, margin, range };
  }

  function drawAxes(svg, { x, y, width, height, margin, range }, targets) {
    const [left, right, bottom] = [margin.left, width - margin.right, height - margin.bottom];
    const rows = svg.append("g").attr("class", "rows").selectAll("g").data(ComparisonLines.ticks(range, targets, y, 22)).join("g")
      .attr("class", ([, , target]) => (target ? "target" : null)).attr("transform", ([accuracy]) => `translate(0,${y(accuracy)})`);
    rows.append("path").attr("d", `M${left},0H${right}`);
    rows.append("text").attr("x", left - 8).attr("dy", "0.32em").text(([, text]) => text);
    const axis = d3.axisBottom(x).tickSizeOuter(0).tickSize(5);
    if (range.log) axis.tickValues([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000].filter((one) => one >= x.domain()[0] && one <= x.domain()[1]));
    else axis.tickValues(x.ticks(width < NARROW ? 5 : 10).filter(Number.isInteger));
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${bottom})`).call(axis.tickFormat(d3.format(",d")));
    svg.append("text").attr("class", "title").attr("x", (left + right) / 2).attr("y", height - 6).attr("text-anchor", "middle")
      .text("nonzeros (weights and biases)");
    const title = svg.append("text").attr("class", "title").text("accuracy (log scale of the error)");
    if (width < NARROW) title.attr("x", 2).attr("y", 14);
    else title.attr("text-anchor", "middle").attr("transform", `translate(12,${(margin.top + bottom) / 2}) rotate(-90)`);
  }

  function drawLine(plot, { x, y, width, margin, range }, line, targets) {
    if (!line.steps.length) return;
    const group = plot.append("g").datum(line).attr("class", `line${line.search ? ` search ${line.id}` : ""}${line.muted ? " muted" : ""}`);
    ComparisonMarks.colour(group.node(), line);
    const [left, right] = [x.domain()[0], x.domain()[1]];
    const path = d3.line().curve(d3.curveStepAfter).x((step) => x(step.nonzeros)).y((step) => y(step.accuracy));
    const before = [...line.steps].reverse().find((step) => step.nonzeros < left);
    const within = line.steps.filter((step) => step.nonzeros >= left && step.nonzeros <= right);
    const steps = [...(before ? [{ ...before, nonzeros: left }] : []), ...within];
    if (!steps.length) return;
    const last = { ...steps[steps.length - 1], nonzeros: right };
    group.append("path").attr("class", "stroke").attr("stroke-dasharray", ComparisonMarks.dashes(line))
      .attr("d", path(line.search ? steps : [...steps, last]));
    // Beyond its last step a search was not looked at.
    if (line.search) group.append("path").attr("class", "stroke beyond").attr("d", path([steps[steps.length - 1], last]));
    const first = new Set(targets.map((target) => ComparisonLines.lowest(line, target)).filter(Boolean));
    group.selectAll("path.fill").data(within).join("path")
      .attr("class", (step) => `fill${first.has(step) ? " first" : ""}${step.network === null ? " hollow" : ""}`)
      .attr("transform", (step) => `translate(${x(step.nonzeros)},${y(step.accuracy)})`)
      .attr("d", (step) => ComparisonMarks.outline(line.search ? "o" : line.mark, first.has(step) ? 6.6 : line.search ? 3 : 3.8));
  }

  return { make };
})();

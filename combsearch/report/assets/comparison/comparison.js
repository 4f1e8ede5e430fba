"use strict";
// The page of a comparison: what is chosen (start, width, targets, methods), and what follows from it.
(() => {
  const data = Page.data();
  const runs = ComparisonLines.runsOf(data);
  const methods = new Map(data.methods.map((method) => [method.id, method]));
  const chosen = { group: data.groups[0], width: null, targets: new Set(data.targets), off: new Set(), target: data.targets[0], every: false, share: null };
  const { element, button, plain } = Page;
  const shapeText = (shape) => `(${shape.slice(1, -1).join(",")})`;

  // ---------------------------------------------------------------- what opens

  /** The network that a step or run opens: its number among the networks, and a note where it is another run's. */
  function networkOf(step) {
    if (step.network !== null) return { place: step.network, run: step, note: "" };
    const other = step.instead === null ? null : runs[step.instead];
    if (!other || other.network === null) return null;
    return {
      place: other.network, run: other,
      note: `The network of the run with ${step.nonzeros} nonzeros and ${Page.percent(step.accuracy)} was not saved. This is the most accurate`
        + ` one that was saved of its method, width and budget: ${other.nonzeros} nonzeros, ${Page.percent(other.accuracy)}.`,
    };
  }

  function open(line, found) {
    if (!found) {
      Page.announce("The network of this run was not saved.");
      return;
    }
    const item = data.networks[found.place];
    const { run } = found;
    const what = run.search ? shapeText(run.shape) : `width ${run.width}, budget ${run.budget}`;
    const title = `${line.name}, ${what}: ${run.nonzeros} nonzeros, ${Page.percent(run.accuracy)}`;
    let view = null;
    const made = Page.dialog(title, (root) => {
      if (found.note) root.append(element("p", { class: "comparison-note" }, found.note));
      view = Network.open(root, { ...item, command: item.command ?? data.commands[run.run] ?? "" }, data.task);
    });
    made.addEventListener("close", view.close);
  }

  /** The first success of a row where it was saved, else the sparsest network that was and reaches the target. */
  function rowNetwork(row) {
    const saved = row.saved === null ? null : runs[row.saved];
    if (!saved || saved.network === null) return null;
    const first = row.first === null ? null : runs[row.first];
    const note = first === null ? "No run reaches the target; this is the most accurate network that was saved."
      : row.first === row.saved ? ""
        : `The first run to reach the target, with ${first.nonzeros} nonzeros, was not saved. This is the sparsest saved one that does.`;
    return { place: saved.network, run: saved, note };
  }
  const openRow = (row) => open(methods.get(row.method), rowNetwork(row));
  openRow.can = (row) => rowNetwork(row) !== null;

  // ---------------------------------------------------------------- parts of the page

  const page = document.getElementById("page");
  const chartBox = element("div", { class: "box" });
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Methods" });
  const detail = element("div", { class: "detail" });
  const boundsBox = element("div", { class: "scroll" });
  const tableBox = element("div", { class: "scroll" });
  const sharesBox = element("div", { class: "box" });
  const sharesWidths = element("div", { class: "choices" });
  const flopsBox = element("section", {});
  const widths = element("div", { class: "choices", role: "group", "aria-label": "Width" });
  const targets = element("div", { class: "choices", role: "group", "aria-label": "Targets" });
  const tableTargets = element("div", { class: "choices", role: "group", "aria-label": "Target of the table" });
  const every = element("label", { class: "check" },
    element("input", { type: "checkbox", onchange: (event) => { chosen.every = event.target.checked; drawTable(); } }), "every width");

  let sharesWide = 0; // pixels for which the shares are drawn

  /** Buttons of which one, or of several any number, is pressed. */
  function choices(root, list, isOn, press) {
    const had = [...root.children].indexOf(document.activeElement);
    root.replaceChildren(...list.map(([value, text]) =>
      button(text, () => press(value), { class: "choice", "aria-pressed": String(isOn(value)) })));
    if (had >= 0) root.children[had]?.focus();
  }

  /** Buttons of which one is pressed; where there is but one to choose, its text. */
  function oneOf(root, list, chosen, press) {
    if (list.length > 1) choices(root, list, (value) => value === chosen, press);
    else root.replaceChildren(...list.map(([, text]) => element("span", {}, text)));
  }

  function drawControls() {
    const own = chosen.group.widths.map((width) => [width, String(width)]);
    every.hidden = own.length < 2;
    oneOf(widths, own.length < 2 ? own : [[null, "best of all"], ...own], chosen.width, (width) => { chosen.width = width; chosen.share = width ?? chosen.share; draw(); });
    choices(targets, data.targets.map((target) => [target, plain(target)]), (target) => chosen.targets.has(target), (target) => {
      if (!chosen.targets.delete(target)) chosen.targets.add(target);
      draw();
    });
    oneOf(tableTargets, data.targets.map((target) => [target, plain(target)]), chosen.target, (target) => {
      chosen.target = target;
      drawControls();
      drawTable();
    });
  }

  const chart = ComparisonChart.make(chartBox, showRun, (line, step) => open(line, networkOf(step)));
  const table = ComparisonTable.make(tableBox, methods, runs, openRow);

  // ---------------------------------------------------------------- the run under the cursor

  function showRun(line, step) {
    if (!step) {
      detail.replaceChildren(element("p", { class: "quiet" },
        matchMedia("(pointer: coarse)").matches ? "Tap a mark to see the run behind it and to open its network."
          : "Point at a mark to see the run behind it and click to open its network. By keyboard: Tab to the chart, arrow keys, Enter."));
      return;
    }
    const found = networkOf(step);
    const about = step.search
      ? [["shape", shapeText(step.shape)], ["effective", Page.whole(step.effective)]]
      : [["effective", Page.whole(step.effective)], ["width", String(step.width)], ["budget", Page.whole(step.budget)], ["recipe", step.cell], ["restart", String(step.restart)]];
    const facts = [["nonzeros", Page.whole(step.nonzeros)], ["accuracy", Page.percent(step.accuracy)], ...about, ["run", step.run]];
    const text = found ? (found.note ? "Open the saved one" : "Open network") : null;
    const name = ComparisonMarks.colour(element("b", { class: "name" }, line.name), line);
    detail.replaceChildren(name, Page.facts(facts),
      text ? button(text, () => open(line, found), { class: "open" }) : element("span", { class: "quiet" }, "network not saved"));
  }

  // ---------------------------------------------------------------- the legend

  let resting = null; // where the mouse was first seen on the legend as it is drawn now
  let lit = null; // the line that stands out

  /** Let the line under the mouse stand out, but not one that came under a resting mouse. */
  function light(event) {
    const { clientX: x, clientY: y } = event;
    resting ??= { x, y };
    if (lit === null && x === resting.x && y === resting.y) return;
    const id = event.target.closest(".method")?.dataset.line ?? null;
    standOut(id === null || chosen.off.has(id) ? null : id);
  }

  function standOut(id = null) {
    if (id === lit) return;
    lit = id;
    chart.fade(id);
  }

  legend.addEventListener("pointermove", light);
  legend.addEventListener("pointerleave", () => { resting = null; standOut(); });

  function drawLegend(lines) {
    const shown = [...chosen.targets].sort(d3.ascending);
    const had = document.activeElement?.dataset?.line;
    const head = element("div", { class: "entry titles" }, element("span", {}, shown.length ? "first nonzeros at" : ""), shown.map((target, place) => {
      const sorts = place === shown.length - 1;
      return element("span", { class: "target", title: sorts ? "Methods are sorted by this column, the fewest first" : null },
        plain(target), sorts ? element("span", { role: "img", "aria-label": ", sorted" }, "\u00a0↑") : null);
    }));
    const entries = ComparisonLines.ordered(lines, shown).map((line) => {
      const name = button("", () => toggle(line.id), {
        class: "method", "data-line": line.id, "aria-pressed": String(!chosen.off.has(line.id)),
      });
      name.append(ComparisonMarks.sample(line), element("span", {}, line.name));
      const numbers = shown.map((target) => {
        const step = ComparisonLines.lowest(line, target);
        return element("span", { class: step ? "" : "quiet" }, step ? Page.whole(step.nonzeros) : "–");
      });
      return element("div", { class: `entry${line.search ? " search" : ""}` }, name, numbers);
    });
    const all = element("div", { class: "choices small" },
      button("Show all", () => set([]), { "data-line": " all" }),
      button("Hide all", () => set(lines.filter((line) => !line.search).map((line) => line.id)), { "data-line": " none" }));
    resting = lit = null;
    legend.replaceChildren(head, ...entries, all);
    legend.style.setProperty("--numbers", shown.length);
    [...legend.querySelectorAll("[data-line]")].find((one) => one.dataset.line === had)?.focus();
  }

  function toggle(id) {
    if (!chosen.off.delete(id)) chosen.off.add(id);
    draw();
  }

  function set(off) {
    chosen.off = new Set(off);
    draw();
  }

  // ---------------------------------------------------------------- bounds, table, shares, FLOPs

  function drawBounds() {
    const networks = (kind, nonzeros) => chosen.group.searches.filter((line) => line.kind === kind || kind === "exists")
      .flatMap((line) => line.steps).find((step) => step[0] === nonzeros && step[5] !== null);
    const cell = (kind, bound) => {
      if (!bound) return element("td", { class: "quiet" }, "no search here has one");
      const step = networks(kind, bound.nonzeros);
      const line = { name: kind === "trained" ? "trained bound" : "what exists" };
      const run = step && { search: kind, nonzeros: step[0], accuracy: step[2], run: step[3], shape: step[4] };
      const text = `, ${shapeText(bound.shape)}, ${Page.percent(bound.accuracy)}${bound.runs === null ? "" : `, ${Page.whole(bound.runs)} runs`}`;
      return element("td", {}, element("b", {}, `${bound.nonzeros} nonzeros`), text, element("br"), element("span", { class: "quiet" }, bound.run), " ",
        step ? button("Open", () => open(line, { place: step[5], run, note: "" }), { class: "open", "aria-label": `Open the network with ${bound.nonzeros} nonzeros` }) : null);
    };
    const pruned = chosen.group.bounds.some((one) => one.exists_biases_prunable);
    const head = ["target", "trained bound", chosen.group.bounds[0].init_digest ? "exists, any weights" : "exists", ...(pruned ? ["exists, biases prunable"] : []), "the paper's search"];
    const rows = chosen.group.bounds.map((one) => element("tr", {}, element("th", { scope: "row", class: "target" }, plain(one.target)),
      cell("trained", one.trained), cell("exists", one.exists), pruned ? cell("", one.exists_biases_prunable) : null,
      element("td", { class: one.paper ? "" : "quiet" }, one.paper ? `${one.paper.nonzeros} nonzeros` : "–")));
    boundsBox.replaceChildren(element("table", { class: "bounds" },
      element("thead", {}, element("tr", {}, head.map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, rows)));
  }

  function drawTable() {
    const own = (row) => row.target === chosen.target && ((chosen.every && !every.hidden) || row.width === chosen.width);
    table.draw(chosen.group.rows.filter(own));
  }

  function drawShares() {
    const known = [...new Set(chosen.group.shares.map((one) => one.width))].sort(d3.ascending);
    if (!known.includes(chosen.share)) chosen.share = known.includes(16) ? 16 : known[0] ?? null;
    oneOf(sharesWidths, known.map((width) => [width, String(width)]), chosen.share, (width) => { chosen.share = width; drawShares(); });
    const lines = chosen.group.shares.filter((one) => one.width === chosen.share && !chosen.off.has(one.method))
      .map((one) => ({ ...methods.get(one.method), steps: one.steps }));
    sharesWide = sharesBox.clientWidth;
    ComparisonShares.draw(sharesBox, lines, `Mean disconnected share of each method by weight budget, width ${chosen.share}`);
  }

  function drawFlops() {
    const rows = data.flops.filter((row) => row.group === chosen.group.label)
      .sort((a, b) => d3.descending(a.flops ?? a.formula ?? 0, b.flops ?? b.formula ?? 0));
    const text = (value) => (value === null ? "–" : value.toExponential(1).replace(/e\+?(-?\d+)/, " × 10^$1"));
    const number = (value) => {
      const [mantissa, power] = text(value).split("^");
      return element("td", { class: `number${value === null ? " quiet" : ""}` }, mantissa, power ? element("sup", {}, power) : null);
    };
    const name = (row) => methods.get(row.method)?.name ?? row.method;
    flopsBox.replaceChildren(...(rows.length ? [
      element("h2", {}, "Operations"),
      element("p", { class: "quiet" }, `FLOPs of pruning and training together, mean of the runs of width ${rows[0].width} with a budget of ${rows[0].budget} weights; beside them the paper's formula with as many biases, and its ${rows[0].place}.`),
      element("div", { class: "scroll" }, element("table", { class: "flops" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "method"), ["ours", "formula", "paper"].map((one) => element("th", { scope: "col", class: "number" }, one)))),
        element("tbody", {}, rows.map((row) => element("tr", {}, element("th", { scope: "row" }, name(row)), number(row.flops), number(row.formula), number(row.paper)))))),
    ] : []));
  }

  // ---------------------------------------------------------------- all of it

  function draw() {
    const lines = ComparisonLines.linesOf(chosen.group, chosen.width, runs, methods);
    drawControls();
    drawLegend(lines);
    const shown = ComparisonLines.ordered(lines, [...chosen.targets]).filter((line) => !chosen.off.has(line.id));
    chart.draw({ all: lines, lines: shown, targets: [...chosen.targets] });
    drawBounds();
    drawTable();
    drawFlops();
    drawShares();
  }

  function startControl() {
    if (data.groups.length < 2) return element("p", {}, element("span", { class: "quiet" }, "start "), chosen.group.label);
    const select = element("select", { onchange: (event) => {
      chosen.group = data.groups[Number(event.target.value)];
      if (chosen.group.widths.length < 2 || !chosen.group.widths.includes(chosen.width)) chosen.width = null;
      draw();
    } }, data.groups.map((group, place) => element("option", { value: place }, group.label)));
    return element("label", { class: "control" }, element("span", { class: "quiet" }, "start"), select);
  }

  const control = (name, root) => element("div", { class: "control" }, element("span", { class: "quiet" }, name), root);
  const hollow = data.groups.some((group) => group.lines.some((line) => line.steps.some((step) => runs[step].network === null)));

  page.replaceChildren(
    Page.head("Pruning methods beside the bounds", `Comparison ${data.name}`),
    element("p", { class: "lead" }, "How few nonzeros (weights and biases) each pruning method needs, beside the bounds of the searches. The ",
      element("b", {}, "trained bound"), " is the fewest nonzeros at which some restart from random weights reached a target when masks were trained level by level; ",
      element("b", {}, "what exists"), " is a saved network, however it was found: most of those hardly ever train. The ",
      element("b", {}, "gap"), " of a method is its first nonzeros minus the bound."),
    element("div", { class: "controls" }, startControl(), control("width", widths), control("targets", targets), control("task", element("span", {}, data.task_name))),
    element("div", { class: "panes" }, element("div", { class: "pane" }, chartBox, detail), legend),
    ...(hollow ? [element("p", { class: "quiet small" }, "A mark stands where a line rises, a larger one where it first reaches a target. A hollow one is a run whose own network is not here: of a method it opens the best one saved of its width and budget.")] : []),
    ...data.notes.map((note) => element("p", { class: "comparison-note" }, note)),
    element("h2", {}, "Bounds"), boundsBox,
    element("h2", {}, "Gaps to the bounds"),
    element("div", { class: "controls" }, control("target", tableTargets), every), tableBox,
    element("div", { class: "pair" },
      element("section", {},
        element("h2", {}, "Disconnected parameters"),
        element("p", { class: "quiet" }, "Mean share of the kept parameters that lie on no path from an input to the output, of the runs that keep to their budget."),
        element("div", { class: "controls" }, control("width", sharesWidths)), sharesBox),
      flopsBox),
    element("h2", {}, "Where it comes from"),
    element("pre", {}, data.made_with.command),
    Page.facts([["task", data.task_name], ["sweeps", data.runs.join(", ")], ["searches", data.searches.join(", ") || "none"],
      ["versions", Object.entries(data.made_with.versions).map(([name, version]) => `${name} ${version}`).join(", ")], ["commit", data.made_with.commit ?? "unknown"]]));
  draw();
  new ResizeObserver(() => { if (sharesBox.clientWidth !== sharesWide) drawShares(); }).observe(sharesBox);
})();

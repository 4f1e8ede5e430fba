"use strict";
// The page of an atlas: what is on it, and how its parts hear each other.
const Atlas = (() => {
  /** Build the page of ``data`` on ``root``. */
  function open(root, data) {
    const masks = AtlasMasks.read(data);
    const scale = AtlasScale.make(masks, data.target);
    const networks = new Map(data.networks);
    const shape = `(${data.shape.slice(1, -1).join(",")})`;
    const state = { masks, scale, networks, data, from: 0, to: masks.levels.length - 1, least: scale.low, chosen: -1 };

    const mapBox = Page.element("div", { class: "mapbox" });
    const side = Page.element("aside", { class: "side", "aria-label": "The mask" });
    state.count = Page.element("p", { class: "quiet count", role: "status" });
    const page = Page.element("div", { class: "atlas-page" },
      Page.head(title(masks, data, shape), `Atlas of ${data.run}`),
      introduction(masks, data, shape),
      Page.facts(facts(masks, data)),
      Page.element("div", { class: "tools", role: "group", "aria-label": "What the map shows" }, tools(state)),
      Page.element("div", { class: "atlas" },
        Page.element("div", { class: "own" }, mapBox, keyHelp()),
        side,
        Page.element("section", { class: "below" }, Page.element("h2", {}, "Levels"),
          levels(masks, (mask) => { go(state, mask); state.map.canvas.scrollIntoView({ block: "center" }); }))),
      data.runCommand ? Page.element("section", {}, Page.element("h2", {}, "Made by"), Page.element("pre", {}, data.runCommand)) : null);
    root.append(page);
    mapBox.append(Page.element("div", { class: "legend" }, AtlasScale.legend(scale), keyOf(masks, networks), state.count));
    state.panel = AtlasPanel.make(side, masks, scale, networks, {
      go: (mask) => go(state, mask),
      along: (by) => { const mask = state.map.neighbour(by); if (mask >= 0) state.map.choose(mask); },
      open: () => openNetwork(state, state.chosen),
    });
    state.map = AtlasMap.make(mapBox, masks, scale, (mask) => networks.has(mask), {
      hover: (mask) => state.panel.show(mask >= 0 ? mask : state.chosen),
      choose: (mask) => chosen(state, mask),
      open: (mask) => openNetwork(state, mask),
    });
    mapBox.append(zoomButtons(state));
    count(state);
    state.map.choose(first(masks), false);
    return state;
  }

  // ---- what is on the page ----------------------------------------------------------------

  /** What part of all masks of the shape is there. */
  function title(masks, data, shape) {
    const [least, most] = [masks.levels[0].nonzeros, masks.levels[masks.levels.length - 1].nonzeros];
    const whole = !data.below.length && most === masks.weights.length + masks.biases;
    return whole ? `All masks of ${shape}` : `Masks of ${shape} with ${span(least === most ? [least] : [least, most])} nonzeros`;
  }

  function introduction(masks, data, shape) {
    const unit = data.symmetry === "full" ? "one mask, whatever the order of its hidden neurons" : data.symmetry === "rows" ? "one mask whose rows are in order" : "one mask";
    const left = [];
    if (data.below.length) left.push(`Levels ${span(data.below)} were left out by the run.`);
    if (data.beyond.length) {
      const sum = d3.range(data.beyond.length).reduce((total, level) => total + data.beyond[level][1], 0);
      left.push(`Levels ${span(data.beyond.map(([nonzeros]) => nonzeros))}, ${Page.whole(sum)} masks that the run has not reached, are too many to be drawn.`);
    }
    return Page.element("p", { class: "lead" }, `Each cell is ${unit}: the weights that a network of shape ${shape} keeps. `
      + "A column holds all masks with the same number of nonzeros, the sparsest on the left. "
      + `The colour is the best accuracy of its runs${data.oneStart ? ", all from one initialisation" : ""}. ${left.join(" ")}`);
  }

  const span = (values) => (values.length === 1 ? `${values[0]}` : `${values[0]} to ${values[values.length - 1]}`);

  function facts(masks, data) {
    const trained = masks.trained.reduce((sum, one) => sum + one, 0);
    const successful = d3.range(masks.count).filter((mask) => masks.successes[mask]);
    const runs = masks.runs.reduce((sum, one) => sum + one, 0);
    const best = first(masks);
    return [
      ["masks", `${Page.whole(masks.count)}${trained === masks.count ? ", all trained" : `, ${Page.whole(trained)} trained`}`],
      ["runs to the end", `${Page.whole(runs)}${data.raced ? ", raced" : ""}`],
      ["target", `${Page.plain(data.target)} of ${data.taskName}`],
      ["masks with a success", Page.whole(successful.length)],
      [successful.length ? "sparsest success" : "best accuracy", `${masks.nonzeros(best)} nonzeros, ${AtlasPanel.accuracyText(masks, best)}`],
      ["recipes", recipes(data.cells)],
    ];
  }

  /** "0.05, 0.1 × cosine, step" where every rate comes with every schedule. */
  function recipes(cells) {
    const [rates, schedules] = [0, 1].map((part) => [...new Set(cells.map((cell) => cell.split(":")[part]))]);
    return cells.length > 1 && cells.length === rates.length * schedules.length ? `${rates.join(", ")} × ${schedules.join(", ")}` : cells.join(", ");
  }

  /** Where a reader begins: the best mask of the sparsest success in these levels, or the best of all. */
  function first(masks, from = 0, to = masks.levels.length - 1) {
    const all = d3.range(masks.levels[from].first, masks.levels[to].end);
    const good = all.find((mask) => masks.successes[mask]);
    const among = good === undefined ? all : all.filter((mask) => masks.level[mask] === masks.level[good]);
    return among.reduce((best, mask) => (Number.isNaN(masks.accuracy[best]) || masks.accuracy[mask] > masks.accuracy[best] ? mask : best));
  }

  function keyOf(masks, networks) {
    const entry = (name, text) => Page.element("li", {}, Page.element("span", { class: `sign ${name}` }), text);
    const some = (test) => d3.range(masks.count).some(test);
    return Page.element("ul", { class: "key" },
      some((mask) => masks.successes[mask]) ? entry("success", "reached the target") : null,
      networks.size ? entry("saved", "network can be opened") : null,
      some((mask) => !masks.trained[mask]) ? entry("untrained", "not trained") : null,
      some((mask) => masks.trained[mask] && Number.isNaN(masks.accuracy[mask])) ? entry("norun", "no run finished") : null);
  }

  const keyHelp = () => Page.element("p", { class: "quiet keys", id: "map-keys" }, matchMedia("(pointer: coarse)").matches
    ? "Tap a mask to see it. Two fingers zoom the map, and one then moves it. Open network shows its network."
    : "Drag to move, scroll or pinch to zoom, double-click to open a network. On the keyboard: arrows walk, Page Up and Page Down "
    + "change the level, Home and End go to its ends, + and − zoom, 0 shows all, Enter opens the network.");

  function zoomButtons(state) {
    return Page.element("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      Page.button("+", () => state.map.zoomBy(1.6), { "aria-label": "Zoom in", title: "Zoom in" }),
      Page.button("−", () => state.map.zoomBy(1 / 1.6), { "aria-label": "Zoom out", title: "Zoom out" }),
      Page.button("All", () => state.map.whole(), { title: "Show the whole map" }));
  }

  // ---- tools --------------------------------------------------------------------------------

  function tools(state) {
    const { masks } = state;
    const order = Page.element("select", { onchange: () => state.map.arrange({ order: order.value }) },
      Object.entries(AtlasLayout.ORDERS).map(([name, { text }]) => Page.element("option", { value: name }, text)));
    const level = (name, chosen, change) => {
      const made = Page.element("select", { "aria-label": `${name} nonzeros`, onchange: () => change(Number(made.value)) },
        masks.levels.map(({ nonzeros }, number) => Page.element("option", { value: number, selected: number === chosen }, nonzeros)));
      return made;
    };
    const arrange = () => {
      from.value = state.from;
      to.value = state.to;
      state.map.arrange({ from: state.from, to: state.to });
      const level = masks.level[state.chosen];
      if (level < state.from || level > state.to) state.map.choose(first(masks, state.from, state.to), false);
      count(state);
    };
    const from = level("Fewest", 0, (value) => { state.from = value; state.to = Math.max(state.to, value); arrange(); });
    const to = level("Most", masks.levels.length - 1, (value) => { state.to = value; state.from = Math.min(state.from, value); arrange(); });
    state.showAll = () => { Object.assign(state, { from: 0, to: masks.levels.length - 1 }); arrange(); };
    return [
      Page.element("label", {}, "order", order),
      Page.element("div", { class: "pair" }, "nonzeros", Page.element("span", {}, from, " to ", to)),
      least(state),
      search(state),
    ];
  }

  function least(state) {
    const { scale } = state;
    const steps = Math.ceil((scale.high - scale.low) / 0.0025);
    const shown = Page.element("output", {}, "all");
    const slider = Page.element("input", {
      type: "range", min: 0, max: steps, step: 1, value: 0,
      oninput: () => {
        const step = Number(slider.value);
        state.least = step ? Math.min(scale.low + step * 0.0025, scale.high) : scale.low;
        shown.textContent = step ? Page.percent(state.least) : "all";
        slider.setAttribute("aria-valuetext", shown.textContent);
        state.map.filter((mask) => !step || state.masks.accuracy[mask] >= state.least - 1e-12);
        count(state);
      },
    });
    return Page.element("label", { class: "least" }, Page.element("span", {}, "accuracy from ", shown), slider);
  }

  function search(state) {
    const rank = state.masks.twoRanks ? "rank in this shape" : "rank";
    const field = Page.element("input", { type: "search", placeholder: "rank, or bits as 0x…", "aria-label": `${rank}, or bits of a mask in hexadecimal` });
    const said = Page.element("span", { class: "said quiet", role: "status" });
    return Page.element("form", {
      class: "search", role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        if (!field.value.trim()) return;
        const mask = state.masks.find(field.value);
        const found = mask !== null && mask >= 0;
        said.textContent = found ? "" : missing(state.masks, field.value.trim(), mask === null);
        if (found) go(state, mask);
      },
    }, Page.element("span", { class: "name" }, state.masks.twoRanks ? "find a mask by its rank in this shape" : "find a mask"), Page.element("span", { class: "row" }, field, Page.element("button", { type: "submit" }, "Go")), said);
  }

  function missing(masks, text, neither) {
    const last = masks.levels[masks.levels.length - 1];
    const name = masks.twoRanks ? "ranks in this shape" : "ranks";
    const ranks = `${name} go from ${Page.whole(masks.levels[0].rank)} to ${Page.whole(last.rank + last.masks - 1)}.`;
    if (neither) return `Not a rank, nor bits as 0x…; ${ranks}`;
    return /^[\d,_]+$/.test(text) ? `R${ranks.slice(1)}` : `No mask here has these bits; ${ranks}`;
  }

  /** Choose a mask wherever it lies, also where the level is left out just now. */
  function go(state, mask) {
    const level = state.masks.level[mask];
    if (level < state.from || level > state.to) state.showAll();
    state.map.choose(mask);
  }

  // ---- what happens ---------------------------------------------------------------------------

  function chosen(state, mask) {
    const { masks } = state;
    state.chosen = mask;
    state.panel.show(mask);
    const successes = masks.successes[mask] ? `, ${masks.successes[mask]} ${masks.successes[mask] === 1 ? "success" : "successes"}` : "";
    Page.announce(`Mask ${masks.rank(mask)}, ${masks.nonzeros(mask)} nonzeros, ${AtlasPanel.accuracyText(masks, mask)}${successes}`);
  }

  function openNetwork(state, mask) {
    if (!state.networks.has(mask)) return;
    const item = state.networks.get(mask);
    let network = null;
    Page.dialog(item.name, (root) => { network = Network.open(root, item, state.data.task); })
      .addEventListener("close", network.close);
  }

  function count(state) {
    const { masks, from, to, least, scale } = state;
    const inside = d3.range(masks.levels[from].first, masks.levels[to].end);
    const found = least > scale.low ? inside.filter((mask) => masks.accuracy[mask] >= least - 1e-12) : inside;
    state.count.textContent = found.length === masks.count ? "" : `${Page.whole(found.length)} of ${Page.whole(masks.count)} masks`;
  }

  /** What came of every level, as a table that leads to the best masks. */
  function levels(masks, go) {
    const all = masks.trained.every((one) => one);
    const titles = ["nonzeros", "masks", ...(all ? [] : ["trained"]), "best accuracy", "with a success", "successes", "runs to the end"];
    const row = (level) => {
      const own = d3.range(level.first, level.end);
      const sum = (values) => own.reduce((total, mask) => total + values[mask], 0);
      const best = own.reduce((found, mask) => ((found < 0 ? masks.accuracy[mask] >= 0 : masks.accuracy[mask] > masks.accuracy[found]) ? mask : found), -1);
      const leader = best < 0 ? "–" : Page.button(Page.percent(masks.accuracy[best]), () => go(best), { class: "jump", title: "Show this mask on the map" });
      const good = own.filter((mask) => masks.successes[mask]).length;
      const cells = [level.nonzeros, Page.whole(level.masks), ...(all ? [] : [Page.whole(sum(masks.trained))]), leader, Page.whole(good), Page.whole(sum(masks.successes)), Page.whole(sum(masks.runs))];
      return Page.element("tr", {}, cells.map((value) => Page.element("td", { class: "number" }, value)));
    };
    return Page.element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Levels" }, Page.element("table", { class: "levels" },
      Page.element("thead", {}, Page.element("tr", {}, titles.map((title) => Page.element("th", { class: "number", scope: "col" }, title)))),
      Page.element("tbody", {}, masks.levels.map(row))));
  }

  return { open };
})();
const AtlasShown = Atlas.open(document.getElementById("page"), Page.data());

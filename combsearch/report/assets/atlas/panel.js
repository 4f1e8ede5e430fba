"use strict";
// What is known of one mask: its drawing, its numbers, and the masks one weight apart.
const AtlasPanel = (() => {
  const WIDTH = 300, HEIGHT = 190;

  /**
   * A panel on ``root``. ``go(mask)``, ``along(by)`` and ``open(mask)`` are called by its buttons;
   * ``networks`` holds what can be opened.
   */
  function make(root, masks, scale, networks, call) {
    const drawing = Page.element("div", { class: "drawing" });
    const heading = Page.element("h2");
    const table = Page.element("div");
    const steps = Page.element("div", { class: "steps" });
    const previous = Page.button("Previous", () => call.along(-1), { title: "The mask before it in its column" });
    const next = Page.button("Next", () => call.along(1), { title: "The mask after it in its column" });
    const open = Page.button("Open network", () => call.open(), { class: "open" });
    root.append(heading, drawing, Page.element("div", { class: "row" }, previous, next, open), table, steps);
    return {
      show(mask) {
        heading.textContent = `Mask ${Page.whole(masks.rank(mask))}`;
        const without = masks.without(mask);
        drawing.replaceChildren(picture(masks, mask, without && ((bit) => without.get(bit)), call.go));
        open.disabled = !networks.has(mask);
        open.textContent = networks.has(mask) ? "Open network" : "No network kept";
        table.replaceChildren(Page.facts(facts(masks, mask)));
        const walking = steps.contains(document.activeElement);
        steps.replaceChildren(...neighbours(masks, scale, mask, call.go));
        if (walking) (steps.querySelector("button") ?? next).focus({ preventScroll: true });
      },
    };
  }

  function facts(masks, mask) {
    const weights = masks.bits(mask).length;
    const pairs = [
      ["nonzeros", `${masks.nonzeros(mask)}: ${weights} weights, ${masks.nonzeros(mask) - weights} biases`],
      ["best accuracy", masks.trained[mask] ? (Number.isNaN(masks.accuracy[mask]) ? "no run finished" : Page.percent(masks.accuracy[mask])) : "not trained"],
      ["runs", runs(masks, mask)],
      ["successes", Page.whole(masks.successes[mask])],
    ];
    if (masks.sizes) pairs.push(["stands for", orbit(masks.sizes[mask])]);
    pairs.push(["weights a layer", masks.layerWeights(mask).join(", ")]);
    if (masks.twoRanks) pairs.push(["rank in this shape", Page.whole(masks.rank(mask))], ["rank in the run", Page.whole(masks.runRank(mask))]);
    pairs.push(["bits (hexadecimal)", Page.element("code", {}, masks.hex(mask))]);
    return pairs;
  }

  function runs(masks, mask) {
    const [done, started] = [masks.runs[mask], masks.started(mask)];
    return done === started ? Page.whole(done) : `${Page.whole(done)} of ${Page.whole(started)} to the end`;
  }

  const orbit = (size) => (size > Number.MAX_SAFE_INTEGER ? `about ${size.toExponential(2)} masks` : size === 1 ? "itself alone" : `${Page.whole(size)} masks`);

  /** Neurons in columns from the inputs to the outputs; a click on a weight goes to what is left without it. */
  function picture(masks, mask, without, go) {
    const svg = d3.select(document.createElementNS("http://www.w3.org/2000/svg", "svg"))
      .attr("viewBox", `0 0 ${WIDTH} ${HEIGHT}`).attr("role", "img")
      .attr("aria-label", `Drawing of mask ${masks.rank(mask)}: ${masks.layerWeights(mask).join(", ")} weights a layer`);
    const most = d3.max(masks.shape);
    const radius = Math.max(2, Math.min(9, (HEIGHT - 20) / most / 2.8));
    const x = (layer) => 22 + ((WIDTH - 44) * layer) / (masks.shape.length - 1);
    const y = (layer, neuron) => HEIGHT / 2 + (neuron - (masks.shape[layer] - 1) / 2) * Math.min(52, (HEIGHT - 16) / most);
    const link = d3.linkHorizontal();
    for (const bit of masks.bits(mask)) {
      const { layer, row, column } = masks.weights[bit];
      const line = link({ source: [x(layer), y(layer, column)], target: [x(layer + 1), y(layer + 1, row)] });
      const left = without ? without(bit) : -1;
      const edge = svg.append("g").attr("class", left >= 0 ? "edge step" : "edge").attr("data-bit", bit);
      edge.append("path").attr("class", "line").attr("d", line);
      if (left < 0) continue;
      edge.append("path").attr("class", "reach").attr("d", line);
      edge.append("title").text(`Without this weight: mask ${Page.whole(masks.rank(left))}, ${accuracyText(masks, left)}`);
      edge.on("click", () => go(left));
    }
    masks.shape.forEach((neurons, layer) => d3.range(neurons).forEach((neuron) => {
      svg.append("circle").attr("class", layer === 0 ? "input" : layer === masks.shape.length - 1 ? "output" : "hidden")
        .attr("cx", x(layer)).attr("cy", y(layer, neuron)).attr("r", radius);
    }));
    return svg.node();
  }

  const accuracyText = (masks, mask) => (!masks.trained[mask] ? "not trained" : Number.isNaN(masks.accuracy[mask]) ? "no run finished" : Page.percent(masks.accuracy[mask]));

  /** Buttons to the masks with one weight fewer and one more, the best first. */
  function neighbours(masks, scale, mask, go) {
    if (masks.fewer(mask) === null) return [Page.element("p", { class: "quiet" }, masks.apart)];
    const lists = [["One weight fewer", masks.fewer(mask)], ["One weight more", masks.more(mask)]];
    return lists.map(([name, found]) => {
      const worth = (other) => (Number.isNaN(masks.accuracy[other]) ? -1 : masks.accuracy[other]);
      const sorted = [...found].sort((a, b) => worth(b) - worth(a) || a - b);
      return Page.element("div", {}, Page.element("h3", {}, `${name} (${found.length})`),
        found.length ? Page.element("ul", { class: "chips" }, sorted.map((other) => Page.element("li", {}, chip(masks, scale, other, go)))) : Page.element("p", { class: "quiet" }, "none on this map"));
    });
  }

  function chip(masks, scale, mask, go) {
    const swatch = Page.element("span", { class: masks.successes[mask] ? "swatch success" : "swatch" });
    swatch.style.background = Number.isNaN(masks.accuracy[mask]) ? "" : scale.colour(masks.accuracy[mask]);
    const made = Page.button("", () => go(mask), { class: "chip", title: `Mask ${Page.whole(masks.rank(mask))}`, "aria-label": `Mask ${masks.rank(mask)}, ${accuracyText(masks, mask)}` });
    made.append(swatch, accuracyText(masks, mask));
    return made;
  }

  return { accuracyText, make };
})();

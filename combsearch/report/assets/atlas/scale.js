"use strict";
// The colours of accuracies, and the legend that explains them.
const AtlasScale = (() => {
  const STEPS = 64;

  /** Accuracies of the best runs, the ends of the scale, and the step (0 to STEPS - 1) of each. */
  function make(masks, target) {
    const known = masks.accuracy.filter((value) => !Number.isNaN(value));
    const low = known.length ? Math.floor(d3.min(known) * 50) / 50 : 0;
    const high = Math.max(known.length ? d3.max(known) : 1, target, low + 0.02);
    const share = (value) => Math.max(0, Math.min(1, (value - low) / (high - low)));
    return {
      low, high, target, known,
      step: (value) => Math.min(STEPS - 1, Math.floor(share(value) * STEPS)),
      colour: (value) => ofStep(Math.min(STEPS - 1, Math.floor(share(value) * STEPS))),
    };
  }

  const ofStep = (step) => Colours.sequence((step + 0.5) / STEPS);

  /** Black or white, whichever can be read on a colour. */
  function inkOn(colour) {
    const [red, green, blue] = Colours.channels(colour).map((part) => (part / 255) ** 2.2);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 ? "#10151c" : "#ffffff";
  }

  /** Stripes for masks that were not trained. */
  function hatch(context, ratio) {
    const tile = Page.element("canvas", { width: Math.round(6 * ratio), height: Math.round(6 * ratio) });
    const pen = tile.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = Colours.of("raised");
    pen.fillRect(0, 0, 6, 6);
    pen.strokeStyle = Colours.of("grey");
    pen.lineWidth = 0.8;
    for (const shift of [-6, 0, 6]) {
      pen.beginPath();
      pen.moveTo(shift, 6);
      pen.lineTo(shift + 6, 0);
      pen.stroke();
    }
    return context.createPattern(tile, "repeat");
  }

  const WIDTH = 340, BAR = 12, TALL = 34;

  /** Colours from low to high, how many masks have each, and where the target lies. */
  function legend(scale) {
    const x = d3.scaleLinear([scale.low, scale.high], [18, WIDTH - 18]);
    const svg = d3.select(Page.element("div", { class: "scale" })).append("svg")
      .attr("viewBox", `0 0 ${WIDTH} ${TALL + BAR + 40}`).attr("role", "img");
    function draw() {
      svg.selectAll("*").remove();
      svg.append("title").text(`Colours: best accuracy of a mask, ${Page.percent(scale.low)} to ${Page.percent(scale.high)}; the target is ${Page.percent(scale.target)}`);
      const edges = d3.range(STEPS + 1).map((step) => scale.low + ((scale.high - scale.low) * step) / STEPS);
      const counts = new Array(STEPS).fill(0);
      scale.known.forEach((value) => { counts[scale.step(value)] += 1; });
      const y = d3.scaleSqrt([0, Math.max(1, d3.max(counts))], [0, TALL - 14]);
      counts.forEach((count, step) => {
        const [left, right] = [x(edges[step]), x(edges[step + 1])];
        const bar = svg.append("rect").attr("x", left).attr("width", right - left + 0.4).attr("fill", ofStep(step));
        bar.attr("y", TALL).attr("height", BAR);
        if (count) svg.append("rect").attr("class", "share").attr("x", left + 0.4).attr("width", right - left - 0.8).attr("y", TALL - 2 - y(count)).attr("height", y(count));
      });
      axis(svg.append("g").attr("transform", `translate(0 ${TALL + BAR})`), x, scale);
    }
    draw();
    Page.onScheme(draw);
    return svg.node().parentNode;
  }

  function axis(group, x, scale) {
    const at = x(scale.target);
    const half = 43; // of the width of "target 99.5%"
    const middle = Math.max(half, Math.min(WIDTH - half, at));
    const values = x.ticks(5).filter((value) => Math.abs(x(value) - middle) > half + 15);
    group.attr("class", "axis").call(d3.axisBottom(x).tickValues(values).tickFormat((value) => Page.plain(value)).tickSize(4));
    group.select(".domain").remove();
    group.append("line").attr("class", "target").attr("x1", at).attr("x2", at).attr("y1", 12 - TALL - BAR).attr("y2", 5);
    group.append("text").attr("class", "target").attr("x", middle).attr("y", 16).attr("text-anchor", "middle").text(`target ${Page.plain(scale.target)}`);
    group.append("text").attr("class", "name").attr("x", 18).attr("y", 33).text("best accuracy of a mask, and how many masks have it");
  }

  return { STEPS, hatch, inkOn, legend, make, ofStep };
})();

"use strict";
// The share of kept parameters that no path uses, by weight budget: a small chart.
const ComparisonShares = (() => {
  const MARGIN = { top: 10, right: 132, bottom: 42, left: 48 };
  const LINE = 15; // pixels from name to name

  /** Draw ``lines`` ({...method, steps: [[budget, share], ...]}) on ``root``. */
  function draw(root, lines, text) {
    const width = Math.max(root.clientWidth, 280);
    const height = Math.round(Math.min(360, Math.max(260, width * 0.5, lines.length * LINE + 60)));
    root.replaceChildren();
    const svg = d3.select(root).append("svg").attr("class", "shares").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img").attr("aria-label", text);
    const budgets = [...new Set(lines.flatMap((line) => line.steps.map(([budget]) => budget)))].sort(d3.ascending);
    if (!budgets.length) {
      svg.append("text").attr("class", "none").attr("x", width / 2).attr("y", height / 2).text("No run here counts.");
      return;
    }
    const [left, right, bottom] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom];
    // A place for every budget, since they stand close at first and far apart then.
    const x = d3.scalePoint().domain(budgets).range([left + 8, right - 8]);
    const most = Math.max(d3.max(lines.flatMap((line) => line.steps), ([, share]) => share), 0.01);
    const y = d3.scaleLinear().domain([0, most]).nice(4).range([bottom - 6, MARGIN.top]);
    const rows = svg.append("g").attr("class", "rows").selectAll("g").data(y.ticks(4)).join("g").attr("transform", (share) => `translate(0,${y(share)})`);
    rows.append("path").attr("d", `M${left},0H${right}`);
    rows.append("text").attr("x", left - 8).attr("dy", "0.32em").text((share) => Page.plain(share));
    const every = Math.ceil(budgets.length / (width < 560 ? 6 : 12));
    const axis = d3.axisBottom(x).tickValues(budgets.filter((_, place) => place % every === 0)).tickSizeOuter(0).tickSize(5);
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${bottom})`).call(axis);
    svg.append("text").attr("class", "title").attr("x", (left + right) / 2).attr("y", height - 4).attr("text-anchor", "middle").text("weight budget");
    const path = d3.line().x(([budget]) => x(budget)).y(([, share]) => y(share));
    const places = apart(lines, (line) => y(line.steps[line.steps.length - 1][1]), MARGIN.top + 4, bottom);
    const names = svg.append("g").attr("class", "names");
    for (const line of [...lines].reverse()) {
      const group = svg.append("g").attr("class", `line${line.muted ? " muted" : ""}`).datum(line);
      ComparisonMarks.colour(group.node(), line);
      group.append("path").attr("class", "stroke").attr("stroke-dasharray", ComparisonMarks.dashes(line)).attr("d", path(line.steps));
      names.append("path").attr("class", "stroke thin").attr("d", `M${right - 8},${y(line.steps[line.steps.length - 1][1])}L${right + 10},${places.get(line)}`)
        .call((path) => ComparisonMarks.colour(path.node(), line));
      names.append("text").attr("x", right + 14).attr("y", places.get(line)).attr("dy", "0.32em").text(line.name);
      group.selectAll("path.fill").data(line.steps).join("path").attr("class", "fill")
        .attr("transform", ([budget, share]) => `translate(${x(budget)},${y(share)})`).attr("d", ComparisonMarks.outline(line.mark, 3));
    }
  }

  /** Where the names of lines stand: near their ends, none over another. */
  function apart(lines, end, top, bottom) {
    const order = [...lines].sort((a, b) => end(a) - end(b));
    const at = order.map(end);
    const room = Math.min(LINE, (bottom - top) / Math.max(order.length - 1, 1));
    at.forEach((_, place) => { at[place] = Math.max(at[place], place ? at[place - 1] + room : top); });
    for (let place = at.length - 1; place >= 0; place -= 1) {
      at[place] = Math.min(at[place], place === at.length - 1 ? bottom : at[place + 1] - room);
    }
    return new Map(order.map((line, place) => [line, at[place]]));
  }

  return { apart, draw };
})();

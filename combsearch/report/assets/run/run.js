"use strict";
// The page of a run. ``show`` draws it, ``update`` draws newer data in its place.
const Run = (() => {
  const root = document.getElementById("page");
  const content = Page.element("div", { class: "run" });
  const table = RunTable.begin();
  let charts = [];
  let width = 0;

  function show(data) {
    root.replaceChildren(Page.head(data.name, data.kind), content);
    fill(data);
    new ResizeObserver(() => {
      if (content.clientWidth !== width) redraw();
    }).observe(content);
    Page.onScheme(redraw);
  }

  /** Show ``data`` instead, and leave the reader where they are. */
  function update(data) {
    const focused = content.contains(document.activeElement) ? document.activeElement : null;
    const top = window.scrollY;
    fill(data);
    window.scrollTo({ top, behavior: "instant" });
    Page.focus(focused);
  }

  function fill(data) {
    const open = (index) => Page.dialog(data.networks[index].name, (place) => opened(place, data, index));
    const chosen = Object.fromEntries(charts.map((chart) => [chart.name, chart.chosen()]));
    charts = [];
    const sections = [overview(data), accuracy(data, open, chosen.accuracy), ...success(data, chosen.levels), best(data, open)];
    content.replaceChildren(...sections);
    redraw();
  }

  function opened(place, data, index) {
    const item = data.networks[index];
    const view = Network.open(place, data.made_by ? { command: data.made_by, ...item } : item, data.task);
    place.closest("dialog").addEventListener("close", view.close);
  }

  function redraw() {
    width = content.clientWidth;
    charts.forEach((chart) => chart.draw());
  }

  function overview(data) {
    return Page.element("section", {},
      data.finding.map((text, place) => Page.element("p", { class: place ? "quiet" : "finding" }, text)),
      progress(data),
      Page.facts(data.about),
      data.made_by ? Page.element("pre", { "aria-label": "Command that made it" }, data.made_by) : null,
      data.damaged.map((text) => Page.element("p", { class: "damaged" }, text)),
      data.missing ? Page.element("p", { class: "quiet" }, data.missing) : null);
  }

  function progress({ progress: { done, whole, unit, at_most: atMost }, finished }) {
    const share = whole ? done / whole : 0;
    const left = whole - done;
    const words = finished
      ? `finished: ${Page.whole(done)} ${unit} done`
      : `not finished: ${Page.whole(done)} ${unit} done, ${Page.whole(left)} left${atMost ? " at most" : ""}`;
    const bar = Page.element("div", { class: finished ? "bar-of done" : "bar-of", role: "progressbar", "aria-label": "Done", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.floor(100 * share), "aria-valuetext": words },
      Page.element("div", {}));
    bar.firstChild.style.width = `${100 * share}%`;
    return Page.element("div", { class: "progress" }, bar, Page.element("p", {}, words));
  }

  function accuracy(data, open, chosen) {
    const made = Page.element("section", {}, Page.element("h2", {}, "Accuracy against nonzeros"));
    charts.push(RunChart.make(made, data, open, chosen));
    if (data.counts.length) {
      made.append(Page.element("ul", { class: "counts" }, data.counts.map(([what, count, then]) =>
        Page.element("li", {}, Page.element("strong", {}, Page.whole(count)), ` ${what}`, then ? Page.element("span", { class: "quiet" }, ` (${then})`) : null))));
    }
    return made;
  }

  function success(data, chosen) {
    const found = [];
    if (data.levels.some((level) => level.started)) {
      const made = Page.element("section", {}, Page.element("h2", {}, "Share of successes"));
      charts.push(RunSuccess.levels(made, data, chosen));
      found.push(made);
    }
    if (data.shares.length) {
      const made = Page.element("section", {}, Page.element("h2", {}, "Share of successes by shape"),
        Page.element("p", { class: "quiet" }, "The first shapes with a success and the nearest misses, with exact 95% intervals; open marks: no success."));
      charts.push(RunSuccess.shapes(made, data));
      found.push(made);
    }
    return found;
  }

  function best(data, open) {
    const place = Page.element("div", { class: "tables" });
    RunTable.draw(place, data, table, open);
    return Page.element("section", {}, Page.element("h2", {}, "Best runs"), place);
  }

  return { show, update };
})();

"use strict";
// Tables of best runs: sorted by their heads, a part of them at first; rows open networks.
const RunTable = (() => {
  const FIRST = 25;
  const NUMBERS = ["whole", "percent", "share", "interval"];
  const FORMATS = {
    whole: Page.whole,
    percent: Page.percent,
    share: RunScales.share,
    interval: (ends) => (ends === null ? "–" : `${RunScales.share(ends[0]).slice(0, -1)}–${RunScales.share(ends[1])}`),
    text: (text) => text ?? "–",
  };
  const WORDS = { "-1": "not saved", "-2": "left out" };
  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;

  /** What a table needs to remember between two drawings; without a column it is sorted as its data say. */
  const begin = () => ({ table: 0, column: null, falls: false, all: false });

  /** Draw the tables of ``data`` on ``root``; ``state`` is kept by the caller. */
  function draw(root, data, state, open) {
    const table = data.tables[Math.min(state.table, data.tables.length - 1)];
    const again = (focus) => {
      draw(root, data, state, open);
      root.querySelector(`[data-focus="${focus}"]`)?.focus({ preventScroll: true });
    };
    const opens = table.networks.length > 0;
    const by = state.column === null ? table.sort : state;
    const order = sorted(table, by);
    const shown = state.all ? order : order.slice(0, FIRST);
    const body = Page.element("tbody", {}, shown.map((place) => row(table, place, open)));
    Table.begin(body, "button.open");
    root.replaceChildren(
      tabs(data, state, again),
      Page.element("p", { class: "quiet" }, table.note),
      Page.element("div", { class: "scroll", tabindex: 0, role: "region", "data-focus": "rows", "aria-label": `Table: ${table.title}` },
        Page.element("table", {}, heads(table, by, state, again, opens), body)),
      ...(shown.length < order.length
        ? [Page.button(`Show all ${Page.whole(order.length)} rows`, () => { state.all = true; again("rows"); }, { class: "all" }),
          Page.element("p", { class: "part" }, `${Page.whole(shown.length)} of ${Page.whole(order.length)} rows`)]
        : []));
    if (!order.length) body.append(Page.element("tr", {}, Page.element("td", { colspan: table.columns.length + 1, class: "quiet" }, "no run is saved yet")));
  }

  function tabs(data, state, again) {
    if (data.tables.length < 2) return Page.element("div", {});
    return Page.element("div", { class: "tabs", role: "group", "aria-label": "Which table" },
      data.tables.map((one, place) => Page.button(one.title, () => {
        Object.assign(state, begin(), { table: place });
        again(`tab ${place}`);
      }, { "aria-pressed": `${place === state.table}`, "data-focus": `tab ${place}` })));
  }

  function heads(table, by, state, again, opens) {
    const made = table.columns.map(({ name, kind }, column) => {
      const own = by.column === column;
      const sort = own ? (by.falls ? "descending" : "ascending") : "none";
      const click = () => {
        // Best and largest first is what is mostly asked for; the same head again turns it round.
        const falls = own ? !by.falls : kind !== "text" && name !== "nonzeros" && name !== "budget" && name !== "width";
        Object.assign(state, { column, falls });
        again(`head ${column}`);
      };
      const head = Table.head(name, NUMBERS.includes(kind), click, { "data-focus": `head ${column}` });
      head.setAttribute("aria-sort", sort);
      return head;
    });
    return Page.element("thead", {}, Page.element("tr", {}, opens ? Page.element("th", { scope: "col", class: "net" }, "network") : null, made));
  }

  function row(table, place, open) {
    const values = table.rows[place];
    const network = table.networks[place];
    const cells = table.columns.map(({ kind }, column) =>
      Page.element("td", { class: NUMBERS.includes(kind) ? "number" : null }, FORMATS[kind](values[column])));
    if (network === undefined) return Page.element("tr", {}, cells);
    if (network < 0) return Page.element("tr", {}, Page.element("td", { class: "net quiet" }, WORDS[network]), cells);
    const about = table.columns.slice(0, 3).map(({ name, kind }, column) => `${name} ${FORMATS[kind](values[column])}`);
    const lasting = about.filter((_, column) => table.columns[column].kind !== "percent"); // the best may become better
    const button = Page.button("Open", () => open(network), { class: "open", "aria-label": `Open the network: ${about.join(", ")}`, "data-focus": `row ${lasting}` });
    const made = Page.element("tr", { class: "opens" }, Page.element("td", { class: "net" }, button), cells);
    made.addEventListener("click", (event) => { if (event.target !== button) open(network); });
    return made;
  }

  /** Places of the rows as they are shown; those without a value come last. */
  function sorted(table, { column, falls }) {
    const places = d3.range(table.rows.length);
    if (!table.columns[column]) return places; // none is chosen, or newer data have fewer
    const value = (place) => {
      const found = table.rows[place][column];
      return Array.isArray(found) ? found[0] : found;
    };
    const isText = table.columns[column].kind === "text";
    const order = isText ? compareTexts : d3.ascending;
    return places.sort((a, b) => {
      const [first, second] = [value(a), value(b)];
      if (first === null || second === null) return (first === null) - (second === null) || a - b;
      return (falls ? order(second, first) : order(first, second)) || a - b;
    });
  }

  return { begin, draw };
})();

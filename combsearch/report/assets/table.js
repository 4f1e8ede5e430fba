"use strict";
// What the tables of the pages share: heads that sort, and rows that are one stop of the Tab key.
const Table = (() => {
  /** A head whose button sorts by its column; ``attributes`` are the button's. */
  const head = (name, isNumber, onclick, attributes = {}) =>
    Page.element("th", { scope: "col", "aria-sort": "none", class: isNumber ? "number" : null },
      Page.button(name, onclick, { class: "sort", ...attributes }));

  /** Make the first of the ``selector``s in ``body``, one a row, its stop; arrow keys then lead from row to row. */
  function begin(body, selector) {
    body.querySelectorAll(selector).forEach((one, place) => { one.tabIndex = place ? -1 : 0; });
    body.onkeydown = (event) => step(event, [...body.querySelectorAll(selector)]);
  }

  function step(event, stops) {
    const now = stops.indexOf(document.activeElement);
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: stops.length - 1 }[event.key];
    if (now < 0 || to === undefined) return;
    event.preventDefault();
    const next = stops[Math.min(Math.max(to, 0), stops.length - 1)];
    stops[now].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  return { begin, head };
})();

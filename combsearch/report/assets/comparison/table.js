"use strict";
// The table of gaps: at a target, each method beside the bounds; sorted by mouse and keyboard.
const ComparisonTable = (() => {
  const signed = (value) => (value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Page.whole(Math.abs(value))}`);

  /** Columns: name, what it means, its value for sorting, its text; ``first`` is the first success. */
  const columns = (methods, runs) => {
    const first = (row) => (row.first === null ? null : runs[row.first]);
    const best = (row) => (row.best === null ? null : runs[row.best].accuracy);
    const left = (row) => {
      if (row.prunable === null) return "–";
      return row.prunable.of_first ? `${row.prunable.left}` : `${row.prunable.left} (of ${row.prunable.nonzeros})`;
    };
    const paper = (row) => (row.paper === null ? "–" : `${row.paper.nonzeros}${row.width === null && row.paper.width ? ` (width ${row.paper.width})` : ""}`);
    const number = (name, title, value, text = (row) => Page.whole(value(row))) => ({ name, title, value, text });
    return [
      { name: "method", title: "Pruning method", value: (row) => methods.get(row.method).name.toLowerCase(), text: (row) => methods.get(row.method).name },
      number("width", "Neurons of a hidden layer before pruning", (row) => row.width, (row) => (row.width === null ? "all" : `${row.width}`)),
      number("nonzeros", "Fewest weights and biases of a run that reaches the target", (row) => first(row)?.nonzeros ?? null,
        (row) => (first(row) ? Page.whole(first(row).nonzeros) : best(row) === null ? "no run counts" : `not reached (${Page.percent(best(row))})`)),
      number("paper", "What the paper gives for this method and target", (row) => row.paper?.nonzeros ?? null, paper),
      number("effective", "Those of them on a path from an input to the output", (row) => first(row)?.effective ?? null),
      number("disconnected", "The others", (row) => (first(row) ? first(row).nonzeros - first(row).effective : null)),
      number("gap to trained", "Nonzeros above the trained bound", (row) => row.gap.trained, (row) => signed(row.gap.trained)),
      number("gap to exists", "Nonzeros above the fewest that exist", (row) => row.gap.exists, (row) => signed(row.gap.exists)),
      number("prunable to", "Nonzeros left when the sparsest saved network is pruned on, one weight after the other, without training",
        (row) => row.prunable?.left ?? null, left),
      number("runs", "Training runs behind this line", (row) => row.runs),
      number("successes", "Those of them that reach the target", (row) => row.successes),
      number("collapsed", "Those of them without a path from input to output, or that had nothing to choose by", (row) => row.collapsed),
      number("diverged", "Those of them whose loss diverged", (row) => row.diverged),
    ];
  };

  /** A table on ``root``; ``onOpen(row)`` hears which row's network is wanted. */
  function make(root, methods, runs, onOpen) {
    const list = columns(methods, runs);
    const best = (row) => (row.best === null ? -1 : runs[row.best].accuracy);
    let order = { column: list[2], down: false };
    let shown = [];
    const heads = list.map((column) => Table.head(column.name, column.name !== "method", () => sort(column), { title: column.title }));
    const body = Page.element("tbody");
    root.append(Page.element("table", { class: "gaps" },
      Page.element("thead", {}, Page.element("tr", {}, heads, Page.element("th", { scope: "col", class: "net" }, "network"))), body));

    function draw(rows) {
      shown = rows;
      const ends = rows.some((row) => row.diverged) ? list.length : list.length - 1;
      list.forEach((column, place) => {
        const sorted = column === order.column ? (order.down ? "descending" : "ascending") : "none";
        heads[place].setAttribute("aria-sort", sorted);
        heads[place].hidden = place >= ends;
      });
      body.replaceChildren(...[...rows].sort(compare).map((row) => line(row, ends)));
      Table.begin(body, ".stop");
    }

    function compare(a, b) {
      const [one, two] = [order.column.value(a), order.column.value(b)];
      if (one === null || two === null) return one === two ? best(b) - best(a) : one === null ? 1 : -1;
      return (order.down ? d3.descending : d3.ascending)(one, two) || best(b) - best(a);
    }

    function line(row, ends) {
      const method = methods.get(row.method);
      const cells = list.slice(0, ends).map((column) => {
        const text = column.text(row);
        if (column.name === "method") return Page.element("th", { scope: "row" }, ComparisonMarks.sample(method), text);
        const faint = text.startsWith("not ") || text === "–" || text === "no run counts";
        return Page.element("td", { class: `number${faint ? " quiet" : ""}` }, text);
      });
      const open = row.saved !== null && onOpen.can(row)
        ? Page.button("Open", (event) => { event.stopPropagation(); onOpen(row); }, {
          class: "open stop", "aria-label": `Open the network of ${method.name}, ${row.width === null ? "all widths" : `width ${row.width}`}`,
        })
        : Page.element("span", { class: "quiet stop", title: "No network of it was saved" }, "–");
      return Page.element("tr", { onclick: () => { if (row.saved !== null && onOpen.can(row)) onOpen(row); } }, cells, Page.element("td", { class: "net" }, open));
    }

    function sort(column) {
      order = { column, down: order.column === column && !order.down };
      draw(shown);
      Page.announce(`Sorted by ${column.name}, ${order.down ? "largest" : "smallest"} first`);
    }

    return { draw };
  }

  return { make };
})();

"use strict";
// What the comparison's lines are made of: runs, steps, the axes that hold them. No drawing.
const ComparisonLines = (() => {
  const FLOOR = 1e-5; // smallest error of the axis
  const NAMES = { trained: "trained bound", exists: "what exists" };

  /** Runs of pruners by number; ``network`` is their own, ``instead`` the run saved in their stead. */
  function runsOf(data) {
    const { texts, ...columns } = data.points;
    const text = (place) => texts[place];
    return columns.method.map((_, number) => ({
      number,
      method: text(columns.method[number]),
      width: columns.width[number],
      budget: columns.budget[number],
      cell: text(columns.cell[number]),
      restart: columns.restart[number],
      nonzeros: columns.nonzeros[number],
      effective: columns.effective_nonzeros[number],
      accuracy: columns.accuracy[number],
      run: text(columns.run[number]),
      network: data.of_points[number] ?? null,
      instead: data.instead[number] ?? null,
    }));
  }

  /** Lines of the searches, then of the methods, at a width (null: best of all). */
  function linesOf(group, width, runs, methods) {
    const searches = group.searches.map(({ kind, any_weights: any, steps }) => ({
      id: kind, search: true, name: NAMES[kind] + (any && kind === "exists" ? ", any weights" : ""),
      steps: steps.map(([nonzeros, effective, accuracy, run, shape, network]) =>
        ({ search: kind, nonzeros, effective, accuracy, run, shape, network, instead: null })),
    }));
    const own = group.lines.filter((line) => line.width === width).map((line) => ({
      ...methods.get(line.method), search: false, steps: line.steps.map((number) => runs[number]),
    }));
    return [...searches, ...own];
  }

  /** The first step that reaches ``target``, or undefined. */
  const lowest = (line, target) => line.steps.find((step) => step.accuracy >= target);

  const end = (line) => (line.steps.length ? line.steps[line.steps.length - 1].accuracy : -1);

  /** The axes that hold ``lines``; null where there is nothing. What lies above ``ceiling`` is drawn there. */
  function axes(lines, targets) {
    const methods = lines.filter((line) => !line.search && line.steps.length);
    const searches = lines.filter((line) => line.search && line.steps.length);
    const own = methods.length ? methods : searches;
    if (!own.length) return null;
    const x = own.flatMap((line) => line.steps.map((step) => step.nonzeros));
    if (searches.length) x.push(d3.max(searches, (line) => line.steps[0].nonzeros));
    const y = [...own, ...searches].flatMap((line) => line.steps.map((step) => step.accuracy)).concat(targets);
    const errors = [...own.map(end), ...targets].map((one) => 1 - one).filter((error) => error > 0);
    const floor = Math.max(Number(((d3.min(errors) ?? FLOOR) / 2.5).toExponential(0)), FLOOR);
    const least = d3.min(y.map((one) => 1 - one).filter((error) => error > 0)) ?? 0.01;
    const ceiling = 1 - Math.max(least / 2, floor);
    const [low, high] = d3.extent(x);
    return {
      low: Math.max(low, 1), high: Math.max(high, low + 1), log: high > Axes.LOG_FROM, ceiling, clipped: y.some((one) => one > ceiling),
      bottom: Math.min(0.5, d3.min(y)), top: Math.max(0.9, Math.min(d3.max(y), ceiling)),
    };
  }

  /** Accuracies with a label, [accuracy, text, whether a target], as many as keep ``apart`` units. */
  function ticks(range, targets, place, apart) {
    const top = range.clipped ? [[range.ceiling, `≥${Page.percent(range.ceiling).replace(/\.?0+%$/, "%")}`, false]] : [];
    const wanted = [...targets.map((one) => [Math.min(one, range.ceiling), Page.plain(one), true]), ...top,
      ...Axes.ACCURACIES.filter((one) => one >= range.bottom && one <= range.top).map((one) => [one, Page.plain(one), false])];
    return Axes.apart(wanted, place, apart);
  }

  /** Lines in the order of the legend: the sparsest at the highest target first, then the most accurate. */
  function ordered(lines, targets) {
    const keys = (line) => [...targets].sort(d3.descending).map((target) => lowest(line, target)?.nonzeros ?? Infinity);
    const compare = (a, b) => {
      const [one, two] = [keys(a), keys(b)];
      for (let i = 0; i < one.length; i += 1) if (one[i] !== two[i]) return one[i] - two[i];
      return end(b) - end(a);
    };
    return [...lines.filter((line) => line.search), ...lines.filter((line) => !line.search).sort(compare)];
  }

  return { axes, linesOf, lowest, ordered, runsOf, ticks };
})();

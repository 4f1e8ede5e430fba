"use strict";
// The axes of a run's figures: nonzeros across, and up the accuracy by its error or a share.
const RunScales = (() => {
  const PAPER = 690; // pixels across a printed page

  /** Pixels across for a figure in ``frame``; a printed page has always the same. */
  const room = (frame) => (Page.isPrinting() ? PAPER : Math.max(frame.clientWidth, 260));

  /** A share or probability of any size: "12.50%", "0.0031%". */
  const share = (value) => {
    if (value === null || value === undefined) return "–";
    if (value === 0 || value === 1) return `${value * 100}%`;
    return value < 0.1 ? `${parseFloat((value * 100).toPrecision(2))}%` : Page.percent(value);
  };

  /** Nonzeros between ``low`` and ``high`` on ``range`` pixels; ``ticks``: [number, text] pairs. */
  function nonzeros(least, high, range) {
    const log = high > Axes.LOG_FROM;
    const low = log ? Math.max(least, 1) : least;
    const pad = Math.max(0.03 * (high - low), 1);
    const plain = log ? d3.scaleLog([low / 1.1, high * 1.1], range) : d3.scaleLinear([low - pad, high + pad], range);
    const scale = Object.assign((one) => plain(log ? Math.max(one, 1) : one), { domain: plain.domain }); // a network can have lost all
    const room = Math.max(2, Math.floor((range[1] - range[0]) / 60));
    return { scale, pitch: scale(low + 1) - scale(low), ticks: log ? logTicks(plain, room) : linearTicks(plain, room) };
  }

  const linearTicks = (scale, room) =>
    scale.ticks(Math.min(room, 14)).filter((tick) => Number.isInteger(tick) && tick >= 0).map((tick) => [tick, d3.format(",d")(tick)]);

  function logTicks(scale, room) {
    const [low, high] = scale.domain();
    const parts = Math.log10(high / low) * 3 > room ? [1] : [1, 2, 5];
    const found = [];
    for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) {
      for (const part of parts) if (decade * part >= low && decade * part <= high) found.push(decade * part);
    }
    return found.map((tick) => [tick, d3.format(",d")(tick)]);
  }

  const height = (accuracy, ceiling) => Axes.height(Math.min(accuracy, ceiling));

  /**
   * Accuracy, even in the logarithm of its error; what has no error stands at half the smallest other one.
   * ``range`` is [bottom, top] in pixels, ``target`` a number or null; ``ticks`` are [accuracy, text] pairs.
   */
  function accuracy(seen, target, range) {
    const errors = [...seen, ...(target === null ? [] : [target])].map((one) => 1 - one).filter((one) => one > 1e-9);
    const ceiling = 1 - Math.max((d3.min(errors) ?? 0.02) / 2, 1e-6);
    const drawn = [...seen, ...(target === null ? [] : [target])];
    const tops = drawn.map((one) => height(one, ceiling));
    const ends = [Math.min(d3.min(tops) ?? 0.3, height(0.5, ceiling)), Math.max(d3.max(tops) ?? 1, height(0.9, ceiling))];
    const linear = d3.scaleLinear(ends, range);
    const scale = (one) => linear(height(one, ceiling));
    const whole = d3.max(seen) > ceiling;
    const inside = (one) => height(one, ceiling) >= ends[0] && height(one, ceiling) <= ends[1] && (one < ceiling || !whole);
    const wanted = [...(target === null ? [] : [[target, Page.plain(target)]]),
      ...(whole ? [[ceiling, d3.max(seen) < 1 ? `≥${Page.plain(ceiling)}` : "100%"]] : []),
      ...Axes.ACCURACIES.filter(inside).map((one) => [one, Page.plain(one)])];
    return { scale, ceiling, ticks: Axes.apart(wanted, scale, 17) };
  }

  /** "10⁻⁷": shorter than a percentage with five zeros. */
  const tenTo = (power) => (power === 0 ? "1" : `10${power < 0 ? "⁻" : ""}${[..."⁰¹²³⁴⁵⁶⁷⁸⁹"][Math.abs(power)]}`);

  /** A probability, logarithmic, at least a decade of it; ``range`` is [bottom, top]. */
  function probability(low, high, range) {
    const top = Math.min(Math.max(high * 1.6, 1e-7), 1.15);
    const scale = d3.scaleLog([Math.min(low / 2, top / 15), top], range);
    const [from, to] = scale.domain();
    const decades = Math.log10(to / from);
    const parts = decades < 2.2 && from >= 1e-5 ? [1, 2, 5] : [1];
    const every = Math.ceil(decades / 8);
    const ticks = [];
    for (let power = Math.ceil(Math.log10(from)) - 1; power <= Math.log10(to); power += every) {
      for (const part of parts) {
        const tick = parseFloat((part * 10 ** power).toPrecision(3));
        if (tick >= from && tick <= Math.min(to, 1)) ticks.push([tick, from < 1e-5 ? tenTo(power) : Page.plain(tick)]);
      }
    }
    return { scale, ticks };
  }

  /** An axis drawn from [value, text] pairs; ``side`` is "bottom" or "left". */
  function axis(group, side, scale, ticks, end, grid = 0) {
    const across = side === "bottom";
    group.selectAll("*").remove();
    group.attr("class", `axis ${side}`).attr("aria-hidden", "true");
    for (const [value, text] of ticks) {
      const tick = group.append("g").attr("transform", across ? `translate(${scale(value)},0)` : `translate(0,${scale(value)})`);
      if (grid) tick.append("line").attr("class", "grid").attr("x2", across ? 0 : grid).attr("y2", across ? -grid : 0);
      tick.append("line").attr(across ? "y2" : "x2", across ? 5 : -5);
      tick.append("text").attr(across ? "y" : "x", across ? 18 : -9).attr("dy", across ? 0 : "0.32em").text(text);
    }
    group.append("path").attr("d", across ? `M0,0H${end}` : `M0,0V${end}`);
  }

  return { accuracy, axis, nonzeros, probability, room, share };
})();

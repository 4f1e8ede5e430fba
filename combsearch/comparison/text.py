"""A comparison for a reader, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from combsearch.comparison.bounds import EXISTS, PRUNED_BIASES, TRAINED
from combsearch.comparison.published import ABSENT

Json = Mapping[str, Any]
NOT_REACHED = "not reached"
_NONE = "-"
_BOUND_NAMES = {
    TRAINED: "trained bound",
    EXISTS: "exists, biases kept",
    PRUNED_BIASES: "exists, biases prunable (no gap is taken to it)",
}


def comparison_text(report: Json) -> str:
    """Bounds and tables, a target and group after the other, then FLOPs."""
    parts = []
    for bound in report["bounds"]:
        own = [
            entry
            for entry in report["entries"]
            if (entry["group"], entry["target"]) == (bound["group"], bound["target"])
        ]
        parts += [_head(bound), _bounds(bound), _first_table(own, bound), _runs_table(own)]
        parts += [*_by_width(own), _above(own)]
    if report["flops"]:
        parts.append(_flops(report["flops"]))
    parts += [_absent(report["entries"]), _KEY]
    return "\n\n".join(part for part in parts if part)


_KEY = """\
nonzeros: weights and biases kept by the masks, of the first run to reach the target, the one
with the fewest. effective: those of that run that are not disconnected; disc: the others.
first eff: fewest effective nonzeros of any run that reaches the target. paper: nonzeros that
the paper gives, of the width in brackets; beside ours after a stroke. gap: nonzeros minus the
bound, by training (t) and of what exists (e; e*: with any weights, not from this
initialisation); eff: the same of effective nonzeros. at t, at e: best accuracy with at most the
bound's nonzeros. prunable to: nonzeros left when that network is pruned on after training
without falling under the target (* of the sparsest network that was saved, not of that run).
runs: all that were tried, cells x restarts x budgets x widths; lost runs: those of them that
collapsed + that diverged. (97.7): not reached, the best accuracy in percent."""


def _head(bound: Json) -> str:
    title = f"Target {bound['target']:.10g}, from {bound['group']}"
    return f"{title}\n{'=' * len(title)}"


def _bounds(bound: Json) -> str:
    lines = []
    for kind, plain in _BOUND_NAMES.items():
        name = plain + (", of any weights" if bound["init_digest"] and kind != TRAINED else "")
        if one := bound[kind]:
            shape = ",".join(map(str, one["shape"][1:-1]))
            runs = "" if one["runs"] is None else f", {one['runs']:,} runs"
            lines.append(
                f"{name}: {one['nonzeros']} nonzeros, ({shape}), {_percent(one['accuracy'])}"
                f"{runs}, {one['run']}"
            )
        elif kind != PRUNED_BIASES:
            lines.append(f"{name}: no search among these runs has one")
    if paper := bound["paper"]:
        lines.append(f"the paper's search: {paper['nonzeros']} nonzeros")
    return "\n".join(lines)


# ------------------------------------------------------------------ tables


def _first_table(entries: Sequence[Json], bound: Json) -> str:
    """Every method over all widths, the sparsest first."""
    e = "e*" if bound["init_digest"] else "e"
    lost = any(entry["collapsed"] or entry["diverged"] for entry in entries)
    widths = len({entry["width"] for entry in entries} - {None})
    head = (
        "method", "nonzeros", "effective", "first eff", "paper", "gap t", f"gap {e}", "eff t",
        f"eff {e}", "at t", f"at {e}", "disc", "prunable to", "runs", *["lost runs"] * lost,
    )  # fmt: skip
    return _columns(head, [_first_line(entry, widths, lost) for entry in ranked(entries)])


def _runs_table(entries: Sequence[Json]) -> str:
    """The run behind each line of the first table; without a success the best one."""
    head = ("method", "", "accuracy", "nonzeros", "width", "budget", "cell", "restart", "run")
    lines = []
    for entry in ranked(entries):
        if run := entry["first"] or entry["best"]:
            numbers = (str(run[name]) for name in ("nonzeros", "width", "budget"))
            what = "first to reach it" if entry["first"] else "most accurate"
            accuracy = _percent(run["accuracy"])
            last = (run["cell"], str(run["restart"]), run["run"])
            lines.append([entry["method"], what, accuracy, *numbers, *last])
    return "runs behind these numbers:\n" + _columns(head, lines)


def ranked(entries: Sequence[Json]) -> list[Json]:
    """Entries over all widths: the fewest nonzeros first, then the most accurate."""

    def place(entry: Json) -> tuple[float, ...]:
        if entry["first"]:
            return (0, entry["first"]["nonzeros"], -entry["first"]["accuracy"])
        return (1, -entry["best"]["accuracy"], 0) if entry["best"] else (2, 0, 0)

    return sorted((e for e in entries if e["width"] is None), key=place)


def _first_line(entry: Json, widths: int, lost: bool) -> list[str]:
    first = entry["first"]
    return [
        entry["method"],
        NOT_REACHED if first is None else _number(first["nonzeros"]),
        _number(first and first["effective_nonzeros"]),
        _number(first and entry["first_effective"]["effective_nonzeros"]),
        _paper(entry["paper"], widths),
        *(_signed(entry[gap][kind]) for gap in ("gap", "effective_gap") for kind in _KINDS),
        *(_percent(entry["accuracy_at_bound"][kind]) for kind in _KINDS),
        _number(first and first["disconnected"]),
        _prunable(entry),
        f"{entry['runs']:,}",
        *[f"{entry['collapsed']:,}+{entry['diverged']:,}"] * lost,
    ]


def _paper(found: Json | None, widths: int) -> str:
    """The paper's number, with its width where ours are several."""
    if not found:
        return _NONE
    return f"{found['nonzeros']}" + (f" (w{found['width']})" if widths > 1 else "")


_KINDS = (TRAINED, EXISTS)


def _prunable(entry: Json) -> str:
    found = entry["prunable"]
    if not found:
        return _NONE
    return f"{found['left']}" + ("" if found["of_first"] else f"* (of {found['nonzeros']})")


def _by_width(entries: Sequence[Json]) -> list[str]:
    """First nonzeros by width and first budget by width; nothing for a single width."""
    widths = sorted({e["width"] for e in entries} - {None})
    if len(widths) < 2:
        return []
    cells = {(e["method"], e["width"]): e for e in entries}
    methods = [entry["method"] for entry in ranked(entries)]

    def table(title: str, what: str, key: str, paper: bool = False) -> str:
        lines = [
            [method, *(_value(cells.get((method, width)), what, key, paper) for width in widths)]
            for method in methods
        ]
        return f"{title}\n" + _columns([_NONE, *map(str, widths)], lines, corner="method")

    first = table("first nonzeros by width:", "first", "nonzeros", paper=True)
    if not any(entry["first"] for entry in entries):
        return [first]  # best accuracies alone: the other two would say the same
    return [
        first,
        table("first effective nonzeros by width:", "first_effective", "effective_nonzeros"),
        table("first weight budget by width:", "first_budget", "budget"),
    ]


def _value(entry: Json | None, what: str, key: str, paper: bool) -> str:
    """A number; the best accuracy in brackets where the target was not reached."""
    if entry is None:
        return _NONE
    stroke = f" / {entry['paper']['nonzeros']}" if paper and entry["paper"] else ""
    if entry[what]:
        return f"{entry[what][key]}{stroke}"
    # By budget only runs count that keep to it: others may have reached the target.
    best = None if entry["reached"] else entry["best"]
    return (_NONE if best is None else f"({100 * best['accuracy']:.1f})") + stroke


def _above(entries: Sequence[Json]) -> str:
    """How many runs count for no budget; nothing where all do."""
    own = {e["method"]: e["above_budget"] for e in entries if e["width"] is None}
    found = ", ".join(f"{method} {above:,}" for method, above in own.items() if above)
    return f"runs that keep more than their budget and count for none: {found}" if found else ""


def _absent(entries: Sequence[Json]) -> str:
    """Which methods the paper does not have at all; nothing where it has all of them."""
    found = ", ".join(dict.fromkeys(e["method"] for e in entries if e["method"] in ABSENT))
    return f"not in the paper: {found}" if found else ""


def _flops(rows: Sequence[Json]) -> str:
    columns = ("flops", "formula", "paper")
    lines = [
        [row["method"], *(_operations(row[name]) for name in columns), row["group"]]
        for row in sorted(rows, key=lambda row: -(row["flops"] or row["formula"] or 0))
    ]
    title = f"FLOPs of pruning and training, width {rows[0]['width']}, budget {rows[0]['budget']}"
    note = " (formula: with the biases that ours keep)" if any(r["formula"] for r in rows) else ""
    return f"{title}{note}\n" + _columns(("method", "ours", "formula", "paper", "from"), lines)


def _operations(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1e}"


def _columns(head: Sequence[str], lines: Sequence[Sequence[str]], corner: str | None = None) -> str:
    """Columns wide enough for what they hold, the first to the left, the others to the right."""
    table = [[corner or head[0], *head[1:]], *lines]
    wide = [max(len(row[column]) for row in table) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            text.rjust(size) if column else text.ljust(size)
            for column, (text, size) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in table
    )


def _number(value: int | None) -> str:
    return _NONE if value is None else f"{value}"


def _signed(value: int | None) -> str:
    return _NONE if value is None else f"{value:+d}"


def _percent(share: float | None) -> str:
    """Cut, not rounded: what falls short of a target must not look as if it reached it."""
    return _NONE if share is None else f"{int(round(share * 1e5, 6)) / 1e3:.3f}%"


# ------------------------------------------------------------------ CSV

# Runs of an entry -> how their columns begin; "first_effective_nonzeros" would be two.
RUN_PREFIXES = {
    "first": "first",
    "first_effective": "by_effective",
    "first_budget": "by_budget",
    "best": "best",
}
_RUN_COLUMNS = (
    "nonzeros", "effective_nonzeros", "disconnected", "accuracy", "width", "budget",
    "weight_nonzeros", "cell", "restart", "run",
)  # fmt: skip


def comparison_csv(report: Json) -> str:
    """One line an entry, every number of it; empty where there is none, width ``all`` of all."""
    lines = [_csv_line(entry, report) for entry in report["entries"]]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _csv_line(entry: Json, report: Json) -> dict[str, Any]:
    plain = (
        "group", "target", "method", "runs", "collapsed", "diverged", "above_budget", "successes",
    )  # fmt: skip
    line: dict[str, Any] = {name: entry[name] for name in plain}
    line["width"] = "all" if entry["width"] is None else entry["width"]
    line["reached"] = "yes" if entry["reached"] else "no"
    bound = next(
        b
        for b in report["bounds"]
        if (b["group"], b["target"]) == (entry["group"], entry["target"])
    )
    for kind in _KINDS:
        line[f"bound_{kind}"] = bound[kind] and bound[kind]["nonzeros"]
        line[f"bound_{kind}_effective"] = bound[kind] and bound[kind]["effective_nonzeros"]
        line[f"bound_{kind}_runs"] = bound[kind] and bound[kind]["runs"]
        line[f"bound_{kind}_of"] = bound[kind] and bound["of"][kind]
        line[f"gap_{kind}"] = entry["gap"][kind]
        line[f"effective_gap_{kind}"] = entry["effective_gap"][kind]
        line[f"accuracy_at_bound_{kind}"] = entry["accuracy_at_bound"][kind]
    for what, prefix in RUN_PREFIXES.items():
        found = entry[what] or {}
        line.update({f"{prefix}_{name}": found.get(name) for name in _RUN_COLUMNS})
    left = entry["prunable"] or {}
    line.update({f"prunable_{name}": left.get(name) for name in ("nonzeros", "left", "of_first")})
    paper = entry["paper"] or {}
    line.update({f"paper_{name}": paper.get(name) for name in ("nonzeros", "width", "place")})
    return line

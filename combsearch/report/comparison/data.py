"""A comparison as JSON values for its page: lines, tables, and as many networks as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from combsearch.comparison.bounds import PRUNED_BIASES
from combsearch.comparison.saved import Json
from combsearch.errors import UsageError
from combsearch.method_looks import looks, method_name
from combsearch.report.comparison.dark import on_dark
from combsearch.report.comparison.points import (
    Line,
    Points,
    lines_of_file,
    lines_of_tries,
    note_saved,
    saved_success,
)
from combsearch.report.comparison.runs import Opened
from combsearch.report.comparison.searches import KINDS, SearchNetworks
from combsearch.report.page import script_json
from combsearch.report.points import task_json


@dataclass(eq=False)
class _Page:
    """What the parts of a page add to.

    Attributes:
        points: runs of pruners.
        wanted: numbers of runs whose networks are wanted, the most wanted first.
        found: networks of searches.
    """

    points: Points = field(default_factory=Points)
    wanted: list[dict[int, None]] = field(default_factory=lambda: [{}, {}])
    found: SearchNetworks = field(default_factory=SearchNetworks)


def comparison_data(report: Json, opened: Opened, name: str, room: int) -> Json:
    """All that the page shows.

    Args:
        report: the comparison.
        opened: its runs.
        name: of the page.
        room: bytes that the data may take; networks that do not fit are left out, those of
            single widths first.
    """
    page = _Page()
    labels = list(dict.fromkeys(one["group"] for one in report["bounds"]))
    groups = [_group(page, report, opened, label) for label in labels]
    methods = list(dict.fromkeys(one["method"] for one in report["entries"]))
    notes = list(opened.notes)
    if inexact := [label for label in labels if label not in opened.whole]:
        which = "The lines" if len(inexact) == len(labels) else f"The lines of {', '.join(inexact)}"
        notes.append(
            f"{which} run through the runs that the comparison itself names: the best of each"
            " budget and the first successes."
        )
    data: Json = {
        "name": name,
        "task": opened.task and task_json(opened.task),
        "task_name": report["task"],
        "targets": sorted(report["targets"]),
        "methods": _methods(methods),
        "groups": groups,
        "points": {},
        "instead": {},
        "networks": [],
        "of_points": {},
        "commands": dict(opened.commands),
        "flops": report["flops"],
        "made_with": report["made_with"],
        "runs": [one["run_folder"] for one in report["prune_runs"]],
        "searches": [one["run_folder"] for one in report["search_runs"]],
        "notes": notes,
    }
    _add_networks(data, page, room)
    return data


def _methods(names: Sequence[str]) -> list[Json]:
    """How methods are called and drawn; random masks stay in the background."""
    return [
        {
            "id": name,
            "name": method_name(name),
            "light": look.colour,
            "dark": on_dark(look.colour),
            "mark": look.marker,
            "dashes": list(look.dashes),
            "muted": name.startswith("random_"),
        }
        for name, look in looks(names).items()
    ]


# ------------------------------------------------------------------ a group


def _group(page: _Page, report: Json, opened: Opened, label: str) -> Json:
    bounds, entries, by_budget = (
        [one for one in report[part] if one["group"] == label]
        for part in ("bounds", "entries", "by_budget")
    )
    group = opened.groups.get(label)
    if group is not None and label in opened.whole:
        lines = lines_of_tries(page.points, group)
    else:
        lines = lines_of_file(page.points, entries, by_budget)
    rows = [_row(page, entry) for entry in entries]
    if group is not None:
        for row, entry in zip(rows, entries, strict=True):
            row["saved"] = saved_success(page.points, group, entry)
        note_saved(page.points, group)
    _want(page, lines, rows)
    bounds.sort(key=lambda one: one["target"])
    return {
        "label": label,
        "exact": label in opened.whole,
        "widths": sorted({line.width for line in lines if line.width is not None}),
        "bounds": [_bound(one) for one in bounds],
        "searches": page.found.lines(opened, bounds),
        "lines": [line.to_json() for line in lines],
        "rows": rows,
        "shares": _shares(by_budget),
    }


def _bound(told: Json) -> Json:
    names = ("target", *KINDS, PRUNED_BIASES, "paper", "init_digest")
    return {name: told[name] for name in names}


def _row(page: _Page, entry: Json) -> Json:
    """A line of the table of gaps; runs by their numbers."""
    same = (
        "target", "method", "width", "runs", "collapsed", "diverged", "above_budget", "successes",
        "gap", "effective_gap", "prunable", "paper",
    )  # fmt: skip
    named = {
        what: page.points.of_facts(entry["method"], entry[what])
        for what in ("first", "first_effective", "best")
    }
    return {**{name: entry[name] for name in same}, **named, "saved": None}


def _want(page: _Page, lines: Sequence[Line], rows: Sequence[Json]) -> None:
    """The best of all widths and the first successes before what single widths show."""
    for line in lines:
        page.wanted[line.width is not None].update(dict.fromkeys(line.steps))
    for row in rows:
        own = [row[name] for name in ("first", "saved", "best") if row[name] is not None]
        page.wanted[row["width"] is not None].update(dict.fromkeys(own))


def _shares(by_budget: Sequence[Json]) -> list[Json]:
    """Disconnected share of each method and width: budgets and means, where runs count."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for one in by_budget:
        if one["disconnected_share"] is not None:
            pair = [one["budget"], one["disconnected_share"]]
            found.setdefault((one["method"], one["width"]), []).append(pair)
    return [
        {"method": method, "width": width, "steps": sorted(steps)}
        for (method, width), steps in found.items()
    ]


# ------------------------------------------------------------------ networks


def _add_networks(data: Json, page: _Page, room: int) -> None:
    """Put the points and, as far as they fit, the networks into ``data``."""
    points, networks = page.points, data["networks"]
    wanted = dict.fromkeys(
        points.instead.get(number, number) for part in page.wanted for number in part
    )
    data["points"] = points.columns()
    data["instead"] = {str(number): other for number, other in points.instead.items()}
    networks.extend(page.found.items)
    left, full, wide = room - _size(data), 0, 0
    for number in wanted:
        if number not in points.nets:
            continue
        try:
            item = points.item(number, data["task_name"])
        except UsageError:
            wide += 1
            continue
        left -= _size(item) + 16  # and its place among ``of_points``
        if left < 0:
            full += 1
            continue
        data["of_points"][str(number)] = len(networks)
        networks.append(item)
    data["notes"] += _left_out(full, wide)


def _size(data: Any) -> int:
    return len(script_json(data).encode())


def _left_out(full: int, wide: int) -> list[str]:
    notes = []
    if full:
        notes.append(f"{_count(full)} of single widths not included, so that the page stays small.")
    if wide:
        notes.append(f"{_count(wide)} not included: wider than a page draws.")
    return notes


def _count(number: int) -> str:
    return f"{number:,} network{' is' if number == 1 else 's are'}"

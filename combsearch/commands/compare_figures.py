"""The figures of a comparison: Pareto plots, accuracy by budget, disconnected parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch import plots
from combsearch.commands.compare_networks import saved_successes
from combsearch.commands.output import file_name
from combsearch.comparison import Group, SearchRun, Tries, joined, lowest
from combsearch.comparison.bounds import EXISTS, TRAINED
from combsearch.comparison.tries import methods_of, widths_of
from combsearch.connectivity import nonzeros
from combsearch.prune_rows import BUDGET_COLUMNS, saved_net
from combsearch.saved_network import load_network
from combsearch.tasks import Task

_PAGE_NETWORKS = 6  # drawn in one figure: more would be no page
Runs = tuple[npt.NDArray[Any], npt.NDArray[np.float64]]


def draw_comparison(
    folder: Path,
    report: Mapping[str, Any],
    found: Sequence[Group],
    searches: Sequence[SearchRun],
    task: Task,
    suffix: str = "png",
) -> list[Path]:
    """Write the figures of every group; their paths. Several groups have a folder each."""
    files: list[Path] = []
    for group in found:
        own, targets = group_folder(folder, group, found), report["targets"]
        files += _draw_group(own, group, searches, targets, suffix)
        if task.inputs == 2 and task.classes == 2:
            files += _draw_networks(own, group, searches, targets, task, suffix)
    return files


def group_folder(folder: Path, group: Group, found: Sequence[Group]) -> Path:
    """Where the files of one of the groups ``found`` go: by itself it needs no folder."""
    return folder if len(found) == 1 else folder / file_name(group.label)


def _draw_group(
    folder: Path,
    group: Group,
    searches: Sequence[SearchRun],
    targets: Sequence[float],
    suffix: str,
) -> list[Path]:
    files = []

    def save(name: str, figure: Any) -> None:
        files.append(folder / f"{name}.{suffix}")
        plots.save(figure, files[-1])

    tries, lines = group.tries, search_lines(searches, group.start)
    methods, widths = methods_of(tries), widths_of(tries)
    if not len(tries.ok):
        return files  # the table says that all runs collapsed or diverged
    panels = {}
    for width in widths:
        runs = method_runs(tries[tries.width == width], methods)
        if not any(len(x) for x, _ in runs.values()):
            continue
        panels[f"width {width}"] = runs
        save(
            f"pareto-w{width}", plots.pareto(runs, targets, lines, _title(group, f"width {width}"))
        )
    save("pareto-all", plots.pareto_grid(panels, targets, lines))
    best = plots.pareto(
        method_runs(tries, methods), targets, lines, _title(group, "best of all widths")
    )
    save("best-of-widths", best)
    if shares := _disconnected(tries):
        save("disconnected", plots.disconnected(shares))
    for method in methods:
        save(
            f"budgets-{file_name(method)}", plots.accuracy_by_budget(_rows(group, method), targets)
        )
    return files


def _draw_networks(
    folder: Path,
    group: Group,
    searches: Sequence[SearchRun],
    targets: Sequence[float],
    task: Task,
    suffix: str,
) -> list[Path]:
    """The bounds' networks and the sparsest saved one of each method, figures a target.

    As many as fit a page are in ``networks-TARGET``, further ones in ``networks-TARGET-2`` and
    so on.
    """
    files = []
    for target in targets:
        shown = [*_bound_networks(searches, group.start, target), *_pruned(group, target)]
        for page, first in enumerate(range(0, len(shown), _PAGE_NETWORKS), 1):
            number = f"-{page}" if page > 1 else ""
            files.append(folder / f"networks-{target:.10g}{number}.{suffix}")
            plots.save(plots.pruned_beside(shown[first : first + _PAGE_NETWORKS], task), files[-1])
    return files


def _bound_networks(searches: Sequence[SearchRun], start: str, target: float) -> list[plots.Pruned]:
    """The networks behind the bounds, where the searches saved them."""
    shown: list[plots.Pruned] = []
    known: list[str] = []
    for kind, label in _search_names(start).items():
        bound = lowest(searches, kind, start, target)
        if bound is not None and bound.run not in known:  # one network may be both
            known.append(bound.run)
            source = Path(bound.found.source)
            path = source / "best.npz" if source.is_dir() else source
            nets = load_network(path) if path.is_file() else None
            if nets is not None and int(nonzeros(nets)[0]) == bound.found.nonzeros:
                shown.append(plots.Pruned(label, nets, bound.found.accuracy))
    return shown


def _pruned(group: Group, target: float) -> list[plots.Pruned]:
    """Of every method that reaches the target, the sparsest network that was saved, in order."""
    rows = sorted(
        (row for row, _ in saved_successes(group, target)),
        key=lambda row: (row["nonzeros"], -row["accuracy"], row["method"]),
    )
    return [
        plots.Pruned(plots.method_name(row["method"]), saved_net(row), row["accuracy"])
        for row in rows
    ]


def _title(group: Group, what: str) -> str:
    return f"{what}, from {group.label}"


def _search_names(start: str) -> dict[str, str]:
    """What figures call the two bounds beside runs from ``start``."""
    exists = "exists, any weights" if start else "search, exists"
    return {TRAINED: "search, trained", EXISTS: exists}


def search_lines(searches: Sequence[SearchRun], start: str) -> dict[str, Runs]:
    """The frontiers of all searches of a kind, by the label that figures give it.

    What exists has a line where it says more than what was trained.
    """
    found = {kind: joined(searches, kind, start) for kind in (TRAINED, EXISTS)}
    if found[EXISTS] == found[TRAINED]:
        del found[EXISTS]
    names = _search_names(start)
    return {
        names[kind]: (
            np.array([one.nonzeros for one in steps], np.int64),
            np.array([one.accuracy for one in steps], np.float64),
        )
        for kind, steps in found.items()
        if steps
    }


def method_runs(tries: Tries, methods: Sequence[str]) -> dict[str, Runs]:
    """Nonzeros and accuracy of the runs that count, by method; none of a method that has none."""
    ok = tries.ok
    own = {method: ok.method == method for method in methods}
    there = set(methods_of(tries))
    return {m: (ok.nonzeros[o], ok.accuracy[o]) for m, o in own.items() if m in there}


def _disconnected(tries: Tries) -> dict[str, dict[str, Runs]]:
    """Mean share of disconnected parameters by width, method and budget, of runs that count.

    Titles say how many runs are left out since they keep more than their budget.
    """
    ok = tries.to_budget.ok
    panels: dict[str, dict[str, Runs]] = {}
    for width in widths_of(ok):
        lines = {}
        for method in methods_of(tries):
            own = ok.of_method(method, width)
            if len(own):
                share = (own.nonzeros - own.effective_nonzeros) / np.maximum(own.nonzeros, 1)
                budgets, place = np.unique(own.budget, return_inverse=True)
                mean = np.bincount(place.reshape(-1), share) / np.bincount(place.reshape(-1))
                lines[method] = (budgets, mean)
        above = int((~tries.within[tries.width == width]).sum())
        panels[f"width {width}" + (f" ({above:,} above)" if above else "")] = lines
    return panels


def _rows(group: Group, method: str) -> pa.Table:
    """The rows of a method, those that two sweeps hold once."""
    tables = []
    columns = ["method", "width", "cell", "accuracy", "status", *BUDGET_COLUMNS]
    for place, run in enumerate(group.runs):
        counted = group.tries.row[group.tries.source == place]
        rows = run.rows.select(columns).take(pa.array(counted))
        tables.append(rows.filter(pc.equal(rows["method"], method)))
    return pa.concat_tables(tables)

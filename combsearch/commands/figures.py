"""All figures of a run, from its saved rows: of phase one, and of the searches over masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa

from combsearch import plots
from combsearch.connectivity import nonzeros
from combsearch.nets import NetBatch
from combsearch.search.phase1 import best_network, runners_up, shape_results, winner
from combsearch.tasks import Task


def draw_run(
    rows: pa.Table, task: Task | None, target: float, folder: Path, suffix: str = "png"
) -> list[Path]:
    """Write the figures of a run to ``folder``; their paths.

    Without a task there are no pictures of it, nor of one that is not in a plane or has
    more than two classes.
    """
    figures: dict[str, Any] = {
        "scatter": plots.scatter(rows, target),
        "success": plots.success(rows, target),
    }
    if _in_a_plane(task):
        figures |= _pictures(rows, task, target)
    return _save(figures, folder, suffix)


def _pictures(rows: pa.Table, task: Task, target: float) -> dict[str, Any]:
    """Of the smallest successful network, or of the most accurate; none if all diverged."""
    results = shape_results(rows, target)
    shown = winner(results) or runners_up(results, 1)[0]
    nets = best_network(rows, shown)
    return {} if nets is None else _task_pictures(rows, task, nets, shown.accuracy)


def _task_pictures(rows: pa.Table, task: Task, nets: NetBatch, accuracy: float) -> dict[str, Any]:
    """Of the MLP that ``nets`` holds, and of the best of several levels."""
    return {**_network_pictures(task, nets, accuracy), "levels": plots.levels_grid(rows, task)}


def _network_pictures(task: Task, nets: NetBatch, accuracy: float) -> dict[str, Any]:
    """Of the MLP that ``nets`` holds."""
    named = {name: array[0] for name, array in nets.params.items()}
    weights, biases = (
        [named[f"{kind}{layer}"] for layer in range(len(named) // 2)] for kind in ("weight", "bias")
    )
    widths = [weights[0].shape[1], *map(len, weights)]
    shown: dict[str, Any] = {"accuracy": accuracy, "size": int(nonzeros(nets)[0])}
    return {
        "regions": plots.regions(widths, named, task, **shown),
        "network": plots.network(widths, weights, biases, task=task, **shown),
    }


def draw_masks(
    rows: pa.Table,
    task: Task | None,
    report: Mapping[str, Any],
    nets: NetBatch | None,
    folder: Path,
    suffix: str = "png",
) -> list[Path]:
    """Write the figures of a run of phase two or exhaust to ``folder``; their paths.

    ``bound`` is always there; the pictures of the task are where ``draw_run`` has them.

    Args:
        rows: those that the report is about, or of each level the best that holds parameters.
        task: of the run, or None.
        report: what its ``summary.json`` holds: task, space, target, levels, best.
        nets: the best network, or None: all diverged.
        folder: where the figures go.
        suffix: ``"png"``, ``"pdf"`` or ``"svg"``.
    """
    title = f"{report['task']}: {report['space']}"
    figures = {"bound": plots.bound(report["levels"], report["target"], title)}
    if nets is not None and _in_a_plane(task):
        figures |= _task_pictures(rows, task, nets, report["best"]["accuracy"])
    return _save(figures, folder, suffix)


def draw_descent(
    task: Task | None,
    report: Mapping[str, Any],
    nets: NetBatch,
    folder: Path,
    suffix: str = "png",
) -> list[Path]:
    """Write the figures of a run of descend to ``folder``; their paths.

    Args:
        task: of the run, or None: then no pictures of it.
        report: what its ``summary.json`` holds.
        nets: the best network.
        folder: where the figures go.
        suffix: ``"png"``, ``"pdf"`` or ``"svg"``.
    """
    lines = {}
    for descent in report["by_shape"]:
        name = "(" + ",".join(map(str, descent["shape"][1:-1])) + ")"
        levels = descent["frontier"]
        label = f"joint {name}" if descent["joint"] else f"from {name}"
        lines[label] = (list(map(int, levels)), list(levels.values()))
    figures = {"frontier": plots.frontiers(lines)}
    if _in_a_plane(task):
        figures |= _network_pictures(task, nets, report["best"]["accuracy"])
    return _save(figures, folder, suffix)


def _in_a_plane(task: Task | None) -> TypeGuard[Task]:
    return task is not None and task.inputs == 2 and task.classes == 2


def _save(figures: Mapping[str, Any], folder: Path, suffix: str) -> list[Path]:
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(figure, files[-1])
    return files

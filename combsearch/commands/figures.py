"""All figures of a phase-one run, from its saved rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from combsearch import plots
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
    if task is not None and task.inputs == 2 and task.classes == 2:
        figures |= _pictures(rows, task, target)
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(figure, files[-1])
    return files


def _pictures(rows: pa.Table, task: Task, target: float) -> dict[str, Any]:
    """Of the smallest successful network, or of the most accurate; none if all diverged."""
    results = shape_results(rows, target)
    shown = winner(results) or runners_up(results, 1)[0]
    nets = best_network(rows, shown)
    if nets is None:
        return {}
    layers = range(len(shown.shape) - 1)
    weights, biases = (
        [nets.params[f"{kind}{layer}"][0] for layer in layers] for kind in ("weight", "bias")
    )
    named = {name: array[0] for name, array in nets.params.items()}
    accuracy = shown.accuracy
    return {
        "regions": plots.regions(shown.shape, named, task, accuracy=accuracy),
        "levels": plots.levels_grid(rows, task),
        "network": plots.network(shown.shape, weights, biases, task=task, accuracy=accuracy),
    }

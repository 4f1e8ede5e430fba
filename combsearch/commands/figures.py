"""All figures of a phase-one run, from its saved rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from combsearch import plots
from combsearch.search.phase1 import best_network, runners_up, shape_results, winner
from combsearch.tasks import Task


def draw_run(
    rows: pa.Table, task: Task, target: float, folder: Path, suffix: str = "png"
) -> list[Path]:
    """Write the figures of a run to ``folder``; their paths.

    A task that is not in a plane, or has more than two classes, gets no pictures of it.
    """
    results = shape_results(rows, target)
    figures = {"scatter": plots.scatter(rows, target), "success": plots.success(rows, target)}
    if task.inputs == 2 and task.classes == 2:
        shown = winner(results) or runners_up(results, 1)[0]
        nets = best_network(rows, shown)
        layers = range(len(shown.shape) - 1)
        weights, biases = (
            [nets.params[f"{kind}{layer}"][0] for layer in layers] for kind in ("weight", "bias")
        )
        named = {name: array[0] for name, array in nets.params.items()}
        accuracy = shown.accuracy
        figures |= {
            "regions": plots.regions(shown.shape, named, task, accuracy=accuracy),
            "levels": plots.levels_grid(rows, task),
            "network": plots.network(shown.shape, weights, biases, task=task, accuracy=accuracy),
        }
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(figure, files[-1])
    return files

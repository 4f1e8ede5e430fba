"""Time of a training run: the sparse trainer beside the fused and vmap ones, on one core.

OMP_NUM_THREADS=1 python results/bench/sparse.py

Fused and vmap train dense whatever the mask says; sixteen networks at a time, and the time
of one is given. Long runs are measured over fewer steps and scaled to 19,500.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from combsearch.baselines import get_pruner
from combsearch.commands.bench import machine
from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.pruning import Budget
from combsearch.rng import RunKeys
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

TASK, RECIPE, NETS = cubist_spiral(), Recipe(), 16
# hidden width, weights kept (0: all), steps that are measured
CASES = (
    (4, 0, 2000), (8, 0, 2000), (16, 0, 2000), (16, 65, 2000), (16, 30, 2000), (32, 0, 400),
    (64, 0, 200), (64, 65, 2000), (128, 0, 40), (256, 65, 2000), (256, 13184, 100), (256, 0, 20),
)  # fmt: skip


def nets_of(width: int, kept: int) -> tuple[NetBatch, RunKeys]:
    """Sixteen networks pruned by SynFlow, whose masks are well connected."""
    shape = NetShape.from_hidden((width,) * 3)
    key = np.repeat(MaskBatch.dense_of(shape).keys(), NETS)
    keys = RunKeys.make(0, key, [RECIPE.cell] * NETS, np.arange(NETS))
    nets = NetBatch.create(MLP(shape, width), keys)
    if kept:
        goal = np.full(NETS, kept)
        budget = Budget(goal, TASK, (RECIPE,) * NETS, keys, get_trainer("sparse"))
        nets = get_pruner("synflow").prune(nets, budget)
    return nets, keys


def seconds(trainer: str, width: int, kept: int, steps: int) -> float:
    """Seconds of a whole run, the best of three measurements."""
    nets, keys = nets_of(width, kept)
    fit, best = get_trainer(trainer).fit, np.inf
    fit(nets, TASK, RECIPE, keys, slice(0, 2))
    for _ in range(3):
        started = time.perf_counter()
        fit(nets, TASK, RECIPE, keys, slice(0, steps))
        best = min(best, time.perf_counter() - started)
    return float(best) * 19_500 / steps / NETS


def main() -> None:
    """Measure, and write sparse.json beside this file."""
    rows = []
    for width, kept, steps in CASES:
        row = {"width": width, "weights": kept or 2 * width * width + 3 * width}
        row["sparse"] = round(seconds("sparse", width, kept, steps), 5)
        if not kept:
            row["fused"] = round(seconds("fused", width, 0, steps), 5)
            row["vmap"] = round(seconds("vmap", width, 0, min(steps, 100)), 5)
        rows.append(row)
        print(row, flush=True)
    report = {"seconds_a_run": rows, "machine": machine()}
    Path(__file__).with_name("sparse.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

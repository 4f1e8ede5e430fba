"""Phase one from the published initialisations: the smallest dense shape that succeeds.

Level by level, all shapes up to width 16, six cells, eight orders of the minibatches, to
the first level with a success and one beyond. Both initialisations train side by side.

    python results/initialisations/phase1.py
"""

from __future__ import annotations

import itertools
import time

import numpy as np
from published import TARGETS, alive_masks, from_published, train, write

from combsearch.config import CELLS
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import NetBatch
from combsearch.search.grid import dense_grid

ORDERS, SEED = 8, 101
CHUNK = 4  # levels that are trained together, since an order is dear to make


class Search:
    """What was found so far from one initialisation."""

    def __init__(self, name: str) -> None:
        self.name, self.target = name, TARGETS[name]
        self.rows: list[dict[str, object]] = []
        self.first: int | None = None

    def note(self, shape: NetShape, runs: int, accuracy: list[tuple[float, str, int]]) -> None:
        """One shape, all runs: (accuracy, cell, order)."""
        good = [run for run in accuracy if run[0] >= self.target]
        best, cell, order = max(accuracy, default=(0.0, "", 0))
        row = {"shape": str(shape), "nonzeros": shape.dense_nonzeros, "alive": bool(accuracy)}
        row |= {"runs": runs, "successes": len(good), "best_accuracy": best, "cell": cell}
        row |= {"order": order, "cells": sorted({run[1] for run in good})}
        self.rows.append(row)
        if good and self.first is None:
            self.first = shape.dense_nonzeros

    def to_json(self) -> dict[str, object]:
        """Target, level of the first success, and a row a shape."""
        return {"target": self.target, "first_level": self.first, "shapes": self.rows}

    def done(self, levels: list[int], last: int) -> bool:
        """The level beyond the first success is trained too."""
        return self.first is not None and any(self.first < n <= last for n in levels)


def chunk_runs(
    searches: list[Search], shapes: list[NetShape]
) -> dict[tuple[str, NetShape], list[tuple[float, str, int]]]:
    """(accuracy, cell, order) of all runs of these shapes that are not dead from the start."""
    found: dict[tuple[str, NetShape], list[tuple[float, str, int]]] = {}
    for order, shape in itertools.product(range(ORDERS), shapes):
        mask = MaskBatch.dense_of(shape)
        names = [s.name for s in searches if alive_masks(s.name, mask)[0]]
        if not names:
            continue
        masks = MaskBatch.dense_of(shape, len(CELLS))
        nets = NetBatch.concat([from_published(name, masks) for name in names])
        _, scores, sound = train(nets, CELLS * len(names), SEED, order)
        accuracy = np.where(sound, scores.accuracy, 0).reshape(len(names), len(CELLS))
        for name, row in zip(names, accuracy, strict=True):
            runs = [(float(a), cell, order) for a, cell in zip(row, CELLS, strict=True)]
            found.setdefault((name, shape), []).extend(runs)
    return found


def main() -> None:
    """Train, and write phase1.json beside this file."""
    started = time.process_time()
    grid, searches = dense_grid(16, 3, 2, 1), [Search(name) for name in TARGETS]
    levels = [int(n) for n in grid.levels()]
    for first in range(0, len(levels), CHUNK):
        wanted = levels[first : first + CHUNK]
        active = [s for s in searches if not s.done(levels, wanted[0] - 1)]
        if not active:
            break
        ranks = range(grid.level_end(wanted[0] - 1), grid.level_end(wanted[-1]))
        shapes = [grid.shape(rank) for rank in ranks]
        runs = chunk_runs(active, shapes)
        for search in active:
            for shape in shapes:
                if not search.done(levels, shape.dense_nonzeros - 1):
                    search.note(shape, ORDERS * len(CELLS), runs.get((search.name, shape), []))
        print(wanted, [(search.name, search.first) for search in searches], flush=True)
        report = {"orders": ORDERS, "cells": CELLS}
        report |= {"seconds": round(time.process_time() - started, 1)}
        write("phase1", report | {search.name: search.to_json() for search in searches})


if __name__ == "__main__":
    main()

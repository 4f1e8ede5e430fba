"""Runs of a few rows for the tests of atlases: nothing is trained, every kind of row is there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.rows import rows_table
from combsearch.search.mask_plan import MaskPlan
from combsearch.store import RunStore, Shard

STATUSES = ("ok", "ok", "ok", "spared", "diverged")


def saved_run(plan: MaskPlan, folder: Path | str, shards: Sequence[tuple[int, int]]) -> RunStore:
    """A run folder with made-up rows for some ranges of ranks; none for the second of each."""
    store = RunStore.open(folder, plan.identity())
    for first, last in shards:
        drawn = random.Random(f"{first} {last}")
        runs = [5, 0, *(drawn.randrange(6) for _ in range(first + 2, last))]
        ranks = zip(range(first, last), runs, strict=False)
        rows = [row for rank, count in ranks for row in _rows_of(plan, rank, count, drawn)]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        store.write(Shard(first, last), rows_table(**columns))
    return store


def _rows_of(plan: MaskPlan, rank: int, count: int, drawn: random.Random) -> list[dict[str, Any]]:
    """So many runs of a mask; a third of them hold parameters."""
    segment, ranks = next(plan.pieces(Shard(rank, rank + 1)))
    mask = plan.piece_masks(segment, ranks)
    points = plan.task.points
    return [
        {
            "rank": rank,
            "shape": ",".join(map(str, segment.shape.widths)),
            "mask": mask.keys()[0],
            "nonzeros": segment.nonzeros,
            "cell": plan.config.cells[0],
            "restart": restart,
            # Few values, so that there are equals.
            "accuracy": drawn.randrange(points // 2, points + 1, 4) / points,
            "status": drawn.choice(STATUSES),
            "parameters": _parameters(segment.shape.parameters, drawn),
        }
        for restart in range(count)
    ]


def _parameters(count: int, drawn: random.Random) -> Any:
    if drawn.random() > 0.34:
        return None
    return np.array([drawn.uniform(-2, 2) for _ in range(count)], np.float32)

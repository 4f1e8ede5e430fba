"""What all rounds of further restarts found: mask by mask, level by level, and the best network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from job import Job
from launches import Rows
from pieces import Done
from rounds import by_mask

from combsearch import durable
from combsearch.commands.mask_report import save_row
from combsearch.search.mask_plan import MaskPlan


def write_tally(
    search: Job, plan: MaskPlan, pieces: Sequence[tuple[Done, Rows]], folder: Path
) -> None:
    """Write ``rounds.npz``, ``rounds.json`` and ``best-rounds.npz``; nothing without rounds."""
    rounds = [(done, rows) for done, rows in pieces if done.job != search.name]
    if not rounds:
        return
    rows = Rows.concat([rows for _, rows in rounds])
    ranks, of = np.unique(rows.rank, return_inverse=True)
    successes, best = by_mask(search, rows, of, len(ranks))
    nonzeros, restarts = search.levels(ranks), np.bincount(of)
    file = io.BytesIO()
    np.savez_compressed(
        file, rank=ranks, nonzeros=nonzeros, restarts=restarts, successes=successes,
        best_correct=best,
    )  # fmt: skip
    durable.write_bytes(folder / "rounds.npz", file.getbuffer())
    levels = []
    for level in np.unique(nonzeros):
        own = nonzeros == level
        levels.append(
            {
                "nonzeros": int(level),
                "masks": int(own.sum()),
                "runs": int(restarts[own].sum()),
                "successes": int(successes[own].sum()),
                "successful_masks": int((successes[own] > 0).sum()),
                "best_accuracy": float(best[own].max() / search.task.points),
            }
        )
    row = _best_row(search, rows)
    if row is not None:
        save_row(folder / "best-rounds.npz", plan, row)
        del row["parameters"]
    report = {"levels": levels, "best": row, "rounds": [vars(done) for done, _ in rounds]}
    durable.write_json(folder / "rounds.json", report)


def _best_row(job: Job, rows: Rows) -> dict[str, Any] | None:
    """The sparsest success, then the most accurate; without one the best of all."""
    if not len(rows.kept):
        return None
    correct, nonzeros = rows.correct[rows.kept], job.levels(rows.rank[rows.kept])
    good = correct / job.task.points >= job.config.target
    order = np.lexsort((rows.rank[rows.kept], -correct, np.where(good, nonzeros, 0), ~good))
    chosen = int(order[0])
    row, rank = int(rows.kept[chosen]), int(rows.rank[rows.kept[chosen]])
    ((_, masks),) = job.masks.read(rank, rank + 1)
    return {
        "rank": rank,
        "shape": ",".join(map(str, masks.shape.widths)),
        "nonzeros": int(nonzeros[chosen]),
        "cell": job.config.cells[rows.cell[row]],
        "restart": int(rows.restart[row]),
        "accuracy": float(correct[chosen] / job.task.points),
        "parameters": rows.parameters[chosen].tolist(),
    }

"""More restarts for the masks whose networks did best, in rounds that get narrower and deeper.

A round takes a share of the masks of the round before, within every level by themselves: those
with the most successes, then the most accurate, the first of equals. PyTorch and numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from job import Job, Ranks
from launches import DIVERGED, Rows
from pieces import read_rows

from combsearch.errors import UsageError


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        share: of the masks of each level that go on, at least one.
        restarts: further restarts of each.
    """

    share: float
    restarts: int


def parse_rounds(text: str) -> list[Round]:
    """The rounds that ``0.05x16,0.05x112`` names; none for an empty text.

    Raises:
        UsageError: naming the part that is no round.
    """
    found = []
    for part in filter(None, text.split(",")):
        share, cross, restarts = part.partition("x")
        try:
            found.append(Round(float(share), int(restarts)))
        except ValueError:
            cross = ""
        if not cross or not 0 < found[-1].share <= 1 or found[-1].restarts < 1:
            raise UsageError(
                f"--rounds: {part!r} is not SHARExRESTARTS, such as 0.05x16: a share in (0, 1],"
                " a whole number from 1 up"
            )
    return found


def round_job(search: Job, rounds: Sequence[Round], number: int, folders: list[Path]) -> Job:
    """The job of a round, from 1, whose masks are chosen by all rows before it.

    Raises:
        CorruptDataError: some of those rows are not in ``folders``.
    """
    job, rows = search, read_rows(folders, search)
    start = max(search.restarts.values())
    for place in range(1, number + 1):
        one = rounds[place - 1]
        picked = best_masks(search, rows, one.share)
        job = search.again(f"round-{place}", picked, start, one.restarts)
        start += one.restarts
        if place < number:
            own = np.flatnonzero(np.isin(rows.rank, picked))
            rows = Rows.concat([rows.take(own), read_rows(folders, job)])
    return job


def best_masks(job: Job, rows: Rows, share: float) -> Ranks:
    """The ranks, ascending, of that share of the masks of each level in ``rows``."""
    ranks, of = np.unique(rows.rank, return_inverse=True)
    successes, correct, levels = *by_mask(job, rows, of, len(ranks)), job.levels(ranks)
    order = np.lexsort((ranks, -correct, -successes, levels))
    _, first, masks = np.unique(levels[order], return_index=True, return_counts=True)
    chosen = [
        order[start : start + max(1, round(share * count))]
        for start, count in zip(first, masks, strict=True)
    ]
    return np.sort(ranks[np.concatenate(chosen)])


def by_mask(job: Job, rows: Rows, of: Ranks, masks: int) -> tuple[Ranks, Ranks]:
    """(successes, most points right) int64 [mask] of the masks ``of`` [row] that rows belong to."""
    sound = rows.status != DIVERGED
    good = sound & (rows.correct / job.task.points >= job.config.target)
    correct = np.zeros(masks, np.int64)
    np.maximum.at(correct, of, np.where(sound, rows.correct, 0))
    return np.bincount(of, good, masks).astype(np.int64), correct

"""The order of a sweep: cheap shards first, so that what is interrupted has the narrow widths."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from combsearch.search.course import Course
from combsearch.store import Shard
from combsearch.sweep.plan import PrunePlan


class SweepCourse(Course):
    """All shards count and nothing ends a sweep early; it is one level. Work is in seconds.

    Args:
        plan: what there is to train.
        done: ranges of ranks whose rows are saved.
    """

    def __init__(self, plan: PrunePlan, done: Iterable[Shard]) -> None:
        seconds = np.array([plan.shard_seconds(shard) for shard in plan.shards])
        order = np.argsort(seconds, kind="stable")
        shards = [plan.shards[place] for place in order]
        super().__init__(shards, np.zeros(len(shards), np.int64), seconds[order], done, None)
        self._ranks = plan.ranks

    @property
    def end(self) -> int:
        """The number of ranks."""
        return self._ranks

"""The course of a study that prunes in rounds: each is given out once the one before is saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from combsearch.search.course import Course
from combsearch.store import Shard

NONE = -1
"""In place of a shard: there is no round before."""


class RoundsCourse(Course):
    """All shards count; one is given out once the round before it is saved.

    Args:
        shards: all there are, ascending.
        before: int64 [shard], the place of the round before each, or ``NONE``.
        done: ranges of ranks whose rows are saved.
    """

    def __init__(
        self, shards: Sequence[Shard], before: npt.NDArray[np.int64], done: Iterable[Shard]
    ) -> None:
        levels = np.zeros(len(shards), np.int64)
        super().__init__(shards, levels, np.ones(len(shards)), done, None)
        self._before = before

    def todo(self) -> Iterator[Shard]:
        """The shards that may be trained now; asked again, those that became possible."""
        return _Ready(self._shards, self._done, self._before, self._own)

    def missing(self) -> list[list[Shard]]:
        """What is to be trained; the rounds of one chain are one list."""
        chains: dict[int, list[Shard]] = {}
        first: dict[int, int] = {}  # of each place, where its chain begins
        for place, (shard, before) in enumerate(zip(self._shards, self._before, strict=True)):
            first[place] = first[int(before)] if before != NONE else place
            if self._left[place]:
                chains.setdefault(first[place], []).append(shard)
        return list(chains.values())


class _Ready(Iterator[Shard]):
    """Shards whose round before is saved; it may have more after it had none."""

    def __init__(
        self,
        shards: Sequence[Shard],
        done: npt.NDArray[np.bool_],
        before: npt.NDArray[np.int64],
        own: npt.NDArray[np.bool_],
    ) -> None:
        self._shards, self._done, self._before = shards, done, before
        self._given = done | ~own

    def __next__(self) -> Shard:
        ready = (self._before == NONE) | self._done[self._before]
        free = np.flatnonzero(~self._given & ready)
        if not len(free):
            raise StopIteration
        place = int(free[0])
        self._given[place] = True
        shard: Shard = self._shards[place]
        return shard

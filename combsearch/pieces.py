"""Rows of a run in canonical order, piece by piece: they need not fit the memory together."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from combsearch.shards import Ownership, Shard, merged

READERS = min(8, os.cpu_count() or 1)
"""Threads that read shards."""

_ROWS = 1 << 16  # of a piece at least: little shards are joined
_AHEAD = 1 << 23  # bytes of files that are read ahead, about: some twenty times as much decoded


@dataclass(frozen=True, eq=False)
class Pieces:
    """Tables in canonical order; each holds all rows of its ranks.

    A table is a shard, or several little ones. Threads read ahead, a few files or a large one.

    Attributes:
        parts: which ranks are taken from which file, ascending.
        read: the rows that a part names.
    """

    parts: list[Ownership]
    read: Callable[[Ownership], pa.Table]

    @property
    def ranges(self) -> list[Shard]:
        """The ranks that the parts hold, as ranges that do not touch."""
        return merged(Shard(part.first, part.last) for part in self.parts)

    def __iter__(self) -> Iterator[pa.Table]:
        return _joined(self._ahead())

    def _ahead(self) -> Iterator[pa.Table]:
        """The table of every part, in order."""
        waiting: deque[tuple[Future[pa.Table], int]] = deque()
        pool = ThreadPoolExecutor(READERS)
        try:
            for part in self.parts:
                while len(waiting) > 1 and _enough(size for _, size in waiting):
                    yield waiting.popleft()[0].result()
                waiting.append((pool.submit(self.read, part), _size(part.file.path)))
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            pool.shutdown(cancel_futures=True)


def _enough(sizes: Iterable[int]) -> bool:
    """Whether files of so many bytes are to be used before another is read."""
    ahead = list(sizes)
    return len(ahead) > READERS or sum(ahead) > _AHEAD


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):  # whoever reads it will say what is wrong
        return path.stat().st_size
    return 0


def _joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows; little tables are copied together."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= _ROWS:
            yield _one(held)
            held = []
    if held:
        yield _one(held)


def _one(tables: list[pa.Table]) -> pa.Table:
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()

"""Shards one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

from combsearch.search.running import Failure
from combsearch.store import Shard

T = TypeVar("T")


@dataclass(frozen=True)
class InlineEngine:
    """The simplest engine, for tests and single cores."""

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """See ``Engine.run``; a shard that runs out of memory is given up at once."""
        for shard in shards:
            yield shard, outcome(work, shard)


def outcome(work: Callable[[Shard], T], shard: Shard) -> T | Failure:
    """``work(shard)``; a failure where it runs out of memory."""
    try:
        return work(shard)
    except MemoryError as error:
        return Failure(f"out of memory ({error})" if str(error) else "out of memory")

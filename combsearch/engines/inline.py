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
    """``work(shard)``; a failure where it runs out of memory, be it that of a GPU."""
    try:
        return work(shard)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        return Failure(f"out of memory ({error})" if str(error) else "out of memory")


def ran_out(error: MemoryError | RuntimeError) -> bool:
    """Whether memory ran out, that of the machine or, as torch says it, of a GPU."""
    from combsearch.trainers.memory import is_out_of_memory  # takes seconds to import

    return is_out_of_memory(error)

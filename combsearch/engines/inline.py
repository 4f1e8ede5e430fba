"""Shards one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

from combsearch.engines.attempts import Queue, attempt
from combsearch.search.running import Failure
from combsearch.store import Shard

T = TypeVar("T")


@dataclass(frozen=True)
class InlineEngine:
    """The simplest engine, for tests and single cores."""

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """See ``Engine.run``."""
        queue = Queue(iter(shards))
        while (shard := queue.take()) is not None:
            yield from queue.settled(shard, attempt(work, shard, queue.failures(shard)))

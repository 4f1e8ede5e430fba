"""Shards one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from combsearch.store import Shard

T = TypeVar("T")


@dataclass(frozen=True)
class InlineEngine:
    """The simplest engine, for tests and single cores."""

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Iterator[tuple[Shard, T]]:
        """(shard, work(shard)), in order."""
        for shard in shards:
            yield shard, work(shard)

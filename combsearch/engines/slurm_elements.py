"""Which shards go into one element of a job array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from combsearch.shards import Shard

_MOST_RANGES = 1000
"""Ranges of one element: they are one argument of a command, which may not be too long."""


def pack(
    chains: Iterable[Sequence[Shard]], seconds_of: Callable[[Shard], float], seconds: float
) -> list[list[Shard]]:
    """The shards of each element, in order.

    Neighbours share an element until it takes ``seconds``; shards of one chain wait for each
    other and are never parted, so an element may take longer.

    Args:
        chains: shards that are missing, in the order in which they are to be trained.
        seconds_of: what a shard takes of a whole element, about.
        seconds: wanted length of an element.
    """
    elements: list[list[Shard]] = []
    length, ranges = 0.0, 0
    for chain in chains:
        own = sum(map(seconds_of, chain))
        new = _ranges(elements[-1][-1] if elements else None, chain)
        if not elements or length + own > seconds or ranges + new > _MOST_RANGES:
            elements.append([])
            length, ranges = 0.0, 0
        elements[-1] += chain
        length, ranges = length + own, ranges + new
    return elements


def chunks(elements: int, limit: int) -> Iterator[tuple[int, int]]:
    """(first element, how many) of each array, none of which has more than ``limit``."""
    for first in range(0, elements, limit):
        yield first, min(limit, elements - first)


def _ranges(before: Shard | None, chain: Sequence[Shard]) -> int:
    """How many ranges ``chain`` adds behind the shard ``before``, at most."""
    parted = 0
    for shard in chain:
        parted += before is None or before.last != shard.first
        before = shard
    return parted

"""The levels of a run on the spiral: how many supports of which budget, and which they are.

A support is k of P places, ascending. A level tries supports of one budget k:

* all of them, up to the budget that ``exhaust`` names or where there are no more than ``tries``;
* else ``tries`` that are drawn, no two alike (random, and where a search begins);
* else, in a search, those that are one place away from the best supports of the budget before.
  Parents are taken from the best down until ``beam`` of them, or more if it takes more, have as
  many children as are wanted; of too many some are drawn, and where all parents have too few
  others are drawn besides. None that an earlier level has tried is tried again.

So how many supports a level has is known before anything is trained. A beam gives upper bounds:
only where all supports are tried is the best of a budget the best there is, for these restarts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.rng import mix64
from combsearch.studies.dctps.spiral_config import MOST, SpiralConfig

Supports = npt.NDArray[np.int32]
"""[support, place], places ascending."""


@dataclass(frozen=True)
class Level:
    """Supports of one budget.

    Attributes:
        number: from 0.
        budget: places that each keeps.
        first: rank of its first support.
        size: how many there are.
        origin: ``all``, ``drawn``, ``grown`` or ``shrunk``, see ``dctps_spiral_rows``.
    """

    number: int
    budget: int
    first: int
    size: int
    origin: str

    @property
    def last(self) -> int:
        """The rank after its last support."""
        return self.first + self.size


def levels_of(config: SpiralConfig, places: int) -> tuple[Level, ...]:
    """All levels of a run whose networks have so many places.

    Raises:
        UsageError: a budget is more than there are places, or all its supports are too many.
    """
    found: list[Level] = []
    tried: dict[int, int] = {}
    for number, budget in enumerate(config.path()):
        if budget > places:
            raise UsageError(
                f"budgets hold {budget}, but shape {config.shape} has {places} places (weights and"
                " biases) to keep"
            )
        whole, before = math.comb(places, budget), tried.get(budget, 0)
        everything = whole <= config.tries or budget <= config.exhaust
        size = whole - before if everything else min(config.tries, whole - before)
        if size > MOST:
            raise UsageError(
                f"exhaust is {config.exhaust}, but shape {config.shape} has {whole:,} supports of"
                f" {budget} places; at most {MOST:,} can be tried"
            )
        origin = "all" if everything else _origin(config, number)
        first = found[-1].last if found else 0
        found.append(Level(number, budget, first, size, origin))
        tried[budget] = before + size
    return tuple(found)


def _origin(config: SpiralConfig, number: int) -> str:
    if config.supports == "random" or number == 0:
        return "drawn"
    path = config.path()
    return "grown" if path[number] > path[number - 1] else "shrunk"


def fixed_supports(level: Level, places: int, seed: int) -> Supports:
    """The supports of a level that depends on no other: all, or drawn ones."""
    if level.origin == "all":
        return _array(itertools.combinations(range(places), level.budget), level)
    generator = _generator(seed, level)
    return _array(_drawn(generator, places, level.budget, level.size, set()), level)


def next_supports(
    level: Level,
    places: int,
    seed: int,
    parents: Sequence[tuple[int, ...]],
    tried: set[tuple[int, ...]],
    beam: int,
) -> Supports:
    """The supports of a level that is grown or shrunk.

    Args:
        level: which.
        places: that there are.
        seed: of the run.
        parents: supports of the budget before, best first.
        tried: supports of this budget that earlier levels have tried.
        beam: parents at least, if there are so many.
    """
    generator = _generator(seed, level)
    pool: dict[tuple[int, ...], None] = {}  # a set that keeps its order
    for number, parent in enumerate(parents):
        if number >= beam and len(pool) >= level.size:
            break
        children = _grown(parent, places) if level.origin == "grown" else _shrunk(parent)
        pool.update(dict.fromkeys(child for child in children if child not in tried))
    found = list(pool)
    if len(found) > level.size:
        chosen = np.sort(generator.permutation(len(found))[: level.size])
        found = [found[place] for place in chosen]
    missing = level.size - len(found)
    more = _drawn(generator, places, level.budget, missing, tried | pool.keys())
    return _array([*found, *more], level)


def support_keys(supports: Supports, widths: Sequence[int]) -> npt.NDArray[np.uint64]:
    """A number a support, uint64 [support], which with cell and restart names a training run."""
    word = np.full(len(supports), len(widths), np.uint64)
    for width in widths:
        word = mix64(word ^ np.uint64(width))
    for column in supports.T.astype(np.uint64):
        word = mix64(word ^ column)
    return word


def _grown(parent: tuple[int, ...], places: int) -> Iterator[tuple[int, ...]]:
    have = set(parent)
    return (tuple(sorted((*parent, new))) for new in range(places) if new not in have)


def _shrunk(parent: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return (parent[:at] + parent[at + 1 :] for at in range(len(parent)))


def _drawn(
    generator: np.random.Generator,
    places: int,
    budget: int,
    count: int,
    known: set[tuple[int, ...]],
) -> list[tuple[int, ...]]:
    """``count`` supports that are neither alike nor ``known``; so many there must be."""
    left = math.comb(places, budget) - len(known)
    if left <= 4 * count:  # to draw until all are met would take long
        every = itertools.combinations(range(places), budget)
        free = [support for support in every if support not in known]
        return [free[place] for place in np.sort(generator.permutation(len(free))[:count])]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        drawn = generator.choice(places, budget, replace=False)
        support = tuple(sorted(map(int, drawn)))
        if support not in known:
            found[support] = None
    return list(found)


def _generator(seed: int, level: Level) -> np.random.Generator:
    key = np.array([seed, (level.number << 32) + level.budget], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _array(supports: Iterable[tuple[int, ...]], level: Level) -> Supports:
    return np.array(list(supports), np.int32).reshape(level.size, level.budget)

"""All masks of one shape, each once, in order: streamed, ranked and unranked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.paths import Paths, Words
from combsearch.enumeration.points import orbit_paths
from combsearch.enumeration.ranking import rank_orbits
from combsearch.enumeration.row_order import row_bits, row_paths
from combsearch.errors import UsageError
from combsearch.kernels import masks as kernel
from combsearch.mask import MaskBatch, NetShape

SYMMETRIES = ("full", "rows", "none")
_WIDEST = 62  # bits of a row or of a column

Ranks = npt.NDArray[np.int64]
_Rank = Callable[[Words, npt.NDArray[np.int32]], Ranks]


@dataclass(frozen=True, eq=False)
class MaskSpace:
    """The eligible masks of a shape under one symmetry, ascending in nonzeros.

    A mask's rank is its place, from 0. It depends on the shape and the symmetry alone: a
    space with a larger ``max_nonzeros`` only continues a smaller one.

    Attributes:
        shape: of the masks.
        symmetry: ``"full"``: one mask an orbit; ``"rows"``: the paper's, in each layer the
            rows descend in (nonzeros, binary value with column 0 as the highest bit);
            ``"none"``: every mask.
    """

    shape: NetShape
    symmetry: str
    _paths: Paths | None
    _levels: dict[int, int]
    _rank: _Rank

    def __len__(self) -> int:
        return sum(self._levels.values())

    def levels(self) -> dict[int, int]:
        """Nonzeros -> masks, ascending, for the levels that are not empty."""
        return dict(self._levels)

    def level_start(self, nonzeros: int) -> int:
        """First rank of a level; of an empty one, the rank at which it would start."""
        return sum(masks for level, masks in self._levels.items() if level < nonzeros)

    def masks(self, first: int, last: int) -> MaskBatch:
        """The masks of ranks ``first`` to ``last - 1``.

        Raises:
            UsageError: there are no such ranks.
        """
        self._check_ranks(first, last)
        words = np.zeros((last - first, self.shape.words), np.uint64)
        start = 0
        for level, masks in self._levels.items():
            low, high = max(first, start), min(last, start + masks)
            if low < high and self._paths:
                rows = words[low - first : high - first]
                self._paths.fill(level - self.shape.biases, low - start, rows)
            start += masks
        return MaskBatch(self.shape, words)

    def stream(
        self, first: int = 0, last: int | None = None, size: int = 65536
    ) -> Iterator[MaskBatch]:
        """The masks of ranks ``first`` to ``last - 1`` (default: all), ``size`` at a time.

        Raises:
            UsageError: there are no such ranks, or ``size`` is below 1.
        """
        last = len(self) if last is None else last
        if size < 1:
            raise UsageError(f"a stream of {size} masks at a time cannot be: take 1 or more")
        self._check_ranks(first, last)
        ends = (min(start + size, last) for start in range(first, last, size))
        return map(self.masks, range(first, last, size), ends)

    def rank(self, masks: MaskBatch) -> Ranks:
        """int64 [mask]: the rank of every mask; with ``"full"`` of any relabelling of it.

        Raises:
            UsageError: a mask is of another shape or not in this space.
        """
        if masks.shape != self.shape:
            raise UsageError(f"masks of shape ({masks.shape}) are not of shape ({self.shape})")
        weights = masks.weight_nonzeros()
        ranks = self._rank(masks.words, weights)
        if (ranks < 0).any():
            wrong = int(np.argmax(ranks < 0))
            raise UsageError(
                f"mask {wrong} is not in the space of shape ({self.shape}), symmetry"
                f" {self.symmetry!r}, nonzeros {self._range()}: it has a zero row or column,"
                " another order of its rows, or too many nonzeros"
            )
        starts = np.zeros(self.shape.weights + 1, np.int64)
        levels = np.array(list(self._levels), np.int64) - self.shape.biases
        starts[levels] = list(itertools.accumulate(self._levels.values(), initial=0))[:-1]
        return np.asarray(ranks + starts[weights])

    def _check_ranks(self, first: int, last: int) -> None:
        if not 0 <= first <= last <= len(self):
            raise UsageError(
                f"ranks {first} to {last} are not all among the {len(self)} masks of"
                f" shape ({self.shape})"
            )

    def _range(self) -> str:
        return f"{min(self._levels)} to {max(self._levels)}" if self._levels else "none"


@lru_cache(maxsize=128)
def mask_space(
    shape: NetShape, symmetry: str = "full", max_nonzeros: int | None = None
) -> MaskSpace:
    """The space of a shape's eligible masks; empty where ``max_nonzeros`` is below all of them.

    Args:
        shape: inputs, at least one hidden layer, outputs.
        symmetry: see ``MaskSpace``.
        max_nonzeros: most nonzeros of its masks, biases counted; None for no limit.

    Raises:
        UsageError: an unknown symmetry, or a space too large for tables or for 63-bit ranks.
    """
    if symmetry not in SYMMETRIES:
        raise UsageError(f"symmetry {symmetry!r} is none of {', '.join(SYMMETRIES)}")
    if max(shape.widths) > _WIDEST:
        raise UsageError(f"shape ({shape}) has a layer of more than {_WIDEST} neurons")
    most = shape.dense_nonzeros if max_nonzeros is None else max_nonzeros
    budget = min(most, shape.dense_nonzeros) - shape.biases
    paths, rank = _paths_of(shape, symmetry, budget)
    levels = {w + shape.biases: n for w, n in paths.by_weight().items()} if paths else {}
    if sum(levels.values()) >= kernel.FULL:
        raise UsageError(
            f"shape ({shape}) has 2**63 masks or more: take fewer nonzeros (--max-nonzeros)"
        )
    return MaskSpace(shape, symmetry, paths, levels, rank)


def _paths_of(shape: NetShape, symmetry: str, budget: int) -> tuple[Paths | None, _Rank]:
    """The graph of the masks, and the rank of any mask among those of its weight or -1."""
    if symmetry != "full":
        paths = row_paths(shape, budget, ordered=symmetry == "rows")
        return paths, partial(_rank_rows, paths, row_bits(shape)) if paths else _no_rank
    orbits = orbit_paths(shape, budget)
    return (orbits.paths, partial(rank_orbits, orbits)) if orbits else (None, _no_rank)


def _rank_rows(paths: Paths, bits: Words, words: Words, weights: npt.NDArray[np.int32]) -> Ranks:
    ranks = np.empty(len(words), np.int64)
    kernel.rank_words(
        paths.start, paths.target, paths.step, paths.words, paths.counts, bits,
        words, weights, ranks,
    )  # fmt: skip
    return ranks


def _no_rank(words: Words, weights: npt.NDArray[np.int32]) -> Ranks:
    return np.full(len(words), -1, np.int64)

"""All masks of one shape, each once, in order: streamed, ranked and unranked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.masks import Masks, Ranks
from combsearch.enumeration.paths import Paths, Words
from combsearch.enumeration.points import orbit_paths
from combsearch.enumeration.ranking import rank_orbits
from combsearch.enumeration.row_order import row_bits, row_paths
from combsearch.enumeration.unused_inputs import with_unused_inputs
from combsearch.errors import UsageError
from combsearch.kernels import masks as kernel
from combsearch.mask import MaskBatch, NetShape

SYMMETRIES = ("full", "rows", "none")
_WIDEST = 62  # bits of a row or of a column


@dataclass(frozen=True, eq=False)
class MaskSpace:
    """The eligible masks of a shape under one symmetry, ascending in nonzeros.

    A mask's rank is its place, from 0. It depends on the shape, the symmetry and
    ``unused_inputs`` alone: a space with a larger ``max_nonzeros`` only continues a smaller one.

    Attributes:
        shape: of the masks.
        symmetry: ``"full"``: one mask an orbit; ``"rows"``: the paper's, in each layer the
            rows descend in (nonzeros, binary value with column 0 as the highest bit);
            ``"none"``: every mask.
        unused_inputs: whether masks that leave inputs unused are there too.
    """

    shape: NetShape
    symmetry: str
    unused_inputs: bool
    _masks: Masks

    def __len__(self) -> int:
        return sum(self._masks.by_weight.values())

    def levels(self) -> dict[int, int]:
        """Nonzeros -> masks, ascending, for the levels that are not empty."""
        return {w + self.shape.biases: masks for w, masks in self._masks.by_weight.items()}

    def level_start(self, nonzeros: int) -> int:
        """First rank of a level; of an empty one, the rank at which it would start."""
        return sum(masks for level, masks in self.levels().items() if level < nonzeros)

    def masks(self, first: int, last: int) -> MaskBatch:
        """The masks of ranks ``first`` to ``last - 1``.

        Raises:
            UsageError: there are no such ranks.
        """
        self._check_ranks(first, last)
        words = np.zeros((last - first, self.shape.words), np.uint64)
        start = 0
        for weight, masks in self._masks.by_weight.items():
            low, high = max(first, start), min(last, start + masks)
            if low < high:
                self._masks.fill(weight, low - start, words[low - first : high - first])
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
        ranks = self._masks.rank(masks.words, weights)
        if (ranks < 0).any():
            wrong = int(np.argmax(ranks < 0))
            raise UsageError(
                f"mask {wrong} is not in the space of shape ({self.shape}), symmetry"
                f" {self.symmetry!r}, nonzeros {self._range()}: it has a zero"
                f" row or{' hidden' if self.unused_inputs else ''} column, another order of its"
                " rows, or too many nonzeros"
            )
        starts = np.zeros(self.shape.weights + 1, np.int64)
        by_weight = self._masks.by_weight
        starts[list(by_weight)] = list(itertools.accumulate(by_weight.values(), initial=0))[:-1]
        return np.asarray(ranks + starts[weights])

    def _check_ranks(self, first: int, last: int) -> None:
        if not 0 <= first <= last <= len(self):
            raise UsageError(
                f"ranks {first} to {last} are not all among the {len(self)} masks of"
                f" shape ({self.shape})"
            )

    def _range(self) -> str:
        levels = self.levels()
        return f"{min(levels)} to {max(levels)}" if levels else "none"


@lru_cache(maxsize=128)
def mask_space(
    shape: NetShape,
    symmetry: str = "full",
    max_nonzeros: int | None = None,
    *,
    unused_inputs: bool = False,
) -> MaskSpace:
    """The space of a shape's eligible masks; empty where ``max_nonzeros`` is below all of them.

    Args:
        shape: inputs, at least one hidden layer, outputs.
        symmetry: see ``MaskSpace``.
        max_nonzeros: most nonzeros of its masks, biases counted; None for no limit.
        unused_inputs: also the masks that leave inputs unused, all but one at most.

    Raises:
        UsageError: an unknown symmetry, or a space too large for tables or for 63-bit ranks.
    """
    if symmetry not in SYMMETRIES:
        raise UsageError(f"symmetry {symmetry!r} is none of {', '.join(SYMMETRIES)}")
    if max(shape.widths) > _WIDEST:
        raise UsageError(f"shape ({shape}) has a layer of more than {_WIDEST} neurons")
    most = shape.dense_nonzeros if max_nonzeros is None else max_nonzeros
    budget = min(most, shape.dense_nonzeros) - shape.biases
    if unused_inputs:
        narrower = [NetShape((used, *shape.widths[1:])) for used in range(1, shape.inputs + 1)]
        found = with_unused_inputs(shape, [_masks_of(one, symmetry, budget) for one in narrower])
    else:
        found = _masks_of(shape, symmetry, budget)
    if sum(found.by_weight.values()) >= kernel.FULL:
        raise UsageError(
            f"shape ({shape}) has 2**63 masks or more: take fewer nonzeros (--max-nonzeros)"
        )
    return MaskSpace(shape, symmetry, unused_inputs, found)


def _masks_of(shape: NetShape, symmetry: str, budget: int) -> Masks:
    """The masks of at most ``budget`` weights that use all inputs."""
    if symmetry == "full":
        orbits = orbit_paths(shape, budget)
        if orbits:
            paths = orbits.paths
            return Masks(paths.by_weight(), paths.fill, partial(rank_orbits, orbits))
    else:
        rows = row_paths(shape, budget, ordered=symmetry == "rows")
        if rows:
            rank = partial(_rank_rows, rows, row_bits(shape))
            return Masks(rows.by_weight(), rows.fill, rank)
    return Masks({}, _fill_nothing, _no_rank)


def _rank_rows(paths: Paths, bits: Words, words: Words, weights: npt.NDArray[np.int32]) -> Ranks:
    ranks = np.empty(len(words), np.int64)
    kernel.rank_words(
        paths.start, paths.target, paths.step, paths.words, paths.counts, bits,
        words, weights, ranks,
    )  # fmt: skip
    return ranks


def _fill_nothing(weight: int, rank: int, out: Words) -> None:
    """No masks."""


def _no_rank(words: Words, weights: npt.NDArray[np.int32]) -> Ranks:
    return np.full(len(words), -1, np.int64)

"""Masks that may leave inputs unused: the masks over every choice of inputs that are used.

The masks that use s of the inputs are those of a narrower shape, with s inputs, whose first
matrix is spread out: its column j goes to the j-th input that is used. Here inputs 1 and 3 of
four, for a first hidden layer of two::

    a b        . a . b
    c d   ->   . c . d          later layers stay as they are

Inputs are not interchangeable, so masks of different choices are never of one orbit; and rows
that descend in (nonzeros, value) still do when they are spread out. Masks that keep equally
many weights come by the number of inputs used, then by these inputs as a number, input 0 the
lowest bit, then as the narrower shape has them. Choices of one size are ranked by binomial
coefficients: of c_1 < c_2 < ... < c_s before it come C(c_1, 1) + C(c_2, 2) + ... + C(c_s, s)
(Knuth, The Art of Computer Programming 4A, section 7.2.1.3, theorem L).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.masks import Masks, Ranks
from combsearch.enumeration.paths import Ints, Words
from combsearch.mask import MaskBatch, NetShape

_AT_ONCE = 2**14  # masks spread out at once: what they need stays in the cache


def with_unused_inputs(shape: NetShape, narrower: Sequence[Masks]) -> Masks:
    """The masks of ``shape`` that use one input or more.

    Args:
        shape: of the masks.
        narrower: the masks that use all inputs, of the shapes with 1, 2, ... inputs up to
            those of ``shape``.
    """
    choices = tuple(_Choices(shape, s, masks) for s, masks in enumerate(narrower, start=1))
    whole = _AnyInputs(shape, choices)
    weights = sorted({weight for masks in narrower for weight in masks.by_weight})
    by_weight = {weight: sum(some.masks(weight) for some in choices) for weight in weights}
    return Masks(by_weight, whole.fill, whole.rank)


@dataclass(frozen=True, eq=False)
class _Choices:
    """The masks of ``shape`` that use ``used`` inputs, whichever these are.

    Attributes:
        shape: of the masks.
        used: inputs.
        narrow: the masks over so many inputs that use all of them.
    """

    shape: NetShape
    used: int
    narrow: Masks

    def masks(self, weight: int) -> int:
        """How many keep so many weights."""
        return math.comb(self.shape.inputs, self.used) * self.narrow.by_weight.get(weight, 0)

    def fill(self, weight: int, rank: int, out: Words) -> None:
        """``Masks.fill`` of these masks alone."""
        each = self.narrow.by_weight[weight]  # of one choice
        for first in range(0, len(out), _AT_ONCE):
            some = out[first : first + _AT_ONCE]
            choice, start = divmod(rank + first, each)
            inputs = self._inputs(choice + (start + np.arange(len(some))) // each)
            matrix, *later = MaskBatch(self._narrow, self._words(weight, start, len(some))).dense()
            spread = np.zeros((len(some), self.shape.widths[1], self.shape.inputs), np.uint8)
            np.put_along_axis(spread, inputs[:, None, :], matrix, axis=2)
            some[:] = MaskBatch.from_dense(self.shape, [spread, *later]).words

    def rank(self, matrices: list[npt.NDArray[np.uint8]], weights: npt.NDArray[np.int32]) -> Ranks:
        """``Masks.rank`` of masks that use so many inputs, as ``MaskBatch.dense`` gives them."""
        matrix, *later = matrices
        inputs = np.nonzero(matrix.any(axis=1))[1].reshape(-1, self.used)
        gathered = np.take_along_axis(matrix, inputs[:, None, :], axis=2)
        narrow = MaskBatch.from_dense(self._narrow, [gathered, *later])
        found = self.narrow.rank(narrow.words, weights)
        each = np.zeros(self.shape.weights + 1, np.int64)
        each[list(self.narrow.by_weight)] = list(self.narrow.by_weight.values())
        choice = self._before[inputs, np.arange(self.used)].sum(axis=1)
        return np.where(found < 0, -1, choice * each[weights] + found)

    def _words(self, weight: int, start: int, count: int) -> Words:
        """``count`` masks over the inputs used, from ``start`` on, the first after the last."""
        each = self.narrow.by_weight[weight]
        if count >= each:
            return self._stretch(weight, 0, each)[(start + np.arange(count)) % each]
        head = min(count, each - start)
        stretches = [self._stretch(weight, start, head), self._stretch(weight, 0, count - head)]
        return np.concatenate(stretches)

    def _stretch(self, weight: int, start: int, count: int) -> Words:
        words = np.zeros((count, self._narrow.words), np.uint64)
        self.narrow.fill(weight, start, words)
        return words

    def _inputs(self, choice: Ints) -> Ints:
        """The inputs used, ascending: int64 [mask, used] of choices int64 [mask] by number."""
        inputs = np.empty((len(choice), self.used), np.int64)
        left = choice.copy()
        for place in range(self.used - 1, -1, -1):
            inputs[:, place] = np.searchsorted(self._before[:, place], left, side="right") - 1
            left -= self._before[inputs[:, place], place]
        return inputs

    @property
    def _narrow(self) -> NetShape:
        return NetShape((self.used, *self.shape.widths[1:]))

    @cached_property
    def _before(self) -> Ints:
        """C(input, place + 1): int64 [input, place]."""
        inputs, places = range(self.shape.inputs), range(1, self.used + 1)
        return np.array([[math.comb(i, place) for place in places] for i in inputs], np.int64)


@dataclass(frozen=True, eq=False)
class _AnyInputs:
    """All masks of ``shape``, by the number of inputs that they use."""

    shape: NetShape
    choices: tuple[_Choices, ...]

    def fill(self, weight: int, rank: int, out: Words) -> None:
        """As ``Masks`` has it."""
        start = 0
        for some in self.choices:
            masks = some.masks(weight)
            low, high = max(rank, start), min(rank + len(out), start + masks)
            if low < high:
                some.fill(weight, low - start, out[low - rank : high - rank])
            start += masks

    def rank(self, words: Words, weights: npt.NDArray[np.int32]) -> Ranks:
        """As ``Masks`` has it."""
        matrices = MaskBatch(self.shape, words).dense()
        used = matrices[0].any(axis=1).sum(axis=1)
        ranks = np.full(len(words), -1, np.int64)
        start = np.zeros(self.shape.weights + 1, np.int64)  # of the choices, by weight
        for some in self.choices:
            own = np.flatnonzero(used == some.used)
            if len(own):
                found = some.rank([matrix[own] for matrix in matrices], weights[own])
                ranks[own] = np.where(found < 0, -1, start[weights[own]] + found)
            for weight in some.narrow.by_weight:
                start[weight] += some.masks(weight)
        return ranks

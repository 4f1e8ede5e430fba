"""How many weights masks keep, and power series that count masks by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from combsearch.errors import UsageError
from combsearch.mask import NetShape

Kept = int | Sequence[int]
"""Weights kept in all, or in each layer."""

Series = list[int]
"""Coefficients of 1, x, x^2, ...: masks by the weights that they keep."""


@dataclass(frozen=True)
class Budget:
    """Weights kept: ``total``, and in each layer unless that is left to chance."""

    total: int
    by_layer: tuple[int, ...] | None = None

    @classmethod
    def of(cls, shape: NetShape, kept: Kept) -> Budget:
        """``kept`` of a shape.

        Raises:
            UsageError: the shape cannot keep so many.
        """
        if isinstance(kept, int | np.integer):
            found = cls(int(kept))
            valid = 0 <= found.total <= shape.weights
        else:
            found = cls(sum(kept), tuple(int(k) for k in kept))
            sizes = [rows * columns for rows, columns in shape.layers]
            valid = len(kept) == len(sizes) and all(
                0 <= k <= size for k, size in zip(kept, sizes, strict=True)
            )
        if not valid:
            raise UsageError(
                f"cannot keep {kept} of the {shape.weights} weights of shape ({shape}):"
                f" needs one number, or one for each of its {len(shape.layers)} layers,"
                " none above the weights there"
            )
        return found

    def reversed(self) -> Budget:
        """That of the network read from its outputs."""
        return Budget(self.total, self.by_layer and self.by_layer[::-1])

    def masks(self, shape: NetShape) -> int:
        """Masks that there are."""
        if self.by_layer is None:
            return math.comb(shape.weights, self.total)
        pairs = zip(shape.layers, self.by_layer, strict=True)
        return math.prod(math.comb(rows * columns, k) for (rows, columns), k in pairs)

    def most(self, layer: int) -> int:
        """Largest number of weights that the layer may keep."""
        return self.total if self.by_layer is None else self.by_layer[layer]

    def pick(self, layer: int, counts: Series) -> Series:
        """``counts`` by the weights of the layer; where their number is fixed, that entry."""
        return counts if self.by_layer is None else [counts[self.by_layer[layer]]]

    def times(self, left: Series, right: Series) -> Series:
        """Product of what two parts of the network keep, up to the budget."""
        return times(left, right, self.total if self.by_layer is None else 0)

    def sum(self, parts: Sequence[Series]) -> Series:
        """Sum of series, of none too."""
        zero = [0] * (1 if self.by_layer is not None else self.total + 1)
        return [sum(column) for column in zip(zero, *parts, strict=True)]


def times(left: Sequence[int], right: Sequence[int], most: int) -> Series:
    """Product of two series up to x^``most``; most coefficients of ours are 0."""
    product = [0] * (most + 1)
    terms = [(j, b) for j, b in enumerate(right) if b]
    for i, a in enumerate(left):
        if a:
            for j, b in terms:
                if i + j > most:
                    break
                product[i + j] += a * b
    return product


def scaled(factor: int, series: Sequence[int]) -> Series:
    """``factor`` times a series."""
    return [factor * count for count in series]


def binomials(n: int, most: int) -> Series:
    """(1 + x)^n: any of n weights."""
    return [math.comb(n, k) for k in range(most + 1)]


@lru_cache(maxsize=2**15)
def no_zero_row(rows: int, columns: int, most: int) -> tuple[int, ...]:
    """0/1 matrices without a zero row, by their ones."""
    if rows == 0:
        return (1, *[0] * most)
    row = [0, *binomials(columns, most)[1:]]
    return tuple(times(no_zero_row(rows - 1, columns, most), row, most))


@lru_cache(maxsize=2**15)
def no_zero_line(rows: int, columns: int, most: int) -> tuple[int, ...]:
    """0/1 matrices without a zero row or column, by their ones: C(a, b) of the package."""
    total = [0] * (most + 1)
    for j in range(columns + 1):
        factor = (-1) ** (columns - j) * math.comb(columns, j)
        for k in range(rows, most + 1):  # each row holds a one
            total[k] += factor * no_zero_row(rows, j, most)[k]
    return tuple(total)

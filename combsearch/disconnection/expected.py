"""The mean number of disconnected weights, exactly (formula: the package docstring)."""

from __future__ import annotations

import math
from fractions import Fraction

from combsearch.disconnection.budget import (
    Budget,
    Kept,
    Series,
    binomials,
    no_zero_row,
    scaled,
    times,
)
from combsearch.mask import NetShape


def expected_disconnected(shape: NetShape, kept: Kept) -> Fraction:
    """Mean number of disconnected weights of a random mask, exactly (package docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = Budget.of(shape, kept)
    return budget.total - Fraction(_connected(shape, budget)[-1], budget.masks(shape))


def disconnected_curve(shape: NetShape, most: int) -> list[Fraction]:
    """``expected_disconnected`` of 0, 1, ..., ``most`` weights kept in all, in one pass."""
    counts = _connected(shape, Budget.of(shape, most))
    return [k - Fraction(count, math.comb(shape.weights, k)) for k, count in enumerate(counts)]


def _connected(shape: NetShape, budget: Budget) -> Series:
    """Connected weights summed over all masks, by K (or one number)."""
    fed = _fed(shape, budget)
    leading = _fed(NetShape(shape.widths[::-1]), budget.reversed())[::-1]
    parts = []
    for layer, (rows, columns) in enumerate(shape.layers):
        size, most = rows * columns, budget.most(layer)
        kept = budget.pick(layer, [k * count for k, count in enumerate(binomials(size, most))])
        ways = budget.times(budget.times(fed[layer], kept), leading[layer + 1])
        # Whole: it counts (kept weight, mask) of one weight, times the weights of the layer.
        parts.append([count // size for count in ways])
    return budget.sum(parts)


def _fed(shape: NetShape, budget: Budget) -> list[Series]:
    """For every layer of neurons: neurons fed from an input, summed over the masks before it."""
    one = [1, *[0] * (budget.total if budget.by_layer is None else 0)]
    by_size = {shape.inputs: one}
    sums = [scaled(shape.inputs, one)]
    for layer, (rows, columns) in enumerate(shape.layers):
        by_size = _next_fed(by_size, layer, rows, columns, budget)
        sums.append(budget.sum([scaled(size, ways) for size, ways in by_size.items()]))
    return sums


def _next_fed(
    by_size: dict[int, Series], layer: int, rows: int, columns: int, budget: Budget
) -> dict[int, Series]:
    """From masks by the number of fed neurons in one layer to the same in the next."""
    most = budget.most(layer)
    parts: dict[int, list[Series]] = {}
    for fed, ways in by_size.items():
        # Columns of neurons that are not fed hold anything; in the others, fed rows are not zero.
        free = binomials(rows * (columns - fed), most)
        for reached in range(min(rows, most) + 1):
            own = times(no_zero_row(reached, fed, most), free, most)
            product = budget.times(ways, budget.pick(layer, own))
            parts.setdefault(reached, []).append(scaled(math.comb(rows, reached), product))
    sums = {size: budget.sum(series) for size, series in parts.items()}
    return {size: ways for size, ways in sums.items() if any(ways)}

"""Masks without a disconnected weight, counted exactly (formula: the package docstring)."""

from __future__ import annotations

import math
from fractions import Fraction

from combsearch.disconnection.budget import (
    Budget,
    Kept,
    Series,
    no_zero_line,
    no_zero_row,
    scaled,
)
from combsearch.mask import NetShape


def whole_probability(shape: NetShape, kept: Kept) -> Fraction:
    """Probability that a random mask has no disconnected weight, exactly (package docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = Budget.of(shape, kept)
    return Fraction(_whole(shape, budget)[-1], budget.masks(shape))


def whole_curve(shape: NetShape, most: int) -> list[Fraction]:
    """``whole_probability`` of 0, 1, ..., ``most`` weights kept in all, in one pass.

    65 weights take about a second at any width, and the time grows with the fourth power.
    """
    counts = _whole(shape, Budget.of(shape, most))
    return [Fraction(count, math.comb(shape.weights, k)) for k, count in enumerate(counts)]


def _whole(shape: NetShape, budget: Budget) -> Series:
    """Whole masks, by K up to the budget's (or one number, where each layer's is fixed)."""
    most, width = budget.most(0), shape.widths[1]
    used = {
        s: scaled(math.comb(width, s), budget.pick(0, list(no_zero_row(s, shape.inputs, most))))
        for s in range(min(width, most) + 1)
    }
    for layer in range(1, len(shape.hidden)):
        used = _next_used(used, layer, shape.widths[layer + 1], budget)
    last = len(shape.hidden)
    ends = [
        budget.times(
            ways, budget.pick(last, list(no_zero_row(s, shape.outputs, budget.most(last))))
        )
        for s, ways in used.items()
        if s <= budget.most(last)
    ]
    return budget.sum(ends)


def _next_used(
    used: dict[int, Series], layer: int, width: int, budget: Budget
) -> dict[int, Series]:
    """From masks by the neurons used in one hidden layer to the same in the next."""
    most = budget.most(layer)
    following = {}
    for t in range(min(width, most) + 1):
        parts = [
            budget.times(ways, budget.pick(layer, list(no_zero_line(t, s, most))))
            for s, ways in used.items()
            if max(s, t) <= most - _least(ways, budget)
        ]
        following[t] = scaled(math.comb(width, t), budget.sum(parts))
    return {t: ways for t, ways in following.items() if any(ways)}


def _least(ways: Series, budget: Budget) -> int:
    """Weights that the layers before keep at least; they come out of the same K, or do not."""
    if budget.by_layer is not None:
        return 0
    return next((k for k, count in enumerate(ways) if count), budget.total + 1)

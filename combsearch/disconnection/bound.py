"""An upper bound of the chance of no disconnected weight (proof: the package docstring)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from combsearch.disconnection.budget import Budget, Kept
from combsearch.mask import NetShape


def whole_bound(shape: NetShape, kept: Kept) -> float:
    """An upper bound of ``whole_probability``, at most 1 (package docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = Budget.of(shape, kept)
    bounds = [0.0]  # logarithms; 0 is the bound 1 that always holds
    for first in (1, 2):
        hidden = range(first, len(shape.widths) - 1, 2)
        if hidden:
            bounds.append(_least_value(partial(_log_bound, shape, budget, hidden)))
    return math.exp(min(bounds))


def _log_bound(shape: NetShape, budget: Budget, hidden: Sequence[int], tilt: float) -> float:
    """log of the bound by some hidden layers, the odds to keep a weight e^``tilt`` times theirs."""
    touched = {layer for below in hidden for layer in (below - 1, below)}
    sizes = [rows * columns for rows, columns in shape.layers]
    if budget.by_layer is None:
        pools = [(shape.weights, budget.total)]
        logs = [_tilted(shape.weights, budget.total, tilt)] * len(sizes)
    else:
        pools = [(sizes[layer], budget.by_layer[layer]) for layer in sorted(touched)]
        logs = [_tilted(*pool, tilt) for pool in zip(sizes, budget.by_layer, strict=True)]
    unbroken = sum(shape.widths[layer] * _log_unbroken(shape, logs, layer) for layer in hidden)
    return unbroken - sum(_log_exactly(size, k, tilt) for size, k in pools)


def _tilted(size: int, kept: int, tilt: float) -> tuple[float, float]:
    """log of the probabilities that a weight is kept, and that it is pruned."""
    if kept in (0, size):
        return (0.0, -math.inf) if kept else (-math.inf, 0.0)
    odds = math.exp(tilt) * kept / (size - kept)
    return math.log(odds) - math.log1p(odds), -math.log1p(odds)


def _log_unbroken(shape: NetShape, logs: Sequence[tuple[float, float]], layer: int) -> float:
    """log w of a neuron of hidden ``layer``, weights kept independently."""
    before, after = (
        shape.widths[layer - 1] * logs[layer - 1][1],
        shape.widths[layer + 1] * logs[layer][1],
    )
    unbroken = math.expm1(before) * math.expm1(after) + math.exp(before + after)
    return math.log(unbroken) if unbroken > 0 else -math.inf


def _log_exactly(size: int, kept: int, tilt: float) -> float:
    """log of the probability that exactly ``kept`` of ``size`` weights stay."""
    if kept in (0, size):
        return 0.0
    stay, go = _tilted(size, kept, tilt)
    return math.log(math.comb(size, kept)) + kept * stay + (size - kept) * go


def _least_value(function: Callable[[float], float]) -> float:
    """Smallest value of a convex function on [-12, 12], nearly: golden section."""
    low, high, ratio = -12.0, 12.0, (math.sqrt(5) - 1) / 2
    for _ in range(50):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if function(left) <= function(right) else (left, high)
    return min(function(low), function(0.0))

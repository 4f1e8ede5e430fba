"""How random masks are disconnected, at every width: exact, bounded, simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from combsearch.baselines.layer_budgets import ALLOCATIONS, spent_exactly
from combsearch.disconnection import (
    disconnected_curve,
    expected_disconnected,
    simulate,
    whole_bound,
    whole_curve,
    whole_probability,
)
from combsearch.disconnection.two_layers import (
    apart_bound,
    apart_probability,
    printed_bound,
    simulate_apart,
)
from combsearch.frontier import success_interval
from combsearch.mask import NetShape

WIDTHS = (3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256)
BUDGETS = (*range(15, 27), 30, 33, 37, 40, 44, 50, 53, 55, 57, 60, 65)
DRAWN = {
    "uniform": "K weights of the whole network",
    "epl": "K/4 weights in each layer (EPL)",
    "erk": "by ERK densities",
}
EACH = (1, 2, 4, 8, 16)
"""Weights kept of each of two layers: a quarter of the budgets, about, and fewer."""

_SIMULATED = (15, 20, 26, 33, 44, 55, 65)
_SAMPLES = 4000  # up to width 16; fewer of wider networks
_WIDE = 16

Curve = dict[str, Any]


def whole_curves(widths: Sequence[int], say: Callable[[str], None]) -> list[Curve]:
    """Masks of three equal hidden layers without disconnected weights, by allocation and width.

    Args:
        widths: of the hidden layers.
        say: what is being computed.
    """
    found = []
    for allocation, drawn in DRAWN.items():
        for width in widths:
            say(f"{drawn}, width {width}")
            found.append(_whole_curve(allocation, width))
    return found


def _whole_curve(allocation: str, width: int) -> Curve:
    """Exact numbers, bounds and simulations of one width at the paper's budgets."""
    shape = NetShape.from_hidden((width,) * 3)
    budgets = [budget for budget in BUDGETS if budget < shape.weights]
    kept: dict[int, int | list[int]]
    if allocation == "uniform":
        kept = {budget: budget for budget in budgets}
        most = max(budgets, default=0)
        wholes, means = (f(shape, most) for f in (whole_curve, disconnected_curve))
        exact = [(wholes[k], means[k]) for k in budgets]
    else:
        kept = {budget: _layers(allocation, shape, budget) for budget in budgets}
        exact = [
            (whole_probability(shape, k), expected_disconnected(shape, k)) for k in kept.values()
        ]
    samples = _SAMPLES if width <= _WIDE else max(2, _SAMPLES * _WIDE // width)
    return {
        "allocation": allocation,
        "drawn": DRAWN[allocation],
        "width": width,
        "kept": budgets,
        "whole": [float(whole) for whole, _ in exact],
        "bound": [whole_bound(shape, k) for k in kept.values()],
        "disconnected": [float(mean) for _, mean in exact],
        "simulated": [
            _simulated(shape, k, samples, exact[place], budget)
            for place, (budget, k) in enumerate(kept.items())
            if budget in _SIMULATED
        ],
    }


def _layers(allocation: str, shape: NetShape, budget: int) -> list[int]:
    """Weights kept in each layer, as the random methods keep them."""
    densities = ALLOCATIONS[allocation](shape.layers, budget)
    return [int(k) for k in spent_exactly(densities, shape.layers, budget)]


def _simulated(
    shape: NetShape,
    kept: int | list[int],
    samples: int,
    exact: tuple[Fraction, Fraction],
    budget: int,
) -> Curve:
    """Random masks beside what is expected of them, in standard errors."""
    found = simulate(shape, kept, samples, seed=budget)
    low, high = success_interval(found.whole, samples)
    return {
        "kept": budget,
        "samples": samples,
        "whole": found.whole,
        "interval": [low, high],
        "holds_exact": low <= exact[0] <= high,
        "mean": found.mean,
        "standard_error": found.error,
        "off_by": (found.mean - float(exact[1])) / found.error if found.error else 0.0,
    }


def apart_curves(widths: Sequence[int]) -> list[Curve]:
    """Two layers of width x width weights that keep equally many and have no path between them.

    A curve a number of ``EACH``, over the widths whose layers hold so many.
    """
    return [_apart_curve(each, [w for w in widths if each <= w * w]) for each in EACH]


def _apart_curve(each: int, widths: Sequence[int]) -> Curve:
    exact = [apart_probability(width, each, each, width, width) for width in widths]
    own = [apart_probability(w, each, each) if each <= w else Fraction(0) for w in widths]
    return {
        "each": each,
        "width": list(widths),
        "exact": [float(chance) for chance in exact],
        "neurons_apart": [float(chance) for chance in own],
        "bound": [apart_bound(width, each, each) for width in widths],
        "printed": [printed_bound(width, each, each) for width in widths],
        "simulated": [
            _apart_simulated(width, each, chance)
            for width, chance in zip(widths, exact, strict=True)
        ],
    }


def _apart_simulated(width: int, each: int, exact: Fraction) -> Curve:
    apart = simulate_apart(width, each, each, width, width, _SAMPLES, seed=each)
    low, high = success_interval(apart, _SAMPLES)
    holds = low <= exact <= high
    return {"samples": _SAMPLES, "apart": apart, "interval": [low, high], "holds_exact": holds}

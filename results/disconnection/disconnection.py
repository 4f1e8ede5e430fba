"""How often random masks have disconnected weights: exact, bounded, simulated, at every width.

Writes disconnection.json and disconnection.png beside this file (a minute on a core).

    python results/disconnection/disconnection.py
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

from combsearch.baselines.layer_budgets import ALLOCATIONS, spent_exactly
from combsearch.disconnection import (
    disconnected_curve,
    expected_disconnected,
    simulate,
    whole_bound,
    whole_curve,
    whole_probability,
)
from combsearch.frontier import success_interval
from combsearch.mask import NetShape
from combsearch.plots import random_disconnection, save

HERE = Path(__file__).parent
WIDTHS = (3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256)
BUDGETS = (*range(15, 27), 30, 33, 37, 40, 44, 50, 53, 55, 57, 60, 65)
DRAWN = {
    "uniform": "K weights of the whole network",
    "epl": "K/4 weights in each layer (EPL)",
    "erk": "by ERK densities",
}
SIMULATED = (15, 20, 26, 33, 44, 55, 65)


def curve(allocation: str, width: int) -> dict[str, object]:
    """Exact numbers, bounds and simulations of one width at the paper's budgets."""
    shape = NetShape.from_hidden((width,) * 3)
    budgets = [budget for budget in BUDGETS if budget < shape.weights]
    if allocation == "uniform":
        kept = {budget: budget for budget in budgets}
        wholes, means = (f(shape, budgets[-1]) for f in (whole_curve, disconnected_curve))
        exact = [(wholes[k], means[k]) for k in budgets]
    else:
        kept = {budget: layers(allocation, shape, budget) for budget in budgets}
        exact = [
            (whole_probability(shape, k), expected_disconnected(shape, k)) for k in kept.values()
        ]
    samples = 4000 if width <= 16 else 64_000 // width
    return {
        "allocation": allocation,
        "drawn": DRAWN[allocation],
        "width": width,
        "kept": budgets,
        "whole": [float(whole) for whole, _ in exact],
        "bound": [whole_bound(shape, k) for k in kept.values()],
        "disconnected": [float(mean) for _, mean in exact],
        "simulated": [
            simulated(shape, k, samples, exact[i], budget)
            for i, (budget, k) in enumerate(kept.items())
            if budget in SIMULATED
        ],
    }


def layers(allocation: str, shape: NetShape, budget: int) -> list[int]:
    """Weights kept in each layer, as the random methods keep them."""
    densities = ALLOCATIONS[allocation](shape.layers, budget)
    return [int(k) for k in spent_exactly(densities, shape.layers, budget)]


def simulated(
    shape: NetShape,
    kept: int | list[int],
    samples: int,
    exact: tuple[Fraction, Fraction],
    budget: int,
) -> dict[str, object]:
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


def main() -> None:
    """Compute, write the JSON, draw."""
    curves = [curve(allocation, width) for allocation in DRAWN for width in WIDTHS]
    (HERE / "disconnection.json").write_text(json.dumps({"curves": curves}, indent=1) + "\n")
    drawn = [one for one in curves if one["allocation"] != "erk"]
    save(random_disconnection(drawn), HERE / "disconnection.png")


if __name__ == "__main__":
    main()

"""What a set of runs says: success shares with their intervals, and the frontier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def success_interval(successes: int, runs: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of the success probability.

    Exact, so never narrower than it claims. With no success in R runs the upper end is
    about 3.7/R (two-sided 95%).

    Args:
        successes: runs that reached the target, 0 .. runs.
        runs: independent runs, 1 or more.
        confidence: probability with which such an interval holds the truth.
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = beta.ppf(tail, successes, runs - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, runs - successes) if successes < runs else 1.0
    return float(low), float(high)


def frontier(
    nonzeros: npt.NDArray[Any], accuracy: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Best accuracy of any run with at most that many nonzeros, where it rises.

    Args:
        nonzeros, accuracy: [run].

    Returns:
        (nonzeros, accuracy), both strictly ascending.
    """
    order = np.lexsort((-accuracy, nonzeros))
    best = np.maximum.accumulate(accuracy[order])
    rises = np.flatnonzero(np.diff(best, prepend=-np.inf) > 0)
    return nonzeros[order][rises], best[rises]

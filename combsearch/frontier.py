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
    if not 0 <= successes <= runs or runs < 1:
        raise ValueError(f"{successes} successes of {runs} runs: needs 0 <= successes <= runs >= 1")
    from scipy.special import betaincinv  # quick to import, scipy.stats is not

    tail = (1 - confidence) / 2
    low = betaincinv(successes, runs - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, runs - successes, 1 - tail) if successes < runs else 1.0
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

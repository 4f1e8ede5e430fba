"""How many weights are left on the way to a budget."""

from __future__ import annotations

import numpy as np

from combsearch.pruning import Integers


def geometric(weights: int, budget: Integers, share: float) -> Integers:
    """Weights left after ``share`` (0 to 1) of an exponential schedule: N (K/N)^share.

    Rounded and never below K, so K itself at the end.

    Args:
        weights: N, of the dense network.
        budget: K, int64 [net].
        share: of the steps that are done.
    """
    left = np.rint(weights * (budget / weights) ** share).astype(np.int64)
    return np.asarray(np.maximum(left, budget))


def cubic(weights: int, budget: Integers, share: float) -> Integers:
    """Weights left after ``share`` of GMP's schedule: K + (N - K) (1 - share)^3, rounded.

    Source: Zhu and Gupta 2017, equation 1. Arguments as of ``geometric``.
    """
    left = np.rint(budget + (weights - budget) * (1 - share) ** 3).astype(np.int64)
    return np.asarray(np.maximum(left, budget))

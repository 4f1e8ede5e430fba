"""The thresholds of the authors' code ("Sparsest Models Elude Pruning"), for ``paper`` mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.pruning import Bits, Integers, kth_largest


def above(scores: npt.NDArray[np.floating], k: Integers) -> Bits:
    """Strictly above the ``k``-th largest: k - 1 weights, fewer where scores tie."""
    return np.asarray(scores > kth_largest(scores, k))


def at_least(scores: npt.NDArray[np.floating], k: Integers) -> Bits:
    """From the ``k``-th largest up: k weights, more where scores tie."""
    return np.asarray(scores >= kth_largest(scores, k))


def below(scores: npt.NDArray[np.floating], k: Integers) -> Bits:
    """All but the highest: strictly below the (N - k)-th largest, or everything for k = N."""
    removed = scores.shape[1] - k
    return np.asarray((scores < kth_largest(scores, removed)) | (removed == 0)[:, None])

"""Phases of a curve: where it falls and where it rises, small ups and downs left out.

The paper's hypothesis ("Pruning Deep Neural Networks from a Sparsity Perspective", section 3)
is that the PQ index falls while a network is overparametrised, rises while it is pruned to
what it needs, and falls again when it collapses.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Phase:
    """A stretch between two turning points.

    Attributes:
        first: round at which it begins.
        last: round at which it ends, where the next one begins.
        change: of the value, negative where it falls.
    """

    first: int
    last: int
    change: float


def phases(values: npt.ArrayLike, least: float) -> list[Phase]:
    """The phases of a curve over rounds 0, 1, ...: it turns where it then changes by ``least``.

    Args:
        values: float [round]; rounds that are NaN are left out.
        least: smallest change against a phase that ends it, above 0.

    Returns:
        Phases in order, rising and falling in turn; none where nothing changes by ``least``.
    """
    given = np.asarray(values, np.float64)
    rounds = np.flatnonzero(np.isfinite(given))
    turns = _turns(given[rounds], least)
    return [
        Phase(int(rounds[a]), int(rounds[b]), float(given[rounds[b]] - given[rounds[a]]))
        for a, b in itertools.pairwise(turns)
    ]


def _turns(values: npt.NDArray[np.float64], least: float) -> list[int]:
    """Places at which phases begin, and the one at which the last ends."""
    turns: list[int] = []
    low = high = extreme = direction = 0  # the extreme is that of the phase so far
    for place, value in enumerate(values):
        if not direction:
            low, high = _lower(values, low, place), _lower(-values, high, place)
            if values[high] - values[low] >= least:
                direction = 1 if low < high else -1
                turns.append(min(low, high))
                extreme = place
        elif (value - values[extreme]) * direction > 0:
            extreme = place
        elif (values[extreme] - value) * direction >= least:
            turns.append(extreme)
            extreme, direction = place, -direction
    return [*turns, extreme] if direction else []


def _lower(values: npt.NDArray[np.float64], a: int, b: int) -> int:
    return b if values[b] < values[a] else a

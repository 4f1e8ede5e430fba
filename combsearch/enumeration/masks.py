"""What a space of masks is made of: masks in order, within each number of weights they keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.paths import Words

Ranks = npt.NDArray[np.int64]
Rank = Callable[[Words, npt.NDArray[np.int32]], Ranks]
Fill = Callable[[int, int, Words], None]


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of one shape, ordered within each weight: the number of weights that they keep.

    Attributes:
        by_weight: weight -> masks, ascending, where there are any.
        fill: ``fill(weight, rank, out)`` writes the masks of a weight from ``rank`` on into
            ``out``, uint64 [mask, word], which must end where they end, or before.
        rank: ``rank(words, weights)`` of any masks, uint64 [mask, word] and int32 [mask]: the
            rank of each among those of its weight, -1 for one that is not there.
    """

    by_weight: dict[int, int]
    fill: Fill
    rank: Rank

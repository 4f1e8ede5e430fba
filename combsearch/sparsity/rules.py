"""How many entries of each vector of weights a round of pruning takes.

"Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023) compares two rules: a
fixed share of what is left, for the lottery ticket and one-shot pruning, and its own, SAP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.sparsity.sap import (
    check_pruned,
    check_retained,
    retain_at_least,
    sap_prune_count,
)

Bits = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Rule(Protocol):
    """How many entries of each vector go in a round."""

    def counts(self, weights: npt.NDArray[Any], kept: Bits) -> Integers:
        """int64 [...]: of each vector of ``weights`` [..., d], at most its ``kept`` [..., d]."""
        ...


@dataclass(frozen=True)
class SapRule:
    """What its PQ index says need not stay: floor(d clamp(gamma (1 - r/d), 0, beta)).

    r is ``retain_at_least`` of a vector's d kept entries. A vector with an entry that is not
    finite has no index: nothing of it goes.

    Attributes:
        p: smaller power of the index.
        q: larger power.
        eta: p-th powers that may be given up, over those that stay.
        gamma: share of what need not stay that goes; above 1 it is more than that.
        beta: largest share of the entries that one round prunes.

    Raises:
        UsageError: unless 0 < p < q, eta and gamma from 0 up, and beta from 0 to 1.
    """

    p: float = 0.5
    q: float = 1.0
    eta: float = 0.0
    gamma: float = 1.0
    beta: float = 0.9

    def __post_init__(self) -> None:
        check_retained(self.p, self.q, self.eta)
        check_pruned(self.gamma, self.beta)

    def counts(self, weights: npt.NDArray[Any], kept: Bits) -> Integers:
        """See ``Rule.counts``."""
        sound = np.asarray(np.isfinite(np.where(kept, weights, 0)).all(axis=-1))
        usable = np.where(sound[..., None], weights, 0)
        staying = retain_at_least(usable, self.p, self.q, self.eta, kept)
        pruned = sap_prune_count(kept.sum(axis=-1), staying, self.gamma, self.beta)
        return np.where(sound, pruned, 0)


@dataclass(frozen=True)
class ShareRule:
    """A fixed share P of what is left: floor(P d), P = 0.2 in the paper.

    Raises:
        UsageError: ``share`` is not above 0 and at most 1.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(
                f"share is {self.share:g}, it must be above 0 and at most 1; the paper's is 0.2"
            )

    def counts(self, weights: npt.NDArray[Any], kept: Bits) -> Integers:
        """See ``Rule.counts``."""
        return sap_prune_count(kept.sum(axis=-1), 0, gamma=self.share, beta=1.0)

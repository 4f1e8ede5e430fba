"""What restarts say of the probability to succeed: intervals, and what is excluded."""

from __future__ import annotations

import math
from collections.abc import Sequence

_HALVINGS = 150  # of an interval until neighbouring floats, for probabilities down to 1e-20


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


def excluded_probability(
    restarts: int, confidence: float = 0.95, orbits: int = 1, kept: float = 1.0
) -> float:
    """The success probability that restarts without a success exclude.

    Were it p, all R restarts of a mask would miss with probability (1 - p)^R. The least p
    for which that is at most 1 - confidence is excluded: about 3/R at 95%. A statement about
    N masks at once gives each the risk (1 - confidence)/N (Bonferroni): about ln(20 N)/R.

    Args:
        restarts: R, begun for every mask.
        confidence: probability with which such a statement holds, in (0, 1).
        orbits: N, masks that it is about at once; 1 for each mask by itself.
        kept: share of the successes that a race keeps, in (0, 1], better a lower limit of
            it; 1 when every restart runs to its end.

    Returns:
        A probability; 1 when nothing is excluded.
    """
    return excluded_by_groups([(restarts, kept)], confidence, orbits)


def excluded_by_groups(
    groups: Sequence[tuple[int, float]], confidence: float, orbits: int
) -> float:
    """``excluded_probability`` of several groups (restarts, kept) of one mask together."""
    if not 0 < confidence < 1 or orbits < 1:
        raise ValueError(f"confidence {confidence} must be in (0, 1), orbits {orbits} from 1 up")
    if any(restarts < 0 or not 0 < kept <= 1 for restarts, kept in groups):
        raise ValueError(f"groups {groups}: needs restarts from 0 up and kept shares in (0, 1]")
    log_risk = math.log((1 - confidence) / orbits)
    total = sum(restarts for restarts, _ in groups)
    shares = {kept for restarts, kept in groups if restarts}
    if len(shares) < 2:
        return min(1.0, -math.expm1(log_risk / total) / shares.pop()) if total else 1.0
    low, high = 0.0, 1.0  # the chance that all of them miss falls as p rises
    for _ in range(_HALVINGS):
        p = (low + high) / 2
        missed = sum(restarts * math.log1p(-p * kept) for restarts, kept in groups)
        low, high = (p, high) if missed > log_risk else (low, p)
    return high

r"""How many entries of a vector must stay, by its PQ index, and how many SAP prunes.

SAP, sparsity-informed adaptive pruning ("Pruning Deep Neural Networks from a Sparsity
Perspective", ICLR 2023), prunes the smallest magnitudes round by round, as many as its
theorem 2 allows:

    Let S be r of d entries, and eta such that the p-th powers of the entries outside sum to
    at most eta times those inside. Then, with 0 < p < q and I the PQ index of all d,

        r >= d (1 + eta)^(-q/(q-p)) (1 - I)^(p q/(q-p)).

The paper's own text was not at hand; formula and names are its, the statement and this proof
are ours. |w|_p^p <= (1 + eta) sum_S |w_i|^p, and by Hölder sum_S |w_i|^p <= r^(1-p/q) |w|_q^p.
So r^((q-p)/q) >= (|w|_p / |w|_q)^p / (1 + eta), and 1 - I = d^(1/q-1/p) |w|_p / |w|_q. S may be
any set; the r largest entries have the smallest eta, ``tail_ratio``. Equality holds where eta
is 0 and r entries are alike.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.sparsity.magnitudes import Floats, Logs
from combsearch.sparsity.pq_index import check_powers, log_quotient

_EPS = float(np.finfo(np.float64).eps)
_ROOM = 64 * _EPS  # rounding of log(M_p / M_q) times p, with room


def retain_bound(
    w: npt.ArrayLike,
    p: float,
    q: float,
    eta: float = 0.0,
    kept: npt.ArrayLike | None = None,
    axis: int | None = -1,
) -> Floats:
    """Theorem 2's bound of how many entries must stay, as the paper has it: real.

    Whatever fewer entries stay, those outside have more than ``eta`` times the p-th powers of
    those inside. With ``eta`` 0 it bounds the number of entries that are not 0.

    Args:
        w: weights, a vector along ``axis``: [d], or [n, d] for n vectors at once.
        p: the smaller power.
        q: the larger power.
        eta: p-th powers that may be given up, over those that stay.
        kept: mask of the entries that count, broadcast to the shape of ``w``; None for all.
        axis: along which a vector lies; None for all of ``w`` as one vector.

    Returns:
        Float64 without ``axis``, from 0 to d: 0 where nothing is kept or all of it is 0 (there
        the formula with an index of 0 would say d), NaN where an entry is not finite.

    Raises:
        UsageError: unless 0 < p < q and ``eta`` is from 0 up, or the mask or axis does not fit.
    """
    check_retained(p, q, eta)
    return _bound(Logs.of(w, kept, axis), p, q, eta)


def retain_at_least(
    w: npt.ArrayLike,
    p: float,
    q: float,
    eta: float = 0.0,
    kept: npt.ArrayLike | None = None,
    axis: int | None = -1,
) -> npt.NDArray[np.int64]:
    """``retain_bound`` as a whole number, the r of SAP: the next one up, from 1 to d.

    A bound that is a whole number but for rounding is that number. 0 where nothing is kept or
    all of it is 0. (The paper does not round, the authors' code rounds up.)

    Raises:
        UsageError: as ``retain_bound``, or an entry is not finite.
    """
    check_retained(p, q, eta)
    logs = Logs.of(w, kept, axis)
    if logs.broken.any():
        raise UsageError("a weight is NaN or infinite, every one that is kept must be finite")
    room = min(_ROOM * q / (q - p), 1.0)
    whole = np.ceil(_bound(logs, p, q, eta) * (1 - room))
    return np.where(logs.empty, 0, np.maximum(whole, 1)).astype(np.int64)


def tail_ratio(
    w: npt.ArrayLike, r: int, p: float, kept: npt.ArrayLike | None = None, axis: int | None = -1
) -> Floats:
    """Theorem 2's eta of the ``r`` largest entries: p-th powers outside them over those inside.

    Args:
        w: weights, a vector along ``axis``.
        r: entries that stay.
        p: the power.
        kept: mask of the entries that count.
        axis: along which a vector lies; None for all of ``w`` as one vector.

    Returns:
        Float64 without ``axis``: 0 where all outside is 0, infinite where it is not and ``r``
        is 0, NaN where an entry is not finite.

    Raises:
        UsageError: ``r`` is negative, p not positive, or the mask or the axis does not fit.
    """
    if r < 0 or not 0 < p < math.inf:
        raise UsageError(f"r is {r} and p is {p:g}: r must be from 0 up, p positive and finite")
    logs = Logs.of(w, kept, axis)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        powers = np.exp(p * np.sort(logs.values, axis=-1))[..., ::-1]
        inside, outside = powers[..., :r].sum(axis=-1), powers[..., r:].sum(axis=-1)
        ratio = np.where(outside == 0, 0.0, outside / inside)
    return np.where(logs.broken, np.nan, ratio) + 0.0


def sap_prune_count(
    d: npt.ArrayLike, r: npt.ArrayLike, gamma: float = 1.0, beta: float = 0.9
) -> npt.NDArray[np.int64]:
    """Entries that a round of SAP prunes: floor(d clamp(gamma (1 - r/d), 0, beta)).

    Args:
        d: entries there are, whole numbers from 0 up.
        r: entries that must stay, whole or real; any shape that goes with ``d``.
        gamma: share of what need not stay that is pruned; above 1 it is more than that.
        beta: largest share of the entries that one round prunes.

    Raises:
        UsageError: ``d`` is negative, ``r`` no number, ``gamma`` not from 0 up or ``beta``
            not from 0 to 1.
    """
    check_pruned(gamma, beta)
    entries, staying = np.asarray(d, dtype=np.float64), np.asarray(r, dtype=np.float64)
    for name, values in (("d", entries), ("r", staying)):
        bad = values[~(np.isfinite(values) & (values >= 0))]
        if bad.size:
            raise UsageError(
                f"{name} is {bad.flat[0]:g}, it must be a number of entries, 0 or more"
            )
    # d (1 - r/d) is d - r, exactly; the rounding of a product must not cost an entry.
    pruned = np.clip(gamma * (entries - staying), 0.0, beta * entries)
    return np.floor(pruned * (1 + 4 * _EPS)).astype(np.int64)


def check_pruned(gamma: float, beta: float) -> None:
    """UsageError unless ``gamma`` is from 0 up and finite, ``beta`` from 0 to 1."""
    if not 0 <= gamma < math.inf or not 0 <= beta <= 1:
        raise UsageError(
            f"gamma is {gamma:g} and beta {beta:g}: gamma must be from 0 up, beta from 0 to 1"
        )


def check_retained(p: float, q: float, eta: float) -> None:
    """UsageError unless 0 < p < q and ``eta`` is from 0 up, all finite."""
    check_powers(p, q)
    if not 0 <= eta < math.inf:
        raise UsageError(f"eta is {eta:g}, it must be a number from 0 up")


def _bound(logs: Logs, p: float, q: float, eta: float) -> Floats:
    """``retain_bound`` of vectors by their logarithms."""
    exponent = p / (q - p) * (q * log_quotient(logs, p, q)) - q / (q - p) * math.log1p(eta)
    bound = np.where(logs.empty, 0.0, logs.sizes * np.exp(np.minimum(exponent, 0.0)))
    return np.where(logs.broken, np.nan, bound) + 0.0

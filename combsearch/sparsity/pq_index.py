r"""The PQ index: how unequal the entries of a vector are, and so how compressible it is.

"Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023) measures how
compressible d weights are by two power means of their magnitudes, 0 < p < q::

    M_t(w) = (sum |w_i|^t / d)^(1/t)          I(w) = 1 - M_p(w) / M_q(w)

**Range** (its theorem 1). 0 <= I <= 1 - d^(1/q - 1/p): M_p <= M_q, with equality when all
magnitudes are alike, and |w|_q <= |w|_p, with equality when one entry alone is not 0.

**Six properties** of a measure of sparsity (Hurley and Rickard, "Comparing Measures of
Sparsity", 2009), which the paper claims for all p < q. Magnitudes are meant:

    D1 Robin Hood   from a larger entry to a smaller one, less than half the difference:
                    I falls
    D2 Scaling      all entries times one factor: I stays
    D3 Rising Tide  the same added to all entries, not all alike: I falls
    D4 Cloning      the vector joined to copies of itself: I stays
    P1 Bill Gates   one entry grows from some size on: I rises for good (if another entry
                    is not 0; from the size of the largest on)
    P2 Babies       a 0 is appended, to a vector not all 0: I rises

All but D1 hold for all p < q. D1 does if and only if p <= 1 <= q. Then giving to the poor
raises M_p or leaves it, lowers M_q or leaves it, and not both stay. Otherwise, in first order,
what is given from a to b adds (b^(p-1) - a^(p-1)) / sum x^p to log M_p, and the same with q to
log M_q:

    1 < p   both fall, and beside one huge entry M_p falls more:
            p = 2, q = 4: [10, 1, 0.2] -> [10, 0.8, 0.4], I rises from 0.2362 to 0.2371
    q < 1   both rise, and beside n entries of n^-s, 1/q < s < 1/p, M_q rises more:
            p = 1/4, q = 1/2: [100, 20, 1 eight times] -> [60, 60, 1 eight times],
            I rises from 0.3847 to 0.3862
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.sparsity.magnitudes import Floats, Logs, magnitudes_of

GINI_SHIFT = 1e-7  # added to every magnitude, as in the authors' code


def pq_index(
    w: npt.ArrayLike,
    p: float,
    q: float,
    kept: npt.ArrayLike | None = None,
    axis: int | None = -1,
) -> Floats:
    """PQ index of each vector, from 0 (magnitudes alike) to ``pq_limit`` (one entry alone).

    The error is some units in the last place of 1, divided by p; of a small index some
    1e-16 / s of itself, where s is by how much of themselves entries differ. Weights may have
    any scale, and any two of them.

    Args:
        w: weights, a vector along ``axis``: [d], or [n, d] for n vectors at once.
        p: the smaller power.
        q: the larger power.
        kept: mask of the entries that count, broadcast to the shape of ``w``; None for all.
            Zeros that are kept count in d, those that are not do not.
        axis: along which a vector lies; None for all of ``w`` as one vector.

    Returns:
        Float64 without ``axis``: 0 where nothing is kept (as in the authors' code) or all of it
        is 0, NaN where a kept entry is not finite.

    Raises:
        UsageError: unless 0 < p < q, or the mask or the axis does not fit.
    """
    check_powers(p, q)
    return np.asarray(pq_indices(w, [(p, q)], kept, axis)[..., 0])


def pq_indices(
    w: npt.ArrayLike,
    pairs: Sequence[tuple[float, float]],
    kept: npt.ArrayLike | None = None,
    axis: int | None = -1,
) -> Floats:
    """``pq_index`` at several pairs (p, q), quicker than one by one.

    Returns:
        Float64 [..., pair]: ``[..., i]`` is the index of each vector at ``pairs[i]``, bit for
        bit that of ``pq_index``.

    Raises:
        UsageError: as ``pq_index``.
    """
    for p, q in pairs:
        check_powers(p, q)
    logs = Logs.of(w, kept, axis)
    means = {power: logs.log_mean(power) for power in sorted({t for pair in pairs for t in pair})}
    with np.errstate(invalid="ignore"):  # of vectors that are all 0
        quotients = [means[p] - means[q] for p, q in pairs]
    found = [
        _index(logs, quotient, pq_limit(logs.sizes, p, q))
        for quotient, (p, q) in zip(quotients, pairs, strict=True)
    ]
    return np.stack(found, axis=-1) if found else np.zeros((*logs.sizes.shape, 0))


def pq_limit(d: npt.ArrayLike, p: float, q: float) -> Floats:
    """Largest PQ index of ``d`` entries, 1 - d^(1/q - 1/p): one of them is not 0.

    Raises:
        UsageError: unless 0 < p < q.
    """
    check_powers(p, q)
    sizes = np.maximum(np.asarray(d, dtype=np.float64), 1.0)
    return -np.expm1((1 / q - 1 / p) * np.log(sizes)) + 0.0


def gini(w: npt.ArrayLike, kept: npt.ArrayLike | None = None, axis: int | None = -1) -> Floats:
    """Gini index of each vector, from 0 (magnitudes alike) to 1 - 1/d (one entry alone), nearly.

    sum_i (2i - d - 1) x_i / (d sum x) over the d kept magnitudes x, ascending. As in the
    authors' code 1e-7 is added to each, so that weights of that size look more alike.

    Args:
        w: weights, a vector along ``axis``.
        kept: mask of the entries that count.
        axis: along which a vector lies; None for all of ``w`` as one vector.

    Returns:
        Float64 without ``axis``: 0 where nothing is kept, NaN where an entry is not finite.

    Raises:
        UsageError: the mask or the axis does not fit.
    """
    entries = np.sort(magnitudes_of(w, kept, axis), axis=-1)  # what is not kept goes last
    held = ~np.isnan(entries)
    broken = np.asarray(np.isinf(entries).any(axis=-1))
    shifted = np.where(held & ~broken[..., None], entries + GINI_SHIFT, 0.0)
    top = shifted.max(axis=-1, initial=0.0)[..., None]
    shares = shifted / np.where(top == 0, 1.0, top)
    sizes = held.sum(axis=-1)
    ranks = 2.0 * np.arange(1, entries.shape[-1] + 1) - sizes[..., None] - 1
    whole = sizes * shares.sum(axis=-1)
    index = (ranks * shares).sum(axis=-1) / np.where(whole == 0, 1.0, whole)
    return np.where(broken, np.nan, index) + 0.0


def check_powers(p: float, q: float) -> None:
    """UsageError unless 0 < p < q, both finite."""
    if not 0 < p < q < math.inf:
        raise UsageError(f"p is {p:g} and q is {q:g}: needs 0 < p < q, such as p 0.5 and q 1")


def log_quotient(logs: Logs, p: float, q: float) -> Floats:
    """log(M_p / M_q) of each vector, at most 0 but for rounding; 0 where all is 0."""
    with np.errstate(invalid="ignore"):
        return _known(logs, logs.log_mean(p) - logs.log_mean(q))


def _index(logs: Logs, quotient: Floats, limit: Floats) -> Floats:
    """PQ index of each vector by log(M_p / M_q), which may be NaN where ``logs`` knows better."""
    index = np.clip(-np.expm1(_known(logs, quotient)), 0.0, limit)
    return np.where(logs.broken, np.nan, index) + 0.0  # no negative zero


def _known(logs: Logs, quotient: Floats) -> Floats:
    return np.where(logs.empty | logs.broken, 0.0, quotient)

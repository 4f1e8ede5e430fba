"""Intrinsic dimension of a cloud of points by maximum likelihood, from nearest neighbours.

With T_j(x) the distance of a point x to its j-th nearest neighbour, Levina and Bickel
("Maximum Likelihood Estimation of Intrinsic Dimension", NIPS 2004, eq. 8) estimate at x

    1 / m_k(x) = 1/(k - 1) sum_{j < k} log(T_k(x) / T_j(x))

MacKay and Ghahramani ("Comments on ...", 2005) average these inverses over the points, not the
m_k(x): 1 / m_k = mean of 1 / m_k(x). So do Pope, Zhu, Abdelkader, Goldblum and Goldstein ("The
Intrinsic Dimension of Images and Its Impact on Learning", ICLR 2021), for k = 3, 5, 10, 20.

Denominator. Where the density is even, T_k / T_j are such that 1 / m_k(x) with k - 1 has the
mean 1/d exactly: k - 1 goes with the mean of inverses. With k - 2 it is m_k(x) whose mean is d;
together with the mean of inverses, k - 2 would make every estimate (k - 2)/(k - 1) of this one,
half of it at k = 3. The code published with Pope et al. divides by k - 2: mind that factor when
its numbers are compared.

Standard error. Points that are neighbours share distances, so their inverses are correlated: as
if independent, the error would come out a quarter too small. It is the square root of the
variance of the mean with the covariances of all pairs of which one is among the k neighbours of
the other, or of that without them if it is larger, times m_k^2. Against 100 to 300 repeated
samples of spheres (d = 1 to 10, 500 or 2,000 points) it was 0.73 to 1.2 of the true deviation,
the least at d = 1, k = 20. It says nothing about bias.

Bias. The density is even only over distances that vanish, so estimates are low, the more so the
larger d and k and the fewer the points. Of 10,000 points, k = 3 and k = 20 gave

    d                        1      2      5     10     16     32     64    128
    Gaussian      k =  3   1.00   2.01   5.09   9.83   14.7   24.9   40.0   61.3
                  k = 20   1.00   2.00   5.05   9.54   14.0   23.0   36.2   54.7
    uniform cube  k =  3   1.01   1.99   4.71   8.77   13.0   23.2   39.0   62.4
                  k = 20   1.00   1.98   4.62   8.43   12.6   21.9   36.0   56.5
    d-sphere      k =  3   1.00   1.99   4.98   9.52   14.4   25.1   41.1   65.6
                  k = 20   1.00   2.00   4.93   9.31   13.8   23.5   38.0   59.5

with standard errors of about 0.9% (k = 3) and 0.3% (k = 20). So from 10 up an estimate orders
sets of points, and is no measure of their dimension.

Duplicates. T_j = 0 has no logarithm, and points of a density never coincide: of equal points one
is kept. How many were left out is reported.

Neighbours are exact: ``scipy.spatial.cKDTree`` for few features, else products of blocks of the
centred points in float64, which give candidates whose distances are then taken from differences.
A library of such estimators would bring in scikit-learn for the dozen lines of ``_estimate``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

KS = (3, 5, 10, 20)
"""Numbers of neighbours, as Pope et al. have them."""

_TREE_FEATURES = 10  # a tree looks at most points when there are more
_TILE = 1024  # points a side in a block of distances: 8 MiB
_SPARE = 8  # candidates beyond the neighbours that are wanted
_GATHERED = 2**22  # numbers that are subtracted at a time: 32 MiB
_HARMLESS = 1e-9  # relative error of a squared distance that no estimate shows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class DimensionEstimate:
    """The intrinsic dimension from k neighbours.

    Attributes:
        k: neighbours of each point.
        dimension: the estimate.
        standard_error: of the estimate, for the sampling of points, not for its bias.
    """

    k: int
    dimension: float
    standard_error: float


@dataclass(frozen=True)
class IntrinsicDimension:
    """Estimates of one cloud of points.

    Attributes:
        points: different points that were used.
        duplicates: points left out since they equal one of those.
        features: coordinates of a point.
        estimates: one for each k.
    """

    points: int
    duplicates: int
    features: int
    estimates: tuple[DimensionEstimate, ...]


@dataclass(frozen=True, eq=False)
class _Points:
    """Different points, each value times a power of two that brings the largest to 0.5 to 1.

    Attributes:
        x: [n, features], any real dtype.
        exponent: values are x / 2^exponent, so that no square overflows.
    """

    x: npt.NDArray[Any]
    exponent: int

    def take(self, which: Ints | slice) -> Floats:
        """Scaled points, float64 [..., features]."""
        taken: Floats = np.ldexp(self.x[which].astype(np.float64), -self.exponent)
        return taken


def intrinsic_dimension(x: npt.ArrayLike, ks: Sequence[int] = KS) -> IntrinsicDimension:
    """Maximum-likelihood estimates of the intrinsic dimension of points, for each k.

    20,000 images of 32x32x3 take about 45 seconds on one core, and 1.1 GB; time grows with
    the square of the points.

    Args:
        x: [n, ...] of real numbers, a point a row; further axes count as features.
        ks: numbers of neighbours, each at least 2 and below the number of different points.

    Raises:
        UsageError: a k out of range, values that are no finite real numbers, too few different
            points, or points of which no distances, or only equal ones, are left.
    """
    array = np.asarray(x)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        raise UsageError(
            f"points of shape {list(array.shape)} and dtype {array.dtype}, expected real numbers"
            " [n, features]"
        )
    flat = array.reshape(len(array), -1)
    points = _different(flat)
    ks = _checked(ks, len(points.x), len(flat))
    distance, index = nearest_neighbours(points, max(ks))
    if not distance[:, 0].all():
        at = int(np.argmin(distance[:, 0]))
        raise UsageError(
            "two different points are too close for their distance to be told from 0 (values of"
            f" the first: {points.x[at, :3]}...): round the values, so that they become equal"
        )
    return IntrinsicDimension(
        points=len(points.x),
        duplicates=len(flat) - len(points.x),
        features=flat.shape[1],
        estimates=tuple(_estimate(distance[:, :k], index[:, :k]) for k in ks),
    )


def _estimate(distance: Floats, index: Ints) -> DimensionEstimate:
    """From the distances to k neighbours, rising, and who they are: [n, k] each."""
    n, k = distance.shape
    logs = np.log(distance)
    inverse = (logs[:, -1:] - logs[:, :-1]).sum(axis=1) / (k - 1)
    if not inverse.any():
        raise UsageError(f"the {k} nearest neighbours of every point are equally far from it")
    mean = inverse.mean()
    variance = _variance(inverse - mean, index) / n**2
    return DimensionEstimate(k, float(1 / mean), float(np.sqrt(variance) / mean**2))


def _variance(residual: Floats, index: Ints) -> float:
    """Of the sum of n correlated numbers: neighbours' covariances are added to the variances."""
    own = float(residual @ residual) * len(residual) / (len(residual) - 1)
    shared = 0.0
    for at in range(0, len(index), _TILE):
        block = index[at : at + _TILE]
        me = np.arange(at, at + len(block))[:, None]
        mutual = (index[block] == me[..., None]).any(axis=-1)  # then the pair comes up twice
        products = residual[me] * residual[block]
        shared += float(np.where(mutual, products, 2 * products).sum())
    return max(own, own + shared)


# ------------------------------------------------------------------ points


def _checked(ks: Sequence[int], different: int, given: int) -> tuple[int, ...]:
    """``ks`` once each."""
    if not ks:
        raise UsageError("no k: name at least one number of neighbours, such as 10")
    for k in ks:
        if k < 2:
            raise UsageError(f"k is {k}, it must be at least 2: a ratio takes two distances")
    if different == 1:
        raise UsageError(f"all {given} points coincide: there is no distance to estimate from")
    if max(ks) >= different:
        raise UsageError(
            f"k is {max(ks)}, it must be below the number of different points, {different}"
        )
    return tuple(dict.fromkeys(ks))


def _different(x: npt.NDArray[Any]) -> _Points:
    """The first of all equal rows of ``x``, with their scale; every value must be finite."""
    seen: dict[bytes, int] = {}
    largest = 0.0
    for at in range(0, len(x), _TILE):
        # A long double beyond float64 becomes infinite; there are NaNs that complain when cast.
        with np.errstate(over="ignore", invalid="ignore"):
            block = x[at : at + _TILE].astype(np.float64) + 0.0  # -0.0 becomes 0.0
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.unravel_index(int(np.argmin(finite)), block.shape)
            raise UsageError(
                f"feature {column} of point {at + row} is {block[row, column]}, every value must"
                " be finite"
            )
        largest = max(largest, float(np.abs(block).max()))
        for number, values in enumerate(block, at):
            seen.setdefault(hashlib.blake2b(values.tobytes(), digest_size=16).digest(), number)
    kept = x if len(seen) == len(x) else x[np.fromiter(seen.values(), np.intp, len(seen))]
    return _Points(kept, int(np.frexp(largest)[1]))


# ------------------------------------------------------------------ neighbours


def nearest_neighbours(points: _Points, k: int) -> tuple[Floats, Ints]:
    """Distances to the k nearest other points, rising, and who they are: [n, k] each."""
    if points.x.shape[1] <= _TREE_FEATURES:
        from scipy.spatial import cKDTree

        values = points.take(slice(None))
        distance, index = cKDTree(values).query(values, k + 1)
        return _without_self(distance, index)
    return _by_products(points, k)


def _without_self(distance: Floats, index: Ints) -> tuple[Floats, Ints]:
    """Leave out each point's distance to itself; with others at 0 it may not come first."""
    n, columns = index.shape
    found = index == np.arange(n)[:, None]
    found[:, -1] |= ~found.any(axis=1)  # all k + 1 are others at distance 0
    return distance[~found].reshape(n, columns - 1), index[~found].reshape(n, columns - 1)


def _by_products(points: _Points, k: int) -> tuple[Floats, Ints]:
    """|a - b|^2 = |a|^2 + |b|^2 - 2 a b finds candidates, differences their distances.

    The products are off by at most ``error``. A point that is no candidate is therefore at
    least ``squared[:, -1] - error`` away: where that is not beyond the k-th neighbour, nor a
    relative error without harm, the point is compared with all others by differences.
    """
    n, features = points.x.shape
    values = points.take(slice(None))
    values -= values.mean(axis=0)
    norms = np.einsum("ij,ij->i", values, values)
    squared, index = _candidates(values, norms, min(n - 1, k + _SPARE))
    del values
    worst = squared[:, -1] - 4 * (features + 4) * np.finfo(np.float64).eps * (norms + norms.max())
    distance, index = _exact(points, np.arange(n), index, k)
    last = distance[:, -1] ** 2
    unsure = np.flatnonzero((worst < last * (1 - _HARMLESS)) & (k + _SPARE < n - 1))
    for point in unsure:
        others = np.delete(np.arange(n), point)[None]
        distance[point], index[point] = _exact(points, np.array([point]), others, k)
    return distance, index


def _candidates(values: Floats, norms: Floats, count: int) -> tuple[Floats, Ints]:
    """The ``count`` nearest others by products, rising: squared distances and who, [n, count]."""
    n = len(values)
    squared, index = np.full((n, count), np.inf), np.zeros((n, count), np.intp)
    tiles = [slice(at, min(at + _TILE, n)) for at in range(0, n, _TILE)]
    for place, rows in enumerate(tiles):
        for columns in tiles[place:]:
            block = values[rows] @ values[columns].T
            block *= -2
            block += norms[rows, None]
            block += norms[columns]
            if rows == columns:
                np.fill_diagonal(block, np.inf)
            _merge(squared[rows], index[rows], block, columns.start)
            if rows != columns:
                _merge(squared[columns], index[columns], block.T, rows.start)
    return squared, index


def _merge(squared: Floats, index: Ints, block: Floats, first: int) -> None:
    """Let nearer points of ``block`` [row, point from ``first`` on] into the candidates."""
    rows, count = squared.shape
    bound = squared[:, -1]
    if bound[0] == np.inf and block.shape[1] > count:  # the first block: not all of it is sorted
        bound = np.partition(block, count - 1, axis=1)[:, count - 1]
    row, column = np.nonzero(block <= bound[:, None])
    if not len(row):
        return
    row = np.concatenate([np.repeat(np.arange(rows), count), row])
    values = np.concatenate([squared.ravel(), block[row[squared.size :], column]])
    who = np.concatenate([index.ravel(), column + first])
    order = np.lexsort((values, row))
    starts = np.searchsorted(row[order], np.arange(rows))
    order = order[starts[:, None] + np.arange(count)]
    squared[:], index[:] = values[order], who[order]


def _exact(points: _Points, which: Ints, others: Ints, k: int) -> tuple[Floats, Ints]:
    """The k nearest of ``others`` [point, candidate] to each of ``which`` [point], rising."""
    squared = np.empty(others.shape)
    step = max(1, _GATHERED // max(1, others.shape[1] * points.x.shape[1]))
    for at in range(0, len(which), step):
        rows = slice(at, at + step)
        gap = points.take(others[rows])
        gap -= points.take(which[rows])[:, None]
        squared[rows] = np.einsum("ijk,ijk->ij", gap, gap)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    distance = np.sqrt(np.take_along_axis(squared, order, axis=1))
    return distance, np.take_along_axis(others, order, axis=1)

"""Statistics of the dimensionality study by the letter of their definitions: loops, fractions."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from scipy.special import betaincinv

Point = Sequence[float]


def average_ranks(values: Sequence[float]) -> list[Fraction]:
    """1 + how many are smaller + half of how many others are equal."""
    return [
        1 + sum(other < value for other in values) + Fraction(values.count(value) - 1, 2)
        for value in values
    ]


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation of the ranks."""
    x, y = average_ranks(a), average_ranks(b)
    middle = Fraction(len(a) + 1, 2)
    products = sum((p - middle) * (q - middle) for p, q in zip(x, y, strict=True))
    squares = [sum((p - middle) ** 2 for p in ranks) for ranks in (x, y)]
    return float(products) / math.sqrt(squares[0] * squares[1])


def endless_spearman(trials: Sequence[tuple[float, float, float]], seeds: int) -> float:
    """What a rollout of ever more draws tends to.

    Of (dimension, mean, spread): the correlation of P(D < d) + P(D = d)/2 and the
    distribution function of the outcomes at an outcome, which is uniform there.
    """
    count = len(trials)
    grades = [
        (sum(e < d for e, _, _ in trials) + sum(e == d for e, _, _ in trials) / 2) / count
        for d, _, _ in trials
    ]
    above = [
        sum(NormalDist().cdf((m - n) / math.sqrt((s * s + t * t) / seeds)) for _, n, t in trials)
        / count
        for _, m, s in trials
    ]
    covariance = sum((g - 0.5) * (u - 0.5) for g, u in zip(grades, above, strict=True)) / count
    return covariance / math.sqrt(sum((g - 0.5) ** 2 for g in grades) / count / 12)


def neighbours(points: Sequence[Point], k: int) -> list[list[tuple[float, int]]]:
    """Distance and number of the k nearest other points, nearest first."""
    return [
        sorted((math.dist(p, q), j) for j, q in enumerate(points) if j != i)[:k]
        for i, p in enumerate(points)
    ]


def inverses(points: Sequence[Point], k: int) -> list[float]:
    """1 / m_k(x) for every point x: Levina and Bickel's eq. 8."""
    found = []
    for near in neighbours(points, k):
        farthest = near[-1][0]
        found.append(sum(math.log(farthest / distance) for distance, _ in near[:-1]) / (k - 1))
    return found


def dimension(points: Sequence[Point], k: int) -> float:
    return len(points) / sum(inverses(points, k))


def standard_error(points: Sequence[Point], k: int) -> float:
    """Covariances of all pairs of which one is among the other's neighbours, and variances."""
    values, n = inverses(points, k), len(points)
    mean = sum(values) / n
    near = [{j for _, j in own} for own in neighbours(points, k)]
    own = sum((value - mean) ** 2 for value in values) * n / (n - 1)
    shared = sum(
        (values[i] - mean) * (values[j] - mean)
        for i in range(n)
        for j in range(n)
        if j in near[i] or i in near[j]
    )
    return math.sqrt(max(own, own + shared)) / n / mean**2


def inverse_on_sphere(d: int, points: int, k: int) -> float:
    """The expected 1 / m_k of so many points, uniform on the d-sphere in d + 1 dimensions.

    The squared distance of two points is 4 B, B of the distribution Beta(d/2, d/2); the j-th
    smallest of n - 1 uniform numbers is of Beta(j, n - j).
    """
    logs = [_expected_log(d, points, j) for j in range(1, k + 1)]
    return sum(logs[-1] - log for log in logs[:-1]) / (k - 1)


@functools.cache
def _expected_log(d: int, points: int, j: int) -> float:
    """Of the distance to the j-th nearest, by the middles of 4,000 steps."""
    chance = (np.arange(4000) + 0.5) / 4000
    shares = betaincinv(j, points - j, chance)
    return float(np.log(4 * betaincinv(d / 2, d / 2, shares)).mean() / 2)

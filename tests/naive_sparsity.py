"""Sparsity of vectors by the letter of the formulas: decimals of 60 digits, fractions, loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction

DIGITS = Context(prec=60, Emin=-999_999, Emax=999_999)
GINI_SHIFT = Fraction(1, 10**7)


def power_mean(values: Sequence[float], power: float) -> Decimal:
    """(sum |w|^power / d)^(1 / power); the doubles are taken for what they are."""
    with localcontext(DIGITS):
        total = sum((abs(Decimal(value)) ** Decimal(power) for value in values), Decimal(0))
        return (total / len(values)) ** (1 / Decimal(power))


def pq_index(values: Sequence[float], p: float, q: float) -> Decimal:
    with localcontext(DIGITS):
        return 1 - power_mean(values, p) / power_mean(values, q)


def retain_bound(values: Sequence[float], p: float, q: float, eta: float = 0.0) -> Decimal:
    """d (1 + eta)^(-q/(q-p)) (1 - I)^(pq/(q-p))."""
    with localcontext(DIGITS):
        small, large = Decimal(p), Decimal(q)
        given_up = (1 + Decimal(eta)) ** (-large / (large - small))
        alike = (1 - pq_index(values, p, q)) ** (small * large / (large - small))
        return len(values) * given_up * alike


def tail_ratio(values: Sequence[float], r: int, p: float) -> float:
    ordered = sorted(map(abs, values), reverse=True)
    inside = sum(value**p for value in ordered[:r])
    outside = sum(value**p for value in ordered[r:])
    return outside / inside if outside else 0.0


def fewest_kept(values: Sequence[float], p: float, eta: float) -> int:
    """The size of the smallest of all sets with at most eta times its p-th powers outside it."""
    powers = [abs(value) ** p for value in values]
    for r in range(len(values) + 1):
        for inside in itertools.combinations(powers, r):
            kept = math.fsum(inside)
            if math.fsum(powers) - kept <= eta * kept:
                return r
    raise AssertionError("all entries have nothing outside them")


def gini(values: Sequence[float]) -> Fraction:
    x = sorted(abs(Fraction(value)) + GINI_SHIFT for value in values)
    d = len(x)
    ranked = [(2 * i - d - 1) * x[i - 1] for i in range(1, d + 1)]
    return sum(ranked, Fraction(0)) / (d * sum(x, Fraction(0)))


def sap_prune_count(d: int, r: float, gamma: str, beta: str) -> int:
    """``gamma`` and ``beta`` as they are written, not as doubles round them."""
    if d == 0:
        return 0
    share = Fraction(gamma) * (1 - Fraction(r) / d)
    return math.floor(d * min(max(share, Fraction(0)), Fraction(beta)))

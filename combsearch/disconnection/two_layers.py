r"""Two neighbouring layers that random pruning cuts off from each other (theorem L.1).

``into`` weights are kept of those into a hidden layer of ``width`` neurons, ``out`` of those
that leave it, uniformly among all [width, inputs] and [outputs, width] matrices with so many.
The two are *apart* when no kept weight out starts where one that came in ended, so that no path
leads through the layer.

**Exact.** The weights in end at s neurons with a chance that inclusion and exclusion count; those
out must then all start at the other width - s::

    P(apart) = sum over s of  C(width, s) M(s) / C(width inputs, into)
                              times  C((width - s) outputs, out) / C(width outputs, out)
    M(s)     = sum over j of  (-1)^(s - j) C(s, j) C(j inputs, into)

With one input and one output every weight has a neuron of its own, and this is

    product over i < into of  (width - out - i) / (width - i)

**Bound.** Its last factor is the smallest, so

    P(apart) >= ((width - into + 1 - out) / (width - into + 1))^into

More inputs put weights on fewer neurons, more outputs make each neuron easier to avoid
(((width - s) outputs - i) / (width outputs - i) grows with outputs), so that it holds for them too.

The theorem as printed ("Sparsest Models Elude Pruning", appendix L) has width below the line and
one factor fewer. That is no bound: at width 5 with one weight each it says 1, and P(apart) is 0.8.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np

from combsearch.errors import UsageError


def apart_probability(
    width: int, into: int, out: int, inputs: int = 1, outputs: int = 1
) -> Fraction:
    """Chance that the two layers are apart.

    Args:
        width: neurons between them.
        into: weights kept of the layer before.
        out: weights kept of the layer behind.
        inputs: neurons that the first comes from.
        outputs: neurons that the second goes to.

    Raises:
        UsageError: a layer has fewer weights than are kept.
    """
    _check(width, into, out, inputs, outputs)
    before, behind = comb(width * inputs, into), comb(width * outputs, out)
    ways = sum(
        comb(width, ends) * _ending_at(ends, inputs, into) * comb((width - ends) * outputs, out)
        for ends in range(min(width, into) + 1)
    )
    return Fraction(ways, before * behind)


def apart_bound(width: int, into: int, out: int) -> float:
    """At least so likely are they apart; 0 where it says nothing."""
    left = width - into + 1
    return (max(left - out, 0) / left) ** into if left > 0 else 0.0


def printed_bound(width: int, into: int, out: int) -> float:
    """What the paper prints for ``apart_bound``, 0 where its base is negative: see the module."""
    return float((max(width - into + 1 - out, 0) / width) ** (into - 1))


def simulate_apart(
    width: int, into: int, out: int, inputs: int, outputs: int, samples: int, seed: int
) -> int:
    """How many of ``samples`` random pairs of layers are apart; fixed by ``seed``.

    Raises:
        UsageError: as ``apart_probability``.
    """
    _check(width, into, out, inputs, outputs)
    rng = np.random.default_rng(seed)
    apart = 0
    for _ in range(samples):
        ends = rng.choice(width * inputs, into, replace=False, shuffle=False) // inputs
        starts = rng.choice(width * outputs, out, replace=False, shuffle=False) // outputs
        apart += not np.isin(starts, ends).any()
    return apart


def _ending_at(ends: int, inputs: int, kept: int) -> int:
    """Matrices [ends, inputs] with ``kept`` ones and no zero row."""
    return sum((-1) ** (ends - j) * comb(ends, j) * comb(j * inputs, kept) for j in range(ends + 1))


def _check(width: int, into: int, out: int, inputs: int, outputs: int) -> None:
    for kept, most in ((into, width * inputs), (out, width * outputs)):
        if not 1 <= kept <= most:
            raise UsageError(f"{kept} weights kept, a layer of {most} weights keeps 1 to {most}")

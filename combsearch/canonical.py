"""One mask for each orbit: hidden neurons of a layer have no order of their own.

Inputs and outputs keep their places; every permutation of the neurons of a hidden layer
(rows of one matrix together with columns of the next) gives a mask of the same orbit.
"""

from __future__ import annotations

import math

import numpy as np

from combsearch.kernels.canonical import canonical
from combsearch.mask import MaskBatch, NetShape

_CHUNK = 2**14  # masks between two looks at Ctrl-C


def canonical_form(masks: MaskBatch) -> MaskBatch:
    """The one mask that stands for the orbit of each, in their order.

    Two masks have the same canonical form exactly when permuting hidden neurons turns one
    into the other, eligible or not. Neurons come by fan-in, then fan-out, from the most
    down; what else decides has no meaning but stays the same for ever.
    """
    found = np.empty_like(masks.words)
    for part in _chunks(masks):
        found[part], _ = canonical(masks.words[part], masks.shape.widths)
    return MaskBatch(masks.shape, found)


def orbit_sizes(masks: MaskBatch) -> list[int]:
    """How many different masks permuting the hidden neurons of each gives, exactly."""
    total = relabellings(masks.shape)
    sizes: list[int] = []
    for part in _chunks(masks):
        _, factors = canonical(masks.words[part], masks.shape.widths)
        sizes += [total // math.prod(row) for row in factors.tolist()]
    return sizes


def relabellings(shape: NetShape) -> int:
    """Permutations of hidden neurons within their layers."""
    return math.prod(math.factorial(width) for width in shape.hidden)


def _chunks(masks: MaskBatch) -> list[slice]:
    return [slice(first, first + _CHUNK) for first in range(0, len(masks), _CHUNK)]

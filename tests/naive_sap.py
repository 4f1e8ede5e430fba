"""A round of pruning by the letter, one network at a time: lists, loops and sorting.

A network is a dict of tensors as nested lists would be, numpy arrays [out, in, ...]; a vector
is a list of places (name, index of the flat tensor).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import naive_sparsity
import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[Any]]
Place = tuple[str, int]
Count = Callable[[Sequence[float]], int]  # of a vector's kept entries


def sap_count(p: float = 0.5, q: float = 1, gamma: str = "1", beta: str = "0.9") -> Count:
    """With eta 0."""

    def count(entries: Sequence[float]) -> int:
        if not any(entries):
            return naive_sparsity.sap_prune_count(len(entries), 0, gamma, beta)
        if not all(map(math.isfinite, entries)):
            return 0
        # A bound that is whole but for rounding is whole, as entries that are alike have it.
        bound = float(naive_sparsity.retain_bound(entries, p, q))
        retained = math.ceil(bound * (1 - 1e-12))
        return naive_sparsity.sap_prune_count(len(entries), retained, gamma, beta)

    return count


def share_count(share: str = "0.2") -> Count:
    return lambda entries: math.floor(Fraction(share) * len(entries))


def vectors(weights: Tensors, scope: str) -> list[list[Place]]:
    """The places of every vector, in the order of their tensors."""
    found: list[list[Place]] = []
    for name, tensor in weights.items():
        places = [(name, i) for i in range(tensor.size)]
        if scope == "neuron":
            size = tensor.size // len(tensor)
            found += [places[first : first + size] for first in range(0, len(places), size)]
        elif scope == "layer" or not found:
            found.append(places)
        else:
            found[0] += places
    return found


def prune_round(
    weights: Tensors, masks: Tensors, count: Count, scope: str, down_to: int | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    value = {(n, i): float(v) for n, t in weights.items() for i, v in enumerate(t.reshape(-1))}
    there = {(n, i) for n, m in masks.items() for i, v in enumerate(m.reshape(-1)) if v != 0}
    left = [[place for place in vector if place in there] for vector in vectors(weights, scope)]
    counts = [count([value[place] for place in vector]) for vector in left]
    if down_to is not None:
        surplus = max(0, len(there) - down_to)
        if sum(counts) == 0:
            counts = [len(vector) for vector in left]
        counts = in_shares(counts, surplus)
    for vector, pruned in zip(left, counts, strict=True):
        # Smallest first; of entries of one size the last go first.
        going = sorted(range(len(vector)), key=lambda i: (size(value[vector[i]]), -i))[:pruned]
        there -= {vector[i] for i in going}
    return {
        name: np.array([(name, i) in there for i in range(t.size)]).reshape(t.shape)
        for name, t in weights.items()
    }


def size(value: float) -> float:
    return -1.0 if math.isnan(value) else abs(value)


def in_shares(counts: list[int], total: int) -> list[int]:
    """One by one to the largest remainder; of equal ones to the first."""
    whole = sum(counts)
    if total >= whole:
        return counts
    exact = [Fraction(count * total, whole) for count in counts]
    shares = [math.floor(share) for share in exact]
    order = sorted(range(len(counts)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    return shares

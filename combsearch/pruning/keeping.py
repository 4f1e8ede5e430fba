"""Which weights stay: the exact top-k, and masks that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.nets import MLP, NetBatch
from combsearch.pruning.budget import Bits, Budget, Integers


def weights_of(nets: NetBatch) -> int:
    """Prunable weights of one network."""
    return sum(int(np.prod(nets.params[name].shape[1:])) for name in nets.network.prunable)


def flatten(nets: NetBatch, arrays: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The prunable ones of named arrays [net, ...] as one array [net, weight]."""
    names = nets.network.prunable
    parts = [np.asarray(arrays[name]).reshape(len(nets), -1) for name in names]
    return np.concatenate(parts, axis=1)


def unflatten(nets: NetBatch, flat: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """The inverse of ``flatten``."""
    named, start = {}, 0
    for name in nets.network.prunable:
        shape = nets.params[name].shape
        size = int(np.prod(shape[1:]))
        named[name] = flat[:, start : start + size].reshape(shape)
        start += size
    return named


def keep_top(
    nets: NetBatch, scores: Mapping[str, Any], budget: Budget, keep: Integers | None = None
) -> NetBatch:
    """``nets`` with exactly so many weights: those of the highest scores, ties by their place.

    Args:
        nets: n networks.
        scores: prunable name -> [net, ...]; ``-inf`` is kept last. A network without a finite
            score other than 0 counts as collapsed.
        budget: what to keep, unless ``keep`` says so.
        keep: int [net].
    """
    flat = flatten(nets, scores)
    note_collapse(flat, budget)
    return masked(nets, top(flat, budget.weight_nonzeros if keep is None else keep))


def note_collapse(
    scores: npt.NDArray[Any], budget: Budget, which: Integers | slice = slice(None)
) -> None:
    """Networks [net, weight] that have no finite score other than 0 have collapsed.

    Args:
        scores: of the networks of these numbers.
        budget: of all networks.
        which: int [net], the numbers; all where they are left out.
    """
    usable = np.isfinite(scores) & (scores != 0)
    budget.spent.collapsed[which] |= ~usable.any(axis=1)


def top(scores: npt.NDArray[Any], keep: Integers) -> Bits:
    """bool [net, weight]: the ``keep`` [net] highest of each row, ties by index, NaN last."""
    kept = np.zeros(scores.shape, np.bool_)
    for row, one, k in zip(kept, scores, keep, strict=True):
        if k > 0:
            row[:] = _highest(one, int(k))
    return kept


def _highest(scores: npt.NDArray[Any], k: int) -> Bits:
    """bool [weight]; quick where most are -inf, as for weights that are gone already."""
    usable = scores > -np.inf  # not so of NaN either
    candidates = scores[usable]
    if k >= len(candidates):
        usable[np.flatnonzero(~usable)[: k - len(candidates)]] = True
        return np.asarray(usable)
    candidates.partition(-k)
    threshold = candidates[-k]
    chosen = scores > threshold
    chosen[np.flatnonzero(scores == threshold)[: k - np.count_nonzero(chosen)]] = True
    return np.asarray(chosen)


def kth_largest(scores: npt.NDArray[Any], k: Integers) -> npt.NDArray[Any]:
    """[net, 1]: the ``k``-th largest of each row (from 1; NaN counts as largest)."""
    pairs = zip(scores, np.maximum(k, 1), strict=True)
    return np.array([[np.partition(one, -n)[-n]] for one, n in pairs], scores.dtype)


def emptied(nets: NetBatch) -> Bits:
    """bool [net, layer]: whether a layer (of ``network.prunable``, in order) keeps no weight."""
    layers = [nets.masks[name].reshape(len(nets), -1) for name in nets.network.prunable]
    return np.stack([~mask.any(axis=1) for mask in layers], axis=1)


def masked(nets: NetBatch, kept: Bits) -> NetBatch:
    """``nets`` where ``kept`` [net, weight] are the weights that stay; momenta stay.

    Of an MLP the bias of a neuron goes exactly when no weight leads on from it; the
    output's stays (the rule of the paper's code, not that of its search).
    """
    masks = dict(nets.masks)
    named = unflatten(nets, kept)
    masks.update({name: bits.astype(np.float32) for name, bits in named.items()})
    if isinstance(nets.network, MLP):
        for layer in range(1, len(named)):
            leads_on = named[f"weight{layer}"].any(axis=1)
            masks[f"bias{layer - 1}"] = leads_on.astype(np.float32)
    # Chosen, not multiplied: a weight that diverged must not turn into NaN.
    params = {name: np.where(masks[name] != 0, p, np.float32(0)) for name, p in nets.params.items()}
    return dataclasses.replace(nets, params=params, masks=masks)


def rewound(nets: NetBatch, start: NetBatch) -> NetBatch:
    """The masks of ``nets`` on the parameters and state of ``start``, momenta 0, Adam anew."""
    params = {
        name: np.where(nets.masks[name] != 0, p, np.float32(0)) for name, p in start.params.items()
    }
    momenta = {name: np.zeros_like(p) for name, p in params.items()}
    return dataclasses.replace(nets, params=params, momenta=momenta, state=start.state, adam={})


def as_budgets(budgets: Sequence[int] | Integers, nets: NetBatch) -> Integers:
    """Weight budgets int64 [net], checked.

    Raises:
        UsageError: one is above the number of weights, or below what keeps a path.
    """
    found = np.asarray(budgets, np.int64)
    most, least = weights_of(nets), len(nets.network.prunable)
    for value in found:
        if not least <= value <= most:
            raise UsageError(
                f"budget {value} is not possible: these networks have {most} weights, and"
                f" {least} is the fewest that keep a path through their layers"
            )
    return found

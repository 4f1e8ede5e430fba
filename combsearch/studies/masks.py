"""Masks of the networks that a study prunes: as words in a row, and on networks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.connectivity import effective_nonzeros, nonzeros
from combsearch.nets import MLP, NetBatch, Network
from combsearch.sparsity.rules import Bits

Words = npt.NDArray[np.uint64]
Masks = dict[str, Bits]


def pack(masks: Masks) -> Words:
    """Masks [chain, ...] as words uint64 [chain, word]: bits, lowest first, tensor by tensor."""
    bits = np.concatenate([mask.reshape(len(mask), -1) for mask in masks.values()], axis=1)
    packed = np.packbits(bits, axis=1, bitorder="little")
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


def unpack(words: Words, like: Masks) -> Masks:
    """The inverse of ``pack``, of masks with the shapes of ``like``."""
    octets = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little").astype(np.bool_)
    found, start = {}, 0
    for name, mask in like.items():
        size = int(np.prod(mask.shape[1:]))
        found[name] = bits[:, start : start + size].reshape(len(words), *mask.shape[1:])
        start += size
    return found


def with_biases(network: Network, masks: Masks) -> dict[str, npt.NDArray[np.float32]]:
    """Masks of the weights, and of what goes with them, as a ``NetBatch`` holds them.

    A bias of an MLP of the searches goes with its neuron, as there.
    """
    named = {name: np.asarray(mask, np.float32) for name, mask in masks.items()}
    if isinstance(network, MLP):
        biases = {name.replace("weight", "bias"): mask.any(axis=2) for name, mask in masks.items()}
        named |= {name: np.asarray(mask, np.float32) for name, mask in biases.items()}
    return named


def masked(nets: NetBatch, masks: Masks) -> NetBatch:
    """``nets`` under masks that keep less."""
    named = with_biases(nets.network, masks)
    params = {name: a * named[name] if name in named else a for name, a in nets.params.items()}
    return NetBatch(nets.network, params, {**nets.masks, **named}, nets.momenta, nets.state)


def kept_weights(masks: Masks) -> npt.NDArray[np.int64]:
    """Weights kept: int64 [chain]."""
    kept = [mask.reshape(len(mask), -1).sum(axis=1) for mask in masks.values()]
    return np.asarray(np.sum(kept, axis=0, dtype=np.int64))


def counted_nonzeros(nets: NetBatch) -> npt.NDArray[np.int64]:
    """Nonzeros and effective nonzeros: int64 [2, net], -1 where a search does not count so."""
    if not isinstance(nets.network, MLP):
        return np.full((2, len(nets)), -1, np.int64)
    return np.stack([nonzeros(nets), effective_nonzeros(nets)])

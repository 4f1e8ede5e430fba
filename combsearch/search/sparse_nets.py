"""Sparse networks in flat arrays: what deletion, scoring and retraining of thousands share.

A row holds the parameters of one network, layer after layer, each layer's weights
row-major ``[out, in]``, then its biases; all rows have the widths of one shape::

    shape (2,1), [2,2,1,1]:   w00 w01 w10 w11 b0 b1 | v00 v01 c0 | u00 d0
                              layer 0               | layer 1    | output

A network narrower than the shape keeps its live neurons first in every layer and holds
zeros elsewhere, so it can be cut down to its own widths or padded without a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch, flat_arrays

F32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SparseNets:
    """n networks of one shape, maybe narrower ones in the leading block.

    Attributes:
        shape: widths that all rows are laid out for.
        params: float32 [net, parameter], 0 where the mask is 0.
        masks: bool [net, parameter].
    """

    shape: NetShape
    params: F32
    masks: Bools

    @classmethod
    def of(cls, nets: NetBatch) -> SparseNets:
        """The MLPs of ``nets``."""
        assert isinstance(nets.network, MLP)
        shape, nets = nets.network.shape, nets.numpy()
        return cls(shape, flat_arrays(nets.params), flat_arrays(nets.masks) != 0)

    @classmethod
    def none(cls, shape: NetShape) -> SparseNets:
        """No networks of ``shape``."""
        empty = np.zeros((0, shape.parameters), np.float32)
        return cls(shape, empty, empty != 0)

    @staticmethod
    def concat(parts: Sequence[SparseNets]) -> SparseNets:
        """All networks of ``parts`` (one at least, of one shape) in order."""
        params = np.concatenate([part.params for part in parts])
        return SparseNets(parts[0].shape, params, np.concatenate([p.masks for p in parts]))

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> SparseNets:
        return SparseNets(self.shape, self.params[index], self.masks[index])

    def batch(self, init_width: int = 16) -> NetBatch:
        """The same networks with named arrays, momenta 0."""
        masks = self.masks.astype(np.float32)
        momenta = np.zeros_like(self.params)
        named = [_named(self.shape, flat) for flat in (self.params, masks, momenta)]
        return NetBatch(MLP(self.shape, init_width), *named)

    def nonzeros(self) -> Integers:
        """int64 [net]: weights and biases kept."""
        return np.asarray(self.masks.sum(axis=1, dtype=np.int64))

    def live(self) -> Integers:
        """int64 [net, hidden layer]: neurons with a weight."""
        counts = [w.any(axis=2).sum(axis=1) for w, _ in layers_of(self.shape, self.masks)[:-1]]
        return np.stack(counts, axis=1).astype(np.int64)

    def resized(self, shape: NetShape) -> SparseNets:
        """The leading block of another shape: what it lacks is lost, what it adds is 0."""
        if shape == self.shape:
            return self
        params = np.zeros((len(self), shape.parameters), np.float32)
        masks = np.zeros(params.shape, np.bool_)
        for old, new in ((self.params, params), (self.masks, masks)):
            pairs = zip(layers_of(self.shape, old), layers_of(shape, new), strict=True)
            for (weight, bias), (to_weight, to_bias) in pairs:
                rows, cols = np.minimum(weight.shape[1:], to_weight.shape[1:])
                to_weight[:, :rows, :cols] = weight[:, :rows, :cols]
                to_bias[:, :rows] = bias[:, :rows]
        return SparseNets(shape, params, masks)


def layers_of(shape: NetShape, flat: npt.NDArray[Any]) -> list[tuple[Any, Any]]:
    """Views (weights [net, out, in], biases [net, out]) of every layer of [net, parameter]."""
    return [
        (flat[:, weight].reshape(len(flat), rows, cols), flat[:, bias])
        for (rows, cols), weight, bias in zip(shape.layers, *_places(shape), strict=True)
    ]


@lru_cache(maxsize=256)
def _places(shape: NetShape) -> tuple[list[slice], list[slice]]:
    """Where the weights and where the biases of each layer lie."""
    weights, biases, at = [], [], 0
    for rows, cols in shape.layers:
        weights.append(slice(at, at + rows * cols))
        biases.append(slice(at + rows * cols, at + rows * cols + rows))
        at += rows * (cols + 1)
    return weights, biases


def tidied(nets: SparseNets, prune_biases: bool) -> tuple[SparseNets, Bools]:
    """Without dead neurons, the live ones first; and which networks still depend on inputs.

    A neuron without inputs is a constant: it goes over to the biases of the next layer
    (with ``prune_biases`` a bias may have to be kept for that), as far as these are kept.
    A neuron without outputs goes with its inputs and bias.
    """
    shape = nets.shape
    params, masks = nets.params.copy(), nets.masks.copy()
    values, kept = layers_of(shape, params), layers_of(shape, masks)
    for layer in range(len(values) - 1):
        _fold_constants(values, kept, layer, prune_biases)
    for layer in range(len(values) - 1, 0, -1):
        dead = ~kept[layer][0].any(axis=1)
        for weight, bias in (values[layer - 1], kept[layer - 1]):
            weight[dead] = 0
            bias[dead] = 0
    for layer in range(len(values) - 1):
        _live_first(values, kept, layer)
    alive = kept[-1][0].any(axis=(1, 2))
    return SparseNets(shape, params, masks), np.asarray(alive)


def _fold_constants(values: Any, kept: Any, layer: int, prune_biases: bool) -> None:
    """Move neurons of ``layer`` that have no inputs into the biases of the next layer."""
    (weight, bias), (after, after_bias) = kept[layer], kept[layer + 1]
    constant = ~weight.any(axis=2)
    level = np.where(constant, np.maximum(values[layer][1], 0), 0)
    moved = np.einsum("noi,ni->no", values[layer + 1][0], level, dtype=np.float32)
    if prune_biases:
        after_bias |= moved != 0
    values[layer + 1][1][:] += np.where(after_bias, moved, 0)
    values[layer][1][constant], bias[constant] = 0, False
    columns = np.broadcast_to(constant[:, None, :], after.shape)
    values[layer + 1][0][columns], after[columns] = 0, False


def _live_first(values: Any, kept: Any, layer: int) -> None:
    """Sort the neurons of ``layer``, those with inputs first, else in their order."""
    order = np.argsort(~kept[layer][0].any(axis=2), axis=1, kind="stable")
    if (order == np.arange(order.shape[1])).all():
        return
    for arrays in (values, kept):
        weight, bias = arrays[layer]
        weight[:] = np.take_along_axis(weight, order[:, :, None], axis=1)
        bias[:] = np.take_along_axis(bias, order, axis=1)
        after = arrays[layer + 1][0]
        after[:] = np.take_along_axis(after, order[:, None, :], axis=2)


def cut_chunks(nets: SparseNets, size: int) -> Iterator[tuple[Integers, NetShape]]:
    """All networks in chunks of ``size`` alike in live widths, each with the widths it needs."""
    live = nets.live()
    order = np.lexsort(live.T)
    for first in range(0, len(nets), size):
        rows = order[first : first + size]
        widths = [max(1, int(width)) for width in live[rows].max(axis=0)]
        yield rows, NetShape.from_hidden(widths, nets.shape.inputs, nets.shape.outputs)


def _named(shape: NetShape, flat: F32) -> Arrays:
    """The inverse of ``flat_arrays``."""
    named: Arrays = {}
    for layer, (weight, bias) in enumerate(layers_of(shape, flat)):
        named[f"weight{layer}"], named[f"bias{layer}"] = weight, bias
    return named

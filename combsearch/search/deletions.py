"""Every network that is one weight, one bias or one whole neuron smaller than a given one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.search.sparse_nets import (
    F32,
    SparseNets,
    layers_of,
    tidied,
)


def children(nets: SparseNets, x: F32, prune_biases: bool) -> SparseNets:
    """All networks one deletion below ``nets``, in their order, dead neurons removed.

    What goes takes its mean over ``x`` [point, input] along: it is added to the biases of
    the neurons that lose an input, so that the network is disturbed less. Networks that no
    longer depend on their inputs are left out.

    Args:
        nets: parents.
        x: points to take means over; some thousand will do.
        prune_biases: biases may go too.
    """
    if not len(nets):
        return nets
    means = _means(nets, x)
    parts = [_without_weights(nets, means, layer) for layer in range(len(nets.shape.layers))]
    parts += [_without_neurons(nets, means, layer) for layer in range(len(nets.shape.hidden))]
    if prune_biases:
        parts += [_without_biases(nets, layer) for layer in range(len(nets.shape.layers))]
    smaller, alive = tidied(SparseNets.concat(parts), prune_biases)
    return smaller[alive]


def _means(nets: SparseNets, x: F32) -> list[F32]:
    """Mean input of each layer, float32 [net, neuron]."""
    size = max(1, 2**22 // (len(x) * max(nets.shape.widths)))
    parts = [_chunk_means(nets[i : i + size], x) for i in range(0, len(nets), size)]
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def _chunk_means(nets: SparseNets, x: F32) -> list[F32]:
    h = np.broadcast_to(x.T, (len(nets), *x.T.shape))
    means = []
    for weight, bias in layers_of(nets.shape, nets.params)[:-1]:
        means.append(h.mean(axis=2, dtype=np.float32))
        h = np.maximum(weight @ h + bias[:, :, None], 0)
    return [*means, h.mean(axis=2, dtype=np.float32)]


def _copies(nets: SparseNets, rows: npt.NDArray[Any]) -> tuple[SparseNets, Any, Any, Any]:
    """Copies of the networks ``rows``, views of their layers, and 0, 1, ... to index them."""
    copies = SparseNets(nets.shape, nets.params[rows], nets.masks[rows])
    values, kept = (layers_of(nets.shape, a) for a in (copies.params, copies.masks))
    return copies, values, kept, np.arange(len(rows))


def _without_weights(nets: SparseNets, means: list[F32], layer: int) -> SparseNets:
    net, out, fan = np.nonzero(layers_of(nets.shape, nets.masks)[layer][0])
    copies, values, kept, each = _copies(nets, net)
    (weight, bias), (weight_kept, bias_kept) = values[layer], kept[layer]
    moved = weight[each, out, fan] * means[layer][net, fan]
    bias[each, out] += np.where(bias_kept[each, out], moved, 0)
    weight[each, out, fan], weight_kept[each, out, fan] = 0, False
    return copies


def _without_neurons(nets: SparseNets, means: list[F32], layer: int) -> SparseNets:
    net, neuron = np.nonzero(layers_of(nets.shape, nets.masks)[layer][0].any(axis=2))
    copies, values, kept, each = _copies(nets, net)
    after, after_bias = values[layer + 1]
    moved = after[each, :, neuron] * means[layer + 1][net, neuron][:, None]
    after_bias += np.where(kept[layer + 1][1], moved, 0)
    for (weight, bias), (after, _) in (
        (values[layer], values[layer + 1]),
        (kept[layer], kept[layer + 1]),
    ):
        weight[each, neuron], bias[each, neuron], after[each, :, neuron] = 0, 0, 0
    return copies


def _without_biases(nets: SparseNets, layer: int) -> SparseNets:
    net, neuron = np.nonzero(layers_of(nets.shape, nets.masks)[layer][1])
    copies, values, kept, each = _copies(nets, net)
    values[layer][1][each, neuron], kept[layer][1][each, neuron] = 0, False
    return copies


def grown(nets: SparseNets, prune_biases: bool) -> SparseNets:
    """All networks with one weight more between live neurons, in their order; it starts at 0.

    With ``prune_biases`` a bias may come back too.
    """
    shape = nets.shape
    kept = layers_of(shape, nets.masks)
    sources = np.ones((len(nets), shape.inputs), np.bool_)
    free = np.zeros_like(nets.masks)
    for (weight, bias), (free_weight, free_bias) in zip(kept, layers_of(shape, free), strict=True):
        live = weight.any(axis=2)
        free_weight[:] = live[:, :, None] & sources[:, None, :] & ~weight
        if prune_biases:
            free_bias[:] = live & ~bias
        sources = live
    net, place = np.nonzero(free)
    masks = nets.masks[net]
    masks[np.arange(len(net)), place] = True
    return SparseNets(shape, nets.params[net], masks)

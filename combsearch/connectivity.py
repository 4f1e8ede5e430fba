"""Disconnected parameters of masked MLPs: which they are, what is left without them.

A kept weight from neuron i to neuron j matters only when a path of kept weights leads
from an input to i and another from j to an output::

    input ── i ── j ── output      counts
    input ── i ── j                does not: j leads nowhere
             i ── j ── output      does not: i has no input, its value is the same at every point

The **bias** of a neuron counts when the neuron reaches an output. A neuron that no input
reaches but that has a bias is a *constant*. What it sends to a neuron with a bias of its own
can move into that bias, so such a weight does not count; the constant's own bias does, which
is one more than is needed and so never flatters. What it sends to a neuron whose bias was
pruned is that neuron's bias, and counts as one. So a network with these nonzeros that
computes the same function always exists: ``effective_nonzeros`` is never too small. Where
every neuron has inputs and leads on (an eligible mask) everything counts.

Masks are dictionaries as a ``NetBatch`` holds them, 0/1 arrays ``weight0 [net, out, in]``,
``bias0 [net, out]``, ``weight1``, ..., of numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch

Bits = npt.NDArray[np.bool_]

_CHUNK = 2**22  # mask entries looked at together


@dataclasses.dataclass(frozen=True, eq=False)
class Neurons:
    """What reaches the neurons of n networks; one array bool [net, neuron] a layer, input first.

    Attributes:
        fed: a path of kept weights leads here from an input.
        constant: not fed, but a bias is, here or in a constant neuron that leads here:
            the value is the same at every point and need not be 0.
        reaching: a path of kept weights leads from here to an output (outputs do).
    """

    fed: list[Bits]
    constant: list[Bits]
    reaching: list[Bits]

    @property
    def live(self) -> list[Bits]:
        """Neurons that the output can depend on: reaching, and fed or constant."""
        layers = zip(self.fed, self.constant, self.reaching, strict=True)
        return [(fed | constant) & reaching for fed, constant, reaching in layers]


def neurons(masks: Mapping[str, npt.NDArray[np.generic]]) -> Neurons:
    """What reaches each neuron under ``masks`` (module docstring).

    Raises:
        UsageError: the masks are not those of an MLP.
    """
    weights, biases = _layers(masks)
    inputs = np.ones((len(weights[0]), weights[0].shape[2]), np.bool_)
    fed, constant = [inputs], [np.zeros_like(inputs)]
    for weight, bias in zip(weights, biases, strict=True):
        below, still = fed[-1], constant[-1]
        fed.append(_any(weight & below[:, None, :], axis=2))
        constant.append(~fed[-1] & (bias | _any(weight & still[:, None, :], axis=2)))
    reaching = [np.ones_like(biases[-1])]
    for weight in reversed(weights):
        reaching.insert(0, _any(weight & reaching[0][:, :, None], axis=1))
    return Neurons(fed, constant, reaching)


def connected(masks: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Bits]:
    """The kept parameters that count (module docstring), bool arrays named as ``masks``.

    Raises:
        UsageError: the masks are not those of an MLP.
    """
    weights, biases = _layers(masks)
    found = neurons(masks)
    kept: dict[str, Bits] = {}
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        # A constant stands in for a bias that was pruned; where there is one, it moves into it.
        as_bias = found.constant[layer][:, None, :] & ~bias[:, :, None]
        source = found.fed[layer][:, None, :] | as_bias
        reaching = found.reaching[layer + 1]
        kept[f"weight{layer}"] = weight & source & reaching[:, :, None]
        kept[f"bias{layer}"] = bias & reaching
    return kept


def nonzeros(nets: NetBatch) -> npt.NDArray[np.int64]:
    """int64 [net]: parameters that the masks keep, weights and biases."""
    parts = _chunks(nets.numpy().masks)
    kept = [_count({name: mask != 0 for name, mask in part.items()}) for part in parts]
    return np.concatenate(kept)


def effective_nonzeros(nets: NetBatch) -> npt.NDArray[np.int64]:
    """int64 [net]: nonzeros left when every disconnected parameter of an MLP is removed.

    The paper's count, with biases and constants as the module docstring says.

    Raises:
        UsageError: the networks are not MLPs.
    """
    return np.concatenate([_count(connected(part)) for part in _chunks(nets.numpy().masks)])


def disconnected(nets: NetBatch) -> npt.NDArray[np.int64]:
    """int64 [net]: kept parameters that do not count, ``nonzeros`` less ``effective_nonzeros``.

    Raises:
        UsageError: the networks are not MLPs.
    """
    return nonzeros(nets) - effective_nonzeros(nets)


def biases_kept(nets: NetBatch) -> Bits:
    """bool [net]: whether every neuron that keeps a weight and reaches an output has its bias.

    Such networks are counted as the paper and the enumeration do; where one such bias is
    pruned, a network belongs to the other way of counting and is listed apart.

    Raises:
        UsageError: the networks are not MLPs.
    """
    parts = [_biases_kept(part) for part in _chunks(nets.numpy().masks)]
    return np.concatenate(parts)


def _biases_kept(masks: Arrays) -> Bits:
    weights, biases = _layers(masks)
    reaching = neurons(masks).reaching[1:]
    layers = zip(weights, biases, reaching, strict=True)
    lost = [(weight.any(axis=2) & reach & ~bias).any(axis=1) for weight, bias, reach in layers]
    return np.asarray(~np.any(lost, axis=0))


def compact(nets: NetBatch, index: int = 0) -> NetBatch:
    """One MLP on its live neurons only: the same function, and the same training, smaller.

    Dropped are neurons that reach no output and neurons whose value is always 0. Constants
    stay, as neurons without inputs (their biases train on). A hidden layer without any live
    neuron keeps one whose parameters are all masked. Inputs and outputs stay.

    Args:
        nets: MLPs.
        index: which of them.

    Returns:
        A batch of one; ``init_width`` stays, since it says what was initialised.

    Raises:
        UsageError: the networks are not MLPs.
    """
    if not isinstance(nets.network, MLP):
        raise UsageError(f"cannot compact a {type(nets.network).__name__}, only an MLP")
    one = nets[index : index + 1].numpy()
    live = [layer[0] for layer in neurons(one.masks).live]
    kept = [np.flatnonzero(layer) if layer.any() else np.zeros(1, np.int64) for layer in live]
    kept[0], kept[-1] = np.arange(nets.network.shape.inputs), np.arange(nets.network.shape.outputs)

    def cut(arrays: Arrays) -> Arrays:
        smaller: Arrays = {}
        for layer, (columns, rows) in enumerate(pairwise(kept)):
            weight, bias = arrays[f"weight{layer}"], arrays[f"bias{layer}"]
            smaller[f"weight{layer}"] = weight[:, rows][:, :, columns] * live_block(layer)
            smaller[f"bias{layer}"] = bias[:, rows] * live[layer + 1][rows].astype(bias.dtype)
        return smaller

    def live_block(layer: int) -> npt.NDArray[np.float32]:
        """1 where both ends are live: a placeholder of a dead layer connects to nothing."""
        rows, columns = live[layer + 1][kept[layer + 1]], live[layer][kept[layer]]
        if layer == 0:
            columns = np.ones_like(columns)
        return np.outer(rows, columns).astype(np.float32)

    network = dataclasses.replace(nets.network, shape=NetShape(tuple(len(k) for k in kept)))
    return NetBatch(network, cut(one.params), cut(one.masks), cut(one.momenta))


def _chunks(masks: Arrays) -> Iterator[Arrays]:
    """The masks of a few networks at a time: some hundred wide ones would fill the memory."""
    nets = len(next(iter(masks.values()), ()))
    entries = sum(mask.size for mask in masks.values())
    few = max(1, _CHUNK * nets // max(entries, 1))
    for first in range(0, max(nets, 1), few):
        yield {name: mask[first : first + few] for name, mask in masks.items()}


def _layers(masks: Mapping[str, npt.NDArray[np.generic]]) -> tuple[list[Bits], list[Bits]]:
    """Weight masks [net, out, in] and bias masks [net, out] of an MLP as bool."""
    depth = sum(name.startswith("weight") for name in masks)
    names = {f"{kind}{layer}" for layer in range(depth) for kind in ("weight", "bias")}
    if not depth or set(masks) != names:
        raise UsageError(f"connectivity is that of an MLP (weight0, bias0, ...), not {list(masks)}")
    weights = [np.asarray(masks[f"weight{layer}"]) != 0 for layer in range(depth)]
    biases = [np.asarray(masks[f"bias{layer}"]) != 0 for layer in range(depth)]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        below = weights[layer - 1].shape[1] if layer else weight.shape[-1]
        if weight.ndim != 3 or weight.shape[:2] != bias.shape or weight.shape[2] != below:
            raise UsageError(
                f"the masks of layer {layer} are {weight.shape} and {bias.shape}, expected"
                f" [net, out, {below}] and [net, out]"
            )
    return weights, biases


def _any(bits: Bits, axis: int) -> Bits:
    return np.asarray(bits.any(axis=axis))


def _count(kept: Mapping[str, Bits]) -> npt.NDArray[np.int64]:
    counts = [bits.sum(axis=tuple(range(1, bits.ndim)), dtype=np.int64) for bits in kept.values()]
    return np.asarray(np.sum(counts, axis=0, dtype=np.int64))

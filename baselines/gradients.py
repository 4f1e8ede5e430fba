"""Gradients of many networks at once, written for one and lifted by ``torch.func.vmap``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.nets import Arrays, NetBatch, as_tensor, mean_loss
from combsearch.pruning import Bits, Budget, unflatten

Named = dict[str, torch.Tensor]
_FLOATS = 2**24  # numbers that one chunk of networks may take: 64 MB


def lifted(
    function: Callable[..., Mapping[str, torch.Tensor]],
    nets: NetBatch,
    *inputs: npt.NDArray[Any],
    floats: int,
) -> dict[str, npt.NDArray[Any]]:
    """``function(params, state, *inputs)`` of every network: name -> [net, ...].

    Args:
        function: of ONE network, in torch; what it gives is named.
        nets: n networks.
        inputs: arrays [net, ...], one entry a network.
        floats: about how many numbers one network takes.
    """
    size = max(1, _FLOATS // max(floats, 1))
    call = torch.func.vmap(function)
    parts = []
    for first in range(0, len(nets), size):
        part = nets[first : first + size].to_torch()
        given = [as_tensor(np.ascontiguousarray(a[first : first + size])) for a in inputs]
        found = call(part.params, part.state, *given)
        parts.append({name: a.detach().numpy() for name, a in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def loss_gradients(
    nets: NetBatch, budget: Budget, x: npt.NDArray[Any], y: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Gradient of the mean loss for every prunable weight, masked ones too: name -> [net, ...].

    Args:
        nets: n networks.
        budget: is charged for the samples.
        x, y: a minibatch of each, [net, batch, ...] and [net, batch].
    """
    names = nets.network.prunable

    def loss(chosen: Named, params: Named, state: Arrays, x: Any, y: Any) -> torch.Tensor:
        return mean_loss(nets.network.apply({**params, **chosen}, state, x)[0], y)

    def gradients(params: Named, state: Arrays, x: Any, y: Any) -> Named:
        chosen = {name: params[name] for name in names}
        found: Named = torch.func.grad(loss)(chosen, params, state, x, y)
        return found

    budget.charge(nets, x.shape[1])
    return lifted(gradients, nets, x, y, floats=floats_of(nets, x.shape[1]))


def floats_of(nets: NetBatch, points: int) -> int:
    """About how many numbers one network takes while its gradient over ``points`` is made."""
    sizes = [int(np.prod(a.shape[1:])) for a in nets.params.values()]
    rows = [int(a.shape[1]) for a in nets.params.values() if a.ndim > 1]
    return 8 * sum(sizes) + 4 * points * sum(rows)


def cut(nets: NetBatch, kept: Bits) -> NetBatch:
    """``nets`` without the weights that ``kept`` [net, weight] leaves out; biases all stay.

    So networks are scored while they are pruned; ``pruning.masked`` is for the end.
    """
    weights = {
        name: np.where(bits, nets.params[name], np.float32(0))
        for name, bits in unflatten(nets, kept).items()
    }
    masks = {name: bits.astype(np.float32) for name, bits in unflatten(nets, kept).items()}
    return dataclasses.replace(
        nets, params={**nets.params, **weights}, masks={**nets.masks, **masks}
    )

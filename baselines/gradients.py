"""Gradients of many networks at once, written for one and lifted by ``torch.func.vmap``.

On any device; a GPU rounds as float32, without TF32, so that scores differ in the last digits only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.nets import MLP, Arrays, NetBatch, as_tensor, mean_loss
from combsearch.pruning import Bits, Budget, unflatten
from combsearch.trainers.memory import net_bytes
from combsearch.trainers.precision import rounding

Named = dict[str, torch.Tensor]
_FLOATS = 2**24  # numbers that one chunk of networks may take: 64 MB


def lifted(
    function: Callable[..., Mapping[str, torch.Tensor]],
    nets: NetBatch,
    *inputs: npt.NDArray[Any],
    floats: int,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """``function(params, state, *inputs)`` of every network: name -> [net, ...].

    A network that is alone in its chunk is not lifted: its convolutions need no groups. An
    ``MLP`` always is, so that its numbers are the same to the bit alone and among others.

    Args:
        function: of ONE network, in torch; what it gives is named.
        nets: n networks.
        inputs: arrays [net, ...], one entry a network.
        floats: about how many numbers one network takes.
        device: to compute on, as torch names it.
        dtype: of the parameters and state that it is given; None leaves them as they are.
    """
    size = max(1, _FLOATS // max(floats, 1))
    lift = min(size, len(nets)) > 1 or isinstance(nets.network, MLP)
    call = torch.func.vmap(function) if lift else _alone(function)
    parts = []
    with rounding(tf32=False):
        for first in range(0, len(nets), size):
            chunk = slice(first, first + size)
            params = {n: as_tensor(a[chunk], device, dtype) for n, a in nets.params.items()}
            state = {n: as_tensor(a[chunk], device, dtype) for n, a in nets.state.items()}
            given = [as_tensor(np.ascontiguousarray(a[chunk]), device) for a in inputs]
            found = call(params, state, *given)
            parts.append({name: a.detach().cpu().numpy() for name, a in found.items()})
    return parts[0] if len(parts) == 1 else _joined(parts)


def _alone(
    function: Callable[..., Mapping[str, torch.Tensor]],
) -> Callable[..., Mapping[str, torch.Tensor]]:
    """What ``torch.func.vmap`` makes of ``function``, for chunks of one network."""

    def call(params: Named, state: Arrays, *inputs: torch.Tensor) -> Named:
        first = ({name: a[0] for name, a in arrays.items()} for arrays in (params, state))
        return {name: a[None] for name, a in function(*first, *(a[0] for a in inputs)).items()}

    return call


def _joined(parts: Sequence[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
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
    floats = floats_of(nets, x[0], y[0])
    return lifted(gradients, nets, x, y, floats=floats, device=budget.device)


def mean_gradients(
    nets: NetBatch, budget: Budget, draws: Sequence[int]
) -> dict[str, npt.NDArray[Any]]:
    """``loss_gradients``, the mean over the minibatches of these numbers (``Budget.draw``)."""
    total = loss_gradients(nets, budget, *budget.draw(draws[0]))
    for number in draws[1:]:
        for name, gradient in loss_gradients(nets, budget, *budget.draw(number)).items():
            total[name] = total[name] + gradient
    return total if len(draws) == 1 else {name: g / len(draws) for name, g in total.items()}


def floats_of(nets: NetBatch, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> int:
    """About how many numbers one network takes while its gradient is made.

    Args:
        nets: n networks.
        x, y: a minibatch of one of them, [batch, ...] and [batch].
    """
    if len(nets) == 1:
        return 1  # nothing to share memory with
    if not isinstance(nets.network, MLP):
        return net_bytes(nets, as_tensor(x), as_tensor(y)) // 4
    sizes = [int(np.prod(a.shape[1:])) for a in nets.params.values()]
    rows = [int(a.shape[1]) for a in nets.params.values() if a.ndim > 1]
    return 8 * sum(sizes) + 4 * len(x) * sum(rows)


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

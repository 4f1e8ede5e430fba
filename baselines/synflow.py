"""SynFlow: the flow through a network of absolute weights, without data (Tanaka et al. 2020)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.baselines.gradients import Named, cut, floats_of, lifted
from combsearch.baselines.iter_snip import check_steps
from combsearch.baselines.steps import geometric
from combsearch.baselines.thresholds import above
from combsearch.nets import Arrays, NetBatch, evaluate
from combsearch.networks.image_network import ImageNetwork
from combsearch.pruning import Bits, Budget, flatten, masked, note_collapse, top, weights_of

_FLOAT32_LAYERS = 6
"""Layers up to which the flow is float32's: those of the searches' networks have no more.

A layer of absolute weights multiplies the flow by about gain sqrt(inputs) / 2, up to 80 where He
et al.'s weights meet 4,608 inputs. Six of them stay far within float32's 38 orders of magnitude,
seventeen of VGG19 do not; float64 has 308.
"""


@dataclass(frozen=True)
class SynFlow:
    """Keeps the weights of the largest ``|w dR/dw|`` in ``steps`` exponential steps.

    R is the sum of the outputs for an input of ones, with the absolute values of all parameters,
    of the network in use: batch norm goes by its running statistics, as Tanaka et al. have it.
    In ``paper`` mode weights strictly above the threshold stay, so one fewer than the budget.

    Raises:
        UsageError: steps below 1.
    """

    steps: int = 100

    def __post_init__(self) -> None:
        check_steps(self.steps)

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        kept = np.ones((len(nets), weights_of(nets)), np.bool_)
        for step in range(1, self.steps + 1):
            smaller = cut(nets, kept)
            scores = flatten(nets, _flow(smaller, budget))
            note_collapse(scores, budget)
            kept = _chosen(scores, kept, budget, step / self.steps)
        return masked(nets, kept)


def _flow(nets: NetBatch, budget: Budget) -> dict[str, npt.NDArray[Any]]:
    """``|w dR/dw|`` of every prunable weight: name -> [net, ...]."""
    names, inputs = nets.network.prunable, budget.task.x.shape[1:]
    dtype = torch.float64 if len(names) > _FLOAT32_LAYERS else None

    def flow(weights: Named, sizes: Named, state: Arrays) -> torch.Tensor:
        ones = torch.ones((1, *inputs), dtype=dtype, device=budget.device)  # float32 for None
        return evaluate(nets.network, {**sizes, **weights}, state, ones).sum()

    def scores(params: Named, state: Arrays) -> Named:
        sizes = {name: p.abs() for name, p in params.items()}
        weights = {name: sizes[name] for name in names}
        gradients = torch.func.grad(flow)(weights, sizes, state)
        return {name: (gradients[name] * weights[name]).abs() for name in names}

    budget.charge(nets, 1)
    # Two points, since batch norm cannot be trained on one; the flow takes no more.
    floats = floats_of(nets, np.ones((2, *inputs), np.float32), np.zeros(2, np.uint8))
    return lifted(scores, nets, floats=floats, device=budget.device, dtype=dtype)


def severed(nets: NetBatch, inputs: tuple[int, ...]) -> Bits:
    """bool [net]: whether no path of kept weights leads from the inputs to the outputs.

    An empty layer cuts a plain network off, but not one with a shortcut around it, and layers
    that keep weights may not meet. By the masks alone: an input of ones flows through weights of
    1 / sqrt(inputs of the layer), which neither overflows nor underflows, with scales and batch
    norm as they start and without biases, so that the outputs are 0 where nothing arrives.

    Args:
        nets: n networks for images; those with an offset are dense whatever their masks are, so
            nothing is to be learned about them here.
        inputs: shape of a point.
    """
    network = nets.network
    assert isinstance(network, ImageNetwork)
    weights = {
        name: nets.masks[name] / np.float32(np.sqrt(np.prod(nets.masks[name].shape[2:])))
        for name in network.prunable
    }

    def reach(params: Named, state: Arrays) -> Named:
        ones = torch.ones((1, *inputs), dtype=torch.float64)
        return {"reach": evaluate(network, params, state, ones).amax()}

    params = {
        name: weights[name] if name in weights else np.full_like(nets.masks[name], start.value)
        for name, start in network.parameters.items()
    }
    even = dataclasses.replace(nets, params=params, state=network.initial_state(len(nets)))
    floats = floats_of(nets, np.ones((2, *inputs), np.float32), np.zeros(2, np.uint8))
    return np.asarray(lifted(reach, even, floats=floats, dtype=torch.float64)["reach"] == 0)


def _chosen(scores: npt.NDArray[Any], kept: Bits, budget: Budget, share: float) -> Bits:
    """The weights that stay after ``share`` of the steps."""
    weights, goal = scores.shape[1], budget.weight_nonzeros
    if budget.exact:
        return top(np.where(kept, scores, -np.inf), geometric(weights, goal, share))
    # The authors' code truncates the number that goes, not the one that stays.
    gone = (weights * (1 - (goal / weights) ** share)).astype(np.int64)
    return above(scores, weights - gone) & kept

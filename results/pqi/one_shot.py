"""In which round one-shot pruning takes each weight: what it needs of the dense network, and small.

One-shot pruning ranks by the weights of the dense network, and its rule counts only, so that all
its masks are fixed once that network is trained. A byte a weight and scope says so much, which
compresses to half of that; the weights themselves are four and do not compress. PyTorch and numpy
only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.sparsity.rounds import SCOPES
from combsearch.sparsity.rules import ShareRule
from combsearch.sparsity.sap import sap_prune_count
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks, networks

Goes = dict[str, npt.NDArray[np.uint8]]
"""scope -> the round that takes each prunable weight [weight], tensor by tensor.

The round after the last stands for those that are never taken.
"""


def is_needed(plan: PqiPlan) -> bool:
    """Whether a chain goes by the dense network."""
    return any(chain.by_dense for chain in plan.chains)


def check_rounds(plan: PqiPlan) -> None:
    """UsageError where a byte does not hold the number of a round."""
    if is_needed(plan) and plan.config.rounds > 254:
        raise UsageError(
            f"rounds is {plan.config.rounds}: with one_shot at most 254 fit the files here; take"
            " fewer, or combsearch study pqi"
        )


def goes_of(plan: PqiPlan, dense: NetBatch) -> Goes:
    """When each weight goes, for every scope of one-shot pruning; ``dense`` is one network."""
    tensors = [dense.params[name][0] for name in plan.network.prunable]
    return {
        chain.scope: _goes(tensors, chain.scope, chain.rule, plan.config.rounds)
        for chain in plan.chains
        if chain.by_dense and isinstance(chain.rule, ShareRule)
    }


def _goes(
    tensors: list[npt.NDArray[Any]], scope: str, rule: ShareRule, rounds: int
) -> npt.NDArray[np.uint8]:
    parts = [_block_goes(block, rule, rounds).reshape(-1) for block in _blocks(tensors, scope)]
    return np.concatenate(parts)


def _blocks(tensors: list[npt.NDArray[Any]], scope: str) -> list[npt.NDArray[Any]]:
    """Vectors [vector, entry] of equal length, in the order of the weights."""
    if scope == "global":
        return [np.concatenate([tensor.reshape(-1) for tensor in tensors])[None]]
    return [tensor.reshape(1 if scope == "layer" else len(tensor), -1) for tensor in tensors]


def _block_goes(block: npt.NDArray[Any], rule: ShareRule, rounds: int) -> npt.NDArray[np.uint8]:
    """As ``sparsity.rounds`` prunes: small ones first, NaN counts as smallest, last ones first."""
    sizes = np.abs(block)
    order = np.argsort(-np.where(np.isnan(sizes), -1, sizes), axis=1, kind="stable")
    goes = np.full(block.shape[1], rounds + 1, np.uint8)  # by place in that order
    left = block.shape[1]
    for number in range(rounds + 1):
        staying = left - int(sap_prune_count(left, 0, gamma=rule.share, beta=1.0))
        goes[staying:left] = number
        left = staying
    found = np.empty(block.shape, np.uint8)
    np.put_along_axis(found, order, goes[None].repeat(len(block), axis=0), axis=1)
    return found


def stand_in(plan: PqiPlan, seed: int, goes: Mapping[str, npt.NDArray[np.uint8]]) -> NetBatch:
    """A network that one-shot pruning gives the masks of the dense one, in every scope.

    Vectors of a neuron lie within those of its layer, these within the whole network, and all
    rank alike. So who goes earlier in a narrow scope never goes later in a wide one, and rounds
    put together, that of the wide scope first, rank right in each. At most 2^24, so that float32
    holds them.
    """
    full = {name: mask[:1] for name, mask in dense_masks(plan).items()}
    count = sum(mask.size for mask in full.values())
    rank = np.zeros(count, np.int64)
    for scope in SCOPES:
        rank = 256 * rank + goes.get(scope, np.zeros(count, np.uint8))
    nets, start = networks(plan, seed, full), 0
    params = dict(nets.params)
    for name, mask in full.items():
        params[name] = rank[start : start + mask.size].reshape(mask.shape).astype(np.float32)
        start += mask.size
    return dataclasses.replace(nets, params=params)

"""One round of all chains of a seed: train from the initial weights, measure, prune.

Needs numpy and torch only, so that it also runs where rows cannot be saved.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.nets import NetBatch
from combsearch.sparsity.rounds import prune_round
from combsearch.sparsity.rules import Bits
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.masks import (
    Masks,
    counted_nonzeros,
    kept_weights,
    masked,
    pack,
    with_biases,
)
from combsearch.studies.pqi.chains import SETTINGS
from combsearch.studies.pqi.measure import Measured, measured
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.training import train


def dense_masks(plan: PqiPlan) -> Masks:
    """Masks of all chains of a seed before the first round: bool [chain, ...], all true."""
    one = plan.network.init(plan.keys(0, 1))
    count = len(plan.chains)
    return {name: np.ones((count, *one[name].shape[1:]), np.bool_) for name in _names(plan)}


def run_round(
    plan: PqiPlan,
    seed: int,
    number: int,
    masks: Masks,
    dense: NetBatch | None,
    halfway: Halfway | None = None,
) -> tuple[dict[str, Any], NetBatch]:
    """The columns of ``pqi_rows`` for all chains of a seed in one round, and the checkpoints.

    Args:
        plan: what is trained.
        seed: number of the seed.
        number: of the round, 0 for the dense networks.
        masks: name -> bool [chain, ...], what is left of each chain.
        dense: the checkpoint of the dense network, one; None in round 0.
        halfway: where training is kept now and then, and taken up again.
    """
    began = time.perf_counter()
    words = pack(masks)
    # Chains that are alike are trained once: all in round 0, some in the next.
    _, first, place = np.unique(words, axis=0, return_index=True, return_inverse=True)
    place = place.reshape(-1)
    start = networks(plan, seed, {name: mask[first] for name, mask in masks.items()})
    trained = train(plan, start, seed, halfway)
    sizes = measured(trained.checkpoint, plan.config.grid_pairs())
    counted = counted_nonzeros(trained.checkpoint)
    trained, counted = trained[place], counted[:, place]
    left = _pruned(plan, trained.checkpoint, masks, dense)
    pruned = masked(trained.checkpoint, left)
    columns = {
        **_who(plan, seed, number),
        "accuracy": trained.accuracy,
        "best_accuracy": trained.best_accuracy,
        "best_epoch": trained.best_epoch,
        "pruned_accuracy": plan.get_trainer().score(pruned, plan.test).accuracy,
        "status": np.where(trained.diverged, "diverged", "ok"),
        "weights": sum(int(np.prod(mask.shape[1:])) for mask in masks.values()),
        "kept": kept_weights(masks),
        "left": kept_weights(left),
        "nonzeros": counted[0],
        "effective": counted[1],
        **_measures([sizes[i] for i in place]),
        "mask": list(pack(left)),
        "seconds": np.full(len(place), (time.perf_counter() - began) / len(place)),
    }
    return columns, trained.checkpoint


def networks(plan: PqiPlan, seed: int, masks: Masks) -> NetBatch:
    """Initial networks of a seed under masks bool [net, ...].

    A bias of an MLP of the searches goes with its neuron, as there.
    """
    keys = plan.keys(seed, len(next(iter(masks.values()))))
    return NetBatch.create(plan.network, keys, with_biases(plan.network, masks))


def _pruned(plan: PqiPlan, trained: NetBatch, masks: Masks, dense: NetBatch | None) -> Masks:
    """What the round leaves of each chain: name -> bool [chain, ...]."""
    names = _names(plan)
    left: dict[str, list[Bits]] = {name: [] for name in names}
    for place, chain in enumerate(plan.chains):
        source = dense if dense is not None and chain.by_dense else trained[_at(place)]
        own = {name: mask[_at(place)] for name, mask in masks.items()}
        for name, mask in prune_round(source.params, own, names, chain.rule, chain.scope).items():
            left[name].append(mask)
    return {name: np.concatenate(parts) for name, parts in left.items()}


def _at(place: int) -> npt.NDArray[np.intp]:
    return np.array([place])


def _names(plan: PqiPlan) -> tuple[str, ...]:
    return plan.network.prunable


def _who(plan: PqiPlan, seed: int, number: int) -> dict[str, Any]:
    chains = plan.chains
    first = (number * plan.config.seeds + seed) * len(chains)
    return {
        "rank": np.arange(first, first + len(chains)),
        "round": number,
        "method": [chain.method for chain in chains],
        "scope": [chain.scope for chain in chains],
        **{name: [chain.settings()[name] for chain in chains] for name in SETTINGS},
        "cell": plan.config.recipe().cell,
        "restart": seed,
    }


def _measures(sizes: list[Measured]) -> dict[str, Any]:
    return {
        "pqi": [one.pqi for one in sizes],
        "retain": [one.retain for one in sizes],
        "gini": [one.gini for one in sizes],
        "layer_kept": [one.layer_kept for one in sizes],
        "layer_pqi": [one.layer_pqi.reshape(-1) for one in sizes],
        "layer_gini": [one.layer_gini for one in sizes],
    }

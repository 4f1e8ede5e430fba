"""The PQ-index study by the letter: one chain and one network at a time, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import naive_sap
import naive_sparsity
import numpy as np

from combsearch.nets import MLP, NetBatch, score
from combsearch.studies.pqi.chains import Chain
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.trainers.loop import LoopTrainer

Masks = dict[str, Any]


def chain_rows(plan: PqiPlan, chain: Chain, seed: int) -> Iterator[dict[str, Any]]:
    """A row a round, without lists by layer."""
    names, pairs = plan.network.prunable, plan.config.grid_pairs()
    start = NetBatch.create(plan.network, plan.keys(seed, 1))
    masks = {name: np.ones(start.params[name][0].shape, bool) for name in names}
    dense: dict[str, Any] = {}
    for number in range(plan.config.rounds + 1):
        after = list(_epochs(plan, _masked(start, masks), seed))
        found = [score(nets, plan.test).accuracy[0] for nets in after]
        at = len(after) - 1 if plan.config.checkpoint == "last" else int(np.argmax(found))
        weights = {name: after[at].params[name][0] for name in names}
        dense = dense or weights
        left = _left(chain, dense if chain.method == "one_shot" else weights, masks)
        kept = [float(w) for name in names for w in weights[name][masks[name]]]
        yield {
            "round": number,
            "accuracy": found[-1],
            "best_accuracy": found[at],
            "best_epoch": at,
            "pruned_accuracy": score(_masked(after[at], left), plan.test).accuracy[0],
            "kept": len(kept),
            "left": sum(int(mask.sum()) for mask in left.values()),
            "pqi": [float(naive_sparsity.pq_index(kept, *pair)) for pair in pairs],
            "retain": [float(naive_sparsity.retain_bound(kept, *pair)) for pair in pairs],
            "gini": float(naive_sparsity.gini(kept)),
            "layer_kept": [int(masks[name].sum()) for name in names],
            "masks": left,
        }
        masks = left


def _epochs(plan: PqiPlan, nets: NetBatch, seed: int) -> Iterator[NetBatch]:
    recipe = plan.config.recipe()
    steps = recipe.steps_per_epoch(plan.task.points)
    for epoch in range(recipe.epochs):
        part = slice(epoch * steps, (epoch + 1) * steps)
        nets = LoopTrainer().fit(nets, plan.task, recipe, plan.keys(seed, 1), part)
        yield nets


def _left(chain: Chain, weights: dict[str, Any], masks: Masks) -> Masks:
    settings = chain.settings()
    if chain.method == "sap":
        count = naive_sap.sap_count(settings["p"], settings["q"], f"{settings['gamma']}")
    else:
        count = naive_sap.share_count(f"{settings['share']}")
    return naive_sap.prune_round(weights, masks, count, chain.scope)


def _masked(nets: NetBatch, masks: Masks) -> NetBatch:
    """``nets``, one, under masks; a bias of an MLP goes with its neuron."""
    named = {name: mask[None].astype(np.float32) for name, mask in masks.items()}
    if isinstance(nets.network, MLP):
        for name, mask in masks.items():
            named[name.replace("weight", "bias")] = mask.any(axis=1)[None].astype(np.float32)
    full = {name: named.get(name, mask) for name, mask in nets.masks.items()}
    params = {name: a * full[name] for name, a in nets.params.items()}
    return NetBatch(nets.network, params, full, nets.momenta, nets.state)

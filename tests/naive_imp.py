"""Iterative magnitude pruning with rewinding by the letter: one network, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from combsearch.nets import MLP, NetBatch, score
from combsearch.studies.dimensionality.plan import ImpPlan, Loaded
from combsearch.trainers.loop import LoopTrainer

Masks = dict[str, Any]


def chain_rows(plan: ImpPlan, found: Loaded, seed: int, rewind: int) -> Iterator[dict[str, Any]]:
    """A row a round: accuracy, kept, left and the masks that are left."""
    start = NetBatch.create(found.network, plan.keys(found.network))[np.array([seed])]
    masks = {name: np.ones(start.params[name][0].shape, bool) for name in found.names}
    early = trained(plan, found, start, seed, 0, rewind)
    for number in range(plan.config.rounds + 1):
        begin = start if number == 0 else fresh(under(early, masks))
        first = 0 if number == 0 else rewind
        after = trained(plan, found, begin, seed, first, plan.total_steps(found.source))
        left = pruned(after, masks, plan.config.share)
        yield {
            "accuracy": score(after, found.source.test).accuracy[0],
            "kept": sum(int(mask.sum()) for mask in masks.values()),
            "left": sum(int(mask.sum()) for mask in left.values()),
            "masks": left,
        }
        masks = left


def trained(
    plan: ImpPlan, found: Loaded, nets: NetBatch, seed: int, start: int, stop: int
) -> NetBatch:
    """Steps ``start`` to ``stop - 1``, each on the points of its epoch."""
    recipe = plan.config.recipe()
    keys = plan.keys(found.network)[np.array([seed])]
    per_epoch = recipe.steps_per_epoch(found.source.points)
    for step in range(start, stop):
        task = found.source.epoch(step // per_epoch)
        nets = LoopTrainer().fit(nets, task, recipe, keys, slice(step, step + 1))
    return nets


def pruned(nets: NetBatch, masks: Masks, share: float) -> Masks:
    """Without the floor(share x left) smallest of all tensors; the first of equals stay."""
    entries = [
        (abs(float(nets.params[name][0][place])), -order, name, place)
        for order, (name, place) in enumerate(
            (name, tuple(place)) for name, mask in masks.items() for place in np.argwhere(mask)
        )
    ]
    left = {name: mask.copy() for name, mask in masks.items()}
    for _, _, name, place in sorted(entries)[: math.floor(share * len(entries))]:
        left[name][place] = False
    return left


def under(nets: NetBatch, masks: Masks) -> NetBatch:
    """One network under masks; a bias of an MLP goes with its neuron."""
    named = {name: mask[None].astype(np.float32) for name, mask in masks.items()}
    if isinstance(nets.network, MLP):
        for name, mask in masks.items():
            named[name.replace("weight", "bias")] = mask.any(axis=1)[None].astype(np.float32)
    full = {name: named.get(name, mask) for name, mask in nets.masks.items()}
    params = {name: a * full[name] for name, a in nets.params.items()}
    return NetBatch(nets.network, params, full, nets.momenta, nets.state)


def fresh(nets: NetBatch) -> NetBatch:
    """Without momenta."""
    zeros = {name: np.zeros_like(a) for name, a in nets.params.items()}
    return NetBatch(nets.network, nets.params, nets.masks, zeros, nets.state)

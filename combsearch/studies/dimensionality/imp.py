"""A round of iterative magnitude pruning with weight rewinding, for all chains of a setting.

"Linear Mode Connectivity and the Lottery Ticket Hypothesis" (Frankle et al., 2020), algorithm 2:
train the dense network; then, round by round, prune the smallest ``share`` of the weights that
are left, all layers together, set the others back to what they were after step k of the dense
training, and train on from step k. k = 0 is the lottery ticket hypothesis' own. Momenta start at
0 at the rewinding step, batch norm's statistics are those of that step.

Needs numpy and torch only, so that it also runs where rows cannot be saved.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.nets import NetBatch
from combsearch.sparsity.rounds import prune_round
from combsearch.sparsity.rules import ShareRule
from combsearch.studies.checkpoint import Halfway, keep_dense, kept_dense
from combsearch.studies.dimensionality.plan import ImpPlan, Loaded
from combsearch.studies.dimensionality.training import train
from combsearch.studies.masks import (
    Masks,
    counted_nonzeros,
    kept_weights,
    pack,
    with_biases,
)


def pruned(nets: NetBatch, names: Sequence[str], share: float) -> Masks:
    """The masks of n networks after a round: name of a tensor -> bool [net, out, ...].

    Args:
        nets: trained networks, of any kind.
        names: of the tensors that may lose weights; only these are counted and returned.
        share: of what is left of them, together, that goes: floor(share x left).
    """
    masks = {name: np.asarray(nets.masks[name]) != 0 for name in names}
    return prune_round(nets.numpy().params, masks, names, ShareRule(share))


def rewound_to(start: NetBatch, masks: Mapping[str, Any]) -> NetBatch:
    """Networks ``start``, dense, under ``masks`` bool [net, out, ...], before their first step.

    Momenta are 0. A bias of an MLP of the searches goes with its neuron, as there.
    """
    named = {**start.masks, **with_biases(start.network, dict(masks))}
    return NetBatch(
        start.network,
        {name: a * named[name] for name, a in start.params.items()},
        named,
        {name: np.zeros_like(a) for name, a in start.params.items()},
        start.state,
    )


def dense_masks(plan: ImpPlan, found: Loaded) -> Masks:
    """Masks of all chains of a setting before the first round: bool [chain, ...], all true."""
    one = found.network.init(plan.keys(found.network)[:1])
    return {name: np.ones((plan.chains, *one[name].shape[1:]), np.bool_) for name in found.names}


def run_round(
    plan: ImpPlan, place: int, number: int, masks: Masks, root: Path | None = None
) -> dict[str, Any]:
    """The columns of ``dimension_rows`` for all chains of a setting in one round.

    Args:
        plan: what is trained.
        place: of the setting among those of the plan.
        number: of the round, 0 for the dense networks.
        masks: name -> bool [chain, ...], what is left of each chain.
        root: folder of the run, where networks are kept halfway and at rewinding steps.
    """
    began = time.perf_counter()
    found = plan.load(plan.settings[place])
    trained = _trained(plan, found, place, number, masks, root)
    scores = plan.get_trainer().score(trained, found.source.test)
    left = pruned(trained, found.names, plan.config.share)
    for name, mask in left.items():  # numbers that are no numbers have no order: all stay
        mask[scores.diverged] = masks[name][scores.diverged]
    counted = counted_nonzeros(trained)
    return {
        **_who(plan, place, number),
        "accuracy": scores.accuracy,
        "status": np.where(scores.diverged, "diverged", "ok"),
        "weights": sum(int(np.prod(mask.shape[1:])) for mask in masks.values()),
        "kept": kept_weights(masks),
        "left": kept_weights(left),
        "nonzeros": counted[0],
        "effective": counted[1],
        "layer_kept": list(_by_layer(masks)),
        "mask": list(pack(left)),
        "seconds": np.full(plan.chains, (time.perf_counter() - began) / plan.chains),
    }


def _trained(
    plan: ImpPlan, found: Loaded, place: int, number: int, masks: Masks, root: Path | None
) -> NetBatch:
    """The networks of all chains at the end of a round."""
    rewinds, seeds = plan.config.rewinds, plan.config.seeds
    if not number:  # all chains of a seed are one network still
        return NetBatch.concat([_fit(plan, found, place, 0, None, 0, root)] * len(rewinds))
    parts = []
    for chain, step in enumerate(rewinds):
        own = {name: a[chain * seeds : (chain + 1) * seeds] for name, a in masks.items()}
        parts.append(_fit(plan, found, place, number, own, step, root))
    return NetBatch.concat(parts)


def _fit(
    plan: ImpPlan,
    found: Loaded,
    place: int,
    number: int,
    masks: Masks | None,
    step: int,
    root: Path | None,
) -> NetBatch:
    """Networks of all seeds trained from ``step``, dense or under masks, to the end."""
    nets = dense_at(plan, found, place, step, root)
    if masks is not None:
        nets = rewound_to(nets, masks)
    halfway = Halfway.of(root, f"{place}-{step}", number) if root else None
    stop = plan.total_steps(found.source)
    keys, recipe = plan.keys(found.network), plan.config.recipe()
    return train(plan.get_trainer(), nets, found.source, recipe, keys, step, stop, halfway)


def dense_at(
    plan: ImpPlan, found: Loaded, place: int, step: int, root: Path | None = None
) -> NetBatch:
    """The dense networks of all seeds of a setting after ``step`` steps.

    Kept in a file of the run folder ``root``, and trained again where it is gone.
    """
    keys, recipe = plan.keys(found.network), plan.config.recipe()
    start = NetBatch.create(found.network, keys)
    if not step:
        return start
    name = f"{place}-{step}"
    kept = kept_dense(root, name, start) if root else None
    if kept is None:
        kept = train(plan.get_trainer(), start, found.source, recipe, keys, 0, step)
        if root:
            keep_dense(root, name, kept)
    return kept


def _by_layer(masks: Masks) -> np.ndarray[Any, np.dtype[np.int32]]:
    """int32 [chain, layer]."""
    counts = [mask.reshape(len(mask), -1).sum(axis=1) for mask in masks.values()]
    return np.stack(counts, axis=1).astype(np.int32)


def _who(plan: ImpPlan, place: int, number: int) -> dict[str, Any]:
    config, setting = plan.config, plan.settings[place]
    first = (place * (config.rounds + 1) + number) * plan.chains
    return {
        "rank": np.arange(first, first + plan.chains),
        "round": number,
        "width": setting.width,
        "dimension": setting.dimension,
        "rewind": np.repeat(config.rewinds, config.seeds),
        "cell": config.recipe().cell,
        "restart": np.tile(np.arange(config.seeds), len(config.rewinds)),
    }

"""The fused CPU kernel for networks of DCT plus sparse: 9 to 40 times as fast as vmap.

See ``fused``; a network's result depends on its own inputs alone here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.kernels import cpu, offset
from combsearch.nets import MLP, Arrays, NetBatch, Scores, flat_arrays
from combsearch.networks.dct_mlp import DctMLP
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Plan, fused_obstacle, plan_fit
from combsearch.trainers.fused import LAYOUT, grouped, ungrouped
from combsearch.trainers.kernel_data import Floats, named, samples_of, segments


@dataclass(frozen=True)
class FusedDctTrainer:
    """Trains ``DctMLP`` in the fused CPU kernel."""

    @property
    def name(self) -> str:
        """``"fused"``: what the study calls it."""
        return "fused"

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; ``on_step`` is not possible."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        network = _served(nets, task, on_step, plan.recipe)
        nets = nets.numpy()
        p, v, m = (_rows(network, kind) for kind in (nets.params, nets.momenta, nets.masks))
        for block in np.unique(plan.blocks):
            own = np.flatnonzero(plan.blocks == block)
            p[own], v[own] = _fit_block(network, p[own], v[own], m[own], own, task, plan)
        new = [_named(network, rows, nets.params) for rows in (p, v)]
        return NetBatch(network, new[0], nets.masks, new[1], nets.state)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        network = _served(nets, task, None, None)
        p = grouped(_rows(network, nets.numpy().params))
        widths = network.shape.widths
        e = offset.whole(p, _offset(network), widths)
        correct, finite = cpu.score(e, samples_of(task), widths)
        n = len(nets)
        return Scores(correct.reshape(-1)[:n], task.points, ~finite.reshape(-1)[:n])


def dct_obstacle(
    network: DctMLP, task: Task, on_step: OnStep | None = None, recipe: Recipe | None = None
) -> str | None:
    """Why the trainer cannot serve a request, or None when it can."""
    plain = NetBatch(MLP(network.shape, network.init_width), {}, {}, {})
    return fused_obstacle(plain, task, on_step, recipe)


def _served(nets: NetBatch, task: Task, on_step: OnStep | None, recipe: Recipe | None) -> DctMLP:
    if not isinstance(nets.network, DctMLP):
        found = type(nets.network).__name__
        raise UsageError(f"this trainer takes networks of DCT plus sparse only, not a {found}")
    obstacle = dct_obstacle(nets.network, task, on_step, recipe)
    if obstacle is not None:
        raise UsageError(f"trainer 'fused' cannot do this: {obstacle}; 'vmap' and 'loop' can")
    return nets.network


def _fit_block(
    network: DctMLP, p: Floats, v: Floats, m: Floats, lanes: npt.NDArray[np.intp], task: Task,
    plan: Plan,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Parameters and momenta [net, row] of the networks ``lanes``, of one block, trained."""
    gp, gv, gm = (grouped(a) for a in (p, v, m))
    rates = grouped(plan.rates[lanes].astype(np.float32))
    for first, last, batches in segments(task, plan, int(plan.blocks[lanes[0]]), LAYOUT):
        offset.train(
            gp, gv, gm, rates, batches, _offset(network), network.shape.widths,
            batch=plan.recipe.batch_size, first=first, last=last, momentum=plan.recipe.momentum,
            decay=plan.recipe.weight_decay, scales=network.trainable,
        )  # fmt: skip
    return ungrouped(gp, len(lanes)), ungrouped(gv, len(lanes))


def _offset(network: DctMLP) -> Floats:
    return network.offset().astype(np.float32)


def _plain(arrays: Arrays) -> Arrays:
    return {name: a for name, a in arrays.items() if not name.startswith("alpha")}


def _rows(network: DctMLP, arrays: Arrays) -> Floats:
    """float32 [net, row] as ``kernels.offset`` has the rows; a fixed alpha is 1."""
    flat, layers = flat_arrays(_plain(arrays)), range(len(network.shape.layers))
    ones = np.ones(len(flat), np.float32)
    alphas = [arrays.get(f"alpha{layer}", ones).astype(np.float32) for layer in layers]
    return np.concatenate([flat, np.stack(alphas, axis=1)], axis=1)


def _named(network: DctMLP, rows: Floats, like: Arrays) -> Arrays:
    """The inverse of ``_rows``: arrays with the names and shapes of ``like``."""
    arrays = named(rows[:, : network.places], _plain(like))
    if network.trainable:
        for layer in range(len(network.shape.layers)):
            arrays[f"alpha{layer}"] = rows[:, network.places + layer]
    return {name: arrays[name] for name in like}

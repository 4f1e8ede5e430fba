"""One network of the study: its mask, its training, interrupted or not, and its row."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.baselines.synflow import severed
from combsearch.config import Recipe
from combsearch.nets import NetBatch, Scores
from combsearch.networks import ImageNetwork
from combsearch.networks.offset import DctOffset
from combsearch.pruning import Budget, Spent
from combsearch.rng import RunKeys
from combsearch.studies.checkpoint import (
    Halfway,
    epochs_of_segment,
    masks_arrays,
    nets_arrays,
    nets_from,
    with_masks,
)
from combsearch.studies.dctps.config import Setting
from combsearch.studies.dctps.plan import DctpsPlan, weights_of
from combsearch.tasks import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Trainer, step_range
from combsearch.trainers.best import BestEpoch

_LAST = ("params", "momenta", "state", "adam")
_BEST = ("params", "state")


class Watched:
    """A ``Trainer`` that notes the best epoch and keeps the network of a run now and then.

    Args:
        inner: trains.
        best: sees the network at the end of every epoch, of those too whose last step a pruner
            takes in place of the trainer.
        halfway: where the network is kept; None keeps it nowhere.

    Attributes:
        spent: of the budget that the network is trained on.
    """

    def __init__(self, inner: Trainer, best: BestEpoch, halfway: Halfway | None) -> None:
        self._inner, self._best, self._halfway = inner, best, halfway
        self._position, self._epochs = 0, 1
        self.spent: Spent | None = None

    @property
    def name(self) -> str:
        """That of the trainer."""
        return self._inner.name

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; segments of one run, in order. ``on_step`` must be None."""
        assert on_step is None
        shared = recipe if isinstance(recipe, Recipe) else recipe[0]
        per_epoch, total = shared.steps_per_epoch(task.points), shared.total_steps(task.points)
        step, stop = step_range(steps, total)
        for passed in range(self._position, step):
            self._best(passed, nets.to_torch())
        while step < stop:
            began = time.monotonic()
            end = min((step // per_epoch + self._epochs) * per_epoch, stop)
            if self._halfway is None:
                end = stop
            nets = self._inner.fit(nets, task, recipe, keys, slice(step, end), self._best)
            seconds = (time.monotonic() - began) * per_epoch / (end - step)
            self._epochs, self._position = epochs_of_segment(seconds), end
            step = end
            if self._halfway and step < total and self._halfway.due():
                self._write(nets)
        self._position = stop
        return nets

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """As the trainer."""
        return self._inner.score(nets, task)

    def taken_up(self, like: NetBatch, spent: Spent) -> NetBatch | None:
        """What a sound file of networks ``like`` these holds, and where it was; else None."""
        self.spent = spent
        arrays = self._halfway.read() if self._halfway else None
        if arrays is None or not {"step", "collapsed", "accuracy", "epoch"} <= arrays.keys():
            return None
        last, best = _nets("last.", like, arrays), _nets("best.", like, arrays)
        if last is None or best is None:
            return None
        if arrays["accuracy"].size:
            self._best.resume(best, arrays["accuracy"], arrays["epoch"])
        spent.position = self._position = int(arrays["step"])
        spent.collapsed = arrays["collapsed"]
        return last

    def _write(self, nets: NetBatch) -> None:
        """Keep ``nets`` and the best ones; before the first epoch's end these are the same."""
        assert self._halfway is not None and self.spent is not None
        best = self._best.nets() if len(self._best.epoch) else nets
        self._halfway.write({
            "step": np.array(self._position),
            "collapsed": self.spent.collapsed,
            "accuracy": self._best.accuracy,
            "epoch": self._best.epoch,
            **nets_arrays("last.", nets, _LAST),
            **masks_arrays("last.masks.", nets),
            **nets_arrays("best.", best, _BEST),
            **masks_arrays("best.masks.", best),
        })  # fmt: skip


def _nets(prefix: str, like: NetBatch, arrays: dict[str, Any]) -> NetBatch | None:
    """The networks of a file halfway, with their masks."""
    found = nets_from(prefix, like, arrays)
    return None if found is None else with_masks(f"{prefix}masks.", found, arrays)


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after its training.

    Attributes:
        last: after the last step.
        best: after the epoch with the best validation accuracy.
        valid_accuracy: of ``best``.
        best_epoch: from 0.
        collapsed: the pruner had nothing to choose by, or left no path from an input to an
            output, which there always is with a transform.
    """

    last: NetBatch
    best: NetBatch
    valid_accuracy: float
    best_epoch: int
    collapsed: bool


def train(plan: DctpsPlan, setting: Setting, seed: int, halfway: Halfway | None = None) -> Trained:
    """Prune and train one network.

    Args:
        plan: of the run.
        setting: its method and density.
        seed: number of the seed.
        halfway: where it is kept now and then, and taken up again.
    """
    method = setting.method
    network, keys, recipe = plan.network(method), plan.keys(seed), plan.config.recipe(method)
    best = BestEpoch(plan.training, recipe)
    watched = Watched(plan.get_trainer(), best, halfway)
    goal = np.array([setting.budget(weights_of(network))])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    budget = Budget(goal, plan.training, (recipe,), keys, watched, device=device)
    nets, pruner = NetBatch.create(network, keys), plan.pruner(method)
    found = watched.taken_up(nets, budget.spent)
    if pruner is not None and (found is None or method.moves):
        found = pruner.prune(nets if found is None else found, budget)
    last = budget.finish(nets if found is None else found)
    cut = not method.offset and bool(severed(last, plan.image_shape)[0])
    collapsed = bool(budget.spent.collapsed[0]) or cut
    return Trained(last, best.nets(), float(best.accuracy[0]), int(best.epoch[0]), collapsed)


def run_network(
    plan: DctpsPlan, place: int, seed: int, halfway: Halfway | None = None
) -> dict[str, Any]:
    """The columns of the row of one network, see ``dctps_rows``.

    Args:
        plan: of the run.
        place: of its setting.
        seed: number of the seed.
        halfway: see ``train``.
    """
    began = time.monotonic()
    setting = plan.settings[place]
    found = train(plan, setting, seed, halfway)
    trainer, network = plan.get_trainer(), plan.network(setting.method)
    scores, weights = trainer.score(found.last, plan.test), weights_of(network)
    status = "diverged" if scores.diverged[0] else "ok"
    layer_kept = kept_by_layer(found.best)
    return {
        "rank": np.array([place * plan.config.seeds + seed]),
        "method": setting.method.text,
        "density": setting.density,
        "cell": plan.config.recipe(setting.method).cell,
        "restart": seed,
        "accuracy": trainer.score(found.best, plan.test).accuracy,
        "valid_accuracy": found.valid_accuracy,
        "best_epoch": found.best_epoch,
        "last_accuracy": scores.accuracy,
        "status": "collapsed" if found.collapsed else status,
        "weights": weights,
        "budget": setting.budget(weights),
        "kept": int(layer_kept.sum()),
        "other": sum(int(a[0].size) for a in found.last.params.values()) - weights,
        "layer_kept": [layer_kept],
        "alphas": [alphas_of(found.best)],
        "seconds": time.monotonic() - began,
    }


def kept_by_layer(nets: NetBatch) -> npt.NDArray[np.int32]:
    """Weights that the first of ``nets`` keeps: int32 [layer]."""
    names = nets.network.prunable
    return np.array([np.count_nonzero(nets.masks[name][0]) for name in names], np.int32)


def alphas_of(nets: NetBatch) -> npt.NDArray[np.float64]:
    """Factors of the transforms of the first of ``nets``: float64 [layer], none without."""
    network = nets.network
    assert isinstance(network, ImageNetwork)
    if network.offset is None:
        return np.zeros(0)
    names = [f"{name.removesuffix('weight')}alpha" for name in network.prunable]
    if network.offset.trainable:
        return np.array([nets.params[name][0] for name in names], np.float64)
    twin = dataclasses.replace(network, offset=DctOffset(True, network.offset.form))
    return np.array([twin.parameters[name].value for name in names])

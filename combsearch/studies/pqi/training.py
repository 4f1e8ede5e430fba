"""The training of a round: all networks of a seed side by side, interrupted or not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.nets import NetBatch
from combsearch.studies.checkpoint import (
    Halfway,
    epochs_of_segment,
    is_of,
    nets_arrays,
    nets_from,
    starts_of,
)
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.trainers.best import BestEpoch


@dataclass(frozen=True, eq=False)
class Trained:
    """n networks after the training of a round.

    Attributes:
        accuracy: float64 [net], on test points, after the last epoch.
        diverged: bool [net], a parameter or a logit was not finite then.
        checkpoint: the networks that are measured and pruned, as numpy arrays.
        best_accuracy: float64 [net], theirs.
        best_epoch: int64 [net], when they were taken.
    """

    accuracy: npt.NDArray[np.float64]
    diverged: npt.NDArray[np.bool_]
    checkpoint: NetBatch
    best_accuracy: npt.NDArray[np.float64]
    best_epoch: npt.NDArray[np.int64]

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Trained:
        return Trained(
            self.accuracy[index],
            self.diverged[index],
            self.checkpoint[index],
            self.best_accuracy[index],
            self.best_epoch[index],
        )


def train(plan: PqiPlan, nets: NetBatch, seed: int, halfway: Halfway | None = None) -> Trained:
    """Train n networks of a seed for one round.

    Args:
        plan: what is trained.
        nets: the networks at the start of the round.
        seed: number of the seed.
        halfway: where they are kept now and then, and taken up again.
    """
    trainer, recipe = plan.get_trainer(), plan.config.recipe()
    best = BestEpoch(plan.task, recipe) if plan.config.checkpoint == "best" else None
    step, last = _taken_up(halfway, nets, best) if halfway else (0, nets)
    per_epoch = recipe.steps_per_epoch(plan.task.points)
    total = per_epoch * recipe.epochs
    keys, span = plan.keys(seed, len(nets)), per_epoch if halfway else total
    while step < total:
        began, stop = time.monotonic(), min(step + span, total)
        last = trainer.fit(last, plan.task, recipe, keys, slice(step, stop), on_step=best)
        epochs = (stop - step) // per_epoch
        span = per_epoch * epochs_of_segment((time.monotonic() - began) / epochs)
        step = stop
        if halfway and step < total and halfway.due():
            halfway.write(_arrays(step, nets, last, best))
    scores = trainer.score(last, plan.test)
    if best is None:
        epoch = np.full(len(nets), recipe.epochs - 1, np.int64)
        return Trained(scores.accuracy, scores.diverged, last, scores.accuracy, epoch)
    return Trained(scores.accuracy, scores.diverged, best.nets(), best.accuracy, best.epoch)


def _arrays(step: int, start: NetBatch, last: NetBatch, best: BestEpoch | None) -> dict[str, Any]:
    """What a file halfway holds: of masks bits, of the best networks no momenta."""
    arrays = {"step": np.array(step), **starts_of(start)}
    arrays |= nets_arrays("last.", last, ("params", "momenta", "state", "adam"))
    if best is not None:
        arrays |= {"accuracy": best.accuracy, "epoch": best.epoch}
        arrays |= nets_arrays("best.", best.nets(), ("params", "state"))
    return arrays


def _taken_up(halfway: Halfway, nets: NetBatch, best: BestEpoch | None) -> tuple[int, NetBatch]:
    """(the step to go on with, networks): those of a sound file of these, or the start."""
    arrays = halfway.read()
    needed = {"step"} if best is None else {"step", "accuracy", "epoch"}
    if arrays is None or not needed <= arrays.keys() or not is_of(arrays, nets):
        return 0, nets
    last = nets_from("last.", nets, arrays)
    kept = nets_from("best.", nets, arrays) if best is not None else last
    if last is None or kept is None:
        return 0, nets
    if best is not None:
        best.resume(kept, arrays["accuracy"], arrays["epoch"])
    return int(arrays["step"]), last

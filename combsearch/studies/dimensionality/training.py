"""Training of a round over a range of steps, on points that stay or are fresh every epoch."""

from __future__ import annotations

import time

from combsearch.config import Recipe
from combsearch.nets import NetBatch
from combsearch.rng import RunKeys
from combsearch.studies.checkpoint import (
    Halfway,
    epochs_of_segment,
    is_of,
    nets_arrays,
    nets_from,
    starts_of,
)
from combsearch.studies.dimensionality.data import Source
from combsearch.trainers.base import Trainer


def train(
    trainer: Trainer,
    nets: NetBatch,
    source: Source,
    recipe: Recipe,
    keys: RunKeys,
    start: int,
    stop: int,
    halfway: Halfway | None = None,
) -> NetBatch:
    """Train n networks over the steps ``start`` to ``stop - 1`` of the recipe.

    Args:
        trainer: what trains.
        nets: the networks before step ``start``.
        source: of the points.
        recipe: how.
        keys: one a network.
        start, stop: steps.
        halfway: where the networks are kept now and then, and taken up again.
    """
    per_epoch = recipe.steps_per_epoch(source.points)
    step, last = _taken_up(halfway, nets, start, stop) if halfway else (start, nets)
    epochs = 1 if source.fresh or halfway else recipe.epochs
    while step < stop:
        began = time.monotonic()
        end = min((step // per_epoch + epochs) * per_epoch, stop)
        task = source.epoch(step // per_epoch)
        last = trainer.fit(last, task, recipe, keys, slice(step, end))
        if not source.fresh and halfway:
            seconds = (time.monotonic() - began) * per_epoch / (end - step)
            epochs = epochs_of_segment(seconds)
        step = end
        if halfway and step < stop and halfway.due():
            arrays = {"step": step, **starts_of(nets)}
            kinds = ("params", "momenta", "state", "adam")
            halfway.write({**arrays, **nets_arrays("last.", last, kinds)})
    return last


def _taken_up(halfway: Halfway, nets: NetBatch, start: int, stop: int) -> tuple[int, NetBatch]:
    """(the step to go on with, networks): those of a sound file of these, or the start."""
    arrays = halfway.read()
    if arrays is None or "step" not in arrays or not is_of(arrays, nets):
        return start, nets
    last, step = nets_from("last.", nets, arrays), int(arrays["step"])
    return (step, last) if last is not None and start <= step <= stop else (start, nets)

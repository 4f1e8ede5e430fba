"""Races: many restarts of a mask start, the worse half drops out five times.

A race is the restarts of one mask and cell in one pool. Runs whose output is the same
for all of some points before the first step are taken for dead, every path through them
being off, and do not start. Then, after 2, 5, 10, 20 and 30 of 50 epochs, at most half
of those that started the leg go on: the most accurate on a fixed sample of the points.

Some successes sit at chance until late, so a race loses some of them. To measure that,
one race in ``controls`` is run in full: its runs all train to the end, and those that
would have dropped out are marked. A surviving run is bitwise the run without a race.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys, mix64
from combsearch.search.sharing import give_way
from combsearch.tasks import Task
from combsearch.trainers import Trainer

LEGS = (0.04, 0.1, 0.2, 0.4, 0.6)  # of the epochs, after which the worse half drops out
_SAMPLE = 8192  # points that the accuracy in a race is taken on
_ALIVE_AT_ONCE = 256  # networks whose activations stay in the cache
_DEAD_SAMPLE = 512  # points on which an output that never changes counts as dead

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Race:
    """How to race on a task.

    Attributes:
        trainer: what trains.
        task: what is learned.
        recipe: what all cells share.
    """

    trainer: Trainer
    task: Task
    recipe: Recipe

    @cached_property
    def _sample(self) -> Task:
        return thinned(self.task, _SAMPLE)

    def run(
        self,
        nets: NetBatch,
        recipes: list[Recipe],
        keys: RunKeys,
        group: npt.NDArray[np.int64],
        control: Bools,
    ) -> tuple[NetBatch, npt.NDArray[np.intp], Bools]:
        """Train every race to its end.

        Args:
            nets: n networks at the start.
            recipes, keys: theirs.
            group: int64 [n], the race that each is in, from 0.
            control: bool [n], whether its race runs in full; the same for all of a race.

        Returns:
            The networks that were trained to the end, their places among the n, and bool
            [trained]: whether each is only there as a control.
        """
        total = self.recipe.total_steps(self.task.points)
        runs = np.bincount(group)
        racing = alive(nets, self.task)
        place = np.flatnonzero(racing | control)
        nets, start = nets[place], 0
        for leg, stop in enumerate((*leg_ends(self.recipe, self.task.points), total)):
            give_way()
            if len(place) and stop > start:
                chosen = [recipes[p] for p in place]
                nets = self.trainer.fit(nets, self.task, chosen, keys[place], slice(start, stop))
            if stop < total and len(place):
                keep = runs >> (leg + 1)
                quick = racing[place]
                score = self._score(nets)
                racing[place] = best_of_each(score, group[place], quick, np.maximum(keep, 1))
                stay = (racing | control)[place]
                nets, place = nets[stay], place[stay]
            start = stop
        return nets, place, ~racing[place]

    def _score(self, nets: NetBatch) -> npt.NDArray[np.int64]:
        scores = self.trainer.score(nets, self._sample)
        return np.where(scores.diverged, -1, scores.correct)


def leg_ends(recipe: Recipe, points: int) -> list[int]:
    """Steps after which the worse half drops out, at ends of epochs; those of no epoch left out."""
    ends = {round(leg * recipe.epochs) for leg in LEGS} - {0, recipe.epochs}
    return [epoch * recipe.steps_per_epoch(points) for epoch in sorted(ends)]


def best_of_each(
    score: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    entered: Bools,
    keep: npt.NDArray[np.int64],
) -> Bools:
    """bool [n]: the ``keep[group]`` best of those of a group that entered; the first of equals."""
    order = np.lexsort((np.arange(len(score)), -score, ~entered, group))
    first = np.searchsorted(group[order], group[order])
    best = np.zeros(len(score), np.bool_)
    best[order] = np.arange(len(score)) - first < keep[group[order]]
    return best & entered


def alive(nets: NetBatch, task: Task) -> Bools:
    """bool [n]: networks whose output is not the same for all points of a small sample."""
    x = thinned(task, _DEAD_SAMPLE).x
    slices = range(0, len(nets), _ALIVE_AT_ONCE)
    parts = [_alive(nets[at : at + _ALIVE_AT_ONCE], x) for at in slices]
    return np.concatenate([np.zeros(0, np.bool_), *parts])


def _alive(nets: NetBatch, x: npt.NDArray[np.float32]) -> Bools:
    assert isinstance(nets.network, MLP)
    h: Any = x.T[None]
    last = len(nets.network.shape.layers) - 1
    for layer in range(last + 1):
        h = nets.params[f"weight{layer}"] @ h + nets.params[f"bias{layer}"][:, :, None]
        h = h if layer == last else np.maximum(h, 0)
    return np.asarray((h != h[:, :, :1]).any(axis=(1, 2)))


def is_control(
    mask_keys: npt.NDArray[np.uint64],
    cell: int | npt.NDArray[np.int64],
    block: int | npt.NDArray[np.int64],
    controls: int,
) -> Bools:
    """bool [run]: whether the race of a mask in the cell of this number runs in full."""
    place = mix64(np.asarray((block << 8) + cell, np.uint64))
    return np.asarray(mix64(mask_keys ^ place) % np.uint64(controls) == 0)


def race_share(controls: int) -> float:
    """Epochs that a race costs, controls included, as a share of all epochs of all runs."""
    cost, start, share = 0.0, 0.0, 1.0
    for leg in (*LEGS, 1.0):
        cost, start, share = cost + (leg - start) * share, leg, share / 2
    return cost + (1 - cost) / controls


def thinned(task: Task, size: int) -> Task:
    """Every so many-th point of a task, about ``size`` of them."""
    step = max(1, task.points // size)
    name = f"every {step} of {task.name}"
    return Task(name, task.x[::step], task.y[::step], classes=task.classes)

"""Best-epoch checkpoints, against networks that are trained epoch by epoch."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from test_networks import TASK as POINTS
from test_networks import make_nets, make_task
from training import assert_same, distances

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.nets import NetBatch, score
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers import loop, vmap
from combsearch.trainers.best import BestEpoch
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

MORE = make_task(150)
TASK = dataclasses.replace(POINTS, x_test=MORE.x[96:], y_test=MORE.y[96:])
TEST = Task("test", MORE.x[96:], MORE.y[96:], classes=4)
RECIPE = Recipe(epochs=6, batch_size=16, lr=0.15, schedule=Schedule("constant"))

trainers = pytest.mark.parametrize(
    "trainer",
    [LoopTrainer(), VmapTrainer("cpu"), VmapTrainer("cpu", chunk=2)],
    ids=["loop", "vmap", "chunks"],
)


def expected(nets: NetBatch, keys: RunKeys) -> tuple[NetBatch, Any, Any]:
    """(networks after their best epochs, accuracies, epochs), each epoch by a call of its own."""
    after = []
    for epoch in range(RECIPE.epochs):
        steps = slice(6 * epoch, 6 * epoch + 6)
        nets = LoopTrainer().fit(nets, TASK, RECIPE, keys, steps)
        after.append(nets)
    found = np.array([score(one, TEST).accuracy for one in after])
    best = found.argmax(axis=0)  # the first of equals
    chosen = [after[epoch][i : i + 1] for i, epoch in enumerate(best)]
    return NetBatch.concat(chosen), found.max(axis=0), best


@trainers
def test_networks_are_kept_as_they_were_after_their_best_epoch(trainer: Any) -> None:
    nets, keys = make_nets("cnn", 5)
    best = BestEpoch(TASK, RECIPE)
    last = trainer.fit(nets, TASK, RECIPE, keys, on_step=best)
    chosen, accuracy, epoch = expected(nets, keys)
    assert len(set(epoch)) > 1 and min(epoch) < RECIPE.epochs - 1
    np.testing.assert_array_equal(best.accuracy, accuracy)
    np.testing.assert_array_equal(best.epoch, epoch)
    found = best.nets()
    assert distances(found, chosen).max() < 1e-4  # an epoch is a hundred times as far
    for name, array in chosen.state.items():
        np.testing.assert_allclose(found.state[name], array, 1e-3, 1e-3)
    np.testing.assert_array_equal(score(found, TEST).accuracy, accuracy)
    assert not any(v.any() for v in found.momenta.values())
    assert distances(last, trainer.fit(nets, TASK, RECIPE, keys)).max() < 1e-6


@trainers
def test_it_goes_on_from_segment_to_segment(trainer: Any) -> None:
    nets, keys = make_nets("cnn", 3)
    whole, pieces = BestEpoch(TASK, RECIPE), BestEpoch(TASK, RECIPE)
    trainer.fit(nets, TASK, RECIPE, keys, on_step=whole)
    for steps in (slice(0, 8), slice(8, 9), slice(9, 36)):
        nets = trainer.fit(nets, TASK, RECIPE, keys, steps, pieces)
    assert_same(pieces.nets(), whole.nets())
    np.testing.assert_array_equal(pieces.epoch, whole.epoch)


class Watched(BestEpoch):
    """Notes after which steps it is called."""

    def __init__(self) -> None:
        super().__init__(TASK, RECIPE)
        self.seen: list[int] = []

    def __call__(self, step: int, nets: NetBatch) -> None:
        self.seen.append(step)
        super().__call__(step, nets)


@trainers
def test_it_is_called_where_epochs_end_and_networks_are_gathered_only_there(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[int] = []
    for module, name in ((loop, "_gather"), (vmap, "_in_order")):
        real = getattr(module, name)

        def spy(*args: Any, real: Any = real) -> Any:
            gathered.append(1)
            return real(*args)

        monkeypatch.setattr(module, name, spy)
    nets, keys = make_nets("mlp", 3)
    best = Watched()
    steps = slice(4, 27)
    found = trainer.fit(nets, TASK, RECIPE, keys, steps, best)
    assert best.seen == [5, 11, 17, 23]
    assert len(gathered) == 4 + 1
    every: list[int] = []
    again = trainer.fit(nets, TASK, RECIPE, keys, steps, lambda step, batch: every.append(step))
    assert every == list(range(4, 27))  # who does not say what it wants is always called
    assert_same(found, again)


def test_what_it_returns_is_gone_on_with_after_the_steps_it_wants() -> None:
    class Anew:
        def wants(self, step: int) -> bool:
            return step == 7

        def __call__(self, step: int, batch: NetBatch) -> NetBatch:
            return nets

    nets, keys = make_nets("mlp", 3)
    for trainer in (LoopTrainer(), VmapTrainer("cpu", chunk=2)):
        expected = trainer.fit(nets, TASK, RECIPE, keys, slice(8, 12))
        assert_same(trainer.fit(nets, TASK, RECIPE, keys, slice(0, 12), Anew()), expected)


@pytest.mark.parametrize("last", [0, 3, 11])
def test_it_may_decide_after_a_step_which_one_it_wants_next(last: int) -> None:
    class Doubling:
        def __init__(self) -> None:
            self.next = 1
            self.seen: list[int] = []

        def wants(self, step: int) -> bool:
            return step == min(self.next, last)

        def __call__(self, step: int, batch: NetBatch) -> None:
            self.seen.append(step)
            self.next *= 2

    nets, keys = make_nets("mlp", 3)
    for trainer in (LoopTrainer(), VmapTrainer("cpu", chunk=2)):
        steps, on_step = slice(0, last + 1), Doubling()
        found = trainer.fit(nets, TASK, RECIPE, keys, steps, on_step)
        assert on_step.seen == {0: [0], 3: [1, 2, 3], 11: [1, 2, 4, 8, 11]}[last]
        assert_same(found, trainer.fit(nets, TASK, RECIPE, keys, steps))


@trainers
def test_who_wants_no_step_is_not_called(trainer: Any) -> None:
    class Silent:
        def wants(self, step: int) -> bool:
            return False

        def __call__(self, step: int, batch: NetBatch) -> None:
            raise AssertionError(step)

    nets, keys = make_nets("mlp", 3)
    steps = slice(4, 15)
    found = trainer.fit(nets, TASK, RECIPE, keys, steps, Silent())
    assert_same(found, trainer.fit(nets, TASK, RECIPE, keys, steps))


def test_what_is_kept_is_its_own() -> None:
    nets, _ = make_nets("mlp", 2)
    best, tensors = BestEpoch(TASK, RECIPE), nets.map(torch.tensor)
    best(4, tensors)
    with pytest.raises(UsageError, match="no epoch has ended yet"):
        best.nets()
    best(5, tensors)
    kept = best.nets().map(np.copy)
    for array in tensors.params.values():
        array.zero_()
    assert_same(best.nets(), kept)
    best.nets().params["linear.weight"][:] = 7
    assert_same(best.nets(), kept)
    assert best.epoch.tolist() == [0, 0]


def test_a_task_without_test_points_is_named() -> None:
    with pytest.raises(UsageError, match="'patches' has no test points, by which the best"):
        BestEpoch(POINTS, RECIPE)

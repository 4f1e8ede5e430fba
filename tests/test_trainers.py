"""Trainers: the loop against plain torch modules, every other backend against the loop.

Training is chaotic in float rounding, so backends are compared over few steps, narrow
shapes closely and wide ones against the error that eager float32 itself makes.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from naive import train_mlp
from training import TASK, Running, assert_same, distances, make_nets, make_task, vectors

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import NetBatch
from combsearch.rng import RunKeys, epoch_order
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer
from combsearch.trainers.base import minibatch
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

Array = npt.NDArray[Any]

# Backends that are compared with the loop; each must pass every test that takes one.
BACKENDS = ["vmap"]
SCHEDULES = ["constant", "cosine", "step"]
NARROW = ["4", "5,3", "7,3,3", "4,3,3,2", "4,4,3,3,2"]
WIDE = ["16,16,16", "32,32"]


def naive_fit(
    nets: NetBatch, task: Task, recipe: Recipe, keys: RunKeys, steps: int, dtype: str
) -> NetBatch:
    """Every network trained by ``naive.train_mlp``; momenta are left out (zero)."""
    params = {name: a.astype(dtype) for name, a in nets.params.items()}
    layers, per_epoch = len(params) // 2, task.points // recipe.batch_size
    for i in range(len(nets)):
        batches = []
        for step in range(steps):
            order = epoch_order(
                keys.seed, int(keys.restart[i]) // 16, step // per_epoch, task.points
            )
            rows = order[step % per_epoch * recipe.batch_size :][: recipe.batch_size]
            batches.append((step // per_epoch, task.x[rows], task.y[rows]))
        weights, biases = train_mlp(
            [params[f"weight{layer}"][i] for layer in range(layers)],
            [params[f"bias{layer}"][i] for layer in range(layers)],
            [nets.masks[f"weight{layer}"][i] for layer in range(layers)],
            [nets.masks[f"bias{layer}"][i] for layer in range(layers)],
            batches,
            lr=recipe.lr,
            schedule=recipe.schedule.name,
            epochs=recipe.epochs,
            dtype=dtype,
        )
        for layer in range(layers):
            params[f"weight{layer}"][i], params[f"bias{layer}"][i] = weights[layer], biases[layer]
    return NetBatch(nets.network, params, nets.masks, nets.momenta)


# ---- the loop, against torch.nn and torch.optim --------------------------------------


@pytest.mark.parametrize("steps", [1, 50, 150])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_loop_equals_torch_modules(steps: int, schedule: str) -> None:
    recipe = Recipe(schedule=Schedule(schedule), epochs=15)  # the whole of it are 150 steps
    nets, keys = make_nets("7,3,3", 1, np.array([40]))
    found = LoopTrainer("float64").fit(nets, TASK, recipe, keys, slice(0, steps))
    expected = naive_fit(nets, TASK, recipe, keys, steps, "float64")
    assert distances(found, expected).max() < 1e-10
    single = LoopTrainer().fit(nets, TASK, recipe, keys, slice(0, steps))
    assert distances(single, naive_fit(nets, TASK, recipe, keys, steps, "float32")).max() < 1e-5
    assert vectors(single).dtype == np.float64
    assert single.params["weight0"].dtype == np.float32


@pytest.mark.parametrize("text", [*NARROW, *WIDE])
def test_loop_equals_torch_modules_in_every_shape(text: str) -> None:
    nets, keys = make_nets(text, 1)
    found = LoopTrainer("float64").fit(nets, TASK, Recipe(lr=0.1), keys, slice(0, 100))
    expected = naive_fit(nets, TASK, Recipe(lr=0.1), keys, 100, "float64")
    assert distances(found, expected).max() < 1e-10


def test_loop_equals_torch_modules_with_several_classes() -> None:
    task = make_task(classes=3)
    nets, keys = make_nets(NetShape.parse("6,5", outputs=3), 2)
    found = LoopTrainer("float64").fit(nets, task, Recipe(), keys, slice(0, 60))
    assert distances(found, naive_fit(nets, task, Recipe(), keys, 60, "float64")).max() < 1e-10


def test_loop_keeps_momenta_as_the_formula_says() -> None:
    nets, keys = make_nets("5,3", 2)
    recipe = Recipe(momentum=0.5, weight_decay=0.01, schedule=Schedule("constant"))
    first = LoopTrainer("float64").fit(nets, TASK, recipe, keys, slice(0, 1))
    second = LoopTrainer("float64").fit(first, TASK, recipe, keys, slice(1, 2))
    for name, mask in nets.masks.items():
        w0, w1, w2 = (batch.params[name].astype(float) for batch in (nets, first, second))
        v1, v2 = first.momenta[name], second.momenta[name]
        np.testing.assert_allclose(w1, (w0 - 0.05 * v1) * mask, rtol=1e-12)
        np.testing.assert_allclose(w2, (w1 - 0.05 * v2) * mask, rtol=1e-12)
    assert any((v != 0)[nets.masks[n] == 0].any() for n, v in second.momenta.items())  # not masked


# ---- every backend, against the loop -------------------------------------------------


STEPS = (1, 50, 150)  # the last are a whole recipe


@cache
def looped(text: str, n: int, density: float, dtype: str) -> tuple[NetBatch, ...]:
    """What the loop makes of such networks after each of ``STEPS``, all schedules in turn."""
    nets, keys = make_nets(text, n, MIXED_RESTARTS[:n], density)
    now, done = 0, []
    for steps in STEPS:
        nets = LoopTrainer(dtype).fit(nets, TASK, mixed_recipes(n), keys, slice(now, steps))
        done.append(nets)
        now = steps
    return tuple(done)


MIXED_RESTARTS = np.array([0, 17, 1, 16, 3, 15])


def mixed_recipes(n: int) -> list[Recipe]:
    return [Recipe(schedule=Schedule(SCHEDULES[i % 3]), epochs=15) for i in range(n)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", NARROW)
def test_backend_equals_loop_on_narrow_shapes(backend: str, text: str) -> None:
    nets, keys = make_nets(text, 3, MIXED_RESTARTS[:3])
    for steps, loop in zip(STEPS, looped(text, 3, 0.75, "float32"), strict=True):
        found = get_trainer(backend).fit(nets, TASK, mixed_recipes(3), keys, slice(0, steps))
        assert distances(found, loop).max() <= 1e-5
        assert distances(found, loop, "momenta").max() <= 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", WIDE)
def test_backend_errs_no_more_than_eager_on_wide_shapes(backend: str, text: str) -> None:
    nets, keys = make_nets(text, 5, MIXED_RESTARTS[:5], density=0.9)
    exacts, eagers = (looped(text, 5, 0.9, dtype) for dtype in ("float64", "float32"))
    for steps, exact, eager in zip(STEPS, exacts, eagers, strict=True):
        found = get_trainer(backend).fit(nets, TASK, mixed_recipes(5), keys, slice(0, steps))
        assert np.median(distances(found, exact)) <= 10 * np.median(distances(eager, exact))


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_takes_rates_from_each_recipe(backend: str) -> None:
    nets, keys = make_nets("5,3", 6)
    recipes = [Recipe(lr=lr, schedule=Schedule(s)) for lr in (0.05, 0.1) for s in SCHEDULES]
    together = get_trainer(backend).fit(nets, TASK, recipes, keys, slice(150, 170))
    for i, recipe in enumerate(recipes):
        one = slice(i, i + 1)
        alone = LoopTrainer().fit(nets[one], TASK, recipe, keys[one], slice(150, 170))
        assert distances(together[one], alone).max() < 1e-6


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_segments_join_to_the_whole(backend: str) -> None:
    nets, keys = make_nets("4,3", 4, np.array([0, 16, 1, 2]))
    trainer = get_trainer(backend)
    first = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 37))
    both = trainer.fit(first, TASK, Recipe(), keys, slice(37, 100))
    assert_same(both, trainer.fit(nets, TASK, Recipe(), keys, slice(None, 100)))
    assert_same(trainer.fit(both, TASK, Recipe(), keys, slice(100, 100)), both)


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_whole_recipe_is_the_default(backend: str) -> None:
    task, recipe = make_task(200), Recipe(epochs=3, batch_size=64)
    nets, keys = make_nets("3,2", 2)
    trainer = get_trainer(backend)
    assert_same(
        trainer.fit(nets, task, recipe, keys),
        trainer.fit(nets, task, recipe, keys, slice(0, 9)),
    )


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_the_networks_given_are_left_as_they_are(backend: str) -> None:
    nets, keys = make_nets("4,3", 3)
    before = nets.map(np.copy)
    after = get_trainer(backend).fit(nets, TASK, Recipe(), keys, slice(0, 3))
    assert_same(nets, before)
    assert distances(after, before).min() > 1e-4
    after.params["weight0"][:] = 7
    assert_same(nets, before)


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_masked_parameters_are_zero_after_every_step(backend: str) -> None:
    nets, keys = make_nets("7,3,3", 8, density=0.5)
    trainer = get_trainer(backend)
    for steps in (1, 2, 50):
        trained = trainer.fit(nets, TASK, Recipe(lr=0.1), keys, slice(0, steps))
        for name, mask in nets.masks.items():
            assert (trained.params[name][mask == 0] == 0).all()
            np.testing.assert_array_equal(trained.masks[name], mask)


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_rows_that_are_read_only_or_unaligned_are_fine(backend: str) -> None:
    nets, keys = make_nets("4,3", 3)
    frozen = nets.map(lambda a: np.broadcast_to(a, a.shape))
    trainer = get_trainer(backend)
    assert_same(
        trainer.fit(frozen, TASK, Recipe(), keys, slice(0, 5)),
        trainer.fit(nets.to_torch(), TASK, Recipe(), keys, slice(0, 5)),
    )


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_a_huge_rate_is_reported_as_divergence(backend: str) -> None:
    # Of 256 such networks on the spiral all had a loss that is not finite within 40 steps.
    nets, keys = make_nets("16,16,16", 6, density=1)
    recipes = [Recipe(lr=lr, schedule=Schedule("constant")) for lr in [100, 100, 100, 0.05] * 2]
    trainer = get_trainer(backend)
    scores = trainer.score(trainer.fit(nets, TASK, recipes[:6], keys, slice(0, 60)), TASK)
    assert scores.diverged.tolist() == [True, True, True, False, True, True]
    assert ((scores.correct >= 0) & (scores.correct <= TASK.points)).all()


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_training_learns(backend: str) -> None:
    nets, keys = make_nets("16,16", 4, density=1)
    trainer = get_trainer(backend)
    scores = trainer.score(trainer.fit(nets, TASK, Recipe(), keys), TASK)
    assert scores.accuracy.min() > 0.9


@pytest.mark.parametrize("backend", ["loop", *BACKENDS])
def test_requests_that_do_not_fit_are_refused(backend: str) -> None:
    nets, keys = make_nets("4,3", 3)
    trainer = get_trainer(backend)

    def refuse(message: str, **change: Any) -> None:
        request = {"nets": nets, "task": TASK, "recipe": Recipe(), "keys": keys, **change}
        with pytest.raises(UsageError, match=message):
            trainer.fit(**request)

    refuse("3 networks, 2 run keys and 3 recipes", keys=keys[:2])
    refuse("3 networks, 3 run keys and 2 recipes", recipe=[Recipe(), Recipe()])
    refuse("may differ in lr and schedule only", recipe=[Recipe(), Recipe(), Recipe(epochs=3)])
    refuse(r"steps 3\.\.501 are not within the 500 steps", steps=slice(3, 501))
    refuse("skips steps", steps=slice(0, 10, 2))
    refuse("batch_size 2000 is more than the 1300 points", recipe=Recipe(batch_size=2000))
    refuse("no networks to train", nets=nets[:0], keys=keys[:0])
    refuse("has 3 inputs", task=make_task(inputs=3))
    refuse("has 3 classes, so a network needs 3 outputs", task=make_task(classes=3))


# ---- on_step -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_on_step_sees_every_step(backend: str) -> None:
    restarts = np.array([0, 16, 1, 17, 33])
    nets, keys = make_nets("4,3", 5, restarts)
    trainer = get_trainer(backend)
    seen: dict[int, NetBatch] = {}
    last = trainer.fit(nets, TASK, Recipe(), keys, slice(3, 9), on_step=seen.__setitem__)
    assert list(seen) == [3, 4, 5, 6, 7, 8]
    for step, batch in seen.items():
        expected = trainer.fit(nets, TASK, Recipe(), keys, slice(3, step + 1))
        assert distances(batch, expected).max() < 1e-6
        assert isinstance(batch.params["weight0"], torch.Tensor)
    assert_same(seen[8], last)


@pytest.mark.parametrize(
    "options", [{"name": "loop"}, {"name": "vmap"}, {"name": "vmap", "chunk": 2}]
)
@pytest.mark.parametrize("as_numpy", [False, True])
def test_on_step_replaces_the_networks(options: dict[str, Any], as_numpy: bool) -> None:
    nets, keys = make_nets("6,4", 5, np.array([0, 16, 1, 17, 33]), density=1)
    trainer = get_trainer(**options)

    def prune(batch: NetBatch) -> NetBatch:
        masks = {name: np.asarray(a).copy() for name, a in batch.masks.items()}
        for i in range(len(batch)):
            masks["weight0"][i, i % 6] = 0
        params = {name: np.asarray(a) * masks[name] for name, a in batch.params.items()}
        return NetBatch(batch.network, params, masks, batch.numpy().momenta)

    def on_step(step: int, batch: NetBatch) -> NetBatch | None:
        if step != 6:
            return None
        changed = prune(batch)
        return changed if as_numpy else changed.to_torch()

    found = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 20), on_step=on_step)
    before = prune(trainer.fit(nets, TASK, Recipe(), keys, slice(0, 7)))
    expected = trainer.fit(before, TASK, Recipe(), keys, slice(7, 20))
    assert distances(found, expected).max() < 1e-6
    for name, mask in expected.masks.items():
        np.testing.assert_array_equal(found.masks[name], mask)
        assert (found.params[name][mask == 0] == 0).all()


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_gradients_work_in_on_step_and_training_without(backend: str) -> None:
    nets, keys = make_nets("4,3", 2)

    def on_step(step: int, batch: NetBatch) -> None:
        w = batch.params["weight0"].clone().requires_grad_()
        (g,) = torch.autograd.grad((w**2).sum(), w)
        torch.testing.assert_close(g, 2 * w)

    trainer = get_trainer(backend)
    found = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2), on_step)
    with torch.no_grad():
        assert_same(found, trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2)))


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_on_step_must_return_as_many_networks(backend: str) -> None:
    nets, keys = make_nets("4,3", 3)
    trainer = get_trainer(backend)
    with pytest.raises(UsageError, match=r"on_step returned 2 networks .* must return the 3"):
        trainer.fit(nets, TASK, Recipe(), keys, on_step=lambda step, batch: batch[:2])


# ---- networks other than the MLP -----------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"name": "loop"}, {"name": "vmap"}, {"name": "vmap", "chunk": 2}]
)
def test_any_network_with_state_trains(options: dict[str, Any]) -> None:
    keys = RunKeys.make(0, np.arange(3), ["a"] * 3, [0, 16, 1])
    made = NetBatch.create(Running(), keys)
    nets = dataclasses.replace(made, state={"mean": np.zeros((3, 2), np.float32)})
    found = get_trainer(**options).fit(nets, TASK, Recipe(), keys, slice(0, 25))
    assert not nets.state["mean"].any()
    for i in range(3):
        mean, params = np.zeros(2), {n: a[i].astype(float) for n, a in nets.params.items()}
        velocity = {name: np.zeros_like(a) for name, a in params.items()}
        for step in range(25):
            rows = minibatch(Recipe(), TASK.points, step, 0, int(keys.blocks()[i]))
            x, y = TASK.x[rows].astype(float), TASK.y[rows]
            mean = 0.9 * mean + 0.1 * x.mean(axis=0)
            plain = (x - mean) @ params["weight"]
            slope = (1 / (1 + np.exp(-params["scale"] * plain)) - y) / 128
            grads = {
                "weight": params["scale"] * (slope @ (x - mean)),
                "scale": slope @ plain,
            }
            for name, grad in grads.items():
                velocity[name] = 0.9 * velocity[name] + grad + 5e-4 * params[name]
                rate = 0.05 * (1 + np.cos(np.pi * (step // 10) / 50)) / 2
                params[name] = params[name] - rate * velocity[name]
        np.testing.assert_allclose(found.state["mean"][i], mean, atol=1e-5)
        for name, expected in params.items():
            np.testing.assert_allclose(found.params[name][i], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_vmap_equals_loop_with_several_outputs(classes: int) -> None:
    task = make_task(classes=classes)
    nets, keys = make_nets(NetShape.parse("6,5", outputs=classes), 4)
    loop = LoopTrainer().fit(nets, task, Recipe(), keys, slice(0, 100))
    assert (
        distances(VmapTrainer().fit(nets, task, Recipe(), keys, slice(0, 100)), loop).max() < 1e-5
    )

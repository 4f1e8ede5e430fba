"""Trainers: the loop against plain torch modules, every other backend against the loop.

Training is chaotic in float rounding, so backends are compared over few steps, narrow
shapes closely and wide ones against the error that eager float32 itself makes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from naive import train_mlp

from combsearch.config import Recipe, Schedule
from combsearch.errors import CombsearchError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, Arrays, NetBatch
from combsearch.rng import RunKeys, epoch_order
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer, vmap
from combsearch.trainers.auto import AutoTrainer
from combsearch.trainers.base import (
    ALL_STEPS,
    Plan,
    epoch_orders,
    fused_obstacle,
    minibatch,
    plan_fit,
    step_range,
)
from combsearch.trainers.flat import Layout, Minibatches
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.memory import CPU_BYTES, is_out_of_memory, net_bytes
from combsearch.trainers.vmap import VmapTrainer

Array = npt.NDArray[Any]

# Backends that are compared with the loop; each must pass every test that takes one.
BACKENDS = ["vmap"]
SCHEDULES = ["constant", "cosine", "step"]
NARROW = ["4", "5,3", "7,3,3", "4,3,3,2", "4,4,3,3,2"]
WIDE = ["16,16,16", "32,32"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are quicker on one thread, and other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_task(points: int = 1300, classes: int = 2, inputs: int = 2) -> Task:
    """Noisy arms of a spiral, 10 batches of 128 an epoch: few points visit every epoch's rate."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, classes, points)
    turn = rng.uniform(0.5, 6, points)
    angle = turn + 2 * np.pi * y / classes
    x = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) / 4
    x = np.concatenate([x, rng.normal(size=(points, inputs - 2))], axis=1)
    x += 0.05 * rng.normal(size=x.shape)
    return Task("arms", x.astype(np.float32), y.astype(np.uint8), classes=classes)


TASK = make_task()


def make_masks(shape: NetShape, n: int, seed: int = 0, density: float = 0.75) -> MaskBatch:
    rng = np.random.default_rng(seed)
    dense = [rng.random((n, *layer)) < density for layer in shape.layers]
    return MaskBatch.from_dense(shape, [layer.astype(np.uint8) for layer in dense])


def make_nets(
    shape: NetShape | str, n: int, restarts: Array | None = None, density: float = 0.75
) -> tuple[NetBatch, RunKeys]:
    """Initialised networks with random masks, and their keys."""
    shape = NetShape.parse(shape) if isinstance(shape, str) else shape
    masks = make_masks(shape, n, density=density)
    restarts = np.arange(n) % 16 if restarts is None else restarts
    keys = RunKeys.make(11, masks.keys(), ["0.05:cosine"] * n, restarts)
    return NetBatch.create(MLP(shape), keys, masks), keys


def vectors(nets: NetBatch, kind: str = "params") -> Array:
    """float64 [net, P]: every parameter of each network."""
    arrays = getattr(nets.numpy(), kind).values()
    flat = [np.asarray(a, np.float64).reshape(len(nets), -1) for a in arrays]
    return np.concatenate(flat, axis=1)


def distances(found: NetBatch, expected: NetBatch, kind: str = "params") -> Array:
    """float64 [net]: norm of the difference relative to the expected norm."""
    a, b = vectors(found, kind), vectors(expected, kind)
    return np.asarray(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1))


def assert_same(found: NetBatch, expected: NetBatch) -> None:
    for kind in ("params", "masks", "momenta", "state"):
        for name, array in getattr(expected.numpy(), kind).items():
            np.testing.assert_array_equal(getattr(found.numpy(), kind)[name], array)


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


@pytest.mark.parametrize("steps", [1, 100, 390])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_loop_equals_torch_modules(steps: int, schedule: str) -> None:
    recipe = Recipe(schedule=Schedule(schedule))
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


STEPS = (1, 100, 390)


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
    return [Recipe(schedule=Schedule(SCHEDULES[i % 3])) for i in range(n)]


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
    for steps in (1, 2, 50, 200):
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
def test_on_step_must_return_as_many_networks(backend: str) -> None:
    nets, keys = make_nets("4,3", 3)
    trainer = get_trainer(backend)
    with pytest.raises(UsageError, match=r"on_step returned 2 networks .* must return the 3"):
        trainer.fit(nets, TASK, Recipe(), keys, on_step=lambda step, batch: batch[:2])


# ---- networks other than the MLP -----------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Running:
    """A linear network with a scalar scale, that centres its input by a running mean it carries."""

    prunable: tuple[str, ...] = ("weight",)

    def init(self, keys: RunKeys) -> Arrays:
        start = np.linspace(0.1, 1, len(keys), dtype=np.float32)
        return {"weight": np.stack([start, -start], axis=1), "scale": start.copy()}

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        mean = 0.9 * state["mean"] + 0.1 * x.mean(dim=0)
        logits = params["scale"] * ((x - mean.detach()) @ params["weight"])
        return logits, {"mean": mean}


@pytest.mark.parametrize(
    "options", [{"name": "loop"}, {"name": "vmap"}, {"name": "vmap", "chunk": 2}]
)
def test_any_network_with_state_trains(options: dict[str, Any]) -> None:
    keys = RunKeys.make(0, np.arange(3), ["a"] * 3, [0, 16, 1])
    made = NetBatch.create(Running(), keys)
    nets = dataclasses.replace(made, state={"mean": np.zeros((3, 2), np.float32)})
    found = get_trainer(**options).fit(nets, TASK, Recipe(), keys, slice(0, 25))
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


# ---- vmap: chunks and memory ---------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_results_do_not_depend_on_chunks(chunk: int) -> None:
    nets, keys = make_nets("5,3", 20, np.arange(20))  # two blocks, one of 4
    whole = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 40))
    found = VmapTrainer(chunk=chunk).fit(nets, TASK, Recipe(), keys, slice(0, 40))
    assert distances(found, whole).max() < 1e-6


def test_results_do_not_depend_on_neighbours() -> None:
    nets, keys = make_nets("5,3", 20, np.arange(20))
    whole = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 40))
    some = np.array([19, 3, 8])
    found = VmapTrainer().fit(nets[some], TASK, Recipe(), keys[some], slice(0, 40))
    assert distances(found, whole[some]).max() < 1e-6


def test_thousands_of_masked_networks_fit_the_memory_planned() -> None:
    nets, keys = make_nets("16,16,16", 4096, np.arange(4096) % 16, density=0.5)
    trainer = VmapTrainer()
    x, y = torch.tensor(TASK.x[:128]), torch.tensor(TASK.y[:128])
    each = net_bytes(nets, x, y)
    # At the least: parameters, momenta, mask and gradient, and each layer's activations.
    least = 4 * (4 * 593 + 128 * 48)
    assert least < each < 5 * least
    chunk = trainer.planned_chunk(nets, TASK, Recipe())
    assert chunk * each <= CPU_BYTES < (chunk + 1) * each
    trained = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2))
    some = np.array([0, chunk - 1, chunk, 4095])
    loop = LoopTrainer().fit(nets[some], TASK, Recipe(), keys[some], slice(0, 2))
    assert distances(trained[some], loop).max() < 1e-6
    for name, mask in nets.masks.items():
        assert not trained.params[name][mask == 0].any()


def fail_above(limit: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[int]:
    """Let gradients of more than ``limit`` networks fail now and then; the sizes that ran."""
    sizes: list[int] = []
    real = vmap.lift

    def lift(*args: Any) -> vmap.Gradients:
        gradients = real(*args)

        def bounded(w: torch.Tensor, *rest: Any) -> Any:
            if len(w) > limit and len(sizes) >= 3:
                raise error
            sizes.append(len(w))
            return gradients(w, *rest)

        return bounded

    monkeypatch.setattr(vmap, "lift", lift)
    return sizes


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("lockstep", [False, True])
def test_chunks_are_halved_when_memory_runs_out(
    error: BaseException, lockstep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_out_of_memory(error)
    nets, keys = make_nets("5,3", 20, np.arange(20))
    whole = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 12))
    sizes = fail_above(5, monkeypatch, error)
    on_step = (lambda step, batch: None) if lockstep else None
    found = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 12), on_step)
    assert distances(found, whole).max() < 1e-6
    assert set(sizes[4:]) == {4}
    assert sum(sizes) == 20 * 12  # no step is lost or taken twice


def test_one_network_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    fail_above(0, monkeypatch, MemoryError())
    with pytest.raises(CombsearchError, match=r"one network of 37 parameters does not fit.*cpu"):
        VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 9))


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    fail_above(0, monkeypatch, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 9))


# ---- vmap: CUDA graphs ---------------------------------------------------------------


class FakeGraphs:
    """torch.cuda's streams and graphs on a CPU: what is captured is kept, not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, chunk: Any, fails: bool = False) -> None:
        self.captured: list[tuple[torch.Tensor, ...]] = []
        self.update, self.fails = chunk.update, fails
        monkeypatch.setattr(chunk, "update", self.record)
        stream = type("Stream", (), {"wait_stream": lambda self, other: None})
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream())
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "graph", lambda graph: contextlib.nullcontext())
        replay = {"replay": lambda graph: self.update(*self.captured[0])}
        monkeypatch.setattr(torch.cuda, "CUDAGraph", type("Graph", (), replay))

    def record(self, *inputs: torch.Tensor) -> None:
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.captured.append(inputs)


def make_chunk(nets: NetBatch, keys: RunKeys) -> Any:
    plan = plan_fit(nets, TASK, Recipe(), keys, ALL_STEPS)
    batches = Minibatches(TASK, plan, torch.device("cpu"))
    return VmapTrainer()._chunk(nets, plan, batches, np.arange(len(nets)))


def test_a_captured_step_replays_with_new_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    chunk, twin = make_chunk(nets, keys), make_chunk(nets, keys)
    fake = FakeGraphs(monkeypatch, chunk)
    with torch.no_grad():
        for step in (0, 1, 10, 200):
            x, y = chunk.setup.batches(step, 0)
            rates = chunk.rates[:, step // 10 : step // 10 + 1]
            if step == 0:
                replay = vmap.capture(chunk, x, y, rates)
                assert_same(chunk.nets(), nets)  # warming up and capturing train nothing
            replay(x, y, rates)
            twin.update(x, y, rates)
            assert_same(chunk.nets(), twin.nets())
    assert len(fake.captured) == 1


def test_a_step_that_cannot_be_captured_runs_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    chunk = make_chunk(nets, keys)
    FakeGraphs(monkeypatch, chunk, fails=True)
    x, y = chunk.setup.batches(0, 0)
    with torch.no_grad():
        assert vmap.capture(chunk, x, y, chunk.rates[:, :1]) == chunk.update


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graphs", [True, False])
def test_cuda_equals_loop(graphs: bool) -> None:
    nets, keys = make_nets("7,3,3", 6, np.array([0, 1, 17, 15, 16, 3]))
    trainer = VmapTrainer("cuda", graphs=graphs)
    found = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 100))
    loop = LoopTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 100))
    assert distances(found, loop).max() <= 1e-5
    again = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 100), lambda step, batch: None)
    assert distances(again, loop).max() <= 1e-5
    assert (
        np.abs(trainer.score(found, TASK).correct - LoopTrainer().score(loop, TASK).correct).max()
        < 5
    )


# ---- names, plans, pieces ------------------------------------------------------------


def test_trainers_by_name() -> None:
    for name in ("loop", "vmap", "auto"):
        assert get_trainer(name).name == name
    assert get_trainer("vmap", chunk=5) == VmapTrainer(chunk=5)
    assert get_trainer("combsearch.trainers.loop:LoopTrainer").name == "loop"
    with pytest.raises(
        UsageError, match=r"unknown trainer 'vmp', did you mean 'vmap'\? \(known: a"
    ):
        get_trainer("vmp")
    with pytest.raises(UsageError, match=r"trainer 'loop' does not take \['chunk'\]"):
        get_trainer("loop", chunk=3)
    with pytest.raises(UsageError, match="must be a class"):
        get_trainer("math:pi")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("loop", {"dtype": "float16"}, "dtype 'float16' is not one of float32, float64"),
        ("vmap", {"chunk": -1}, "chunk is -1"),
        ("vmap", {"memory_share": 0.0}, "memory_share is 0.0"),
        ("vmap", {"device": "gpu"}, "unknown device 'gpu', try cpu or cuda"),
        ("vmap", {"device": "meta"}, "device 'meta' is not supported"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_trainer(name, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(UsageError, match="finds no CUDA device"):
        VmapTrainer("cuda")


def test_auto_takes_vmap_for_what_the_kernels_cannot_do() -> None:
    auto = AutoTrainer()
    nets, keys = make_nets("4,3", 2)
    assert auto.choose(nets, TASK, lambda step, batch: None).name == "vmap"
    three, task = make_nets(NetShape.parse("4,3", outputs=3), 2)[0], make_task(classes=3)
    assert auto.choose(three, task).name == "vmap"
    found = auto.fit(three, task, Recipe(), keys, slice(0, 5))
    assert_same(found, VmapTrainer().fit(three, task, Recipe(), keys, slice(0, 5)))
    np.testing.assert_array_equal(
        auto.score(found, task).correct, VmapTrainer().score(found, task).correct
    )


def test_what_the_fused_kernels_cannot_do() -> None:
    nets, _ = make_nets("4,3", 2)
    assert fused_obstacle(nets, TASK, None) is None
    assert fused_obstacle(make_nets("2,2,2,2,2", 1)[0], TASK, None) is None
    assert fused_obstacle(make_nets(NetShape.parse("3", inputs=16), 1)[0], TASK, None) is None
    reasons = [
        fused_obstacle(nets, TASK, lambda step, batch: None),
        fused_obstacle(make_nets("2,2,2,2,2,2", 1)[0], TASK, None),
        fused_obstacle(make_nets(NetShape.parse("3", inputs=17), 1)[0], TASK, None),
        fused_obstacle(make_nets(NetShape.parse("3", outputs=2), 1)[0], TASK, None),
        fused_obstacle(nets, make_task(classes=3), None),
        fused_obstacle(NetBatch.create(Running(), make_nets("3", 1)[1]), TASK, None),
    ]
    for reason, word in zip(
        reasons, ["on_step", "5 hidden", "16 inputs", "output", "output", "MLP"], strict=True
    ):
        assert word in str(reason)


def test_step_range_checks_its_slice() -> None:
    assert step_range(slice(None), 10) == (0, 10)
    assert step_range(slice(3, None), 10) == (3, 10)
    assert step_range(slice(10, 10), 10) == (10, 10)
    for bad in (slice(-1, 5), slice(5, 3), slice(0, 11)):
        with pytest.raises(UsageError, match="not within the 10 steps"):
            step_range(bad, 10)


def test_plan_holds_rates_and_blocks() -> None:
    nets, keys = make_nets("4,3", 3, np.array([0, 15, 16]))
    recipes = [Recipe(lr=0.1, schedule=Schedule(name)) for name in SCHEDULES]
    plan = plan_fit(nets, TASK, recipes, keys, slice(2, 7))
    assert isinstance(plan, Plan)
    assert plan.blocks.tolist() == [0, 0, 1]
    assert (plan.start, plan.stop, plan.steps_per_epoch, plan.seed) == (2, 7, 10, 11)
    for rates, recipe in zip(plan.rates, recipes, strict=True):
        np.testing.assert_array_equal(rates, recipe.rates())


def test_minibatches_are_consecutive_rows_of_the_epochs_order() -> None:
    nets, keys = make_nets("4,3", 1)
    plan = plan_fit(nets, TASK, Recipe(), keys, ALL_STEPS)
    batches = Minibatches(TASK, plan, torch.device("cpu"))
    for step, block in ((0, 0), (9, 0), (10, 0), (10, 3), (499, 3), (0, 3)):
        rows = epoch_order(11, block, step // 10, 1300)[step % 10 * 128 :][:128]
        np.testing.assert_array_equal(minibatch(Recipe(), 1300, step, 11, block), rows)
        np.testing.assert_array_equal(plan.batch(step, block), rows)
        x, y = batches(step, block)
        np.testing.assert_array_equal(x.numpy(), TASK.x[rows])
        np.testing.assert_array_equal(y.numpy(), TASK.y[rows])


def test_epoch_orders_are_kept_read_only() -> None:
    order = epoch_orders(1, 2, 3, 40)
    assert epoch_orders(1, 2, 3, 40) is order
    np.testing.assert_array_equal(order, epoch_order(1, 2, 3, 40))
    with pytest.raises(ValueError, match="read-only"):
        order[0] = 1


def test_layout_packs_and_unpacks() -> None:
    nets, _ = make_nets("5,3", 4)
    layout = Layout.of(nets)
    flat = layout.pack(nets.params, torch.device("cpu"), torch.float32)
    assert flat.shape == (4, layout.size) == (4, 37)
    for name, array in layout.unpack(flat).items():
        np.testing.assert_array_equal(array.numpy(), nets.params[name])
    for name, array in layout.unpack(flat[1]).items():
        np.testing.assert_array_equal(array.numpy(), nets.params[name][1])

"""What trainers share: names, checked plans, minibatches, flat parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from training import TASK, Running, assert_same, make_nets, make_task

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import NetBatch
from combsearch.rng import epoch_order
from combsearch.trainers import get_trainer
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
from combsearch.trainers.vmap import VmapTrainer

SCHEDULES = ["constant", "cosine", "step"]


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
        ("vmap", {"device": "gpu"}, "unknown device 'gpu', try auto, cpu or cuda"),
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
    assert auto.choose(nets, TASK, None, Recipe(clip=1.0)).name == "vmap"
    assert auto.choose(nets, TASK, None, [Recipe(optimizer="adam")] * 2).name == "vmap"
    found = auto.fit(nets, TASK, Recipe(nesterov=True), keys, slice(0, 5))
    assert_same(found, VmapTrainer().fit(nets, TASK, Recipe(nesterov=True), keys, slice(0, 5)))


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
        fused_obstacle(nets, TASK, None, Recipe(nesterov=True)),
        fused_obstacle(nets, TASK, None, Recipe(clip=1.5)),
        fused_obstacle(nets, TASK, None, Recipe(optimizer="adam")),
    ]
    words = ["on_step", "5 hidden", "16 inputs", "output", "output", "MLP"]
    words += ["nesterov", "clip 1.5", "optimizer 'adam'"]
    for reason, word in zip(reasons, words, strict=True):
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

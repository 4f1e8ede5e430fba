"""The multilayer perceptron of DCT plus sparse and its compiled trainer, against plain torch."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import torch
from training import distances

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.kernels import offset
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, flat_arrays
from combsearch.networks.dct_mlp import DctMLP
from combsearch.rng import RunKeys
from combsearch.tasks import cubist_spiral
from combsearch.tasks.base import Task
from combsearch.trainers.base import minibatch
from combsearch.trainers.fused_dct import FusedDctTrainer, dct_obstacle
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

Array = npt.NDArray[Any]
FUSED = FusedDctTrainer()
RECIPE = Recipe(epochs=3, batch_size=30, lr=0.1, schedule=Schedule("cosine"))


def border(points: int = 200, inputs: int = 2, classes: int = 2) -> Task:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(points, inputs)).astype(np.float32)
    y = (x.sum(axis=1) > 0.2).astype(np.uint8) + (x[:, 0] > 0.5) * (classes > 2)
    return Task("border", x, y.astype(np.uint8), classes=classes)


def networks(
    hidden: tuple[int, ...], trainable: bool, count: int = 6, kept: int = 9, inputs: int = 2
) -> tuple[NetBatch, RunKeys, Array]:
    """Networks of random supports, alternating between two restart blocks; their supports."""
    network = DctMLP(NetShape.from_hidden(hidden, inputs, 1), max(hidden), trainable)
    rng = np.random.default_rng([len(hidden), *hidden])
    order = np.argsort(rng.random((count, network.places)), axis=1)
    supports = np.sort(order[:, :kept], axis=1)
    keys = RunKeys.make(5, np.arange(count), ["c"] * count, np.arange(count) % 2, block=1)
    return NetBatch.create(network, keys, network.masks(supports)), keys, supports


# ------------------------------------------------------------------ the network


def naive_logits(params: dict[str, Array], x: Array, shape: NetShape) -> Array:
    """scipy's transform, layer by layer: float64 [points, outputs]."""
    h = x.astype(np.float64)
    last = len(shape.layers) - 1
    for layer, (rows, cols) in enumerate(shape.layers):
        padded = np.zeros((len(h), max(rows, cols)))
        padded[:, :cols] = h
        offset_part = scipy.fft.dct(padded, type=2, norm="ortho", axis=1)[:, :rows]
        alpha = params.get(f"alpha{layer}", np.float64(1))
        h = alpha * offset_part + h @ params[f"weight{layer}"].T + params[f"bias{layer}"]
        h = h if layer == last else np.maximum(h, 0)
    return h


@pytest.mark.parametrize("widths", [(2, 3, 3, 3, 1), (2, 7, 2, 1), (5, 3, 4), (3, 1, 6, 2)])
@pytest.mark.parametrize("trainable", [True, False])
def test_apply_is_the_transform_of_scipy(widths: tuple[int, ...], trainable: bool) -> None:
    network, rng = DctMLP(NetShape(widths), 7, trainable), np.random.default_rng(1)
    start = network.init(RunKeys.make(0, [4], ["c"], [0]))
    params = {name: rng.normal(size=a.shape[1:]) for name, a in start.items()}
    x = rng.normal(size=(11, widths[0]))
    logits, state = network.apply(
        {name: torch.tensor(a) for name, a in params.items()}, {}, torch.tensor(x)
    )
    expected = naive_logits(params, x, network.shape)
    expected = expected[:, 0] if widths[-1] == 1 else expected
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-12)
    assert logits.shape == expected.shape and state == {}


@pytest.mark.parametrize("trainable", [True, False])
def test_start(trainable: bool) -> None:
    shape = NetShape.from_hidden((4, 3), 2, 1)
    network, keys = DctMLP(shape, 16, trainable), RunKeys.make(0, [1, 2], ["c"] * 2, [0, 1])
    start, plain = network.init(keys), MLP(shape, 16).init(keys)
    for layer in range(3):
        assert not start[f"weight{layer}"].any()
        assert start[f"weight{layer}"].shape == plain[f"weight{layer}"].shape
        np.testing.assert_array_equal(start[f"bias{layer}"], plain[f"bias{layer}"])
        if trainable:
            np.testing.assert_array_equal(start[f"alpha{layer}"], np.ones(2))
    assert len(start) == (9 if trainable else 6)
    assert network.scales == (3 if trainable else 0)
    assert network.places == 2 * 4 + 4 + 4 * 3 + 3 + 3 + 1
    assert network.prunable == ("weight0", "weight1", "weight2")


def test_places_are_those_of_flat_arrays() -> None:
    network = DctMLP(NetShape.from_hidden((4, 3), 2, 1), 16)
    every = np.arange(network.places)[:, None]  # supports of one place
    masks = network.masks(every)
    np.testing.assert_array_equal(flat_arrays(masks), np.eye(network.places))
    kept_biases = np.concatenate([masks[f"bias{layer}"] for layer in range(3)], axis=1).any(axis=1)
    np.testing.assert_array_equal(network.biases(), kept_biases)
    # D by place: logits of a network whose S is -D vanish.
    d = network.offset()
    assert not d[network.biases()].any()
    start = network.init(RunKeys.make(0, [1], ["c"], [0]))
    at = 0
    for layer, (rows, cols) in enumerate(network.shape.layers):
        start[f"weight{layer}"] = -d[at : at + rows * cols].reshape(1, rows, cols)
        start[f"bias{layer}"] = np.zeros((1, rows))
        at += rows * (cols + 1)
    logits, _ = network.apply(
        {name: torch.tensor(a[0], dtype=torch.float64) for name, a in start.items()}, {},
        torch.ones(3, 2, dtype=torch.float64),
    )  # fmt: skip
    assert logits.abs().max() < 1e-15


def test_init_width_is_checked() -> None:
    with pytest.raises(UsageError, match="init_width is 0"):
        DctMLP(NetShape.from_hidden((4,), 2, 1), 0)


# ------------------------------------------------------------------ training


def naive_training(
    nets: NetBatch, index: int, supports: Array, task: Task, keys: RunKeys, steps: int
) -> dict[str, Array]:
    """torch.optim.SGD in float64 on what the support keeps, one numbered place after another."""
    network = nets.network
    assert isinstance(network, DctMLP)
    start = {name: np.asarray(a[index], np.float64) for name, a in nets.params.items()}
    names = [name for name in start if not name.startswith("alpha")]
    flat = np.concatenate([start[name].reshape(-1) for name in names])
    kept = torch.tensor(flat[supports[index]], requires_grad=True)
    alphas = torch.ones(len(network.shape.layers), dtype=torch.float64)
    alphas.requires_grad_(network.trainable)
    trained = [kept, alphas] if network.trainable else [kept]
    optimizer = torch.optim.SGD(
        trained, lr=0.1, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    x, y = torch.tensor(task.x, dtype=torch.float64), torch.tensor(task.y, dtype=torch.float64)

    def parts() -> list[torch.Tensor]:
        whole = torch.zeros(network.places, dtype=torch.float64)
        whole = whole.index_put((torch.tensor(supports[index]),), kept)
        return list(torch.split(whole, [start[name].size for name in names]))

    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RECIPE.rates()[step // 6]
        rows = minibatch(RECIPE, task.points, step, keys.seed, int(keys.blocks()[index]))
        h, found = x[rows.astype(np.int64)], parts()
        for layer, (n_out, n_in) in enumerate(network.shape.layers):
            size = max(n_out, n_in)
            matrix = scipy.fft.dct(np.eye(size), type=2, norm="ortho", axis=0)[:n_out, :n_in]
            weight = alphas[layer] * torch.tensor(matrix) + found[2 * layer].view(n_out, n_in)
            h = h @ weight.T + found[2 * layer + 1]
            h = torch.relu(h) if layer + 1 < len(network.shape.layers) else h[:, 0]
        loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(
            h, y[rows.astype(np.int64)]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    result = {
        name: part.detach().numpy().reshape(start[name].shape)
        for name, part in zip(names, parts(), strict=True)
    }
    if network.trainable:
        result |= {f"alpha{layer}": a for layer, a in enumerate(alphas.detach().numpy())}
    return result


@pytest.mark.parametrize("hidden", [(3, 3, 3), (5, 2), (4,)])
@pytest.mark.parametrize("trainable", [True, False])
def test_every_trainer_does_what_plain_torch_does(hidden: tuple[int, ...], trainable: bool) -> None:
    task = border()
    nets, keys, supports = networks(hidden, trainable)
    steps = 14
    expected = [
        naive_training(nets, index, supports, task, keys, steps) for index in range(len(nets))
    ]
    for trainer in (LoopTrainer("float64"), LoopTrainer(), VmapTrainer("cpu"), FUSED):
        found = trainer.fit(nets, task, RECIPE, keys, slice(0, steps))
        for index, one in enumerate(expected):
            for name, a in one.items():
                np.testing.assert_allclose(
                    found.params[name][index], a, rtol=0, atol=2e-6, err_msg=f"{trainer} {name}"
                )
        moved = np.abs(flat_arrays(plain(found)) - flat_arrays(plain(nets)))
        assert (moved[flat_arrays(plain_masks(nets)) == 0] == 0).all() and moved.max() > 0.01


def plain(nets: NetBatch) -> dict[str, Any]:
    return {name: a for name, a in nets.params.items() if not name.startswith("alpha")}


def plain_masks(nets: NetBatch) -> dict[str, Any]:
    return {name: a for name, a in nets.masks.items() if not name.startswith("alpha")}


@pytest.mark.parametrize("trainable", [True, False])
def test_fused_does_not_depend_on_the_rest_of_the_batch(trainable: bool) -> None:
    task = border()
    nets, keys, _ = networks((3, 4, 3), trainable, count=21)
    whole = FUSED.fit(nets, task, RECIPE, keys)
    chosen = np.array([17, 2, 9])
    alone = FUSED.fit(nets[chosen], task, RECIPE, keys[chosen])
    pieces = FUSED.fit(nets, task, RECIPE, keys, slice(0, 7))
    pieces = FUSED.fit(pieces, task, RECIPE, keys, slice(7, None))
    for name, a in whole.params.items():
        np.testing.assert_array_equal(alone.params[name], a[chosen])
        np.testing.assert_array_equal(pieces.params[name], a)
    assert list(whole.params) == list(nets.params)
    assert all(whole.params[name].shape == a.shape for name, a in nets.params.items())


def test_fused_on_the_spiral_and_its_score() -> None:
    task = cubist_spiral()
    nets, keys, _ = networks((8, 3), True, count=5, kept=20)
    recipe = dataclasses.replace(RECIPE, batch_size=128)
    found = FUSED.fit(nets, task, recipe, keys, slice(380, 400))  # over the end of an epoch
    exact = LoopTrainer("float64").fit(nets, task, recipe, keys, slice(380, 400))
    assert max(distances(found, exact)) < 1e-5
    fused, torch_score = FUSED.score(found, task), LoopTrainer().score(found, task)
    assert np.abs(fused.correct - torch_score.correct).max() <= 2
    assert fused.points == task.points and not fused.diverged.any()
    found.params["alpha1"][2] = np.nan
    np.testing.assert_array_equal(FUSED.score(found, task).diverged, np.arange(5) == 2)


def test_what_the_fused_trainer_refuses() -> None:
    nets, keys, _ = networks((3, 3), True)
    task = border()
    other = NetBatch.create(MLP(NetShape.from_hidden((3, 3), 2, 1), 3), keys)
    with pytest.raises(UsageError, match="DCT plus sparse only, not a MLP"):
        FUSED.fit(other, task, RECIPE, keys)
    with pytest.raises(UsageError, match="cannot call on_step; 'vmap' and 'loop' can"):
        FUSED.fit(nets, task, RECIPE, keys, on_step=lambda step, nets: None)
    with pytest.raises(UsageError, match="without nesterov"):
        FUSED.fit(nets, task, dataclasses.replace(RECIPE, nesterov=True), keys)
    three = border(classes=3)
    many = DctMLP(NetShape.from_hidden((3, 3), 2, 3), 3)
    assert "one output for two classes" in str(dct_obstacle(many, three))
    assert dct_obstacle(DctMLP(NetShape.from_hidden((3,), 2, 1), 3), task) is None


def test_what_the_kernel_refuses() -> None:
    widths = (2, 3, 1)
    p = np.zeros((1, 15, offset.LANES), np.float32)
    batches = np.zeros((1, 16, 3), np.float32)
    given: dict[str, Any] = {
        "batch": 16,
        "first": 0,
        "last": 1,
        "momentum": 0.9,
        "decay": 0.0,
        "scales": True,
    }
    short = np.zeros(12, np.float32)
    with pytest.raises(ValueError, match=r"offset must be float32 \(13,\)"):
        offset.train(p, p, p, p, batches, short, widths, **given)
    with pytest.raises(ValueError, match="p must be contiguous float32"):
        offset.train(p[:, :14], p, p, p, batches, np.zeros(13, np.float32), widths, **given)

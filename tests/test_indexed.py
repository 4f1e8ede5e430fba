"""Networks stored by their kept weights, against the dense masked ones that they stand for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from training import assert_same

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, evaluate
from combsearch.networks import CNN, Dense, ImageNetwork
from combsearch.networks.indexed import expanded, indexed, kept_places
from combsearch.networks.offset import DctOffset
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer
from combsearch.trainers.best import BestEpoch
from combsearch.trainers.indexed import IndexedTrainer
from combsearch.trainers.loop import LoopTrainer

SHAPE, CLASSES = (1, 6, 6), 3
OFFSETS = {
    "none": None,
    "offset": DctOffset(),
    "fixed": DctOffset(trainable=False),
    "fast": DctOffset(form="fast"),
}
SGD = Recipe(epochs=3, batch_size=16, lr=0.1, schedule=Schedule("step"))
# Batch norm takes a bias before it away, whose gradient is rounding then and blown up by Adam:
# decay drowns it.
ADAM = dataclasses.replace(SGD, optimizer="adam", lr=0.003, weight_decay=0.1)
NESTEROV = dataclasses.replace(SGD, nesterov=True)
DENSITIES = {"alike": (0.2, 0.2, 0.2), "unequal": (0.05, 0.3, 0.15)}


def make_task(test: int = 0) -> Task:
    random = np.random.default_rng(0)
    x: Any
    y: Any
    y = random.integers(0, CLASSES, 96 + test)
    x = random.normal(0, 1, (96 + test, 36)) + y[:, None] / 2
    x, y = x.astype(np.float32), y.astype(np.uint8)
    if not test:
        return Task("blobs", x, y, classes=CLASSES)
    return Task("blobs", x[:96], y[:96], x[96:], y[96:], classes=CLASSES)


TASK = make_task()


def network_of(kind: str, offset: str = "none") -> ImageNetwork:
    architecture: Any = Dense((12, 8)) if kind == "mlp" else CNN((6, 8))
    return ImageNetwork(architecture, SHAPE, CLASSES, offset=OFFSETS[offset])


def make_nets(
    network: ImageNetwork, densities: tuple[float, ...] = DENSITIES["unequal"], empty: str = ""
) -> tuple[NetBatch, RunKeys]:
    """Networks with random masks of their own; no weight of the layer ``empty``."""
    random, count = np.random.default_rng(1), len(densities)
    masks = {}
    for name in network.prunable:
        shape = network.parameters[name].shape
        draws = random.random((count, *shape))
        share = np.array(densities).reshape(-1, *(1 for _ in shape))
        masks[name] = ((draws < share) & (name != empty)).astype(np.float32)
    keys = RunKeys.make(7, np.arange(count).astype(np.uint64), ["x"] * count, np.arange(count))
    return NetBatch.create(network, keys, masks), keys


def assert_close(found: NetBatch, expected: NetBatch, momenta: bool = True) -> None:
    """To 1e-5, momenta of masked weights aside."""
    for kind in ("params", "state", "masks", *(["momenta"] if momenta else [])):
        for name, a in getattr(expected, kind).items():
            own = a * expected.masks[name] if kind == "momenta" else a
            np.testing.assert_allclose(
                getattr(found, kind)[name], own, rtol=1e-5, atol=1e-5, err_msg=f"{kind} {name}"
            )


@pytest.mark.parametrize("offset", list(OFFSETS))
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("recipe", [SGD, ADAM, NESTEROV], ids=["sgd", "adam", "nesterov"])
def test_training_equals_the_loop_over_dense_masked_networks(
    kind: str, offset: str, recipe: Recipe
) -> None:
    nets, keys = make_nets(network_of(kind, offset))
    steps = slice(0, 8)
    expected = LoopTrainer().fit(nets, TASK, recipe, keys, steps)
    found = IndexedTrainer(most=1.0).fit(nets, TASK, recipe, keys, steps)
    assert found.network == nets.network
    assert_close(found, expected)
    # It moved, so that equality says something.
    name = network_of(kind).prunable[0]
    assert np.abs(found.params[name] - nets.params[name]).max() > 1e-3


@pytest.mark.parametrize("most", [0.0, 0.2, 1.0])
def test_layers_above_the_share_are_trained_whole(most: float) -> None:
    nets, keys = make_nets(network_of("mlp"), (0.1, 0.3, 0.6))
    places = kept_places(nets, most)
    expected = [
        name for name in nets.network.prunable if nets.masks[name].mean(axis=(1, 2)).max() <= most
    ]
    assert list(places) == expected
    found = IndexedTrainer(most).fit(nets, TASK, SGD, keys, slice(0, 5))
    assert_close(found, LoopTrainer().fit(nets, TASK, SGD, keys, slice(0, 5)), momenta=False)


@pytest.mark.parametrize("densities", list(DENSITIES))
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_there_and_back_is_the_same(kind: str, densities: str) -> None:
    nets, keys = make_nets(network_of(kind, "offset"), DENSITIES[densities])
    nets = LoopTrainer().fit(nets, TASK, ADAM, keys, slice(0, 3))
    places = kept_places(nets)
    small = indexed(nets, places)
    back = expanded(small, nets, places)
    assert_same(
        dataclasses.replace(back, momenta=nets.momenta, adam={}), dataclasses.replace(nets, adam={})
    )
    for name, mask in nets.masks.items():
        np.testing.assert_array_equal(back.momenta[name], nets.momenta[name] * mask)
    flat = np.concatenate([m.reshape(len(nets), -1) for m in nets.masks.values()], axis=1)
    np.testing.assert_array_equal(back.adam["squares"], nets.adam["squares"] * flat)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("offset", ["none", "offset"])
def test_it_computes_what_the_dense_networks_compute(kind: str, offset: str) -> None:
    nets, keys = make_nets(network_of(kind, offset))
    nets = LoopTrainer().fit(nets, TASK, SGD, keys, slice(0, 3))
    small, dense = indexed(nets, kept_places(nets)).to_torch(), nets.to_torch()
    x = torch.from_numpy(TASK.x)
    for i in range(len(nets)):
        one, other = (
            evaluate(b.network, {n: a[i] for n, a in b.params.items()},
                     {n: a[i] for n, a in b.state.items()}, x)
            for b in (small, dense)
        )  # fmt: skip
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_what_is_stored_is_what_is_kept() -> None:
    nets, _ = make_nets(network_of("mlp", "offset"), (0.1, 0.1))
    small = indexed(nets, kept_places(nets))
    for name in nets.network.prunable:
        counts = nets.masks[name].reshape(2, -1).sum(axis=1)
        assert small.params[name].shape == (2, int(counts.max()))
        assert small.masks[name].sum(axis=1).tolist() == counts.tolist()
    layers = ("hidden1", "hidden2", "linear")
    others = {f"{layer}.{part}" for layer in layers for part in ("bias", "alpha")}
    assert set(small.params) == {*nets.network.prunable, *others}
    assert small.network.prunable == ()
    with pytest.raises(NotImplementedError, match="are made by indexed"):
        small.network.init(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("offset", ["none", "offset"])
def test_layers_without_weights(kind: str, offset: str) -> None:
    network = network_of(kind, offset)
    nets, keys = make_nets(network, empty=network.prunable[1])
    found = IndexedTrainer(most=1.0).fit(nets, TASK, SGD, keys, slice(0, 6))
    assert_close(found, LoopTrainer().fit(nets, TASK, SGD, keys, slice(0, 6)))
    assert not found.params[network.prunable[1]].any()


def test_the_last_place_is_kept_beside_what_fills_up() -> None:
    network = network_of("mlp")
    nets, keys = make_nets(network, (0.1, 0.1))
    name = network.prunable[0]
    masks = {**nets.masks, name: np.zeros_like(nets.masks[name])}
    masks[name][0, 0, :9] = 1  # nine weights here, there the last one alone, so eight fill up
    masks[name][1, -1, -1] = 1
    nets = NetBatch.create(network, keys, {n: masks[n] for n in network.prunable})
    assert kept_places(nets)[name].shape == (2, 9)
    found = IndexedTrainer(most=1.0).fit(nets, TASK, ADAM, keys, slice(0, 6))
    assert_close(found, LoopTrainer().fit(nets, TASK, ADAM, keys, slice(0, 6)))
    assert found.params[name][1, -1, -1] != nets.params[name][1, -1, -1]


@pytest.mark.parametrize("recipe", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_segments_are_the_whole(kind: str, recipe: Recipe) -> None:
    nets, keys = make_nets(network_of(kind, "offset"))
    trainer = IndexedTrainer(most=1.0)
    whole = trainer.fit(nets, TASK, recipe, keys)
    part = trainer.fit(nets, TASK, recipe, keys, slice(0, 7))
    assert_same(trainer.fit(part, TASK, recipe, keys, slice(7, None)), whole)


def test_networks_do_not_touch_each_other() -> None:
    nets, keys = make_nets(network_of("cnn", "offset"))
    trainer = IndexedTrainer(most=1.0)
    whole = trainer.fit(nets, TASK, SGD, keys, slice(0, 6))
    for i in range(len(nets)):
        one = np.array([i])
        alone = trainer.fit(nets[one], TASK, SGD, keys[one], slice(0, 6))
        assert_close(alone, whole[one])


def test_on_step_sees_ordinary_networks() -> None:
    nets, keys = make_nets(network_of("cnn", "offset"))
    seen: dict[int, NetBatch] = {}

    def watch(step: int, now: NetBatch) -> None:
        assert now.network == nets.network
        seen[step] = now.numpy().map(np.copy)

    last = IndexedTrainer(most=1.0).fit(nets, TASK, SGD, keys, slice(2, 5), watch)
    assert list(seen) == [2, 3, 4]
    assert_same(seen[4], last)
    expected = LoopTrainer().fit(nets, TASK, SGD, keys, slice(2, 4))
    assert_close(seen[3], expected)


def test_on_step_may_change_weights_and_not_masks() -> None:
    nets, keys = make_nets(network_of("mlp"))

    def halve(step: int, now: NetBatch) -> NetBatch:
        half = {name: a / 2 for name, a in now.params.items()}
        return dataclasses.replace(now, params=half)

    found = IndexedTrainer(most=1.0).fit(nets, TASK, SGD, keys, slice(0, 3), halve)
    expected = LoopTrainer().fit(nets, TASK, SGD, keys, slice(0, 3), halve)
    assert_close(found, expected)

    def prune(step: int, now: NetBatch) -> NetBatch:
        masks = {name: np.zeros_like(a) for name, a in nets.masks.items()}
        return dataclasses.replace(now.numpy(), masks=masks)

    with pytest.raises(UsageError, match="cannot change masks in on_step"):
        IndexedTrainer().fit(nets, TASK, SGD, keys, slice(0, 3), prune)


def test_best_epochs_are_the_loops() -> None:
    task = make_task(test=60)
    nets, keys = make_nets(network_of("cnn", "offset"), (0.5, 0.3))
    found, expected = BestEpoch(task, SGD), BestEpoch(task, SGD)
    IndexedTrainer(most=1.0).fit(nets, task, SGD, keys, on_step=found)
    LoopTrainer().fit(nets, task, SGD, keys, on_step=expected)
    assert found.epoch.tolist() == expected.epoch.tolist()
    np.testing.assert_array_equal(found.accuracy, expected.accuracy)
    assert_close(found.nets(), expected.nets(), momenta=False)


def test_arguments_are_left_as_they_are() -> None:
    nets, keys = make_nets(network_of("mlp", "offset"))
    before = nets.map(np.copy)
    IndexedTrainer(most=1.0).fit(nets, TASK, SGD, keys, slice(0, 3))
    assert_same(nets, before)


def test_what_it_does_not_train() -> None:
    with pytest.raises(UsageError, match=r"most is 1\.5, it must be a share from 0 to 1"):
        get_trainer("indexed", most=1.5)
    shape = NetShape.parse("3,3")
    keys = RunKeys.make(0, np.zeros(1, np.uint64), ["x"], np.zeros(1, np.int64))
    nets = NetBatch.create(MLP(shape), keys)
    with pytest.raises(UsageError, match="trains networks for images, not a MLP"):
        get_trainer("indexed").fit(nets, TASK, SGD, keys)
    nets, keys = make_nets(network_of("mlp"))
    recipes = [dataclasses.replace(SGD, clip=0.5)] * 3
    with pytest.raises(UsageError, match=r"cannot clip \(0\.5\) as other trainers do"):
        get_trainer("indexed").fit(nets, TASK, recipes, keys)


def test_scores_are_the_loops() -> None:
    nets, _ = make_nets(network_of("mlp"))
    found, expected = (t.score(nets, TASK) for t in (IndexedTrainer(), LoopTrainer()))
    accuracy: npt.NDArray[np.float64] = found.accuracy
    np.testing.assert_array_equal(accuracy, expected.accuracy)

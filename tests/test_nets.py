"""combsearch.nets: initialisation, batches, scores against plain PyTorch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import (
    MLP,
    NetBatch,
    Scores,
    mask_arrays,
    mean_loss,
    score,
)
from combsearch.rng import RunKeys, uniform
from combsearch.tasks.base import Task

Array = npt.NDArray[Any]


def make_keys(n: int, seed: int = 0) -> RunKeys:
    return RunKeys.make(seed, np.arange(n), ["0.05:cosine"] * n, np.zeros(n, int))


def make_masks(shape: NetShape, n: int, seed: int = 0) -> MaskBatch:
    rng = np.random.default_rng(seed)
    return MaskBatch.from_dense(shape, [rng.random((n, *layer)) < 0.6 for layer in shape.layers])


def make_nets(text: str = "7,3,3", n: int = 5, outputs: int = 1, seed: int = 0) -> NetBatch:
    shape = NetShape.parse(text, outputs=outputs)
    return NetBatch.create(MLP(shape), make_keys(n, seed), make_masks(shape, n, seed))


def make_task(points: int = 300, classes: int = 2) -> Task:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(points, 2)).astype(np.float32)
    return Task("noise", x, rng.integers(0, classes, points).astype(np.uint8), classes=classes)


def module_of(nets: NetBatch, index: int) -> torch.nn.Sequential:
    """One network of a batch as torch.nn knows it."""
    layers: list[torch.nn.Module] = []
    for i in range(len(nets.params) // 2):
        weight, bias = (torch.tensor(nets.params[f"{k}{i}"][index]) for k in ("weight", "bias"))
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


# ---- initialisation ------------------------------------------------------------------


def test_init_is_the_draw_of_the_key_times_the_bound() -> None:
    keys = make_keys(3)
    params = MLP(NetShape.parse("7,3,3")).init(keys)
    assert list(params) == [f"{kind}{i}" for i in range(4) for kind in ("weight", "bias")]
    for layer, (rows, cols) in enumerate([(7, 2), (3, 7), (3, 3), (1, 3)]):
        bound = np.float32(1 / math.sqrt(16 if layer else 2))
        weight = uniform(keys.philox_keys(), layer, rows, cols, stream=0)
        bias = uniform(keys.philox_keys(), layer, rows, 1, stream=1)[:, :, 0]
        np.testing.assert_array_equal(params[f"weight{layer}"], (2 * weight - 1) * bound)
        np.testing.assert_array_equal(params[f"bias{layer}"], (2 * bias - 1) * bound)
        assert params[f"weight{layer}"].dtype == params[f"bias{layer}"].dtype == np.float32


def test_init_of_a_narrow_network_is_the_leading_block_of_a_wide_one() -> None:
    keys = make_keys(4)
    wide = MLP(NetShape.parse("16,16,16")).init(keys)
    narrow = MLP(NetShape.parse("7,3,3")).init(keys)
    for name, array in narrow.items():
        block = tuple(slice(size) for size in array.shape)
        np.testing.assert_array_equal(array, wide[name][block])


def test_init_is_uniform_as_nn_linear_draws() -> None:
    params = MLP(NetShape.parse("16,16,16")).init(make_keys(200))
    for name, array in params.items():
        bound = 1 / math.sqrt(2 if name.endswith("0") else 16)
        assert np.abs(array).max() <= bound
        test = stats.kstest(array.reshape(-1), "uniform", (-bound, 2 * bound))
        assert test.pvalue > 1e-3, name


def test_init_depends_on_the_key_alone() -> None:
    network, keys = MLP(NetShape.parse("3,2,2")), make_keys(9)
    whole, part = network.init(keys), network.init(keys[np.array([7, 2])])
    for name in whole:
        np.testing.assert_array_equal(part[name], whole[name][[7, 2]])


def test_init_width_sets_the_bound() -> None:
    params = MLP(NetShape.parse("3,2,2"), init_width=4).init(make_keys(500))
    assert 0.45 < np.abs(params["weight1"]).max() <= 0.5
    with pytest.raises(UsageError, match="init_width is 0"):
        MLP(NetShape.parse("3"), init_width=0)


# ---- batches -------------------------------------------------------------------------


def test_create_masks_weights_and_dead_biases() -> None:
    shape = NetShape.parse("3,2")
    matrices = [np.ones((1, *layer), np.uint8) for layer in shape.layers]
    matrices[0][0, 1] = 0
    nets = NetBatch.create(MLP(shape), make_keys(1), MaskBatch.from_dense(shape, matrices))
    assert nets.masks["bias0"].tolist() == [[1, 0, 1]]
    assert nets.params["bias0"][0, 1] == 0
    assert not nets.params["weight0"][0, 1].any()
    assert nets.params["weight0"][0, 0].all()
    assert not any(a.any() for a in nets.momenta.values())
    for kind in (nets.params, nets.masks, nets.momenta):
        assert {a.dtype for a in kind.values()} == {np.dtype(np.float32)}


def test_create_serves_one_mask_to_all_and_no_mask() -> None:
    shape, keys = NetShape.parse("3,2"), make_keys(4)
    mask = make_masks(shape, 1)
    shared = NetBatch.create(MLP(shape), keys, mask)
    each = NetBatch.create(MLP(shape), keys, mask[np.zeros(4, int)])
    for name in shared.params:
        np.testing.assert_array_equal(shared.params[name], each.params[name])
        assert shared.masks[name].flags.writeable
    free = NetBatch.create(MLP(shape), keys)
    assert all(a.all() for a in free.masks.values())


def test_create_takes_masks_by_name() -> None:
    shape = NetShape.parse("3,2")
    mask = np.array([[[1, 0], [0, 1], [1, 1]]])
    nets = NetBatch.create(MLP(shape), make_keys(2), {"weight0": mask})
    np.testing.assert_array_equal(nets.masks["weight0"], np.repeat(mask, 2, axis=0))
    assert nets.masks["weight1"].all()
    with pytest.raises(UsageError, match=r"unknown parameters \['weight9'\]"):
        NetBatch.create(MLP(shape), make_keys(2), {"weight9": mask})
    with pytest.raises(UsageError, match=r"the mask of weight1 is \(1, 3, 2\)"):
        NetBatch.create(MLP(shape), make_keys(2), {"weight1": mask})
    with pytest.raises(UsageError, match=r"the mask of weight0 is \(3, 3, 2\)"):
        NetBatch.create(MLP(shape), make_keys(2), make_masks(shape, 3))


def test_mask_arrays_follow_the_rule_of_the_search() -> None:
    masks = make_masks(NetShape.parse("7,3,3"), 40)
    named = mask_arrays(masks)
    kept = sum(a.reshape(40, -1).sum(axis=1) for a in named.values())
    np.testing.assert_array_equal(kept, masks.nonzeros())


def test_index_concat_and_length() -> None:
    nets = make_nets(n=6)
    again = NetBatch.concat([nets[:2], nets[np.array([2])], nets[3:]])
    assert len(again) == len(nets) == 6
    for kind in ("params", "masks", "momenta"):
        for name, array in getattr(nets, kind).items():
            np.testing.assert_array_equal(getattr(again, kind)[name], array)
    both = NetBatch.concat([nets.to_torch(), nets.to_torch()])
    assert len(both) == 12
    assert isinstance(both.params["weight0"], torch.Tensor)
    with pytest.raises(UsageError, match="different kinds"):
        NetBatch.concat([nets, make_nets("3,2")])
    with pytest.raises(UsageError, match="empty list"):
        NetBatch.concat([])


def test_numpy_and_torch_share_memory() -> None:
    nets = make_nets()
    tensors = nets.to_torch("cpu")
    tensors.params["weight0"][0, 0, 0] = 5
    assert nets.params["weight0"][0, 0, 0] == 5
    assert tensors.to_torch().params["bias1"] is tensors.params["bias1"]
    assert nets.numpy().params["bias1"] is nets.params["bias1"]
    assert np.shares_memory(tensors.numpy().params["bias1"], nets.params["bias1"])


def test_read_only_arrays_are_copied_not_warned_of() -> None:
    nets = make_nets()
    frozen = nets.map(lambda a: np.broadcast_to(a[:1], a.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = frozen.to_torch()
    np.testing.assert_array_equal(tensors.params["weight0"].numpy(), frozen.params["weight0"])


def test_batch_refuses_kinds_that_differ() -> None:
    nets = make_nets()
    with pytest.raises(UsageError, match="masks"):
        NetBatch(nets.network, nets.params, {}, nets.momenta)
    with pytest.raises(UsageError, match="momenta"):
        NetBatch(nets.network, nets.params, nets.masks, nets[:2].momenta)


# ---- forward, loss, scores -----------------------------------------------------------


@pytest.mark.parametrize("text", ["4", "7,3,3", "5,4,3,2,2"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_apply_equals_torch_modules(text: str, outputs: int) -> None:
    nets, x = make_nets(text, 3, outputs), torch.randn(50, 2)
    for i in range(3):
        params = {name: torch.tensor(a[i]) for name, a in nets.params.items()}
        logits, state = nets.network.apply(params, {}, x)
        expected = module_of(nets, i)(x)
        assert state == {}
        assert logits.shape == ((50,) if outputs == 1 else (50, 3))
        torch.testing.assert_close(logits, expected[:, 0] if outputs == 1 else expected)


def test_mean_loss_equals_torch() -> None:
    logits = torch.tensor([-90.0, -30, -1, 0, 1, 15, 25, 60], dtype=torch.float64)
    for labels in (torch.zeros(8), torch.ones(8), torch.tensor([0.0, 1] * 4)):
        mine = logits.clone().requires_grad_()
        other = logits.clone().requires_grad_()
        found = mean_loss(mine, labels.to(torch.uint8))
        expected = torch.nn.BCEWithLogitsLoss()(other, labels.double())
        found.backward()  # type: ignore[no-untyped-call]
        expected.backward()
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-12, atol=1e-16)


def test_mean_loss_of_several_outputs_is_cross_entropy() -> None:
    logits, labels = torch.randn(20, 4), torch.arange(20, dtype=torch.uint8) % 4
    expected = torch.nn.CrossEntropyLoss()(logits, labels.long())
    torch.testing.assert_close(mean_loss(logits, labels), expected)


def test_mean_loss_of_a_nan_is_nan() -> None:
    loss = mean_loss(torch.tensor([1.0, math.nan]), torch.tensor([0, 1], dtype=torch.uint8))
    assert torch.isnan(loss)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("points", [1, 300, 5000])
def test_score_equals_plain_torch(outputs: int, points: int) -> None:
    nets = make_nets("5,4", 70, outputs)
    task = make_task(points, classes=max(2, outputs))
    scores = score(nets, task)
    assert scores.points == points
    assert scores.correct.dtype == np.int64
    assert not scores.diverged.any()
    with torch.no_grad():
        for i in range(0, 70, 7):
            logits = module_of(nets, i)(torch.tensor(task.x)).numpy()
            guess = logits[:, 0] > 0 if outputs == 1 else logits.argmax(axis=1)
            near = np.abs(logits[:, 0]) < 1e-6 if outputs == 1 else np.zeros(points, bool)
            assert abs(scores.correct[i] - (guess == task.y).sum()) <= near.sum()
    np.testing.assert_array_equal(scores.accuracy, scores.correct / points)


def test_a_logit_of_zero_is_class_zero() -> None:
    nets = make_nets("3", 2).map(np.zeros_like)
    task = make_task(100)
    np.testing.assert_array_equal(score(nets, task).correct, [(task.y == 0).sum()] * 2)


def with_param(nets: NetBatch, name: str, index: tuple[int, ...], value: Any) -> NetBatch:
    changed = nets.params[name].copy()
    changed[index] = value
    return NetBatch(nets.network, {**nets.params, name: changed}, nets.masks, nets.momenta)


def test_what_is_not_finite_has_diverged() -> None:
    task = make_task(50)
    nets = make_nets("3,2", 5)
    nets = with_param(nets, "weight0", (1, 0, 0), math.nan)
    nets = with_param(nets, "bias1", (2, 0), math.inf)
    huge = np.full_like(nets.params["weight0"][4], 3e38)
    ones = np.ones_like(nets.params["weight1"][4])
    nets = with_param(nets, "weight0", (4,), huge)  # finite, but not its logits
    nets = with_param(nets, "weight1", (4,), 10 * ones)
    nets = with_param(nets, "weight2", (4,), 1)
    scores = score(nets, task)
    assert scores.diverged.tolist() == [False, True, True, False, True]


def test_a_nan_logit_is_class_zero() -> None:
    nets, task = make_nets("3", 1), make_task(80)
    scores = score(with_param(nets, "bias1", (0, 0), math.nan), task)
    assert scores.diverged.tolist() == [True]
    assert scores.correct.tolist() == [(task.y == 0).sum()]


def test_score_of_no_networks() -> None:
    scores = score(make_nets(n=3)[:0], make_task(10))
    assert len(scores.accuracy) == len(scores.diverged) == 0


def test_scores_concat() -> None:
    task, nets = make_task(), make_nets(n=6)
    whole, parts = score(nets, task), [score(nets[:2], task), score(nets[2:], task)]
    joined = Scores.concat(parts)
    np.testing.assert_array_equal(joined.correct, whole.correct)
    np.testing.assert_array_equal(joined.diverged, whole.diverged)
    assert joined.points == whole.points

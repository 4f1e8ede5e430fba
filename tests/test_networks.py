"""combsearch.networks: sizes, initialisation, and training against plain torch modules."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from naive_networks import plain
from scipy import stats
from torch import nn
from training import Running, assert_same, distances

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch, Stateful, evaluate, mean_loss, score, scores
from combsearch.networks import (
    CNN,
    NETWORKS,
    VGG,
    Architecture,
    Dense,
    FixupResNet,
    ImageNetwork,
    Layers,
    LeNet5,
    MobileNetV2,
    PreActivationResNet,
    ResNet,
    get_network,
    wide_resnet,
)
from combsearch.rng import RunKeys, uniform
from combsearch.tasks.base import Task
from combsearch.trainers import vmap
from combsearch.trainers.base import ALL_STEPS, minibatch
from combsearch.trainers.flat import Layout
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

CIFAR, FASHION = (3, 32, 32), (1, 28, 28)
IMAGE, CLASSES = (2, 8, 8), 4
SMALL: dict[str, Architecture] = {
    "linear": Dense(),
    "mlp": Dense((12, 9)),
    "cnn": CNN((4, 6, 8)),
    "resnet": ResNet((2, 1, 1), (4, 4, 8)),
    "bottleneck": ResNet((1, 2), (3, 5), bottleneck=True),
    "preactivation": PreActivationResNet((2, 1, 1), (6, 6, 8), stem=4),
    "lenet": LeNet5((2, 3, 4), 5),
    "vgg": VGG((2, 1), (4, 6)),
    "mobilenet": MobileNetV2(((1, 3, 1, 1), (2, 4, 2, 2)), stem=4, last=8),
    "fixup": FixupResNet((2, 1), (4, 6)),
}
# Of the many activations of these some lie so close to 0 that rounding decides a ReLU: after
# that, float32 runs drift apart as far as a gradient does. They are compared in float64.
DEEP = {"resnet", "bottleneck", "preactivation", "lenet", "vgg", "mobilenet", "fixup"}
RECIPE = Recipe(epochs=4, batch_size=16, lr=0.05, schedule=Schedule("cosine"))
STEPS = 24  # of RECIPE over TASK


def make_task(points: int = 96) -> Task:
    """Images of noise with a bright patch, whose place is the class."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, CLASSES, points).astype(np.uint8)
    x = rng.normal(size=(points, *IMAGE)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        image[:, 2 * label : 2 * label + 2] += 1
    return Task("patches", x.reshape(points, -1), y, classes=CLASSES)


TASK = make_task()


def make_keys(n: int, seed: int = 0) -> RunKeys:
    return RunKeys.make(seed, np.arange(n) + 7, ["a"] * n, 9 * np.arange(n))


def small(name: str) -> ImageNetwork:
    return ImageNetwork(SMALL[name], IMAGE, CLASSES)


def make_nets(name: str, n: int = 1) -> tuple[NetBatch, RunKeys]:
    return NetBatch.create(small(name), make_keys(n)), make_keys(n)


def one(arrays: Arrays, index: int = 0) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(a)[index] for name, a in arrays.items()}


def module_of(nets: NetBatch, index: int = 0) -> nn.Module:
    """One network of a batch as a plain module, in double precision."""
    assert isinstance(nets.network, ImageNetwork)
    module = plain(nets.network)
    missing = module.load_state_dict({**one(nets.params, index), **one(nets.state, index)}, False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    return module.double()


def assert_equals(nets: NetBatch, module: nn.Module, tolerance: float) -> None:
    """The network's arrays are those of the module."""
    known = module.state_dict()
    for name, array in {**nets.params, **nets.state}.items():
        np.testing.assert_allclose(array[0], known[name], tolerance, tolerance, err_msg=name)


# ---- sizes and names -----------------------------------------------------------------


@pytest.mark.parametrize("image_shape", [CIFAR, FASHION])
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_state_are_those_of_plain_modules(
    name: str, image_shape: tuple[int, int, int]
) -> None:
    network = get_network(name, image_shape, 10)
    with torch.device("meta"):
        module = plain(network)
    expected = {key: tuple(p.shape) for key, p in module.named_parameters()}
    assert {key: start.shape for key, start in network.parameters.items()} == expected
    weights = {key for key, shape in expected.items() if len(shape) > 1}
    assert set(network.prunable) == weights
    assert not any("bn" in key or key.endswith("bias") for key in network.prunable)
    buffers = {key: tuple(b.shape) for key, b in module.named_buffers() if b.ndim}
    assert {key: a.shape[1:] for key, a in network.initial_state(3).items()} == buffers


@pytest.mark.parametrize(
    ("name", "image_shape", "prunable", "other"),
    [
        ("linear", FASHION, 7_840, 10),
        ("mlp", FASHION, 136_074 - 394, 394),
        ("cnn", FASHION, 1_553_984, 2_890),
        ("resnet18", CIFAR, 11_164_352, 9_610),
        ("resnet50", CIFAR, 23_467_712, 53_130),
        ("vgg19", CIFAR, 20_024_000, 11_018),
        ("mobilenetv2", CIFAR, 2_261_824, 35_098),
        ("fixup_resnet110", CIFAR, 1_719_856, 282),
        ("lenet5", CIFAR, 61_510, 0),
    ],
)
def test_published_sizes(
    name: str, image_shape: tuple[int, int, int], prunable: int, other: int
) -> None:
    network = get_network(name, image_shape, 10)
    sizes = {key: math.prod(start.shape) for key, start in network.parameters.items()}
    found = sum(sizes[key] for key in network.prunable)
    assert (found, sum(sizes.values()) - found) == (prunable, other)


def test_wide_resnet_has_the_published_depth() -> None:
    network = get_network("wrn28x8", CIFAR, 10)
    convs = [key for key in network.prunable if ".conv" in key or key.startswith("conv")]
    assert len(convs) + 3 == 28  # with its three shortcuts, as its authors count
    assert {network.parameters[f"layer{i}.0.conv1.weight"].shape[0] for i in (1, 2, 3)} == {
        128,
        256,
        512,
    }


def test_networks_compare_and_pickle() -> None:
    network = get_network("cnn", FASHION, 10)
    assert pickle.loads(pickle.dumps(network)) == network == get_network("cnn", FASHION, 10)  # noqa: S301
    assert network != get_network("cnn", FASHION, 11)
    assert isinstance(network, Stateful)
    assert not isinstance(MLP(NetShape.parse("3")), Stateful)


# ---- initialisation ------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"fixup"}))
def test_init_is_as_torch_bounds_it(name: str) -> None:
    network, keys = small(name), make_keys(40)
    params = network.init(keys)
    for place, (key, array) in enumerate(params.items()):
        assert array.dtype == np.float32
        if "bn" in key:
            assert (array == key.endswith("weight")).all()
            continue
        fan_in = math.prod(params[key.replace("bias", "weight")].shape[2:])
        bound = np.float32(1 / math.sqrt(fan_in))
        rows, cols = array.shape[1], math.prod(array.shape[2:])
        drawn = (2 * uniform(keys.philox_keys(), place, rows, cols) - 1) * bound
        np.testing.assert_array_equal(array, drawn.reshape(array.shape))


def test_init_is_uniform_and_uncorrelated() -> None:
    network = get_network("cnn", FASHION, 10)
    [weights] = network.init(make_keys(1))["conv3.weight"]
    bound = 1 / math.sqrt(128 * 9)
    flat = weights.reshape(-1).astype(float)
    assert np.abs(flat).max() <= bound
    assert abs(flat.mean()) < 4 * bound / math.sqrt(3 * flat.size)
    assert flat.var() == pytest.approx(bound**2 / 3, rel=0.01)
    assert stats.kstest(flat, "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torchs = nn.Conv2d(128, 256, 3).weight.detach().numpy().reshape(-1)
    assert stats.ks_2samp(flat, torchs).pvalue > 1e-3
    for other in (flat[1:], flat[9:], flat[128 * 9 :]):
        assert abs(np.corrcoef(flat[: len(other)], other)[0, 1]) < 5 / math.sqrt(len(other))


def test_init_depends_on_the_key_alone() -> None:
    network, keys = small("resnet"), make_keys(9)
    whole, part = network.init(keys), network.init(keys[np.array([7, 2])])
    for name, array in whole.items():
        np.testing.assert_array_equal(part[name], array[[7, 2]])
    assert not np.array_equal(whole["conv1.weight"][0], whole["conv1.weight"][1])
    again, other = network.init(make_keys(9)), network.init(make_keys(9, seed=1))
    np.testing.assert_array_equal(again["conv1.weight"], whole["conv1.weight"])
    assert not np.array_equal(other["conv1.weight"], whole["conv1.weight"])


def test_batches_start_with_the_state_of_their_network() -> None:
    nets, _ = make_nets("cnn", 3)
    assert set(nets.state) == {
        f"bn{i}.running_{kind}" for i in (1, 2, 3) for kind in ("mean", "var")
    }
    assert (nets.state["bn2.running_var"] == np.ones((3, 6))).all()
    assert (nets.state["bn2.running_mean"] == np.zeros((3, 6))).all()
    assert NetBatch.create(MLP(NetShape.parse("3")), make_keys(2)).state == {}
    assert NetBatch.create(Running(), make_keys(2)).state == {}


# ---- against plain torch modules -----------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "resnet18", "preact_resnet18"])
def test_full_networks_equal_plain_modules(name: str) -> None:
    network = get_network(name, (3, 8, 8), 5)
    nets = NetBatch.create(network, make_keys(1))
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    module = module_of(nets).float()
    with torch.no_grad():
        logits, state = network.apply(one(nets.params), one(nets.state), x)
        torch.testing.assert_close(logits, module.train()(x), rtol=1e-5, atol=1e-5)
        used = network.evaluate(one(nets.params), state, x.flatten(1))
        torch.testing.assert_close(used, module.eval()(x), rtol=1e-5, atol=1e-5)
    for key, array in state.items():
        torch.testing.assert_close(array, module.state_dict()[key], rtol=1e-5, atol=1e-5)
    if state:
        assert not torch.allclose(logits, used, atol=0.01)


@pytest.mark.parametrize("name", SMALL)
def test_training_equals_plain_modules(name: str) -> None:
    """24 steps: parameters, running statistics and logits in use."""
    nets, keys = make_nets(name)
    module = trained_module(nets, keys)
    assert_equals(LoopTrainer("float64").fit(nets, TASK, RECIPE, keys), module, 1e-9)
    if name in DEEP:
        return
    found = VmapTrainer("cpu").fit(nets, TASK, RECIPE, keys)
    assert_equals(found, module, 1e-5)
    points = torch.tensor(TASK.x[:20])
    with torch.no_grad():
        used = evaluate(nets.network, one(found.params), one(found.state), points)
        expected = module.eval()(points.double().reshape(-1, *IMAGE))
    torch.testing.assert_close(used.double(), expected, rtol=1e-5, atol=1e-5)


def trained_module(nets: NetBatch, keys: RunKeys) -> nn.Module:
    """The first network of a batch, trained by ``RECIPE`` as torch does it."""
    module = module_of(nets).train()
    optimiser = torch.optim.SGD(module.parameters(), lr=1, momentum=0.9, weight_decay=5e-4)
    for step in range(STEPS):
        rows = minibatch(RECIPE, TASK.points, step, keys.seed, int(keys.blocks()[0]))
        x = torch.tensor(TASK.x[rows], dtype=torch.float64).reshape(-1, *IMAGE)
        optimiser.param_groups[0]["lr"] = RECIPE.rates()[step // 6]
        optimiser.zero_grad()
        mean_loss(module(x), torch.tensor(TASK.y[rows])).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return module


def test_apply_leaves_its_state_as_it_was() -> None:
    nets, _ = make_nets("cnn")
    before = {name: a.copy() for name, a in nets.state.items()}
    _, state = nets.network.apply(one(nets.params), one(nets.state), torch.tensor(TASK.x[:9]))
    for name, a in before.items():
        np.testing.assert_array_equal(nets.state[name], a)
        assert not np.array_equal(state[name], a[0])


# ---- many at once --------------------------------------------------------------------


def fit_alone(nets: NetBatch, keys: RunKeys, steps: slice) -> NetBatch:
    trainer = VmapTrainer("cpu")
    each = [np.array([i]) for i in range(len(nets))]
    return NetBatch.concat([trainer.fit(nets[i], TASK, RECIPE, keys[i], steps) for i in each])


def assert_close(found: NetBatch, expected: NetBatch) -> None:
    for kind in ("params", "momenta"):
        assert distances(found, expected, kind).max() < 1e-5
    for key, array in expected.state.items():
        np.testing.assert_allclose(found.state[key], array, rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", sorted(set(SMALL) - DEEP))
def test_copies_together_equal_copies_alone(name: str) -> None:
    nets, keys = make_nets(name, 5)  # in three blocks of restarts
    together = VmapTrainer("cpu").fit(nets, TASK, RECIPE, keys)
    assert_close(together, fit_alone(nets, keys, ALL_STEPS))


@pytest.mark.parametrize("name", sorted(DEEP))
def test_copies_together_equal_copies_alone_in_double_precision(name: str) -> None:
    nets, _ = make_nets(name, 4)
    together = descend(nets)
    for i in range(4):
        for key, array in descend(nets[i : i + 1]).items():
            torch.testing.assert_close(together[key][[i]], array, rtol=1e-9, atol=1e-9)


def descend(nets: NetBatch) -> dict[str, torch.Tensor]:
    """Parameters "w" [net, P] and state of networks after steps by the trainer's gradients."""
    layout = Layout.of(nets)
    w = layout.pack(nets.params, torch.device("cpu"), torch.float64)
    state = {name: torch.tensor(a, dtype=torch.float64) for name, a in nets.state.items()}
    gradients = vmap.lift(nets.network, layout)
    for step in range(STEPS):
        rows = minibatch(RECIPE, TASK.points, step, 0, 0)
        x, y = torch.tensor(TASK.x[rows], dtype=torch.float64), torch.tensor(TASK.y[rows])
        g, state = gradients(w, state, x, y)
        w = w - 0.05 * g
    return {"w": w, **state}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graphs", [True, False])
def test_cuda_equals_loop(graphs: bool) -> None:
    nets, keys = make_nets("cnn", 5)
    found = VmapTrainer("cuda", graphs=graphs).fit(nets, TASK, RECIPE, keys)
    assert_close(found, LoopTrainer().fit(nets, TASK, RECIPE, keys))
    some = score(found, TASK, "cuda").correct - score(found, TASK).correct
    assert np.abs(some).max() <= 1


def test_training_may_stop_and_go_on() -> None:
    nets, keys = make_nets("cnn", 3)
    trainer = VmapTrainer("cpu")
    half = trainer.fit(nets, TASK, RECIPE, keys, slice(0, 11))
    assert_same(
        trainer.fit(half, TASK, RECIPE, keys, slice(11, None)),
        trainer.fit(nets, TASK, RECIPE, keys),
    )


def test_masked_weights_stay_zero() -> None:
    network, keys = small("resnet"), make_keys(3)
    rng = np.random.default_rng(0)
    masks = {
        name: rng.random((3, *network.parameters[name].shape)) < 0.4 for name in network.prunable
    }
    nets = NetBatch.create(network, keys, masks)
    trained = VmapTrainer("cpu").fit(nets, TASK, RECIPE, keys)
    for name, mask in masks.items():
        assert not trained.params[name][~mask].any()
        assert (trained.params[name] != nets.params[name])[mask].all()
    moved = {name for name in trained.params if (trained.params[name] != nets.params[name]).any()}
    assert moved == set(trained.params)


# ---- scores --------------------------------------------------------------------------


@pytest.mark.parametrize("floats", [2**22, 1500, 1])
def test_score_is_of_networks_in_use(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_SCORE_FLOATS", floats)  # points and networks by pieces
    nets, keys = make_nets("cnn", 3)
    trained = VmapTrainer("cpu").fit(nets, TASK, RECIPE, keys)
    found = score(trained, TASK)
    images = torch.tensor(TASK.x, dtype=torch.float64).reshape(-1, *IMAGE)
    for i in range(3):
        guess = module_of(trained, i).eval()(images).argmax(dim=1).numpy()
        assert found.correct[i] == (guess == TASK.y).sum()
    assert found.accuracy.min() > 0.5
    other = dataclasses.replace(trained, state=nets.state)
    assert (score(other, TASK).correct != found.correct).any()


def test_score_sees_how_wide_images_are() -> None:
    nets, _ = make_nets("cnn")
    assert scores._widest(nets, torch.tensor(TASK.x[:1])) == 4 * 8 * 8
    plain_nets = NetBatch.create(MLP(NetShape.parse("100,3")), make_keys(1))
    assert scores._widest(plain_nets, torch.zeros(1, 2)) == 100


# ---- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet81", CIFAR, 10), r"'resnet81', did you mean 'resnet18'\? \(known: cnn,"),
        (("cnn", (1, 8, 7), 10), r"8 x 7 pixels are too small for CNN\(.*must be from 8 up"),
        (("wrn28x8", (3, 3, 9), 10), r"3 x 9 pixels are too small .* from 4 up"),
        (("mlp", (28, 28), 10), r"image_shape is \[28, 28\], it must be \[channels, height,"),
        (("mlp", (0, 28, 28), 10), r"image_shape is \[0, 28, 28\]"),
        (("mlp", FASHION, 1), r"classes is 1, it must be from 2 up"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_network(*arguments)


@pytest.mark.parametrize("architecture", SMALL.values())
def test_the_smallest_images_work(architecture: Any) -> None:
    side = architecture.smallest
    network = ImageNetwork(architecture, (1, side, side), 3)
    nets = NetBatch.create(network, make_keys(2))
    x = torch.randn(4, 1, side, side)
    logits, _ = network.apply(one(nets.params), one(nets.state), x)
    assert logits.shape == (4, 3) and torch.isfinite(logits).all()


def test_points_of_another_size_are_named() -> None:
    nets, _ = make_nets("cnn")
    with pytest.raises(UsageError, match=r"points are \[127\], this network takes .*\[2, 8, 8\]"):
        nets.network.apply(one(nets.params), one(nets.state), torch.zeros(3, 127))


def test_depths_of_wide_networks() -> None:
    assert wide_resnet(16, 2).blocks == (2, 2, 2)
    with pytest.raises(UsageError, match="depth is 20, a wide residual network's is 10, 16"):
        wide_resnet(20, 2)


def test_two_layers_of_one_name_are_a_fault() -> None:
    class Twice:
        smallest = 1

        def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
            return layers.linear("a", layers.linear("a", x.flatten(1), 3), classes)

    with pytest.raises(ValueError, match=r"two layers give 'a\.weight'"):
        ImageNetwork(Twice(), IMAGE, 2).init(make_keys(1))

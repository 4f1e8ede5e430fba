"""Residual networks for CIFAR of any depth and width: names, sizes, and a module of torch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from training import distances

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.networks import NETWORKS, ResNet, cifar_resnet, get_architecture, get_network
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

CIFAR, FASHION = (3, 32, 32), (1, 28, 28)


class Block(nn.Module):
    """He et al. 2016, figure 2 with option B."""

    def __init__(self, old: int, new: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(old, new, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(new)
        self.second = nn.Conv2d(new, new, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(new)
        self.short = nn.Sequential()
        if stride != 1 or old != new:
            self.short = nn.Sequential(
                nn.Conv2d(old, new, 1, stride, bias=False), nn.BatchNorm2d(new)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(h)) + self.short(x))


class Naive(nn.Module):
    """Their section 4.2, layer after layer."""

    def __init__(self, depth: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        n = (depth - 2) // 6
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks = [Block(width, width, 1) for _ in range(n)]
        blocks += [Block(width if i == 0 else 2 * width, 2 * width, 1 + (i == 0)) for i in range(n)]
        blocks += [
            Block(2 * width if i == 0 else 4 * width, 4 * width, 1 + (i == 0)) for i in range(n)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.blocks(self.stem(x))
        out: torch.Tensor = self.out(h.mean(3).mean(2))
        return out


def make_keys(n: int) -> RunKeys:
    return RunKeys.make(3, np.arange(n) + 7, ["a"] * n, 9 * np.arange(n))


def one(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(array[0]) for name, array in arrays.items()}


def fill(module: nn.Module, nets: NetBatch) -> None:
    """The numbers of a network, array after array: both list them in order of use."""
    buffers = [b for b in module.buffers() if b.ndim]
    for mine, theirs in (
        (list(module.parameters()), nets.params),
        (buffers, nets.state),
    ):
        assert [tuple(a.shape) for a in mine] == [a.shape[1:] for a in theirs.values()]
        with torch.no_grad():
            for a, b in zip(mine, theirs.values(), strict=True):
                a.copy_(torch.as_tensor(b[0]))


def size_by_hand(n: int, w: int, channels: int, classes: int) -> tuple[int, int]:
    """Prunable and other parameters, from the paper's description."""
    convs = 9 * channels * w + 9 * w * w * 2 * n  # stem and first group
    norms = 2 * w * (1 + 2 * n)
    for old, new in ((w, 2 * w), (2 * w, 4 * w)):
        convs += 9 * old * new + 9 * new * new * (2 * n - 1) + old * new
        norms += 2 * new * (2 * n + 1)
    return convs + 4 * w * classes, norms + classes


# ---- names and sizes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "w"),
    [
        ("resnet20", 3, 16),
        ("resnet20x1", 3, 1),
        ("resnet20x8", 3, 8),
        ("resnet20x32", 3, 32),
        ("resnet20x64", 3, 64),
        ("resnet8x4", 1, 4),
        ("resnet32x16", 5, 16),
        ("resnet50x3", 8, 3),
    ],
)
@pytest.mark.parametrize("shape", [CIFAR, FASHION])
def test_sizes_by_hand(name: str, n: int, w: int, shape: tuple[int, int, int]) -> None:
    network = get_network(name, shape, 10)
    sizes = {key: math.prod(start.shape) for key, start in network.parameters.items()}
    found = sum(sizes[key] for key in network.prunable)
    assert (found, sum(sizes.values()) - found) == size_by_hand(n, w, shape[0], 10)
    with torch.device("meta"):
        module = Naive(6 * n + 2, w, shape[0], 10)
    assert sum(sizes.values()) == sum(p.numel() for p in module.parameters())
    convs = [key for key in network.prunable if "shortcut" not in key]
    assert len(convs) == 6 * n + 2  # the depth: layers with weights, shortcuts left out


def test_published_sizes() -> None:
    """He et al., table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M, of shortcuts without parameters."""
    assert sum(size_by_hand(3, 16, 3, 10)) == 272_474
    for depth, millions in ((20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)):
        total = sum(size_by_hand((depth - 2) // 6, 16, 3, 10)) - 2_752
        assert round(total / 1e6, 1 if depth == 110 else 2) == millions


def test_names() -> None:
    assert get_architecture("resnet20x16") == get_architecture("resnet20") == cifar_resnet(20)
    assert get_architecture("resnet20x32") == ResNet((3, 3, 3), (32, 64, 128))
    assert get_architecture("resnet8x1") == ResNet((1, 1, 1), (1, 2, 4))
    for name, architecture in NETWORKS.items():
        assert get_architecture(name) is architecture
    assert get_architecture("resnet50") == ResNet((3, 4, 6, 3), bottleneck=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet21x8", r"'resnet21x8': depth is 21, .* 6n \+ 2 layers: 8, 14, 20,"),
        ("resnet2x8", "'resnet2x8': depth is 2, .* 8, 14, 20"),
        ("resnet20x0", "'resnet20x0': width is 0, it must be from 1 up"),
        ("resnet32", r"'resnet32', did you mean 'resnet20'\? .*; or resnet\{6n\+2\}x\{width\}"),
        ("resnet20x", "unknown network 'resnet20x', did you mean 'resnet20'"),
        ("resnet20x-8", "unknown network 'resnet20x-8', did you mean 'resnet20'"),
        ("resnet20x08", "unknown network 'resnet20x08'"),
        ("resnet20x8 ", "unknown network 'resnet20x8 '"),
        ("resnet20x٨", "unknown network"),
        ("resnet20x" + 5000 * "9", "unknown network"),
    ],
)
def test_bad_names_are_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_network(name, CIFAR, 10)


def test_images_may_be_too_small() -> None:
    with pytest.raises(UsageError, match=r"3 x 3 pixels are too small .* from 4 up"):
        get_network("resnet20x8", (3, 3, 3), 10)


# ---- against a module of torch's -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depth", "width", "shape"),
    [
        ("resnet20", 20, 16, (3, 32, 32)),
        ("resnet20x8", 20, 8, (1, 14, 14)),
        ("resnet20x32", 20, 32, (3, 8, 8)),
        ("resnet14x5", 14, 5, (3, 9, 16)),
        ("resnet8x1", 8, 1, (1, 64, 64)),
    ],
)
def test_forward_equals_a_module(
    name: str, depth: int, width: int, shape: tuple[int, int, int]
) -> None:
    network = get_network(name, shape, 7)
    nets = NetBatch.create(network, make_keys(1))
    module = Naive(depth, width, shape[0], 7)
    fill(module, nets)
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, state = network.apply(one(nets.params), one(nets.state), x)
        torch.testing.assert_close(logits, module.train()(x), rtol=1e-5, atol=1e-5)
        buffers = [b for b in module.buffers() if b.ndim]
        for found, expected in zip(state.values(), buffers, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        used = network.evaluate(one(nets.params), state, x.flatten(1))
        torch.testing.assert_close(used, module.eval()(x), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits, used, atol=1e-3)


def test_gradients_equal_those_of_a_module() -> None:
    network = get_network("resnet8x4", (3, 8, 8), 7)
    nets = NetBatch.create(network, make_keys(1))
    module = Naive(8, 4, 3, 7)
    fill(module, nets)
    module.double()
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.arange(6)
    params = {name: a.double().requires_grad_() for name, a in one(nets.params).items()}
    logits, _ = network.apply(params, one(nets.state), x)
    found = torch.autograd.grad(F.cross_entropy(logits, y), list(params.values()))
    expected = torch.autograd.grad(F.cross_entropy(module(x), y), list(module.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


# ---- trained -------------------------------------------------------------------------


def test_vmap_trains_them_masked_and_many_at_once() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 48).astype(np.uint8)
    x = rng.normal(size=(48, 1, 8, 8)) + y[:, None, None, None] * np.eye(8)
    task = Task("stripes", x.reshape(48, -1).astype(np.float32), y, classes=3)
    network, keys = get_network("resnet8x2", (1, 8, 8), 3), make_keys(3)
    masks = {
        name: rng.random((3, *network.parameters[name].shape)) < 0.5 for name in network.prunable
    }
    nets = NetBatch.create(network, keys, masks)
    recipe = Recipe(epochs=2, batch_size=16, lr=0.02)
    # Few steps, since roundings at a ReLU part float32 runs in many.
    found = VmapTrainer("cpu").fit(nets, task, recipe, keys)
    assert distances(found, LoopTrainer().fit(nets, task, recipe, keys)).max() < 1e-4
    for name, mask in masks.items():
        assert not found.params[name][~mask].any()
        assert (found.params[name] != nets.params[name])[mask].any()

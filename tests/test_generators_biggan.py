"""BigGAN of weights that a user brings, against plain modules with the same names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from combsearch.errors import UsageError
from combsearch.generators import load_generator
from combsearch.generators.biggan import BigganShape
from combsearch.generators.biggan import expected_shapes as biggan_shapes
from combsearch.generators.biggan_deep import DeepShape
from combsearch.generators.biggan_deep import expected_shapes as deep_shapes

WIDTHS = (16, 8, 8)
CLASSES, EMBEDDING, CHUNK, FIRST = 5, 6, 4, 2


class Spectral(nn.Module):
    """A matrix or convolution that is divided by an estimate of its largest singular value."""

    u0: Tensor

    def __init__(self, *shape: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))
        self.register_buffer("u0", torch.randn(1, shape[0]))
        self.register_buffer("sv0", torch.ones(1))
        self.bias = nn.Parameter(torch.randn(shape[0])) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.reshape(len(self.weight), -1)
        v = self.u0[0] @ matrix
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
        weight = self.weight / torch.dot(u, matrix @ v)
        if weight.dim() == 2:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class Statistics(nn.Module):
    """Normalisation by stored statistics."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("stored_mean", torch.randn(channels))
        self.register_buffer("stored_var", torch.rand(channels) + 0.5)

    def normal(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.stored_mean, self.stored_var, eps=1e-5)


class Conditional(Statistics):
    def __init__(self, channels: int, make: Callable[[int], nn.Module]) -> None:
        super().__init__(channels)
        self.gain, self.bias = make(channels), make(channels)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.normal(x) * (1 + self.gain(y))[..., None, None] + self.bias(y)[..., None, None]


class Plain(Statistics):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.gain = nn.Parameter(torch.randn(channels))
        self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.normal(x) * self.gain[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    def __init__(self, before: int, after: int, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = Spectral(after, before, 3, 3)
        self.conv2 = Spectral(after, after, 3, 3)
        self.conv_sc = Spectral(after, before, 1, 1)
        self.bn1, self.bn2 = Conditional(before, make), Conditional(after, make)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        h = self.conv1(double(torch.relu(self.bn1(x, y))))
        return self.conv2(torch.relu(self.bn2(h, y))) + self.conv_sc(double(x))


class Attention(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.theta = Spectral(c // 8, c, 1, 1, bias=False)
        self.phi = Spectral(c // 8, c, 1, 1, bias=False)
        self.g = Spectral(c // 2, c, 1, 1, bias=False)
        self.o = Spectral(c, c // 2, 1, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, _: Tensor) -> Any:
        return x + self.gamma * self.o(attended(self.theta(x), self.phi(x), self.g(x)))


class Oracle(nn.Module):
    """BigGAN-PyTorch's layout of names, three ways to condition on the class."""

    def __init__(self, hierarchical: bool = True, shared: bool = True, attention: int = 1) -> None:
        super().__init__()
        self.hierarchical = hierarchical
        condition = EMBEDDING + (CHUNK if hierarchical else 0)

        def make(channels: int) -> nn.Module:
            if shared:
                return Spectral(channels, condition, bias=False)
            return nn.Embedding(CLASSES, channels)

        self.shared = nn.Embedding(CLASSES, EMBEDDING) if shared else nn.Identity()
        self.linear = Spectral(WIDTHS[0] * FIRST**2, CHUNK)
        blocks: list[list[nn.Module]] = [[Block(a, b, make)] for a, b in itertools.pairwise(WIDTHS)]
        if attention >= 0:
            blocks[attention].append(Attention(WIDTHS[attention + 1]))
        self.blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.output_layer = nn.Sequential(
            Plain(WIDTHS[-1]), nn.ReLU(), Spectral(3, WIDTHS[-1], 3, 3)
        )
        self.latent = CHUNK * (3 if hierarchical else 1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        y = self.shared(labels)
        h = self.linear(z[:, :CHUNK]).reshape(len(z), WIDTHS[0], FIRST, FIRST)
        blocks: Any = self.blocks
        for i, layers in enumerate(blocks):
            own = y
            if self.hierarchical:
                own = torch.cat([y, z[:, (i + 1) * CHUNK : (i + 2) * CHUNK]], 1)
            for layer in layers:
                h = layer(h, own)
        return torch.tanh(self.output_layer(h))


class DeepNorm(nn.Module):
    """BigGAN-deep's normalisation; the last of the stored statistics are those of truncation 1."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.register_buffer("running_means", torch.randn(3, channels))
        self.register_buffer("running_vars", torch.rand(3, channels) + 0.5)
        if condition:
            self.scale = spectral(nn.Linear(condition, channels, bias=False))
            self.offset = spectral(nn.Linear(condition, channels, bias=False))
        else:
            self.weight = nn.Parameter(torch.randn(channels))
            self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
        x = F.batch_norm(x, self.running_means[-1], self.running_vars[-1], eps=1e-4)
        if y is None:
            return x * self.weight[:, None, None] + self.bias[:, None, None]
        return x * (1 + self.scale(y))[..., None, None] + self.offset(y)[..., None, None]


class DeepBlock(nn.Module):
    def __init__(self, before: int, after: int, condition: int, up: bool) -> None:
        super().__init__()
        self.up, self.after, inside = up, after, before // 4
        sizes = ((before, inside, 1), (inside, inside, 3), (inside, inside, 3), (inside, after, 1))
        for k, (a, b, side) in enumerate(sizes):
            self.add_module(f"bn_{k}", DeepNorm(a, condition))
            self.add_module(f"conv_{k}", spectral(nn.Conv2d(a, b, side, padding=side // 2)))

    def forward(self, x: Tensor, y: Tensor) -> Any:
        h = x
        for k in range(4):
            h = torch.relu(self.get_submodule(f"bn_{k}")(h, y))
            if k == 1 and self.up:
                h = double(h)
            h = self.get_submodule(f"conv_{k}")(h)
        x = x[:, : self.after]
        return h + (double(x) if self.up else x)


class DeepAttention(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        for name, a, b in (("theta", c, c // 8), ("phi", c, c // 8), ("g", c, c // 2)):
            self.add_module(f"snconv1x1_{name}", spectral(nn.Conv2d(a, b, 1, bias=False)))
        self.snconv1x1_o_conv = spectral(nn.Conv2d(c // 2, c, 1, bias=False))
        self.gamma = nn.Parameter(torch.tensor([0.7]))

    def forward(self, x: Tensor, _: Tensor) -> Any:
        maps = (self.get_submodule(f"snconv1x1_{name}")(x) for name in ("theta", "phi", "g"))
        return x + self.gamma * self.snconv1x1_o_conv(attended(*maps))


class DeepOracle(nn.Module):
    """pytorch-pretrained-BigGAN's layout of names, four blocks of which two double the side."""

    latent = 6

    def __init__(self) -> None:
        super().__init__()
        condition = self.latent + EMBEDDING
        self.embeddings = nn.Linear(CLASSES, EMBEDDING, bias=False)
        self.generator: Any = nn.Module()
        self.generator.gen_z = spectral(nn.Linear(condition, 16 * 16))
        self.generator.layers = nn.ModuleList(
            [
                DeepBlock(16, 16, condition, False),
                DeepBlock(16, 8, condition, True),
                DeepAttention(8),
                DeepBlock(8, 8, condition, False),
                DeepBlock(8, 4, condition, True),
            ]
        )
        self.generator.bn = DeepNorm(4, 0)
        self.generator.conv_to_rgb = spectral(nn.Conv2d(4, 4, 3, padding=1))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        g = self.generator
        y = torch.cat([z, self.embeddings(F.one_hot(labels, CLASSES).float())], 1)
        h = g.gen_z(y).reshape(-1, 4, 4, 16).movedim(3, 1)
        for layer in g.layers:
            h = layer(h, y)
        return torch.tanh(g.conv_to_rgb(torch.relu(g.bn(h)))[:, :3])


def spectral(layer: nn.Module) -> nn.Module:
    return nn.utils.spectral_norm(layer)


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def attended(theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
    """Place by place: values of all 2x2 pools, weighted by softmax of query times key."""
    phi, g = F.max_pool2d(phi, 2), F.max_pool2d(g, 2)
    found = torch.zeros(len(g), g.shape[1], *theta.shape[2:])
    for n in range(len(g)):
        for i in range(theta.shape[2]):
            for j in range(theta.shape[3]):
                scores = torch.einsum("c,chw->hw", theta[n, :, i, j], phi[n])
                share = scores.flatten().softmax(0).reshape(scores.shape)
                found[n, :, i, j] = (g[n] * share).sum((1, 2))
    return found


def make(oracle: type[nn.Module], **options: Any) -> Any:
    torch.manual_seed(1)
    return oracle(**options).eval().requires_grad_(False)


def expected(oracle: Any, z: Tensor, labels: Tensor) -> Any:
    return ((oracle(z, labels) + 1) * 127.5).round().to(torch.uint8).numpy()


def assert_same_images(oracle: Any, path: Path) -> None:
    generator = load_generator(path)
    assert (generator.latent, generator.classes) == (oracle.latent, CLASSES)
    torch.manual_seed(2)
    z = torch.randn(40, oracle.latent)
    labels = torch.arange(40) % CLASSES
    found = generator.images(z.numpy(), labels.numpy())
    wanted = expected(oracle, z, labels)
    assert found.shape == wanted.shape == (40, *generator.image_shape)
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= 1  # rounding to levels may fall the other way
    assert (off > 0).mean() < 1e-3
    assert wanted.std() > 20  # there is something to see
    assert len(np.unique(wanted.reshape(40, -1), axis=0)) == 40


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attention": -1},
        {"hierarchical": False, "attention": 0},
        {"hierarchical": False, "shared": False},
    ],
)
def test_biggan_makes_the_images_of_a_plain_module(options: Any, tmp_path: Path) -> None:
    oracle = make(Oracle, **options)
    torch.save(oracle.state_dict(), tmp_path / "G_ema.pth")
    assert_same_images(oracle, tmp_path / "G_ema.pth")


def test_biggan_deep_makes_the_images_of_a_plain_module(tmp_path: Path) -> None:
    oracle = make(DeepOracle)
    torch.save(oracle.state_dict(), tmp_path / "model.bin")
    assert_same_images(oracle, tmp_path / "model.bin")


def test_weights_without_spectral_norm_are_used_as_they_are(tmp_path: Path) -> None:
    oracle = make(Oracle)
    module: Any
    with torch.no_grad():
        for module in oracle.modules():
            if isinstance(module, Spectral):
                # Rank one, with u0 along it: then the estimate is exact.
                row = torch.randn(module.weight[0].numel())
                module.u0[:] = 1
                module.weight[:] = torch.ones(len(module.weight), 1).mul(row).view_as(module.weight)
                module.weight.div_(row.norm() * len(module.weight) ** 0.5)
    plain = {n: t for n, t in oracle.state_dict().items() if not n.endswith(("u0", "sv0"))}
    torch.save(plain, tmp_path / "plain.pt")
    assert_same_images(oracle, tmp_path / "plain.pt")


def test_other_containers_hold_the_same_generator(tmp_path: Path) -> None:
    oracle = make(Oracle)
    state = oracle.state_dict()
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "a.safetensors"
    )
    torch.save({"state_dict": state, "step": 3}, tmp_path / "b.pt")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "c.pth")
    torch.save(state, tmp_path / "d.bin", _use_new_zipfile_serialization=False)
    z, labels = np.ones((1, oracle.latent), np.float32), np.array([2])
    images = [load_generator(path).images(z, labels) for path in sorted(tmp_path.iterdir())]
    assert len(images) == 4
    assert all(np.array_equal(image, images[0]) for image in images)


def test_no_images_are_an_empty_array(tmp_path: Path) -> None:
    torch.save(make(Oracle).state_dict(), tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    none = generator.images(np.zeros((0, generator.latent), np.float32), np.zeros(0, np.int64))
    assert none.shape == (0, 3, 8, 8)


def test_the_published_sizes_have_the_published_numbers_of_parameters() -> None:
    """BigGAN at 128 pixels, 96 channels a unit; BigGAN-deep at 128 pixels, 128 a unit."""
    widths = tuple(96 * unit for unit in (16, 16, 8, 4, 2, 1))
    shape = BigganShape(1000, 128, 20, True, 4, widths, frozenset({3}), 3)
    sizes = {n: math.prod(s) for n, s in biggan_shapes(shape).items() if "stored" not in n}
    assert sum(sizes.values()) == 70_433_988
    assert (shape.latent, shape.side) == (120, 128)
    units = (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1)
    blocks = [(128 * a, 32 * a, 128 * b) for a, b in itertools.pairwise(units)]
    deep = DeepShape(1000, 128, 128, 51, (*blocks[:8], (256,), *blocks[8:]))
    trained = {n: s for n, s in deep_shapes(deep).items() if not n.endswith(("_u", "_v"))}
    sizes = {n: math.prod(s) for n, s in trained.items() if "running" not in n}
    assert round(sum(sizes.values()) / 1e6, 1) == 50.4
    assert (deep.latent, deep.side) == (128, 128)


CHANGES: list[tuple[type[nn.Module], str, Any, str]] = [
    (Oracle, "linear.bias", None, "linear.bias is missing"),
    (Oracle, "blocks.1.0.bn2.gain.weight", None, "blocks.1.0.bn2.gain.weight is missing"),
    (Oracle, "blocks.1.0.conv1.weight", None, "blocks.1.0.conv1.weight is missing"),
    (Oracle, "linear.weight", None, "linear.weight is missing"),
    (
        Oracle,
        "blocks.1.0.conv2.weight",
        (8, 9, 3, 3),
        r"blocks.1.0.conv2.weight has shape \[8, 9, 3, 3\], expected \[8, 8, 3, 3\]",
    ),
    (Oracle, "linear.weight", (7, 4), "linear.weight has 7 rows, no square map of 16 channels"),
    (Oracle, "linear.weight", (64,), r"linear.weight has shape \[64\], expected 2 axes"),
    (
        Oracle,
        "blocks.0.0.bn1.gain.weight",
        (16, 0),
        r"blocks.0.0.bn1.gain.weight has shape \[16, 0\], expected 2 axes, none of them empty",
    ),
    (Oracle, f"blocks.{'9' * 5000}.0.x", (2,), r"9999.0.x \[2\] is unexpected"),
    (Oracle, "linear.u0", (1, 3), r"linear.u0 has shape \[1, 3\], expected \[1, 64\]"),
    (Oracle, "extra.weight", (2,), r"extra.weight \[2\] is unexpected"),
    (DeepOracle, "embeddings.weight", None, "embeddings.weight is missing"),
    (
        DeepOracle,
        "generator.layers.1.bn_2.scale.weight_u",
        None,
        "generator.layers.1.bn_2.scale.weight_u is missing",
    ),
    (
        DeepOracle,
        "generator.bn.bias",
        (5,),
        r"generator.bn.bias has shape \[5\], expected \[4\]",
    ),
    (DeepOracle, "generator.more", (2,), r"generator.more \[2\] is unexpected"),
    (
        DeepOracle,
        "generator.layers.1.conv_0.weight_orig",
        (4, 12, 1, 1),
        r"layers.1.conv_0.weight_orig has shape \[4, 12, 1, 1\], expected \[4, 16, 1, 1\]",
    ),
    (
        DeepOracle,
        "generator.layers.1.conv_3.weight_orig",
        (32, 4, 1, 1),
        "layers.1.conv_3.weight_orig has 32 filters, expected at most 16",
    ),
    (DeepOracle, "generator.gen_z.weight_orig", (40, 12), "weight_orig has 40 rows, expected a mu"),
    (DeepOracle, "embeddings.weight", (12, 5), "weight_orig has 12 columns, more than the 12"),
]


@pytest.mark.parametrize(("oracle", "name", "shape", "message"), CHANGES)
def test_the_first_tensor_that_does_not_fit_is_named(
    oracle: type[nn.Module], name: str, shape: Any, message: str, tmp_path: Path
) -> None:
    state = dict(make(oracle).state_dict())
    if shape is None:
        del state[name]
    else:
        state[name] = torch.zeros(shape)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(UsageError, match=message) as caught:
        load_generator(tmp_path / "weights.pt")
    assert "\n" not in str(caught.value)
    assert "weights.pt" in str(caught.value)

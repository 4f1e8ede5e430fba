"""BigGAN's generator (Brock, Donahue and Simonyan 2019), for weights that a user brings.

The file is a state dict as the BigGAN-PyTorch code saves it: ``G_ema.pth``, of any resolution.
All sizes follow from shapes of tensors. With b blocks, s the side of the first map:

    shared.weight                    [classes, e]      class embedding; absent: tables by class
    linear.weight                    [c * s * s, k]    k latent coordinates of the first map
    blocks.i.0.conv1.weight          [c_out, c_in, 3, 3]
    blocks.i.0.bn1.gain.weight       [c_in, e + k]     hierarchical: block i has its own k
                                     [c_in, e]         not hierarchical: k is all of z
                                     [classes, c_in]   without ``shared.weight``
    blocks.i.1.theta.weight          [c / 8, c, 1, 1]  self-attention after block i, if any
    output_layer.0 and .2            batch normalisation, 3x3 convolution to 3 channels

Beside a ``weight`` stands ``u0`` [1, rows] where it is divided by its spectral norm: one step
of the power method from u0 (Miyato et al. 2018). A file with layers normalised in another way
than by stored statistics cannot be told apart and gives wrong images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, linear, max_pool2d, normalize, relu

from combsearch.errors import UsageError
from combsearch.generators.base import F32, U8, Labels, check_inputs, in_batches
from combsearch.generators.weights import Weights, fit, sizes_of

_KEY = "blocks.0.0.conv1.weight"
_EPSILON = 1e-5  # of batch normalisation
_UNUSED = re.compile(r"(.*\.)?(u[1-9]|sv)\d*")  # logs, and further singular vectors
_AT_ONCE = 32


@dataclass(frozen=True)
class BigganShape:
    """Sizes of a BigGAN generator.

    Attributes:
        classes: number of classes.
        embedding: length of a class's embedding; 0 where layers have tables by class.
        chunk: latent coordinates that go into the first linear layer.
        hierarchical: whether every block has ``chunk`` coordinates of its own.
        first: side of the first map.
        widths: channels before each block, and after the last.
        attention: blocks that are followed by self-attention.
        channels: of an image.
    """

    classes: int
    embedding: int
    chunk: int
    hierarchical: bool
    first: int
    widths: tuple[int, ...]
    attention: frozenset[int]
    channels: int

    @property
    def blocks(self) -> int:
        """Number of blocks; each doubles the side."""
        return len(self.widths) - 1

    @property
    def latent(self) -> int:
        """Latent coordinates."""
        return self.chunk * (1 + self.blocks if self.hierarchical else 1)

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return self.first << self.blocks


@dataclass(frozen=True, eq=False)
class BigganImages:
    """``Generator`` of BigGAN; spectral norms are already divided out of ``tensors``."""

    shape: BigganShape
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """With the side of its images."""
        return f"BigGAN {self.shape.side}"

    @property
    def latent(self) -> int:
        """Latent coordinates."""
        return self.shape.latent

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.shape.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The file does not tell."""
        return ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.shape.channels, self.shape.side, self.shape.side

    def images(self, z: F32, labels: Labels) -> U8:
        """See ``Generator``."""
        check_inputs(self, z, labels)
        found = list(in_batches(z, labels, _AT_ONCE, self._batch))
        return np.concatenate(found) if found else np.empty((0, *self.image_shape), np.uint8)

    @torch.inference_mode()
    def _batch(self, z: F32, labels: Labels) -> F32:
        found: F32 = _forward(
            self.shape, self.tensors, torch.tensor(z), torch.tensor(labels.astype(np.int64))
        ).numpy()
        return found


def is_biggan(weights: Weights) -> bool:
    """Whether a tensor has a name that this architecture alone has."""
    return _KEY in weights.tensors


def biggan_images(weights: Weights) -> BigganImages:
    """The generator in a state dict of this layout.

    Raises:
        UsageError: names the first tensor that is missing, of another shape or unexpected.
    """
    shape = biggan_shape(weights)
    normal = {name for name in weights.tensors if name.endswith(".u0")}
    expected = expected_shapes(shape)
    for name in sorted(normal):
        base = expected.get(f"{name[:-2]}weight")
        if base is not None:
            expected[name] = (1, base[0])
    unused = frozenset(name for name in weights.tensors if _UNUSED.fullmatch(name))
    tensors = fit(weights, expected, unused)
    return BigganImages(shape, {name: _divided(name, tensors) for name in tensors})


def biggan_shape(weights: Weights) -> BigganShape:
    """The sizes that a few tensors tell; ``expected_shapes`` then says what all must be.

    Raises:
        UsageError: one of these few is missing, or has a shape that makes no sense.
    """
    sizes = partial(sizes_of, weights)
    count = 1 + max(
        int(m[1]) for n in weights.tensors if (m := re.match(r"blocks\.(\d{1,4})\.", n))
    )
    convs = [sizes(f"blocks.{i}.0.conv1.weight", 4) for i in range(count)]
    widths = (convs[0][1], *(conv[0] for conv in convs))
    rows, chunk = sizes("linear.weight", 2)
    first = round((rows / widths[0]) ** 0.5)
    if first < 1 or first * first * widths[0] != rows:
        raise UsageError(
            f"{weights.path}: linear.weight has {rows} rows, no square map of {widths[0]} channels"
        )
    gain = sizes("blocks.0.0.bn1.gain.weight", 2)
    shared = "shared.weight" in weights.tensors
    classes, embedding = sizes("shared.weight", 2) if shared else (gain[0], 0)
    hierarchical = shared and gain[1] != embedding
    attention = frozenset(
        i for i in range(count) if f"blocks.{i}.1.theta.weight" in weights.tensors
    )
    channels = sizes("output_layer.2.weight", 4)[0]
    return BigganShape(classes, embedding, chunk, hierarchical, first, widths, attention, channels)


def expected_shapes(shape: BigganShape) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors but what stands beside a spectrally normalised weight."""
    found: dict[str, tuple[int, ...]] = {}
    if shape.embedding:
        found["shared.weight"] = (shape.classes, shape.embedding)
    rows = shape.widths[0] * shape.first**2
    found.update({"linear.weight": (rows, shape.chunk), "linear.bias": (rows,)})
    for i in range(shape.blocks):
        found.update(_block_shapes(shape, i))
        if i in shape.attention:
            found.update(_attention_shapes(f"blocks.{i}.1", shape.widths[i + 1]))
    last = shape.widths[-1]
    for name in ("gain", "bias", "stored_mean", "stored_var"):
        found[f"output_layer.0.{name}"] = (last,)
    found["output_layer.2.weight"] = (shape.channels, last, 3, 3)
    found["output_layer.2.bias"] = (shape.channels,)
    return found


def _block_shapes(shape: BigganShape, i: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    before, after = shape.widths[i], shape.widths[i + 1]
    for name, inputs, side in (("conv1", before, 3), ("conv2", after, 3), ("conv_sc", before, 1)):
        found[f"blocks.{i}.0.{name}.weight"] = (after, inputs, side, side)
        found[f"blocks.{i}.0.{name}.bias"] = (after,)
    condition = shape.embedding + (shape.chunk if shape.hierarchical else 0)
    for name, width in (("bn1", before), ("bn2", after)):
        for part in ("gain", "bias"):
            table = (width, condition) if shape.embedding else (shape.classes, width)
            found[f"blocks.{i}.0.{name}.{part}.weight"] = table
        for part in ("stored_mean", "stored_var"):
            found[f"blocks.{i}.0.{name}.{part}"] = (width,)
    return found


def _attention_shapes(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    eighth, half = width // 8, width // 2
    found: dict[str, tuple[int, ...]] = {f"{prefix}.gamma": ()}
    for name, rows, cols in (
        ("theta", eighth, width), ("phi", eighth, width), ("g", half, width), ("o", width, half),
    ):  # fmt: skip
        found[f"{prefix}.{name}.weight"] = (rows, cols, 1, 1)
    return found


def _divided(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """The tensor ``name``, by its spectral norm if ``u0`` stands beside it."""
    tensor = tensors[name]
    u = tensors.get(f"{name[: -len('weight')]}u0") if name.endswith(".weight") else None
    if u is None:
        return tensor
    matrix = tensor.flatten(1)
    v = normalize(u @ matrix)
    return tensor / (v @ matrix.T @ normalize(v @ matrix.T).T).squeeze()


def _forward(shape: BigganShape, w: Mapping[str, Tensor], z: Tensor, y: Tensor) -> Tensor:
    """Images [n, channels, side, side] in -1..1 of z [n, latent] and classes [n]."""
    chunks = torch.split(z, shape.chunk, 1)
    embedded = w["shared.weight"][y] if shape.embedding else y
    h = linear(chunks[0], w["linear.weight"], w["linear.bias"])
    h = h.view(len(z), -1, shape.first, shape.first)
    for i in range(shape.blocks):
        own = torch.cat([embedded, chunks[i + 1]], 1) if shape.hierarchical else embedded
        h = _block(h, own, w, f"blocks.{i}.0")
        if i in shape.attention:
            h = attend(h, *(w[f"blocks.{i}.1.{n}"] for n in _ATTENTION))
    scale = w["output_layer.0.gain"][None], w["output_layer.0.bias"][None]
    h = relu(_normalised(h, *scale, w, "output_layer.0"))
    return torch.tanh(conv2d(h, w["output_layer.2.weight"], w["output_layer.2.bias"], padding=1))


_ATTENTION = ("theta.weight", "phi.weight", "g.weight", "o.weight", "gamma")


def _block(x: Tensor, condition: Tensor, w: Mapping[str, Tensor], prefix: str) -> Tensor:
    def conv(h: Tensor, name: str) -> Tensor:
        weight = w[f"{prefix}.{name}.weight"]
        return conv2d(h, weight, w[f"{prefix}.{name}.bias"], padding=weight.shape[-1] // 2)

    h = relu(_conditioned(x, condition, w, f"{prefix}.bn1"))
    h = conv(interpolate(h, scale_factor=2), "conv1")
    h = conv(relu(_conditioned(h, condition, w, f"{prefix}.bn2")), "conv2")
    return h + conv(interpolate(x, scale_factor=2), "conv_sc")


def _conditioned(x: Tensor, condition: Tensor, w: Mapping[str, Tensor], prefix: str) -> Tensor:
    """Normalise by stored statistics, then scale and shift as ``condition`` says.

    ``condition`` is float [n, embedding + chunk] for matrices, or int64 classes [n] for tables.
    """
    gain, bias = (w[f"{prefix}.{part}.weight"] for part in ("gain", "bias"))
    if condition.dtype.is_floating_point:
        return _normalised(x, 1 + linear(condition, gain), linear(condition, bias), w, prefix)
    return _normalised(x, 1 + gain[condition], bias[condition], w, prefix)


def _normalised(
    x: Tensor, gain: Tensor, bias: Tensor, w: Mapping[str, Tensor], prefix: str
) -> Tensor:
    """``gain`` and ``bias`` [n or 1, channels] of ``x`` [n, channels, h, w]."""
    mean, variance = w[f"{prefix}.stored_mean"], w[f"{prefix}.stored_var"]
    scale = gain * torch.rsqrt(variance + _EPSILON)
    return x * scale[..., None, None] + (bias - mean * scale)[..., None, None]


def attend(x: Tensor, theta: Tensor, phi: Tensor, g: Tensor, o: Tensor, gamma: Tensor) -> Tensor:
    """Self-attention over places (Zhang et al. 2019), keys and values pooled 2x2.

    ``x`` [n, c, h, w]; ``theta``, ``phi`` [c / 8, c, 1, 1], ``g`` [c / 2, c, 1, 1], ``o``
    [c, c / 2, 1, 1], ``gamma`` one number.
    """
    queries = conv2d(x, theta).flatten(2)
    keys, values = (max_pool2d(conv2d(x, m), 2).flatten(2) for m in (phi, g))
    attention = torch.softmax(queries.transpose(1, 2) @ keys, -1)
    mixed = (values @ attention.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
    return x + gamma * conv2d(mixed, o)

"""BigGAN-deep's generator (Brock et al. 2019, appendix B), for weights that a user brings.

The file is a state dict as the pytorch-pretrained-BigGAN code publishes it: ``.bin``, of 128,
256 or 512 pixels. All sizes follow from shapes of tensors. A condition is [z, embedding of
the class], and every second residual block doubles the side:

    embeddings.weight                          [e, classes]
    generator.gen_z.weight_orig                [s * s * c, latent + e]   places first: s, s, c
    generator.layers.i.conv_0.weight_orig      [m, c, 1, 1]              of a residual block
    generator.layers.i.bn_0.scale.weight_orig  [c, latent + e]
    generator.layers.i.bn_0.running_means      [51, c]                   by truncation 0 .. 1
    generator.layers.i.snconv1x1_g.weight_orig [c / 2, c, 1, 1]          of self-attention
    generator.conv_to_rgb.weight_orig          [c, c, 3, 3]              3 channels are used

Beside each ``weight_orig`` stand ``weight_u`` and ``weight_v``, whose product with it is the
spectral norm that it is divided by. Latent vectors are not truncated here, so the statistics
of truncation 1 are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, linear, relu

from combsearch.errors import UsageError
from combsearch.generators.base import F32, U8, Labels, check_inputs, in_batches
from combsearch.generators.biggan import attend
from combsearch.generators.weights import Weights, fit, sizes_of

_KEY = "generator.gen_z.weight_orig"
_FIRST = 4  # side of the first map
_EPSILON = 1e-4
_CHANNELS = 3
_AT_ONCE = 16
_ATTENTION = ("theta", "phi", "g", "o_conv")


@dataclass(frozen=True)
class DeepShape:
    """Sizes of a BigGAN-deep generator.

    Attributes:
        classes: number of classes.
        embedding: length of a class's embedding.
        latent: latent coordinates.
        statistics: truncations that batch statistics are stored for.
        layers: (channels before, inside, after) of a residual block, or (channels,) of
            self-attention.
    """

    classes: int
    embedding: int
    latent: int
    statistics: int
    layers: tuple[tuple[int, ...], ...]

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return _FIRST << sum(len(layer) > 1 for layer in self.layers) // 2


@dataclass(frozen=True, eq=False)
class DeepImages:
    """``Generator`` of BigGAN-deep; spectral norms are already divided out of ``tensors``."""

    shape: DeepShape
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """With the side of its images."""
        return f"BigGAN-deep {self.shape.side}"

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
        return _CHANNELS, self.shape.side, self.shape.side

    def images(self, z: F32, labels: Labels) -> U8:
        """See ``Generator``."""
        check_inputs(self, z, labels)
        found = list(in_batches(z, labels, _AT_ONCE, self._batch))
        return np.concatenate(found) if found else np.empty((0, *self.image_shape), np.uint8)

    @torch.inference_mode()
    def _batch(self, z: F32, labels: Labels) -> F32:
        classes = torch.tensor(labels.astype(np.int64))
        found: F32 = _forward(self.shape, self.tensors, torch.tensor(z), classes).numpy()
        return found


def is_biggan_deep(weights: Weights) -> bool:
    """Whether a tensor has a name that this architecture alone has."""
    return _KEY in weights.tensors


def biggan_deep_images(weights: Weights) -> DeepImages:
    """The generator in a state dict of this layout.

    Raises:
        UsageError: names the first tensor that is missing, of another shape or unexpected.
    """
    shape = deep_shape(weights)
    tensors = fit(weights, expected_shapes(shape))
    return DeepImages(shape, _divided(tensors))


def deep_shape(weights: Weights) -> DeepShape:
    """The sizes that a few tensors tell; ``expected_shapes`` then says what all must be.

    Raises:
        UsageError: one of these few is missing, or has a shape that makes no sense.
    """
    sizes = partial(sizes_of, weights)
    embedding, classes = sizes("embeddings.weight", 2)
    rows, condition = sizes(_KEY, 2)
    if condition <= embedding:
        raise UsageError(
            f"{weights.path}: {_KEY} has {condition} columns, more than the {embedding} of a class"
            " must be there"
        )
    if rows % _FIRST**2:
        raise UsageError(f"{weights.path}: {_KEY} has {rows} rows, expected a multiple of 16")
    statistics = sizes("generator.bn.running_means", 2)[0]
    layers = _layers(weights, rows // _FIRST**2)
    return DeepShape(classes, embedding, condition - embedding, statistics, layers)


def _layers(weights: Weights, first: int) -> tuple[tuple[int, ...], ...]:
    """``DeepShape.layers``; the first map has ``first`` channels, a layer takes what comes."""
    found = (re.match(r"generator\.layers\.(\d{1,4})\.", name) for name in weights.tensors)
    count = 1 + max((int(match[1]) for match in found if match), default=-1)
    layers: list[tuple[int, ...]] = []
    channels = first
    for i in range(max(count, 1)):
        prefix = f"generator.layers.{i}"
        if f"{prefix}.gamma" in weights.tensors:
            layers.append((channels,))
            continue
        inside = sizes_of(weights, f"{prefix}.conv_0.weight_orig", 4)[0]
        after = sizes_of(weights, f"{prefix}.conv_3.weight_orig", 4)[0]
        if after > channels:
            raise UsageError(
                f"{weights.path}: {prefix}.conv_3.weight_orig has {after} filters, expected at most"
                f" {channels}, the channels of the block's input"
            )
        layers.append((channels, inside, after))
        channels = after
    if not any(len(layer) > 1 for layer in layers):
        raise UsageError(f"{weights.path}: {prefix}.conv_0.weight_orig is missing")
    return tuple(layers)


def expected_shapes(shape: DeepShape) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of the file."""
    blocks = [layer for layer in shape.layers if len(layer) > 1]
    condition, last = shape.latent + shape.embedding, blocks[-1][-1]
    found: dict[str, tuple[int, ...]] = {"embeddings.weight": (shape.embedding, shape.classes)}
    found.update(_spectral("generator.gen_z", (_FIRST**2 * blocks[0][0], condition), True))
    for i, layer in enumerate(shape.layers):
        prefix = f"generator.layers.{i}"
        if len(layer) > 1:
            found.update(_block_shapes(shape, prefix, *layer))
        else:
            found.update(_attention_shapes(prefix, *layer))
    for part in ("weight", "bias"):
        found[f"generator.bn.{part}"] = (last,)
    found.update(_statistics("generator.bn", shape.statistics, last))
    found.update(_spectral("generator.conv_to_rgb", (last, last, 3, 3), True))
    return found


def _block_shapes(
    shape: DeepShape, prefix: str, before: int, inside: int, after: int
) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    condition = shape.latent + shape.embedding
    for k, (inputs, outputs, side) in enumerate(
        ((before, inside, 1), (inside, inside, 3), (inside, inside, 3), (inside, after, 1))
    ):
        found.update(_statistics(f"{prefix}.bn_{k}", shape.statistics, inputs))
        for part in ("scale", "offset"):
            found.update(_spectral(f"{prefix}.bn_{k}.{part}", (inputs, condition), False))
        found.update(_spectral(f"{prefix}.conv_{k}", (outputs, inputs, side, side), True))
    return found


def _attention_shapes(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    eighth, half = width // 8, width // 2
    sizes = ((eighth, width), (eighth, width), (half, width), (width, half))
    found: dict[str, tuple[int, ...]] = {f"{prefix}.gamma": (1,)}
    for name, (rows, cols) in zip(_ATTENTION, sizes, strict=True):
        found.update(_spectral(f"{prefix}.snconv1x1_{name}", (rows, cols, 1, 1), False))
    return found


def _spectral(prefix: str, weight: tuple[int, ...], bias: bool) -> dict[str, tuple[int, ...]]:
    columns = int(np.prod(weight[1:]))
    found: dict[str, tuple[int, ...]] = {
        f"{prefix}.weight_orig": weight,
        f"{prefix}.weight_u": (weight[0],),
        f"{prefix}.weight_v": (columns,),
    }
    return {**found, f"{prefix}.bias": (weight[0],)} if bias else found


def _statistics(prefix: str, count: int, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.{name}": (count, width) for name in ("running_means", "running_vars")}


def _divided(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weight_orig``, u and v become ``weight``, all else stays."""
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight_orig"):
            base = name[: -len("_orig")]
            norm = tensors[f"{base}_u"] @ tensor.flatten(1) @ tensors[f"{base}_v"]
            found[base] = tensor / norm
        elif not name.endswith((".weight_u", ".weight_v")):
            found[name] = tensor
    return found


def _forward(shape: DeepShape, w: Mapping[str, Tensor], z: Tensor, y: Tensor) -> Tensor:
    """Images [n, 3, side, side] in -1..1 of z [n, latent] and classes [n]."""
    condition = torch.cat([z, w["embeddings.weight"].T[y]], 1)
    h = linear(condition, w["generator.gen_z.weight"], w["generator.gen_z.bias"])
    h = h.view(len(z), _FIRST, _FIRST, -1).permute(0, 3, 1, 2)
    block = 0
    for i, layer in enumerate(shape.layers):
        prefix = f"generator.layers.{i}"
        if len(layer) > 1:
            h = _block(h, condition, w, prefix, layer[-1], up=block % 2 == 1)
            block += 1
        else:
            names = (*(f"snconv1x1_{name}.weight" for name in _ATTENTION), "gamma")
            h = attend(h, *(w[f"{prefix}.{name}"] for name in names))
    gain, bias = (w[f"generator.bn.{part}"][None] for part in ("weight", "bias"))
    h = relu(_normalised(h, gain, bias, w, "generator.bn"))
    weight, bias = (w[f"generator.conv_to_rgb.{part}"][:_CHANNELS] for part in ("weight", "bias"))
    return torch.tanh(conv2d(h, weight, bias, padding=1))


def _block(
    x: Tensor, condition: Tensor, w: Mapping[str, Tensor], prefix: str, after: int, up: bool
) -> Tensor:
    h = x
    for k in range(4):
        scale, shift = (
            linear(condition, w[f"{prefix}.bn_{k}.{part}.weight"]) for part in ("scale", "offset")
        )
        h = relu(_normalised(h, 1 + scale, shift, w, f"{prefix}.bn_{k}"))
        if up and k == 1:
            h = interpolate(h, scale_factor=2)
        weight = w[f"{prefix}.conv_{k}.weight"]
        h = conv2d(h, weight, w[f"{prefix}.conv_{k}.bias"], padding=weight.shape[-1] // 2)
    x = x[:, :after]  # the shortcut drops channels where a block makes fewer
    return h + (interpolate(x, scale_factor=2) if up else x)


def _normalised(
    x: Tensor, gain: Tensor, bias: Tensor, w: Mapping[str, Tensor], prefix: str
) -> Tensor:
    """``gain`` and ``bias`` [n or 1, channels] of ``x`` [n, channels, h, w]."""
    mean, variance = w[f"{prefix}.running_means"][-1], w[f"{prefix}.running_vars"][-1]
    scale = gain * torch.rsqrt(variance + _EPSILON)
    return x * scale[..., None, None] + (bias - mean * scale)[..., None, None]

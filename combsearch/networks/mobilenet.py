"""MobileNetV2 for small images: Sandler et al. 2018, "Inverted residuals and linear bottlenecks".

A block widens its input with a 1 x 1 convolution, filters each channel for itself and narrows
the result again; what is narrow stays without ReLU (their figure 3d)::

    conv1 bn relu   conv3(stride, depthwise) bn relu   conv1 bn   + shortcut

There is a shortcut where the stride is 1: the identity, or a 1 x 1 convolution with batch norm
where the width changes (theirs has none there). That, ReLU rather than ReLU6, and a stem and a
second stage of stride 1 are the common variant for CIFAR, which Price and Tanner 2021 train
("Dense for the Price of Sparse"). A block that does not widen has its first convolution as well.

Layers are ``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer1.0.bn1``, ...,
``layer1.0.shortcut.conv``, ``layer1.0.shortcut.bn``, ..., ``conv2``, ``bn2``, ``linear``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from combsearch.networks.layers import Layers, average

Stage = tuple[int, int, int, int]
"""Expansion, width, blocks, stride of the first block."""

STAGES: tuple[Stage, ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 of the paper, with stride 1 in its second row."""


@dataclass(frozen=True)
class MobileNetV2:
    """A stem, stages of inverted residuals, a 1 x 1 convolution, and the mean of the image.

    Attributes:
        stages: (expansion, width, blocks, stride) of each.
        stem: filters of the first convolution, 3 x 3.
        last: filters of the last convolution, 1 x 1.
    """

    stages: tuple[Stage, ...] = STAGES
    stem: int = 32
    last: int = 1280

    @property
    def smallest(self) -> int:
        """At least a pixel is left after all strides."""
        return math.prod(stride for _, _, _, stride in self.stages)

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        x = torch.relu(_normed(layers, "", "1", x, self.stem, 3))
        for stage, (expansion, width, blocks, stride) in enumerate(self.stages, 1):
            for number in range(blocks):
                step = 1 if number else stride
                x = _block(layers, f"layer{stage}.{number}.", x, expansion, width, step)
        x = torch.relu(_normed(layers, "", "2", x, self.last))
        return layers.linear("linear", average(x), classes)


def _block(
    layers: Layers, name: str, x: torch.Tensor, expansion: int, width: int, stride: int
) -> torch.Tensor:
    wide = expansion * x.shape[1]
    h = torch.relu(_normed(layers, name, "1", x, wide))
    h = torch.relu(_normed(layers, name, "2", h, wide, 3, stride, groups=wide))
    h = _normed(layers, name, "3", h, width)
    if stride > 1:
        return h
    if x.shape[1] != width:
        x = _normed(layers, f"{name}shortcut.", "", x, width)
    return h + x


def _normed(
    layers: Layers,
    name: str,
    number: str,
    x: torch.Tensor,
    filters: int,
    size: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> torch.Tensor:
    h = layers.conv(f"{name}conv{number}", x, filters, size, stride, groups=groups)
    return layers.batch_norm(f"{name}bn{number}", h)

"""Residual networks for small images: He et al. 2016, "Deep residual learning".

Each group of blocks but the first begins by halving the image with stride 2. The stem is one
3 x 3 convolution of stride 1 without pooling (their section 4.2), with the widths and blocks
of their ImageNet networks (their table 1), as is common for images of 32 x 32. The block is
one of two; a shortcut is a 1 x 1 convolution where stride or width changes, else the identity::

    BASIC        conv3(stride) bn relu  conv3 bn                   + shortcut  relu
    BOTTLENECK   conv1 bn relu  conv3(stride) bn relu  conv1 bn    + shortcut  relu

Layers are ``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer1.0.bn1``, ...,
``layer2.0.shortcut.conv``, ``layer2.0.shortcut.bn``, ..., ``linear``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from combsearch.networks.layers import Layers, average

_EXPANSION = 4  # outputs of a bottleneck, in widths of its 3 x 3 convolution


@dataclass(frozen=True)
class ResNet:
    """A residual network with ReLU after each addition.

    Attributes:
        blocks: blocks in each group.
        widths: filters of the 3 x 3 convolutions of each group; the stem has the first's.
        bottleneck: blocks of three convolutions rather than two.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    bottleneck: bool = False

    @property
    def smallest(self) -> int:
        """Every group but the first halves the image."""
        return int(2 ** (len(self.widths) - 1))

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        h = torch.relu(_normed_conv(layers, "", "1", x, self.widths[0], 3, 1))
        for name, width, stride in places(self.blocks, self.widths):
            h = self._block(layers, name, h, width, stride)
        return layers.linear("linear", average(h), classes)

    def _block(
        self, layers: Layers, name: str, x: torch.Tensor, width: int, stride: int
    ) -> torch.Tensor:
        # Filters, size and stride of each convolution.
        plan = [(width, 3, stride), (width, 3, 1)]
        if self.bottleneck:
            plan = [(width, 1, 1), (width, 3, stride), (_EXPANSION * width, 1, 1)]
        h = x
        for number, (filters, size, step) in enumerate(plan, 1):
            h = _normed_conv(layers, name, str(number), h, filters, size, step)
            h = torch.relu(h) if number < len(plan) else h
        if stride > 1 or x.shape[1] != h.shape[1]:
            x = _normed_conv(layers, f"{name}shortcut.", "", x, h.shape[1], 1, stride)
        return torch.relu(h + x)


def _normed_conv(
    layers: Layers, name: str, number: str, x: torch.Tensor, filters: int, size: int, stride: int
) -> torch.Tensor:
    h = layers.conv(f"{name}conv{number}", x, filters, size, stride)
    return layers.batch_norm(f"{name}bn{number}", h)


def places(blocks: Sequence[int], widths: Sequence[int]) -> list[tuple[str, int, int]]:
    """(start of its layers' names, width, stride) of each block, in order."""
    return [
        (f"layer{group}.{number}.", width, 2 if group > 1 and number == 0 else 1)
        for group, (count, width) in enumerate(zip(blocks, widths, strict=True), 1)
        for number in range(count)
    ]

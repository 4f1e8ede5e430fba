"""Residual networks that normalise before they convolve, wide ones among them.

He et al. 2016, "Identity mappings in deep residual networks"; Zagoruyko and Komodakis 2016,
"Wide residual networks", section 2, without dropout. A block, where the shortcut is a 1 x 1
convolution of ``a`` where stride or width changes, else ``x``::

    a = relu(bn(x))      conv3(stride)(a) bn relu  conv3      + shortcut

Layers are ``conv1``, ``layer1.0.bn1``, ``layer1.0.conv1``, ..., ``layer1.0.shortcut``, ...,
``bn``, ``linear``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from combsearch.errors import UsageError
from combsearch.networks.layers import Layers, average
from combsearch.networks.resnet import places


@dataclass(frozen=True)
class PreActivationResNet:
    """A residual network whose additions nothing follows.

    Attributes:
        blocks: blocks in each group; every group but the first halves the image.
        widths: filters of each group.
        stem: filters of the first convolution.
    """

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    stem: int

    @property
    def smallest(self) -> int:
        """Every group but the first halves the image."""
        return int(2 ** (len(self.widths) - 1))

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        h = layers.conv("conv1", x, self.stem)
        for name, width, stride in places(self.blocks, self.widths):
            h = _block(layers, name, h, width, stride)
        h = torch.relu(layers.batch_norm("bn", h))
        return layers.linear("linear", average(h), classes)


def wide_resnet(depth: int, factor: int) -> PreActivationResNet:
    """WRN-depth-factor: three groups of (depth - 4) / 6 blocks, 16, 32 and 64 times as wide."""
    if depth < 10 or depth % 6 != 4:
        raise UsageError(f"depth is {depth}, a wide residual network's is 10, 16, 22, 28, ...")
    blocks = ((depth - 4) // 6,) * 3
    return PreActivationResNet(blocks, (16 * factor, 32 * factor, 64 * factor), stem=16)


def _block(layers: Layers, name: str, x: torch.Tensor, width: int, stride: int) -> torch.Tensor:
    a = torch.relu(layers.batch_norm(f"{name}bn1", x))
    h = layers.conv(f"{name}conv1", a, width, 3, stride)
    h = layers.conv(f"{name}conv2", torch.relu(layers.batch_norm(f"{name}bn2", h)), width)
    if stride > 1 or x.shape[1] != width:
        x = layers.conv(f"{name}shortcut", a, width, 1, stride)
    return h + x

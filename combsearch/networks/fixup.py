"""Residual networks without normalisation: Zhang, Dauphin and Ma 2019, "Fixup initialization".

The network for CIFAR of He et al. 2016 (``cifar_resnet``), where numbers that are trained, one
each, take the place of batch norm, and the initial weights keep the first steps small whatever
the depth (their section 3 and figure 1)::

    a = x + bias1a
    relu(conv3(stride)(a) + bias1b) + bias2a   conv3   * scale + bias2b   + shortcut   relu

Biases start at 0 and scales at 1. With L blocks, a block's first convolution of c filters starts
with deviation sqrt(2 / 9c) / sqrt(L), its second and the last layer start at 0, the stem as that
of any network. The shortcut is x; in the first block of a later group it is every second pixel
of ``a``, with channels of zeros for those that are new.

DCT plus sparse trains it at depth 110 (Price and Tanner 2021, "Dense for the Price of Sparse").
There the deviation is what the first alpha is made of (``offset.first_alpha``).

Layers are ``conv1``, ``layer1.0.conv1``, ``layer1.0.conv2``, ..., ``linear``; numbers ``bias1``
after the stem, ``layer1.0.bias1a``, ``bias1b``, ``bias2a``, ``scale`` and ``bias2b`` of a block,
and ``bias2`` before the last layer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from combsearch.errors import UsageError
from combsearch.networks.cifar_resnet import WIDTH, cifar_resnet
from combsearch.networks.layers import Layers, average
from combsearch.networks.resnet import places

FIXUP_PATTERN = "fixup_resnet{6n+2}"
"""How the names are spelled, for messages."""

_NAME = re.compile("fixup_resnet(0|[1-9][0-9]{0,3})")
_PIXELS = 9  # of a filter


@dataclass(frozen=True)
class FixupResNet:
    """A residual network of basic blocks without batch norm.

    Attributes:
        blocks: blocks in each group; every group but the first halves the image.
        widths: filters of each group, never fewer than before; the stem has the first's.

    Raises:
        UsageError: a group is narrower than the one before.
    """

    blocks: tuple[int, ...] = (18, 18, 18)
    widths: tuple[int, ...] = (16, 32, 64)

    def __post_init__(self) -> None:
        if list(self.widths) != sorted(self.widths):
            raise UsageError(
                f"widths is {self.widths}, shortcuts without weights need widths that do not fall"
            )

    @property
    def smallest(self) -> int:
        """Every group but the first halves the image."""
        return int(2 ** (len(self.widths) - 1))

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        h = layers.conv("conv1", x, self.widths[0])
        h = torch.relu(h + layers.scalar("bias1", 0))
        for name, width, stride in places(self.blocks, self.widths):
            h = self._block(layers, name, h, width, stride)
        h = average(h) + layers.scalar("bias2", 0)
        return layers.linear("linear", h, classes, deviation=0)

    def _block(
        self, layers: Layers, name: str, x: torch.Tensor, width: int, stride: int
    ) -> torch.Tensor:
        first = math.sqrt(2 / (_PIXELS * width) / sum(self.blocks))
        a = x + layers.scalar(f"{name}bias1a", 0)
        h = layers.conv(f"{name}conv1", a, width, stride=stride, deviation=first)
        h = torch.relu(h + layers.scalar(f"{name}bias1b", 0)) + layers.scalar(f"{name}bias2a", 0)
        h = layers.conv(f"{name}conv2", h, width, deviation=0) * layers.scalar(f"{name}scale", 1)
        h = h + layers.scalar(f"{name}bias2b", 0)
        short = x if stride == 1 else a[:, :, ::stride, ::stride]
        return torch.relu(h + F.pad(short, (0, 0, 0, 0, 0, width - x.shape[1])))


def fixup_resnet(depth: int, width: int = WIDTH) -> FixupResNet:
    """The network of ``depth`` layers with weights, whose first group has ``width`` filters.

    Raises:
        UsageError: ``depth`` is not 8, 14, 20, ..., or ``width`` is below 1.
    """
    plan = cifar_resnet(depth, width)
    return FixupResNet(plan.blocks, plan.widths)


def named_fixup(name: str) -> FixupResNet | None:
    """The network of a name such as ``fixup_resnet20``; None where it is spelled otherwise.

    The depth has up to four digits.

    Raises:
        UsageError: it is spelled so, and there is no such depth.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return fixup_resnet(int(found[1]))
    except UsageError as error:
        raise UsageError(f"network {name!r}: {error}") from None

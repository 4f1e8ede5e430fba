"""The residual networks that He et al. 2016 trained on CIFAR-10, of any depth and width, by name.

"Deep residual learning", section 4.2: depth 6n + 2, a stem of one 3 x 3 convolution, three
groups of n basic blocks with w, 2w and 4w filters, the last two of which halve the image, the
mean of the image and one linear layer. Theirs have w = 16; n = 3 is ResNet20. Two choices are
this project's, which ``ResNet`` makes:

* shortcuts across groups are 1 x 1 convolutions with batch norm (their option B), as studies of
  lottery tickets have them; their own CIFAR networks pad with zeros (option A), 2,752
  parameters less at ResNet20.
* weights start as those of all networks here do, uniform with the bounds of torch's layers, and
  batch norm's scales at 1. Theirs are normal with variance 2 / fan in. Batch norm follows every
  convolution, so that the scale of its weights hardly changes an activation, only how far a
  step goes.
"""

from __future__ import annotations

import re

from combsearch.errors import UsageError
from combsearch.networks.resnet import ResNet

PATTERN = "resnet{6n+2}x{width}"
"""How the names are spelled, for messages."""

WIDTH = 16  # of He et al.
_GROUPS = 3
_NAME = re.compile("resnet(0|[1-9][0-9]{0,3})x(0|[1-9][0-9]{0,3})")


def cifar_resnet(depth: int, width: int = WIDTH) -> ResNet:
    """The network of ``depth`` layers with weights, whose first group has ``width`` filters.

    Raises:
        UsageError: ``depth`` is not 8, 14, 20, ..., or ``width`` is below 1.
    """
    if depth < 8 or depth % 6 != 2:
        raise UsageError(
            f"depth is {depth}, a residual network for CIFAR has 6n + 2 layers: 8, 14, 20, 26,"
            " 32, ..."
        )
    if width < 1:
        raise UsageError(f"width is {width}, it must be from 1 up; He et al. have {WIDTH}")
    return ResNet(((depth - 2) // 6,) * _GROUPS, (width, 2 * width, 4 * width))


def named(name: str) -> ResNet | None:
    """The network of a name such as ``resnet20x32``; None where it is spelled otherwise.

    Depth and width have up to four digits.

    Raises:
        UsageError: it is spelled so, and there is no such depth or width.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return cifar_resnet(int(found[1]), int(found[2]))
    except UsageError as error:
        raise UsageError(f"network {name!r}: {error}") from None

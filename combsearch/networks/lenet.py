"""LeNet-5 as studied in DCT plus sparse: no biases, ReLU, average pooling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from combsearch.networks.layers import Layers, average

_SIDE = 32  # of the images that three 5 x 5 convolutions and two poolings bring to one pixel
_FILTER = 5


@dataclass(frozen=True)
class LeNet5:
    """5 x 5 convolutions without padding, 2 x 2 average pooling between them, two linear layers.

    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B,
    in the variant of Price and Tanner 2021, "Dense for the Price of Sparse": ReLU throughout, 82
    hidden neurons rather than 84, every filter of every channel, and no biases at all. Smaller
    images are framed with zeros to 32 x 32, as LeCun et al. did with digits; of larger ones the
    mean of what the last convolution leaves is taken. Layers ``conv1``, ``conv2``, ``conv3``,
    ``hidden``, ``linear``.

    Attributes:
        channels: filters of each convolution.
        hidden: neurons between the convolutions and the last layer.
    """

    channels: tuple[int, int, int] = (6, 16, 120)
    hidden: int = 82

    @property
    def smallest(self) -> int:
        """Any image is framed."""
        return 1

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        x = framed(x, _SIDE)
        for number, filters in enumerate(self.channels, 1):
            x = torch.relu(layers.conv(f"conv{number}", x, filters, _FILTER, padding=0))
            x = F.avg_pool2d(x, 2) if number < len(self.channels) else x
        x = torch.relu(layers.linear("hidden", average(x), self.hidden, bias=False))
        return layers.linear("linear", x, classes, bias=False)


def framed(x: torch.Tensor, side: int) -> torch.Tensor:
    """Images [points, channels, h, w] in the middle of zeros, to a height and width of ``side``.

    Where the frame cannot be even, right and below it is one pixel wider. What is larger stays.
    """
    high, wide = (max(0, side - length) for length in x.shape[2:])
    return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))

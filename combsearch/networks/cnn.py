"""The plain convolutional network of the PQ index study."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from combsearch.networks.layers import Layers, average


@dataclass(frozen=True)
class CNN:
    """3 x 3 convolutions with biases, batch norm, ReLU, and max-pooling between them.

    Diao et al. 2023, "Pruning Deep Neural Networks from a Sparsity Perspective", section 4;
    as in their code nothing is pooled after the last convolution but the mean of the image,
    which a linear layer classifies. Layers ``conv1``, ``bn1``, ``conv2``, ..., ``linear``.

    Attributes:
        channels: filters of each convolution.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)

    @property
    def smallest(self) -> int:
        """Every convolution but the last is followed by halving."""
        return int(2 ** (len(self.channels) - 1))

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        for number, filters in enumerate(self.channels, 1):
            h = layers.conv(f"conv{number}", x, filters, bias=True)
            h = torch.relu(layers.batch_norm(f"bn{number}", h))
            x = F.max_pool2d(h, 2) if number < len(self.channels) else h
        return layers.linear("linear", average(x), classes)

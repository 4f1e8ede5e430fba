"""VGG networks for small images, with batch norm and one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from combsearch.networks.layers import Layers, average


@dataclass(frozen=True)
class VGG:
    """Groups of 3 x 3 convolutions, batch norm and ReLU, with max-pooling between the groups.

    Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image
    recognition", table 1, column E is the depth of 19 here: sixteen convolutions without biases.
    As Price and Tanner 2021, "Dense for the Price of Sparse", train it on small images, batch
    norm follows each, the last group is averaged over the image instead of pooled, and one
    linear layer takes the place of three. Layers ``conv1``, ``bn1``, ``conv2``, ..., ``linear``.

    Attributes:
        blocks: convolutions in each group.
        widths: filters of each convolution of each group.
    """

    blocks: tuple[int, ...] = (2, 2, 4, 4, 4)
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)

    @property
    def smallest(self) -> int:
        """Every group but the last is followed by halving."""
        return int(2 ** (len(self.widths) - 1))

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        number = 0
        for group, (count, width) in enumerate(zip(self.blocks, self.widths, strict=True)):
            x = F.max_pool2d(x, 2) if group else x
            for _ in range(count):
                number += 1
                x = layers.conv(f"conv{number}", x, width)
                x = torch.relu(layers.batch_norm(f"bn{number}", x))
        return layers.linear("linear", average(x), classes)

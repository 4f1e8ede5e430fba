"""Fully connected networks on the pixels: the linear classifier and the MLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from combsearch.networks.layers import Layers


@dataclass(frozen=True)
class Dense:
    """Linear layers with ReLU between them: ``hidden1``, ``hidden2``, ..., ``linear``.

    Attributes:
        hidden: neurons of the hidden layers; none is a linear classifier.
    """

    hidden: tuple[int, ...] = ()

    @property
    def smallest(self) -> int:
        """Any image will do."""
        return 1

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """See ``Architecture``."""
        h = x.flatten(1)
        for number, neurons in enumerate(self.hidden, 1):
            h = torch.relu(layers.linear(f"hidden{number}", h, neurons))
        return layers.linear("linear", h, classes)

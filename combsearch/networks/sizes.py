"""How many parameters a network has, and which of them are prunable weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from combsearch.networks.image_network import ImageNetwork


class LayerSize(NamedTuple):
    """The weights of one layer.

    Attributes:
        name: of the parameter, such as ``conv1.weight``.
        shape: [outputs, inputs] or [filters, channels / groups, size, size].
        weights: entries of that shape.
    """

    name: str
    shape: tuple[int, ...]
    weights: int


@dataclass(frozen=True)
class Sizes:
    """Parameters of one network.

    Attributes:
        weights: those that may be pruned.
        other: biases, batch norm's, other single numbers, and a trainable offset's alphas.
        layers: the prunable ones by layer, in order.
    """

    weights: int
    other: int
    layers: tuple[LayerSize, ...]


def sizes(network: ImageNetwork) -> Sizes:
    """The parameters of ``network``, counted."""
    shapes = {name: start.shape for name, start in network.parameters.items()}
    layers = tuple(
        LayerSize(name, shapes[name], math.prod(shapes[name])) for name in network.prunable
    )
    weights = sum(layer.weights for layer in layers)
    return Sizes(weights, sum(map(math.prod, shapes.values())) - weights, layers)

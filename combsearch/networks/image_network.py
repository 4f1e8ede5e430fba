"""ImageNetwork: an architecture for images of one shape, as a ``Network``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from combsearch.errors import UsageError
from combsearch.nets import Arrays, symmetric
from combsearch.networks.layers import Initial, Layers, Source
from combsearch.networks.offset import DctOffset
from combsearch.rng import RunKeys, uniform


class Architecture(Protocol):
    """How layers are put together, for any images and classes; equal ones compare equal."""

    @property
    def smallest(self) -> int:
        """Least height and width of its images, in pixels."""
        ...

    def __call__(self, layers: Layers, x: torch.Tensor, classes: int) -> torch.Tensor:
        """Logits [points, classes] of images [points, channels, height, width]."""
        ...


@dataclass(frozen=True)
class ImageNetwork:
    """An architecture for images of one shape; see ``Network`` and ``Stateful``.

    Attributes:
        architecture: how its layers are put together.
        image_shape: (channels, height, width).
        classes: outputs; two classes are two outputs.
        gain: of the initial weights, see ``Layers``.
        offset: what its layers add to their weights; None for nothing.

    Raises:
        UsageError: images or classes that cannot be.
    """

    architecture: Architecture
    image_shape: tuple[int, int, int]
    classes: int
    gain: float = 1.0
    offset: DctOffset | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.image_shape)
        object.__setattr__(self, "image_shape", shape)
        if len(shape) != 3 or min(shape) < 1:
            raise UsageError(
                f"image_shape is {list(shape)}, it must be [channels, height, width], from 1 up"
            )
        if self.classes < 2:
            raise UsageError(f"classes is {self.classes}, it must be from 2 up")
        least = self.architecture.smallest
        if min(shape[1:]) < least:
            raise UsageError(
                f"images of {shape[1]} x {shape[2]} pixels are too small for {self.architecture}:"
                f" height and width must be from {least} up; enlarge them, or take linear or mlp"
            )

    @property
    def parameters(self) -> Mapping[str, Initial]:
        """Every parameter of one network in order, by name."""
        return _declared(self)[0]

    @property
    def prunable(self) -> tuple[str, ...]:
        """Weights of more than one dimension, so neither biases nor batch norm."""
        return tuple(name for name, start in self.parameters.items() if len(start.shape) > 1)

    def init(self, keys: RunKeys) -> Arrays:
        """Parameters of n networks, one a key: name -> float32 [n, ...].

        Entry ``(row, ...)`` of parameter i, its other axes flattened to a column, is the draw
        of ``rng.uniform`` in layer i, so it depends on the key and its place alone.
        """
        philox = keys.philox_keys()
        return {
            name: _drawn(start, philox, number)
            for number, (name, start) in enumerate(self.parameters.items())
        }

    def initial_state(self, count: int) -> Arrays:
        """Running means 0 and variances 1: name -> float32 [count, channel]."""
        return {
            name: np.full((count, *start.shape), start.value, np.float32)
            for name, start in _declared(self)[1].items()
        }

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Logits [points, classes] and new state in training, of ``x`` [points, ...]."""
        return self.run(source_of(params), source_of(state), x, training=True)

    def evaluate(self, params: Arrays, state: Arrays, x: torch.Tensor) -> torch.Tensor:
        """Logits [points, classes] in use, of ``x`` [points, ...], by the running statistics."""
        return self.run(source_of(params), source_of(state), x, training=False)[0]

    def run(
        self, params: Source, state: Source, x: torch.Tensor, training: bool
    ) -> tuple[torch.Tensor, Arrays]:
        """Logits and new state, of parameters and state wherever they come from."""
        layers = Layers(params, state, training, self.gain, self.offset)
        return self.architecture(layers, self._images(x), self.classes), layers.moved

    def _images(self, x: torch.Tensor) -> torch.Tensor:
        """``x``, images or their rows of pixels, as [points, channels, height, width]."""
        if math.prod(x.shape[1:]) != math.prod(self.image_shape):
            raise UsageError(
                f"points are {list(x.shape[1:])}, this network takes images"
                f" {list(self.image_shape)} or as many pixels in a row"
            )
        return x.reshape(len(x), *self.image_shape)


def source_of(arrays: Arrays) -> Source:
    """What stands in ``arrays``, by name."""

    def source(name: str, start: Initial) -> torch.Tensor:
        found: torch.Tensor = arrays[name]
        return found

    return source


@lru_cache(maxsize=64)
def _declared(network: ImageNetwork) -> tuple[dict[str, Initial], dict[str, Initial]]:
    """What the parameters and the state of ``network`` are, found by a pass without numbers."""
    params: dict[str, Initial] = {}
    state: dict[str, Initial] = {}
    images = torch.empty((1, *network.image_shape), device="meta")
    network.run(_noting(params), _noting(state), images, training=False)
    return params, state


def _noting(known: dict[str, Initial]) -> Source:
    def source(name: str, start: Initial) -> torch.Tensor:
        if name in known:
            raise ValueError(f"two layers give {name!r}")
        known[name] = start
        return torch.empty(start.shape, device="meta")

    return source


def _drawn(start: Initial, philox: npt.NDArray[np.uint32], number: int) -> npt.NDArray[np.float32]:
    """Parameter ``number`` of n networks: float32 [n, ...]."""
    shape = (len(philox), *start.shape)
    if not start.spread:
        return np.full(shape, start.value, np.float32)
    rows, cols = start.shape[0], math.prod(start.shape[1:])
    return symmetric(uniform(philox, number, rows, cols), start.spread).reshape(shape)

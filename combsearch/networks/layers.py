"""The layers that networks are made of, in one pass through a network.

A network is described once, as a function that calls ``layers.conv("conv1", x, 64)`` and so
on. Run over meta tensors, which have shapes only, that function declares its parameters and
state; run over real ones it computes. Names are those of torch modules::

    params   conv1.weight [out, in, size, size]   conv1.bias [out]   linear.weight [out, in]
             bn1.weight, bn1.bias [channel]       conv1.alpha []     of a layer with an offset
    state    bn1.running_mean, bn1.running_var [channel]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from combsearch.networks.offset import DctOffset, first_alpha
from combsearch.networks.sparse_weight import SparseWeight

BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON = 0.1, 1e-5  # torch.nn.BatchNorm2d's own


@dataclass(frozen=True)
class Initial:
    """How an array of one network starts: every entry from U(value - spread, value + spread).

    Attributes:
        shape: of one network's array.
        value: mean of the entries.
        spread: 0 for an array that is ``value`` throughout.
    """

    shape: tuple[int, ...]
    value: float = 0.0
    spread: float = 0.0


Source = Callable[[str, Initial], Any]
"""(name, how it starts) -> the array of that name, of shape ``Initial.shape``.

The weight of a linear layer may be a ``SparseWeight``.
"""


class Layers:
    """The layers of ONE network in one pass, by name; linear and conv start as torch's do.

    That is U(-1/sqrt(fan in), 1/sqrt(fan in)) for weights (kaiming_uniform_ with a = sqrt(5),
    He et al. 2015) and biases alike.

    Args:
        params: where parameters come from.
        state: where the running statistics come from.
        training: normalise by the minibatch, and note new running statistics in ``moved``.
        gain: weights start with so many times torch's bound; sqrt(6) is He et al.'s.
        offset: what layers add to their weights, which start at 0 then; None for nothing.
    """

    def __init__(
        self,
        params: Source,
        state: Source,
        training: bool,
        gain: float = 1.0,
        offset: DctOffset | None = None,
    ) -> None:
        self._params, self._state, self._training = params, state, training
        self._gain, self._offset = gain, offset
        self.moved: dict[str, torch.Tensor] = {}

    def linear(
        self,
        name: str,
        x: torch.Tensor,
        outputs: int,
        bias: bool = True,
        deviation: float | None = None,
    ) -> torch.Tensor:
        """[points, inputs] to [points, outputs].

        Args:
            name: of the layer.
            x: its input.
            outputs: neurons.
            bias: whether it has one.
            deviation: standard deviation of the initial weights, where it is not the usual one;
                with 0 the bias starts at 0 as well.
        """
        shape = (outputs, x.shape[1])
        weight = self._weight(name, shape, deviation)
        shift = self._bias(name, shape, deviation) if bias else None
        if self._offset is not None:
            alpha = self._alpha(name, shape, deviation)
            return self._offset.linear(x, weight, alpha, shift, outputs)
        if isinstance(weight, SparseWeight):
            found = weight.times(x)
            return found if shift is None else found + shift
        return F.linear(x, weight, shift)

    def conv(
        self,
        name: str,
        x: torch.Tensor,
        filters: int,
        size: int = 3,
        stride: int = 1,
        bias: bool = False,
        groups: int = 1,
        padding: int | None = None,
        deviation: float | None = None,
    ) -> torch.Tensor:
        """[points, channels, h, w] to [points, filters, h', w'].

        With the usual padding of an odd size h' = ceil(h / stride).

        Args:
            name: of the layer.
            x: its input.
            filters: of ``size`` x ``size`` pixels.
            size, stride: in pixels.
            bias: whether it has one.
            groups: of channels, each with filters of its own; all channels is depthwise.
            padding: zeros around the image; None takes size // 2.
            deviation: as of ``linear``.
        """
        shape = (filters, x.shape[1] // groups, size, size)
        weight = self._weight(name, shape, deviation)
        shift = self._bias(name, shape, deviation) if bias else None
        padding = size // 2 if padding is None else padding
        if self._offset is not None:
            alpha = self._alpha(name, shape, deviation)
            return self._offset.conv(x, weight, alpha, shift, stride, padding, groups)
        return F.conv2d(x, weight, shift, stride, padding, 1, groups)

    def scalar(self, name: str, value: float) -> torch.Tensor:
        """A parameter that is one number, initially ``value``: []."""
        found: torch.Tensor = self._params(name, Initial((), value=value))
        return found

    def _weight(self, name: str, shape: tuple[int, ...], deviation: float | None) -> Any:
        bound = self._gain / math.sqrt(math.prod(shape[1:]))
        if deviation is not None:
            bound = math.sqrt(3) * deviation  # of a uniform draw with that deviation
        spread = bound if self._offset is None else 0.0
        return self._params(f"{name}.weight", Initial(shape, spread=spread))

    def _bias(self, name: str, shape: tuple[int, ...], deviation: float | None) -> Any:
        spread = 0.0 if deviation == 0 else 1 / math.sqrt(math.prod(shape[1:]))
        return self._params(f"{name}.bias", Initial(shape[:1], spread=spread))

    def _alpha(self, name: str, shape: tuple[int, ...], deviation: float | None) -> Any:
        assert self._offset is not None
        first = first_alpha(math.prod(shape[1:]), shape[0], deviation)
        return self.scalar(f"{name}.alpha", first) if self._offset.trainable else first

    def batch_norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Each channel of [points, channels, h, w] normalised, scaled and shifted.

        Ioffe and Szegedy 2015, algorithms 1 and 2; the running variance is of the unbiased
        ones, as in torch.
        """
        channels = (x.shape[1],)
        weight = self._params(f"{name}.weight", Initial(channels, value=1))
        bias = self._params(f"{name}.bias", Initial(channels))
        names = (f"{name}.running_mean", f"{name}.running_var")
        # Copies, since torch moves running statistics in place.
        mean, variance = (
            self._state(stat, Initial(channels, value=value)).to(x.dtype, copy=True)
            for stat, value in zip(names, (0, 1), strict=True)
        )
        found = F.batch_norm(
            x, mean, variance, weight, bias, self._training, BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON
        )
        if self._training:
            self.moved.update(zip(names, (mean, variance), strict=True))
        return found


def average(x: torch.Tensor) -> torch.Tensor:
    """Mean over each image: [points, channels, h, w] to [points, channels]."""
    return x.mean(dim=(2, 3))

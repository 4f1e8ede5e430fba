"""The layers that networks are made of, in one pass through a network.

A network is described once, as a function that calls ``layers.conv("conv1", x, 64)`` and so
on. Run over meta tensors, which have shapes only, that function declares its parameters and
state; run over real ones it computes. Names are those of torch modules::

    params   conv1.weight [out, in, size, size]   conv1.bias [out]   linear.weight [out, in]
             bn1.weight, bn1.bias [channel]
    state    bn1.running_mean, bn1.running_var [channel]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

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


Source = Callable[[str, Initial], torch.Tensor]
"""(name, how it starts) -> the array of that name, of shape ``Initial.shape``."""


class Layers:
    """The layers of ONE network in one pass, by name; linear and conv start as torch's do.

    That is U(-1/sqrt(fan in), 1/sqrt(fan in)) for weights (kaiming_uniform_ with a = sqrt(5),
    He et al. 2015) and biases alike.

    Args:
        params: where parameters come from.
        state: where the running statistics come from.
        training: normalise by the minibatch, and note new running statistics in ``moved``.
    """

    def __init__(self, params: Source, state: Source, training: bool) -> None:
        self._params, self._state, self._training = params, state, training
        self.moved: dict[str, torch.Tensor] = {}

    def linear(self, name: str, x: torch.Tensor, outputs: int) -> torch.Tensor:
        """[points, inputs] to [points, outputs], with a bias."""
        inputs = x.shape[1]
        spread = 1 / math.sqrt(inputs)
        weight = self._params(f"{name}.weight", Initial((outputs, inputs), spread=spread))
        bias = self._params(f"{name}.bias", Initial((outputs,), spread=spread))
        return F.linear(x, weight, bias)

    def conv(
        self,
        name: str,
        x: torch.Tensor,
        filters: int,
        size: int = 3,
        stride: int = 1,
        bias: bool = False,
    ) -> torch.Tensor:
        """[points, channels, h, w] to [points, filters, h', w'], h' = ceil(h / stride).

        ``size`` is odd; zeros around the image.
        """
        spread = 1 / math.sqrt(x.shape[1] * size * size)
        shape = (filters, x.shape[1], size, size)
        weight = self._params(f"{name}.weight", Initial(shape, spread=spread))
        shift = self._params(f"{name}.bias", Initial((filters,), spread=spread)) if bias else None
        return F.conv2d(x, weight, shift, stride=stride, padding=size // 2)

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

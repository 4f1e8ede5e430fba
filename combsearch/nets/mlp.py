"""The multilayer perceptron of the searches, and its arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets.arrays import Arrays, symmetric
from combsearch.rng import RunKeys, uniform

if TYPE_CHECKING:
    import torch

_WEIGHT_STREAM, _BIAS_STREAM = 0, 1


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: ReLU between layers, the last layer linear, biases everywhere.

    Parameters are ``weight0 [out, in]``, ``bias0 [out]``, ``weight1``, ... as in ``nn.Linear``.

    Attributes:
        shape: neurons per layer.
        init_width: width of the network whose initialisation a narrower one takes
            (the paper's D): layers after the first draw from U(-1/sqrt(D), 1/sqrt(D)).
    """

    shape: NetShape
    init_width: int = 16

    def __post_init__(self) -> None:
        if self.init_width < 1:
            raise UsageError(f"init_width is {self.init_width}, it must be from 1 up")

    @property
    def prunable(self) -> tuple[str, ...]:
        """The weights; a bias follows its neuron."""
        return tuple(f"weight{layer}" for layer in range(len(self.shape.layers)))

    def init(self, keys: RunKeys) -> Arrays:
        """nn.Linear's default draw, U(-b, b) with b = 1/sqrt(fan in), one network a key."""
        philox = keys.philox_keys()
        params: Arrays = {}
        for layer, (rows, cols) in enumerate(self.shape.layers):
            bound = 1 / math.sqrt(self.init_width if layer else self.shape.inputs)
            weight = uniform(philox, layer, rows, cols, _WEIGHT_STREAM)
            bias = uniform(philox, layer, rows, 1, _BIAS_STREAM)[:, :, 0]
            params[f"weight{layer}"] = symmetric(weight, bound)
            params[f"bias{layer}"] = symmetric(bias, bound)
        return params

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Logits [points] (one output) or [points, outputs] of ``x`` [points, in]."""
        import torch

        last = len(self.shape.layers) - 1
        # Points stay the last axis: under vmap the small matrices then multiply long rows.
        h = x.T
        for layer in range(last + 1):
            h = params[f"weight{layer}"] @ h + params[f"bias{layer}"][:, None]
            h = h if layer == last else torch.relu(h)
        return (h[0] if self.shape.outputs == 1 else h.T), state


def mask_arrays(masks: MaskBatch) -> dict[str, npt.NDArray[np.float32]]:
    """``weight0``, ``bias0``, ...: 0/1 float32; a bias is kept when its row keeps a weight."""
    named: dict[str, npt.NDArray[np.float32]] = {}
    for layer, dense in enumerate(masks.dense()):
        named[f"weight{layer}"] = dense.astype(np.float32)
        named[f"bias{layer}"] = np.asarray(dense.any(axis=2), np.float32)
    return named


def flat_arrays(arrays: Arrays) -> npt.NDArray[np.float32]:
    """Arrays of n MLPs as float32 [n, parameter]: weight0 row-major, bias0, ...; a copy."""
    layers = range(len(arrays) // 2)
    names = [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]
    parts = [np.asarray(arrays[name], np.float32) for name in names]
    return np.concatenate([a.reshape(len(a), math.prod(a.shape[1:])) for a in parts], axis=1)

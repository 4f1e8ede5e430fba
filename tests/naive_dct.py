"""The transform of DCT plus sparse by SciPy, and layers with dense weights made of it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.fft
import torch

Array = npt.NDArray[np.float64]


def transformed(x: npt.ArrayLike, outputs: int) -> Array:
    """[..., n] to [..., outputs]: padded with zeros to the longer side, transformed, cut."""
    rows = np.asarray(x, np.float64)
    pad = max(outputs - rows.shape[-1], 0)
    wide = np.concatenate([rows, np.zeros((*rows.shape[:-1], pad))], axis=-1)
    found: Array = scipy.fft.dct(wide, type=2, norm="ortho", axis=-1)
    return found[..., :outputs]


def matrix(inputs: int, outputs: int) -> Array:
    """[outputs, inputs], column by column from the transforms of unit vectors."""
    return np.stack([transformed(np.eye(inputs)[j], outputs) for j in range(inputs)], axis=1)


def filters(shape: tuple[int, ...]) -> Array:
    """The transform as filters [o, channels, h, w]: patches have their channels fastest."""
    o, c, h, w = shape
    flat = matrix(c * h * w, o)
    found = np.zeros(shape)
    for at in np.ndindex(*shape):
        row, channel, y, x = at
        found[at] = flat[row, (y * w + x) * c + channel]
    return found


def dense(
    shape: tuple[int, ...], alpha: float, values: npt.ArrayLike, places: npt.ArrayLike
) -> Array:
    """alpha times the transform plus S, as a weight of ``shape``; places are flat."""
    own = filters(shape) if len(shape) == 4 else matrix(shape[1], shape[0])
    sparse = np.zeros(math.prod(shape))
    for value, place in zip(np.asarray(values, np.float64), np.asarray(places), strict=True):
        sparse[int(place)] += value
    return alpha * own + sparse.reshape(shape)


def tensor(array: npt.ArrayLike, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A copy as a tensor."""
    return torch.tensor(np.asarray(array), dtype=dtype)

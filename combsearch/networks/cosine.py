"""The orthonormal discrete cosine transform (DCT-II), as a matrix and by a fast Fourier transform.

Padded and truncated as Price and Tanner 2021, "Dense for the Price of Sparse", have it: n numbers
to m are padded with zeros to q = max(n, m), transformed, and cut to the first m::

    y[k] = s[k] sum over j < n of x[j] cos(pi k (2j + 1) / 2q),   k < m
    s[0] = sqrt(1 / q),   s[k] = sqrt(2 / q)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch


def dct_matrix(inputs: int, outputs: int) -> npt.NDArray[np.float64]:
    """The matrix D of that transform, y = D x: float64 [outputs, inputs]."""
    q = max(inputs, outputs)
    angles = np.outer(np.arange(outputs), 2 * np.arange(inputs) + 1) % (4 * q)
    found = math.sqrt(2 / q) * np.cos(angles * (np.pi / (2 * q)))
    found[0] = math.sqrt(1 / q)
    return np.asarray(found)


@lru_cache(maxsize=256)
def dct_matrix_on(
    inputs: int, outputs: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """``dct_matrix`` as a tensor, kept for the layers of its shape; not to be written to."""
    if device.type == "meta":
        return torch.empty((outputs, inputs), device=device, dtype=dtype)
    with torch.inference_mode(False):  # what is kept may be trained with later
        return torch.from_numpy(dct_matrix(inputs, outputs)).to(device, dtype)


def dct(x: torch.Tensor, outputs: int) -> torch.Tensor:
    """The first ``outputs`` coefficients of the last axis of ``x``: [..., n] to [..., outputs].

    By one real Fourier transform of length q (Makhoul 1980, "A fast cosine transform in one and
    two dimensions"): the even places forward and the odd ones backward, turned by half a sample.
    """
    if x.dtype in (torch.float16, torch.bfloat16):  # transforms of these are not everywhere
        return dct(x.float(), outputs).to(x.dtype)
    if not x.numel():  # some libraries refuse to transform nothing; gradients go on
        return x.sum(-1, keepdim=True).expand(*x.shape[:-1], outputs)
    inputs = x.shape[-1]
    q = max(inputs, outputs)
    if inputs < q:
        x = torch.nn.functional.pad(x, (0, q - inputs))
    folded = torch.cat((x[..., ::2], x[..., 1::2].flip(-1)), -1)
    spectrum = torch.fft.rfft(folded)
    real, imaginary = _turn(q, x.device, spectrum.real.dtype)
    # Coefficient k is the real part of the turned spectrum, coefficient q - k minus the imaginary.
    low = spectrum.real * real - spectrum.imag * imaginary
    found: torch.Tensor = low
    if outputs > low.shape[-1]:
        high = spectrum.real * -imaginary - spectrum.imag * real
        found = torch.cat((low, high[..., 1 : (q + 1) // 2].flip(-1)), -1)
    return found[..., :outputs]


@lru_cache(maxsize=256)
def _turn(q: int, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled cosine and sine of -pi k / 2q for k = 0 .. q // 2: two of [q // 2 + 1]."""
    angle = -np.pi * np.arange(q // 2 + 1) / (2 * q)
    scale = np.full(len(angle), math.sqrt(2 / q))
    scale[0] = math.sqrt(1 / q)
    with torch.inference_mode(False):  # what is kept may be trained with later
        pair = [torch.from_numpy(scale * f(angle)).to(device, dtype) for f in (np.cos, np.sin)]
    return pair[0], pair[1]

"""The fixed dense part of a layer of DCT plus sparse (DCTpS), and what it adds to a layer.

Price and Tanner 2021, "Dense for the Price of Sparse", section 2: in place of W x a layer computes
alpha DCT(x) + S x with one number alpha, initially 1, and a sparse S, initially 0. The transform is
padded and truncated as ``cosine`` has it. A convolution transforms each patch, flattened with its
channels fastest, so that filter o is row o of the matrix of the transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from combsearch.errors import UsageError
from combsearch.networks.cosine import dct, dct_matrix, dct_matrix_on
from combsearch.networks.sparse_weight import SparseWeight

FORMS = ("auto", "matrix", "fast")
Weight = torch.Tensor | SparseWeight

FAST_FROM = 512
"""Longest of a layer's sides from which ``auto`` takes the fast form; see results/dctps/bench."""


@dataclass(frozen=True)
class DctOffset:
    """The offset of all layers of a network.

    Attributes:
        trainable: whether alpha is a parameter; else it stays what it is at the start.
        form: ``matrix``, ``fast`` or ``auto``. A dense S and the matrix of the transform make
            one product, so that ``auto`` takes the matrix there; by index it is a matter of size.
    """

    trainable: bool = True
    form: str = "auto"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"form is {self.form!r}, it must be one of {', '.join(FORMS)}")

    def linear(
        self,
        x: torch.Tensor,
        weight: Weight,
        alpha: torch.Tensor | float,
        bias: torch.Tensor | None,
        outputs: int,
    ) -> torch.Tensor:
        """alpha DCT(x) + S x + bias: [points, in] to [points, outputs]."""
        inputs = x.shape[1]
        if not self._is_fast(weight, max(inputs, outputs)):
            matrix = dct_matrix_on(inputs, outputs, x.device, x.dtype)
            if not isinstance(weight, SparseWeight):
                return F.linear(x, alpha * matrix + weight, bias)
            offset = F.linear(x, matrix)
        else:
            offset = dct(x, outputs)
        found = alpha * offset + product(x, weight)
        return found if bias is None else found + bias

    def conv(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        alpha: torch.Tensor | float,
        bias: torch.Tensor | None,
        stride: int,
        padding: int,
        groups: int,
    ) -> torch.Tensor:
        """The same for each patch of images [points, channels, h, w].

        Args:
            x: the images.
            weight: S, [filters, channels / groups, size, size].
            alpha: the factor of the transform.
            bias: [filters].
            stride, padding, groups: as of ``torch.nn.functional.conv2d``.
        """
        if self.form != "fast":
            filters = dct_filters(weight)
            return F.conv2d(x, alpha * filters + weight, bias, stride, padding, 1, groups)
        offset = _transformed(x, weight.shape, stride, padding, groups)
        return alpha * offset + F.conv2d(x, weight, bias, stride, padding, 1, groups)

    def _is_fast(self, weight: Weight, longest: int) -> bool:
        if self.form == "auto":
            return isinstance(weight, SparseWeight) and longest >= FAST_FROM
        return self.form == "fast"


def product(x: torch.Tensor, weight: Weight) -> torch.Tensor:
    """[points, in] to [points, out], by index where the weight is stored so."""
    return weight.times(x) if isinstance(weight, SparseWeight) else F.linear(x, weight)


def dct_filters(weight: torch.Tensor) -> torch.Tensor:
    """The transform as filters of the shape, device and dtype of ``weight``."""
    filters, channels, high, wide = weight.shape
    patch = channels * high * wide
    matrix = dct_matrix_on(patch, filters, weight.device, weight.dtype)
    return matrix.view(filters, high, wide, channels).permute(0, 3, 1, 2)


def _transformed(
    x: torch.Tensor, shape: torch.Size, stride: int, padding: int, groups: int
) -> torch.Tensor:
    """The transform of each patch: [points, filters, h', w'], without a matrix."""
    filters, channels, size = shape[0], shape[1], shape[2]
    points, (high, wide) = len(x), ((n + 2 * padding - size) // stride + 1 for n in x.shape[2:])
    patches = F.unfold(x, size, padding=padding, stride=stride)
    # [points, group, channel, place in the patch, place in the image] to channels fastest.
    patches = patches.reshape(points, groups, channels, size * size, high * wide)
    patches = patches.permute(0, 4, 1, 3, 2).reshape(
        points, high * wide, groups, channels * size * size
    )
    found = dct(patches, filters)  # of all filters; each group has its own share of them
    own = torch.arange(filters, device=x.device).view(groups, -1)
    found = torch.gather(found, 3, own.expand(*found.shape[:2], *own.shape))
    return found.flatten(2).permute(0, 2, 1).reshape(points, filters, high, wide)


@lru_cache(maxsize=256)
def first_alpha(inputs: int, outputs: int, deviation: float | None) -> float:
    """What alpha is at the start.

    Args:
        inputs, outputs: of the matrix.
        deviation: None for the usual 1; else the standard deviation that normal weights would
            start with (Fixup). The authors' code then takes the square root of a ratio: the
            expected norm of a row of such weights over the mean norm of a row of the transform.
    """
    if deviation is None:
        return 1.0
    if not deviation:
        return 0.0
    gammas = math.lgamma((inputs + 1) / 2) - math.lgamma(inputs / 2)
    expected = math.sqrt(2) * deviation * math.exp(gammas)
    rows = (dct_matrix(inputs, outputs) ** 2).sum(axis=1) ** 0.5
    return math.sqrt(expected / float(rows.mean()))

"""Layers of DCT plus sparse as torch modules, in place of ``nn.Linear`` and ``nn.Conv2d``.

For networks that are plain torch: a layer computes alpha DCT(x) + S x + bias (see ``offset``)
and stores of the sparse S what it keeps::

    values  [nnz]      the kept entries, row after row, initially 0
    alpha   []         the factor of the transform; a buffer where it is not trained
    bias    [outputs]  as torch's

so nnz + 1 + outputs numbers and never outputs x inputs. Where the entries lie, buffers say.
``studies.dctps.convert`` puts such layers into a whole module.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from combsearch.errors import UsageError
from combsearch.networks.cosine import dct_matrix_on
from combsearch.networks.offset import DctOffset, dct_filters
from combsearch.networks.sparse_weight import INDEX, SparseWeight, index_of, scattered

Places: TypeAlias = "npt.ArrayLike | torch.Tensor"


class DctSparseLinear(nn.Module):
    """alpha DCT(x) + S x + bias: [..., inputs] to [..., outputs].

    Args:
        in_features, out_features, bias: as of ``nn.Linear``.
        rows, columns: int [nnz], outputs and inputs of the entries that S keeps, each place once.
        alpha: what the factor starts with.
        trainable: whether alpha is a parameter.
        form: of the transform: ``matrix``, ``fast``, or ``auto``, by size.
        device, dtype: as of ``nn.Linear``.

    Raises:
        UsageError: a place that is not in the matrix or stands twice, or another form.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor
    alpha: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rows: Places,
        columns: Places,
        bias: bool = True,
        alpha: float = 1.0,
        trainable: bool = True,
        form: str = "auto",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.offset = DctOffset(trainable, form)
        shape = (out_features, in_features)
        own_rows, own_columns = np.divmod(_flat_places(rows, columns, shape), in_features)
        for name, array in index_of(own_rows, own_columns, shape).items():
            self.register_buffer(name, torch.from_numpy(np.array(array)).to(device))
        _add_parameters(self, len(own_rows), shape, bias, alpha, trainable, device, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., inputs] to [..., outputs]."""
        index: dict[str, torch.Tensor] = {name: getattr(self, name) for name in INDEX}
        weight = SparseWeight(self.values, index)
        flat = x.reshape(-1, self.in_features)
        found = self.offset.linear(flat, weight, self.alpha, self.bias, self.out_features)
        return found.view(*x.shape[:-1], self.out_features)

    @property
    def weight(self) -> torch.Tensor:
        """alpha D + S, [outputs, inputs], made anew: for what reads a layer's matrix."""
        shape = (self.out_features, self.in_features)
        row = torch.arange(len(self.rows) - 1, device=self.rows.device)
        row = row.repeat_interleave(self.rows.diff(), output_size=len(self.values))
        dense = scattered(self.values, row * self.in_features + self.columns, shape)
        matrix = dct_matrix_on(self.in_features, self.out_features, dense.device, dense.dtype)
        return self.alpha * matrix + dense

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, {_shown(self)}"


class DctSparseConv2d(nn.Module):
    """The same of each patch of images: [points, channels, h, w] to [points, filters, h', w'].

    Patches are padded with zeros; kernel, stride and padding are square.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, groups, bias: as of
            ``nn.Conv2d``; pairs must be of two equal numbers.
        rows, columns: int [nnz], of the entries that S keeps: the filter, and the place in it,
            its axes [channel, height, width] flattened as torch does.
        alpha, trainable, form, device, dtype: as of ``DctSparseLinear``; here ``auto`` is
            ``matrix``, since transform and S make one convolution.

    Raises:
        UsageError: as of ``DctSparseLinear``, or sizes that are no such convolution.
    """

    values: torch.Tensor
    alpha: torch.Tensor
    bias: torch.Tensor | None
    places: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        rows: Places,
        columns: Places,
        stride: int | tuple[int, int] = 1,
        padding: int | str | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        alpha: float = 1.0,
        trainable: bool = True,
        form: str = "auto",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(in_channels=in_channels, out_channels=out_channels)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UsageError(
                f"groups is {groups}, it must divide {in_channels} channels and {out_channels}"
                " filters"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = square("kernel_size", kernel_size)
        self.stride = square("stride", stride)
        self.padding = whole_padding(padding, self.kernel_size, self.stride)
        self.offset = DctOffset(trainable, form)
        self.shape = (out_channels, in_channels // groups, self.kernel_size, self.kernel_size)
        matrix = (out_channels, math.prod(self.shape[1:]))
        places = _flat_places(rows, columns, matrix)
        self.register_buffer("places", torch.from_numpy(places).to(device))
        _add_parameters(self, len(places), matrix, bias, alpha, trainable, device, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[points, channels, h, w] to [points, filters, h', w'], or one image."""
        images = x if x.dim() == 4 else x[None]
        weight = scattered(self.values, self.places, self.shape)
        found = self.offset.conv(
            images, weight, self.alpha, self.bias, self.stride, self.padding, self.groups
        )
        return found if x.dim() == 4 else found[0]

    @property
    def weight(self) -> torch.Tensor:
        """The filters with those of the transform, made anew."""
        dense = scattered(self.values, self.places, self.shape)
        return self.alpha * dct_filters(dense) + dense

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        sizes += f", stride={self.stride}, padding={self.padding}, groups={self.groups}"
        return f"{sizes}, {_shown(self)}"


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise UsageError(f"{name} is {size}, it must be from 1 up")


def square(name: str, given: int | tuple[int, ...], least: int = 1) -> int:
    """The number of a pair of two equal ones, or of a single one.

    Raises:
        UsageError: the pair is of two numbers, or the number below ``least``.
    """
    pair = (given, given) if isinstance(given, int) else tuple(given)
    if len(set(pair)) != 1:
        raise UsageError(
            f"{name} is {pair}, patches of DCT plus sparse are square: give one number"
        )
    if pair[0] < least:
        raise UsageError(f"{name} is {pair[0]}, it must be from {least} up")
    return int(pair[0])


def whole_padding(padding: int | str | tuple[int, ...], size: int, stride: int) -> int:
    """Zeros at each side, of what ``nn.Conv2d`` takes as padding.

    Raises:
        UsageError: they differ by side.
    """
    if not isinstance(padding, str):
        return square("padding", padding, least=0)
    if padding == "valid":
        return 0
    if padding != "same" or size % 2 == 0 or stride != 1:
        raise UsageError(
            f"padding is {padding!r}, it must be a number, 'valid', or with an odd kernel_size and"
            f" stride 1 'same' (kernel_size {size}, stride {stride})"
        )
    return size // 2


def _flat_places(rows: Places, columns: Places, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Places [nnz] of a matrix of ``shape``, ascending, each once."""
    row, column = _whole("rows", rows), _whole("columns", columns)
    if row.ndim != 1 or row.shape != column.shape:
        raise UsageError(
            f"rows are {list(row.shape)} and columns {list(column.shape)}, they must be lists of"
            " one length: the places that S keeps"
        )
    for name, own, size in (("rows", row, shape[0]), ("columns", column, shape[1])):
        if len(own) and not 0 <= own.min() <= own.max() < size:
            raise UsageError(f"{name} hold {own.min()} to {own.max()}, there are 0 to {size - 1}")
    places = np.unique(row * shape[1] + column)
    if len(places) < len(row):
        raise UsageError(f"{len(row) - len(places)} of {len(row)} places of S stand twice")
    return places


def _whole(name: str, given: Places) -> npt.NDArray[np.int64]:
    array = np.asarray(given.cpu() if isinstance(given, torch.Tensor) else given)
    if array.size and array.dtype.kind not in "iu":
        raise UsageError(f"{name} are {array.dtype}, they must be whole numbers")
    return array.astype(np.int64)


def _add_parameters(
    module: nn.Module,
    nnz: int,
    shape: tuple[int, int],
    bias: bool,
    alpha: float,
    trainable: bool,
    device: Any,
    dtype: torch.dtype | None,
) -> None:
    module.values = nn.Parameter(torch.zeros(nnz, device=device, dtype=dtype))
    factor = torch.tensor(float(alpha), device=device, dtype=dtype or torch.get_default_dtype())
    if trainable:
        module.alpha = nn.Parameter(factor)
    else:
        module.register_buffer("alpha", factor)
    module.register_parameter("bias", None)
    if bias:
        shift = torch.empty(shape[0], device=device, dtype=dtype)
        bound = 1 / math.sqrt(max(shape[1], 1))
        module.bias = nn.Parameter(shift.uniform_(-bound, bound))


def _shown(module: DctSparseLinear | DctSparseConv2d) -> str:
    return f"nnz={len(module.values)}, bias={module.bias is not None}, form={module.offset.form}"

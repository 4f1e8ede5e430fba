"""A weight that is stored by its kept entries, and its product with points by index.

A ``SparseWeight`` of k entries of a matrix [out, in] holds their values and where they lie, row
after row and column after column::

    values     float [k]         entries, row after row
    columns    int64 [k]         column of each
    rows       int64 [out + 1]   entries rows[i] .. rows[i + 1] - 1 are those of row i
    turned     int64 [k]         the same entries column after column, as places among the above
    t_columns  int64 [k]         row of each, in that order
    t_rows     int64 [in + 1]    as ``rows``, of columns
    inverse    int64 [k]         the inverse of ``turned``

A place that stands twice counts as the sum. The product may be differentiated as often as one
likes and lifted by ``torch.func.vmap``: n networks, each with entries of its own, become one
matrix of n blocks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

INDEX = ("columns", "rows", "turned", "t_columns", "t_rows", "inverse")
"""Names of the index arrays, in order."""


@dataclass(frozen=True, eq=False)
class SparseWeight:
    """See the module.

    Attributes:
        values: float [k].
        index: the arrays ``INDEX``, by name.
    """

    values: torch.Tensor
    index: Mapping[str, torch.Tensor]

    def times(self, x: torch.Tensor) -> torch.Tensor:
        """[points, in] to [points, out]."""
        # Turned once: the product and its gradient both read points column by column.
        turned = x.T.contiguous()
        return _product(self.values, turned, *(self.index[name] for name in INDEX)).T


def index_of(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], shape: tuple[int, int]
) -> dict[str, npt.NDArray[np.int64]]:
    """The arrays ``INDEX`` of entries [k] in the order of rows, then columns.

    Args:
        rows, columns: of each entry.
        shape: of the matrix, (out, in).
    """
    turned = np.lexsort((rows, columns))
    inverse = np.empty_like(turned)
    inverse[turned] = np.arange(len(turned))
    found = (columns, _starts(rows, shape[0]), turned, rows[turned], _starts(columns, shape[1]))
    return dict(zip(INDEX, (*found, inverse), strict=True))


def scattered(values: torch.Tensor, places: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A dense array of entries [k] at flat ``places`` int64 [k], which may stand twice."""
    flat = values.new_zeros(int(np.prod(shape)))
    return flat.index_put((places,), values, accumulate=True).view(shape)


def _starts(lines: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(lines, minlength=count))]).astype(np.int64)


class _Product(torch.autograd.Function):
    """y [out, b] of values [k], x [in, b] and ``INDEX``: the product of a sparse matrix."""

    @staticmethod
    def forward(values: torch.Tensor, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
        columns, rows = index[:2]
        return F.embedding_bag(
            columns,
            x.contiguous(),
            rows,
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, x, *index = ctx.saved_tensors
        for_values = _sampled(grads[0], x, *index) if ctx.needs_input_grad[0] else None
        for_x = None
        if ctx.needs_input_grad[1]:
            for_x = _transposed(values, grads[0], index)
        return (for_values, for_x, *(None for _ in index))

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *given: Any) -> tuple[torch.Tensor, int]:
        count = info.batch_size
        values, x, *index = (_batched(a, d, count) for a, d in zip(given, in_dims, strict=True))
        stacked = _stacked(index)
        y = _product(values.flatten(), x.flatten(0, 1), *stacked)
        return y.view(count, -1, y.shape[-1]), 0


class _Sampled(torch.autograd.Function):
    """[k]: the entries at ``INDEX`` of the product of g [out, b] and the transpose of x [in, b]."""

    @staticmethod
    def forward(g: torch.Tensor, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
        if g.dtype in (torch.float16, torch.bfloat16):  # torch has no such product of these
            return _Sampled.forward(g.float(), x.float(), *index).to(g.dtype)
        _hush()
        columns, rows = index[:2]
        where = torch.sparse_csr_tensor(
            rows, columns, g.new_zeros(len(columns)), (len(g), len(x)), check_invariants=False
        )
        product = torch.sparse.sampled_addmm(where, g.contiguous(), x.contiguous().T, beta=0.0)
        found: torch.Tensor = product.values()
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        g, x, *index = ctx.saved_tensors
        for_g = _product(grads[0], x, *index) if ctx.needs_input_grad[0] else None
        for_x = _transposed(grads[0], g, index) if ctx.needs_input_grad[1] else None
        return (for_g, for_x, *(None for _ in index))

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *given: Any) -> tuple[torch.Tensor, int]:
        count = info.batch_size
        g, x, *index = (_batched(a, d, count) for a, d in zip(given, in_dims, strict=True))
        found = _sampled(g.flatten(0, 1), x.flatten(0, 1), *_stacked(index))
        return found.view(count, -1), 0


def _product(values: torch.Tensor, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = _Product.apply(values, x, *index)  # type: ignore[no-untyped-call]
    return found


def _sampled(g: torch.Tensor, x: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = _Sampled.apply(g, x, *index)  # type: ignore[no-untyped-call]
    return found


def _transposed(
    values: torch.Tensor, x: torch.Tensor, index: Sequence[torch.Tensor]
) -> torch.Tensor:
    """The product of the transpose: [out, b] to [in, b]."""
    columns, rows, turned, t_columns, t_rows, inverse = index
    other = (t_columns, t_rows, inverse, columns, rows, turned)
    return _product(values.gather(0, turned), x, *other)


def _batched(array: torch.Tensor, dim: int | None, count: int) -> torch.Tensor:
    """``array`` with its batch axis first; one for all is repeated."""
    return array.expand(count, *array.shape) if dim is None else array.movedim(dim, 0)


def _stacked(index: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """``INDEX`` of one matrix with a block a network, from arrays [net, ...]."""
    columns, rows, turned, t_columns, t_rows, inverse = index
    count, entries = columns.shape
    block = torch.arange(count, device=columns.device)[:, None]
    wide, high = t_rows.shape[1] - 1, rows.shape[1] - 1
    moved = (
        columns + block * wide,
        rows[:, :-1] + block * entries,
        turned + block * entries,
        t_columns + block * high,
        t_rows[:, :-1] + block * entries,
        inverse + block * entries,
    )
    end = rows.new_full((1,), count * entries)
    flat = [a.flatten() for a in moved]
    flat[1], flat[4] = torch.cat((flat[1], end)), torch.cat((flat[4], end))
    return flat


@lru_cache(maxsize=1)
def _hush() -> None:
    """Let torch say once, unheard, that its sparse tensors are young: only one call is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start, none = torch.zeros(2, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        torch.sparse_csr_tensor(start, none, torch.zeros(0), (1, 1))

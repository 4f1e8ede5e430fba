"""Named arrays, numpy's or torch's, and how one becomes the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Arrays = dict[str, Any]
"""Named numpy arrays or torch tensors with a leading batch axis."""


def as_tensor(
    array: Any, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> torch.Tensor:
    """``array`` (numpy or torch) as a tensor; its memory is shared where that is possible."""
    import torch

    if isinstance(array, np.ndarray) and not array.flags.writeable:
        array = array.copy()  # torch knows no read-only tensors and warns of them
    return torch.as_tensor(array, device=device, dtype=dtype)


def join(arrays: Sequence[Any]) -> Any:
    """Arrays of one kind, all numpy or all torch, along the first axis."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def symmetric(u: npt.NDArray[np.float32], bound: float) -> npt.NDArray[np.float32]:
    """[0, 1) to [-bound, bound) in float32; 2u - 1 is exact, the product rounds once."""
    return np.asarray((2 * u - 1) * np.float32(bound))

"""What the kernels take: masks in bits, samples in rows of whole quadruples, checks of both."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from combsearch.kernels.cuda.source import parameters, stride

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]

_WORD = 32  # parameters of a word of a mask


def words(widths: tuple[int, ...]) -> int:
    """Words of a mask."""
    return -(-parameters(widths) // _WORD)


def packed(masks: Floats) -> npt.NDArray[np.int32]:
    """0/1 float32 [n, parameter] as int32 [n, word]: bit p % 32 of word p // 32."""
    n, count = masks.shape
    bits = np.zeros((n, -(-count // _WORD) * _WORD), np.bool_)
    bits[:, :count] = masks != 0
    return np.packbits(bits, axis=1, bitorder="little").view("<i4").astype(np.int32, copy=False)


def rows(samples: Floats) -> Floats:
    """float32 [sample, inputs + 1] as [sample + 1, stride]: zeros behind each and at the end.

    The kernels read quadruples, and one sample ahead.
    """
    count, columns = samples.shape
    found = np.zeros((count + 1, stride((columns - 1, 1))), np.float32)
    found[:count, :columns] = samples
    return found


def groups(samples: Sequence[torch.Tensor], sets: npt.NDArray[np.int64], most: int) -> torch.Tensor:
    """The ``Group`` of every block of a launch: int64 [block, 2].

    First the address of its samples, then its first network and, 32 bits higher, how many.

    Args:
        samples: sets of minibatches, on the device.
        sets: int64 [n], ascending: which set each network is trained on.
        most: networks of a block.
    """
    import torch

    if len(sets) and (np.diff(sets) < 0).any():
        raise ValueError("networks must be ordered by the minibatches that they are trained on")
    starts = np.flatnonzero(np.diff(sets, prepend=-1))
    counts = np.diff(starts, append=len(sets))
    blocks = -(-counts // most)
    place = np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    first = np.repeat(starts, blocks) + place * most
    size = np.minimum(most, np.repeat(starts + counts, blocks) - first)
    addresses = np.array([one.data_ptr() for one in samples], np.int64)
    table = np.stack([addresses[sets[first]], first + (size << 32)], axis=1)
    return torch.from_numpy(table)


def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    """Where the data of a tensor lie."""
    return ctypes.c_void_p(tensor.data_ptr())


def ints(*values: int) -> list[ctypes.c_int]:
    """Whole numbers as a kernel takes them."""
    return [ctypes.c_int(value) for value in values]


# The compiled code checks nothing: what it would misread must be refused before.
def check_networks(widths: tuple[int, ...], **arrays: torch.Tensor) -> None:
    """Refuse arrays of n networks that are not whole rows of what ``Gpu.train`` names."""
    import torch

    columns = {"w": parameters(widths), "v": parameters(widths), "masks": words(widths)}
    n = len(arrays["w"])
    for name, array in arrays.items():
        kind = torch.int32 if name == "masks" else torch.float32
        expected = (n, columns.get(name, array.shape[-1]))
        if array.dtype != kind or tuple(array.shape) != expected or not array.is_contiguous():
            found = f"{array.dtype} {tuple(array.shape)}"
            raise ValueError(f"{name} must be contiguous {kind} {expected}, got {found}")


def check_samples(widths: tuple[int, ...], samples: torch.Tensor, least: int) -> None:
    """Refuse samples that are not ``rows`` of at least ``least`` samples and one more."""
    import torch

    expected = f"float32 [{least + 1} or more, {stride(widths)}]"
    fits = samples.ndim == 2 and samples.shape[1] == stride(widths) and len(samples) > least
    if samples.dtype != torch.float32 or not fits or not samples.is_contiguous():
        found = f"{samples.dtype} {tuple(samples.shape)}"
        raise ValueError(f"samples must be contiguous {expected}, got {found}")

"""Minibatches on a GPU, and networks in parts that its memory holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.kernels import cuda
from combsearch.nets import as_tensor
from combsearch.tasks.base import Task
from combsearch.trainers.base import Plan, epoch_orders
from combsearch.trainers.kernel_data import samples_of

Indices = npt.NDArray[np.intp]

_SET_BYTES = 2**26  # minibatches of a block held at once: the 50 epochs of the spiral take 40 MB


class Minibatches:
    """The minibatches of blocks of restarts, kept on a GPU for who asks for them next.

    Args:
        device: where they are.
        most: bytes kept; what is in use may be more.
    """

    def __init__(self, device: torch.device, most: int) -> None:
        self._device, self._most = device, most
        self._kept: dict[Any, torch.Tensor] = {}  # the latest last
        self._lock = threading.Lock()

    def of(self, task: Task, plan: Plan, block: int, epochs: range) -> torch.Tensor:
        """Of some epochs, batch after batch: float32 [sample + 1, stride], see ``cuda.rows``."""
        key = (task.digest(), plan.seed, block, epochs, plan.recipe.batch_size)
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = self._made(task, plan, block, epochs)
            self._kept[key] = found
            while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._most:
                del self._kept[next(iter(self._kept))]
        if found.is_cuda:  # dropped from here, it stays until this stream has read it
            found.record_stream(torch.cuda.current_stream(found.device))
        return found

    def _made(self, task: Task, plan: Plan, block: int, epochs: range) -> torch.Tensor:
        used = plan.steps_per_epoch * plan.recipe.batch_size
        orders = [epoch_orders(plan.seed, block, epoch, task.points)[:used] for epoch in epochs]
        last = np.array([task.points], np.int32)  # the row of zeros
        order = as_tensor(np.concatenate([*orders, last]), self._device)
        rows = as_tensor(cuda.rows(samples_of(task)), self._device)
        found = rows.index_select(0, order)
        if found.is_cuda:  # another stream may be the next to read it
            torch.cuda.current_stream(found.device).synchronize()
        return found


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def set_bytes(task: Task, plan: Plan, epochs: int) -> int:
    """Bytes of the minibatches of a block, of so many epochs."""
    samples = epochs * plan.steps_per_epoch * plan.recipe.batch_size
    return 4 * cuda.stride((task.inputs, 1)) * (samples + 1)


def epoch_ranges(task: Task, plan: Plan) -> list[range]:
    """All epochs that the steps of ``plan`` touch, in ranges whose minibatches are held at once.

    A range starts at a multiple of its size, wherever training starts, so that the next piece
    of a run asks for the same ones.
    """
    size = max(1, min(plan.recipe.epochs, _SET_BYTES // set_bytes(task, plan, 1)))
    first, last = plan.start // plan.steps_per_epoch, -(-plan.stop // plan.steps_per_epoch)
    starts = range(first // size * size, last, size)
    return [range(start, min(start + size, plan.recipe.epochs)) for start in starts]


def parts(
    blocks: npt.NDArray[np.int64], net_bytes: int, block_bytes: int, free: int
) -> Iterator[Indices]:
    """Networks in parts that fit ``free`` bytes, those of a block together: indices [net].

    Args:
        blocks: int64 [net], the block of each.
        net_bytes: of a network.
        block_bytes: of what the networks of a block share.
        free: bytes; a part has a network at least.
    """
    order = np.argsort(blocks, kind="stable")
    part: list[Indices] = []
    left = free
    for own in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        start = 0
        while start < len(own):
            room = (left - block_bytes) // net_bytes
            if room < 1 and part:
                yield np.concatenate(part)
                part, left = [], free
                continue
            taken = own[start : start + max(1, room)]
            part.append(taken)
            start += len(taken)
            left -= block_bytes + net_bytes * len(taken)
    if part:
        yield np.concatenate(part)

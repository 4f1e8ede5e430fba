"""What the two torch trainers share: flat parameter vectors and minibatches on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from combsearch.nets import Arrays, NetBatch, as_tensor
from combsearch.tasks.base import Task
from combsearch.trainers.base import Plan, epoch_orders


@dataclass(frozen=True)
class Layout:
    """Where each named parameter lies in one flat vector of all P of them, in order.

    Attributes:
        shapes: name -> shape of one network's parameter.
    """

    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, nets: NetBatch) -> Layout:
        """The layout of the parameters of ``nets``."""
        return cls({name: tuple(a.shape[1:]) for name, a in nets.params.items()})

    @property
    def size(self) -> int:
        """P, the number of parameters of one network."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def pack(self, arrays: Arrays, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """Named arrays [n, ...] copied to one tensor [n, P]."""
        parts = [as_tensor(arrays[name], device, dtype) for name in self.shapes]
        return torch.cat([part.flatten(1) if part.ndim > 1 else part[:, None] for part in parts], 1)

    def unpack(self, flat: torch.Tensor) -> Arrays:
        """[..., P] as named views [..., *shape]; one split, so that its gradient is one cat."""
        parts = torch.split(flat, [math.prod(shape) for shape in self.shapes.values()], dim=-1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.view((*part.shape[:-1], *shape)) for (name, shape), part in named}


class Minibatches:
    """The minibatch of any step, from data that stays on the device.

    Args:
        task: its ``x`` is stored as ``dtype``.
        plan: which order the points are visited in.
    """

    def __init__(
        self, task: Task, plan: Plan, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._plan = plan
        self._x = as_tensor(task.x, device, dtype)
        self._y = as_tensor(task.y, device)
        self._orders: dict[int, tuple[int, torch.Tensor]] = {}  # block -> epoch, its order

    def __call__(self, step: int, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(x [batch, in], y uint8 [batch]) of ``step`` for networks of ``block``."""
        epoch, place = divmod(step, self._plan.steps_per_epoch)
        size = self._plan.recipe.batch_size
        rows = self._order(epoch, block)[place * size : (place + 1) * size]
        return self._x.index_select(0, rows), self._y.index_select(0, rows)

    def _order(self, epoch: int, block: int) -> torch.Tensor:
        known, order = self._orders.get(block, (-1, self._y))
        if known != epoch:
            rows = epoch_orders(self._plan.seed, block, epoch, self._plan.points)
            order = torch.as_tensor(rows.astype(np.int64), device=self._x.device)
            self._orders[block] = (epoch, order)
        return order

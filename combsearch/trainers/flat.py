"""What the two torch trainers share: flat parameter vectors and minibatches on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from combsearch.nets import Arrays, NetBatch, as_tensor
from combsearch.tasks.base import Task
from combsearch.trainers.base import Plan, epoch_orders
from combsearch.trainers.moving import Mover, shared_key


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

    Attributes:
        own: whether the networks of a block have minibatches of their own, the same points
            augmented for each.
    """

    def __init__(
        self, task: Task, plan: Plan, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._plan = plan
        self._x = as_tensor(task.x, device, dtype)
        self._y = as_tensor(task.y, device)
        moves = task.augmentation
        self._mover = None if moves is None else Mover(moves, device, dtype)
        self.own = moves is not None and not moves.shared
        # block -> epoch, its order here and on the device
        self._orders: dict[int, tuple[int, npt.NDArray[np.int32], torch.Tensor]] = {}

    def __call__(
        self, step: int, block: int, nets: npt.NDArray[np.intp] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y uint8 [batch]) of ``step`` for networks of ``block``.

        Args:
            step: from 0.
            block: that shares its minibatches.
            nets: which networks of the block, all if None. Where they have minibatches of
                their ``own``, x is [net, batch, in], else [batch, in].
        """
        epoch, place = divmod(step, self._plan.steps_per_epoch)
        size = self._plan.recipe.batch_size
        part = slice(place * size, (place + 1) * size)
        order, there = self._order(epoch, block)
        images, rows = order[part], there[part]
        x, y = self._x.index_select(0, rows), self._y.index_select(0, rows)
        if self._mover is None:
            return x, y
        if not self.own:
            return self._mover(x, shared_key(self._plan.seed, block), epoch, images)[0], y
        chosen = np.flatnonzero(self._plan.blocks == block) if nets is None else nets
        return self._mover(x, self._plan.copies[chosen], epoch, images), y

    def _order(self, epoch: int, block: int) -> tuple[npt.NDArray[np.int32], torch.Tensor]:
        """The points in their order of ``epoch``, as numpy and on the device."""
        if block not in self._orders or self._orders[block][0] != epoch:
            order = epoch_orders(self._plan.seed, block, epoch, self._plan.points)
            there = torch.as_tensor(order.astype(np.int64), device=self._x.device)
            self._orders[block] = (epoch, order, there)
        return self._orders[block][1:]

"""Thousands of networks side by side: one step is ``torch.func.vmap`` of ``torch.func.grad``.

Networks of one block of restarts share their minibatches and are trained in chunks. A chunk
holds its networks as flat tensors [net, P], so that the update is five calls whatever the
number of parameters. On a CUDA device the step is captured once as a graph and replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from combsearch.config import Recipe
from combsearch.errors import CombsearchError, UsageError
from combsearch.nets import Arrays, NetBatch, Network, Scores, mean_loss, score
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Plan, check_replacement, plan_fit
from combsearch.trainers.flat import Layout, Minibatches
from combsearch.trainers.memory import is_out_of_memory, net_bytes, working_bytes

Gradients = Callable[
    [torch.Tensor, Arrays, torch.Tensor, torch.Tensor], tuple[torch.Tensor, Arrays]
]
"""(w [net, P], state [net, ...], x [batch, ...], y [batch]) -> gradients [net, P], new state."""


@dataclass(frozen=True)
class VmapTrainer:
    """Trains any ``Network`` in batches with ``torch.func``, on a CPU or a CUDA device.

    Attributes:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        chunk: networks side by side; 0 takes what the memory and the cache hold.
        memory_share: share of the free memory that a chunk may take.
        graphs: capture the step as a CUDA graph, where there is CUDA.
    """

    device: str = "cpu"
    chunk: int = 0
    memory_share: float = 0.5
    graphs: bool = True

    def __post_init__(self) -> None:
        if self.chunk < 0:
            raise UsageError(f"chunk is {self.chunk}, it must be 0 (planned) or from 1 up")
        if not 0 < self.memory_share <= 1:
            raise UsageError(f"memory_share is {self.memory_share}, it must be in (0, 1]")
        _check_device(self.device)

    @property
    def name(self) -> str:
        """``"vmap"``."""
        return "vmap"

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; with ``on_step`` every chunk takes a step before the next."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        batches = Minibatches(task, plan, torch.device(self.device))
        chunks = (self._chunk(nets, plan, index) for index in self._split(nets, plan, batches))
        if on_step is None:
            done = [c.leave() for chunk in chunks for c in _advance(chunk, batches, plan.stop)]
            return _in_order(nets.network, done)
        return self._lockstep(nets, batches, list(chunks), on_step)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``nets.score``."""
        return score(nets, task, self.device)

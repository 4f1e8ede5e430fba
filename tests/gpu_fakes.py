"""A machine with GPUs, as far as a search can tell: its trainer does what ``cuda`` promises.

``FakeCuda`` trains with ``fused``, whose bits ``cuda`` gives, and notes how many networks it
was given at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from combsearch.config import Recipe
from combsearch.kernels import cuda
from combsearch.mask import NetShape
from combsearch.nets import NetBatch, Scores
from combsearch.rng import RunKeys
from combsearch.search import devices
from combsearch.tasks import Task
from combsearch.trainers import TRAINERS
from combsearch.trainers.fused import FusedTrainer

WAVE = 48
_LOCK = threading.Lock()  # a core that two threads share is no quicker


@dataclass(frozen=True)
class FakeCuda:
    """Stands for ``CudaTrainer``; networks that stay are tensors."""

    stay: bool = False
    between: Callable[[], None] | None = None
    fitted: ClassVar[list[int]] = []

    @property
    def name(self) -> str:
        return "cuda"

    def wave(self, shape: NetShape, networks: int | None = None) -> int:
        assert max(shape.widths) <= cuda.MAX_WIDTH
        return WAVE

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = slice(None),
        on_step: Any = None,
    ) -> NetBatch:
        with _LOCK:
            self.fitted.append(len(nets))
            found = FusedTrainer().fit(nets, task, recipe, keys, steps, on_step)
            return found.to_torch() if self.stay else found

    def score(self, nets: NetBatch, task: Task) -> Scores:
        with _LOCK:
            return FusedTrainer().score(nets, task)


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int = 1, trainer: str = "FakeCuda") -> None:
    """Let this process believe in so many GPUs."""
    monkeypatch.setitem(TRAINERS, "cuda", f"gpu_fakes:{trainer}")
    monkeypatch.setattr(cuda, "no_gpu", lambda: None)
    monkeypatch.setattr(cuda, "gpus", lambda: gpus)
    monkeypatch.setattr(devices, "FLOATS", 1000)
    monkeypatch.setattr(FakeCuda, "fitted", [])

"""How many points of a task networks classify right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from combsearch.nets.arrays import as_tensor
from combsearch.nets.batch import NetBatch
from combsearch.nets.network import evaluate

if TYPE_CHECKING:
    import torch

    from combsearch.tasks.base import Task

_SCORE_POINTS = 2048  # points of one scoring chunk, at most
_SCORE_FLOATS = 2**22  # activations of one scoring chunk, about 16 MB in float32


@dataclass(frozen=True, eq=False)
class Scores:
    """How n networks do on a task.

    Attributes:
        correct: int64 [n], points classified right.
        points: points there are.
        diverged: bool [n], some parameter or logit is not finite.
    """

    correct: npt.NDArray[np.int64]
    points: int
    diverged: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """float64 [n], share of the points classified right."""
        return self.correct / self.points

    @staticmethod
    def concat(parts: Sequence[Scores]) -> Scores:
        """The scores of several batches on one task, in order."""
        return Scores(
            np.concatenate([p.correct for p in parts]),
            parts[0].points,
            np.concatenate([p.diverged for p in parts]),
        )


def score(nets: NetBatch, task: Task, device: str | torch.device = "cpu") -> Scores:
    """Accuracy over ``task.x`` (the training points), in float32 by torch, in chunks.

    A logit above 0 is class 1; exactly 0, or NaN, is class 0. With several outputs the
    class is the first largest logit.
    """
    import torch

    if not len(nets):
        return Scores(np.zeros(0, np.int64), task.points, np.zeros(0, np.bool_))
    x, y = as_tensor(task.x, device), as_tensor(task.y, device)
    floats = _widest(nets, x[:1])
    points = max(1, min(_SCORE_POINTS, _SCORE_FLOATS // floats))
    chunk = max(1, _SCORE_FLOATS // (points * floats))
    with torch.no_grad():
        parts = [
            _score_chunk(nets[first : first + chunk].to_torch(device), x, y, points)
            for first in range(0, len(nets), chunk)
        ]
    return Scores.concat(parts)


def _widest(nets: NetBatch, x: torch.Tensor) -> int:
    """The floats that ``x`` [1, ...] takes in the widest layer of one network, at least 64.

    Layers are seen by what they would keep for a backward pass.
    """
    import torch

    one = nets[:1].to_torch(x.device)
    params = {name: a[0].detach().clone().requires_grad_() for name, a in one.params.items()}
    given = {a.untyped_storage().data_ptr() for a in (x, *params.values())}
    sizes = [64, *(int(a.shape[1]) for a in one.params.values() if a.ndim > 1)]

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in given:
            sizes.append(tensor.numel())
        # Detached: an operation that holds its own result would never be freed, nor its network.
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        evaluate(nets.network, params, {name: a[0] for name, a in one.state.items()}, x)
    return max(sizes)


def _score_chunk(nets: NetBatch, x: torch.Tensor, y: torch.Tensor, points: int) -> Scores:
    import torch

    forward = torch.func.vmap(lambda p, s, rows: evaluate(nets.network, p, s, rows), (0, 0, None))
    correct = torch.zeros(len(nets), dtype=torch.int64, device=x.device)
    finite = torch.ones(len(nets), dtype=torch.bool, device=x.device)
    for param in nets.params.values():
        finite &= torch.isfinite(param).reshape(len(param), -1).all(dim=1)
    for first in range(0, len(x), points):
        part = slice(first, first + points)
        logits = forward(nets.params, nets.state, x[part])
        finite &= torch.isfinite(logits).flatten(1).all(dim=1)
        guess = logits > 0 if logits.ndim == 2 else logits.argmax(dim=2)
        correct += (guess == y[part]).sum(dim=1)
    return Scores(correct.cpu().numpy(), len(x), (~finite).cpu().numpy())

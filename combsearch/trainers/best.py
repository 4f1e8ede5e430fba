"""Best-epoch checkpoints: every network as it was after the epoch with its best test accuracy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import Arrays, NetBatch, Network, as_tensor, score
from combsearch.tasks.base import Task

_KEPT = ("params", "masks", "state")


class BestEpoch:
    """An ``on_step`` of ``Trainer.fit`` that looks at all networks at the end of each epoch.

    What it keeps stays on the device of the trainer. It may be passed on from segment to
    segment of one run::

        best = BestEpoch(task, recipe)
        last = trainer.fit(nets, task, recipe, keys, on_step=best)
        best.nets(), best.accuracy, best.epoch

    Args:
        task: has a test set.
        recipe: tells where epochs end.

    Attributes:
        accuracy: float64 [net], the best share of test points classified right.
        epoch: int64 [net], from 0, the first in which it was that.
    """

    def __init__(self, task: Task, recipe: Recipe) -> None:
        if task.x_test is None or task.y_test is None:
            raise UsageError(
                f"task {task.name!r} has no test points, by which the best epoch is chosen;"
                " give it x_test and y_test"
            )
        self._test = Task(f"{task.name}, test", task.x_test, task.y_test, classes=task.classes)
        self._per_epoch = recipe.steps_per_epoch(task.points)
        self._network: Network | None = None
        self._kept: dict[str, Arrays] = {}
        self.accuracy: npt.NDArray[np.float64] = np.zeros(0)
        self.epoch: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def wants(self, step: int) -> bool:
        """Whether ``step`` ends an epoch; it does nothing after others."""
        return (step + 1) % self._per_epoch == 0

    def __call__(self, step: int, nets: NetBatch) -> None:
        """Score ``nets`` if ``step`` ends an epoch, and keep those that were never better."""
        if not self.wants(step):
            return
        device = next(iter(nets.params.values())).device
        found = score(nets, self._test, device).accuracy
        if self._network is None:
            self.accuracy, self.epoch = np.full(len(nets), -1.0), np.zeros(len(nets), np.int64)
            self._kept = {
                kind: {name: a.clone() for name, a in getattr(nets, kind).items()} for kind in _KEPT
            }
        self._network = nets.network
        better = np.flatnonzero(found > self.accuracy)
        self.accuracy[better], self.epoch[better] = found[better], step // self._per_epoch
        for kind, arrays in self._kept.items():
            for name, a in arrays.items():
                arrays[name] = a.to(device)  # where ``resume`` left it elsewhere
                index = as_tensor(better, device)
                arrays[name][index] = getattr(nets, kind)[name][index]

    def resume(
        self,
        nets: NetBatch,
        accuracy: npt.NDArray[np.float64],
        epoch: npt.NDArray[np.int64],
    ) -> None:
        """Go on from what another one kept, such as one of an interrupted process.

        Args:
            nets: its ``nets()``.
            accuracy: float64 [net], its ``accuracy``.
            epoch: int64 [net], its ``epoch``.
        """
        self._network = nets.network
        self._kept = {
            kind: {name: as_tensor(a).clone() for name, a in getattr(nets, kind).items()}
            for kind in _KEPT
        }
        self.accuracy, self.epoch = np.array(accuracy), np.array(epoch)

    def nets(self) -> NetBatch:
        """The networks after their best epochs, as numpy arrays, momenta 0.

        Raises:
            UsageError: no epoch has ended yet.
        """
        if self._network is None:
            raise UsageError("no epoch has ended yet, so that none is the best")
        kept = {
            kind: {name: a.cpu().numpy().copy() for name, a in self._kept[kind].items()}
            for kind in _KEPT
        }
        zeros = {name: np.zeros_like(a) for name, a in kept["params"].items()}
        return NetBatch(self._network, kept["params"], kept["masks"], zeros, kept["state"])

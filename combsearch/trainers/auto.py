"""The default trainer: compiled kernels where they can serve a request, else torch.func."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from combsearch.config import Recipe
from combsearch.nets import MLP, NetBatch, Scores
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Trainer, fused_obstacle


@dataclass(frozen=True)
class AutoTrainer:
    """Passes every request on to ``cuda`` where there is a GPU, ``fused``, or ``vmap``."""

    @property
    def name(self) -> str:
        """``"auto"``."""
        return "auto"

    def choose(
        self,
        nets: NetBatch,
        task: Task,
        on_step: OnStep | None = None,
        recipe: Recipe | Sequence[Recipe] = (),
    ) -> Trainer:
        """The trainer that serves such a request; recipes differ in rate and schedule at most."""
        # Imported here: numba and torch are slow to import, and one of them is enough.
        one = recipe if isinstance(recipe, Recipe) else next(iter(recipe), None)
        if fused_obstacle(nets, task, on_step, one) is None:
            from combsearch.kernels import cuda

            assert isinstance(nets.network, MLP)
            if cuda.no_gpu() is None and cuda.why_not(nets.network.shape.widths) is None:
                from combsearch.trainers.cuda import CudaTrainer

                return CudaTrainer()
            from combsearch.trainers.fused import FusedTrainer

            return FusedTrainer()
        from combsearch.trainers.vmap import VmapTrainer

        return VmapTrainer()

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``."""
        trainer = self.choose(nets, task, on_step, recipe)
        return trainer.fit(nets, task, recipe, keys, steps, on_step)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``."""
        return self.choose(nets, task).score(nets, task)

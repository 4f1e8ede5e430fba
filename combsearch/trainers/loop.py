"""The slow oracle: eager PyTorch, one network at a time, one optimiser step after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import Arrays, NetBatch, Network, Scores, as_tensor, mean_loss, score
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import (
    ALL_STEPS,
    OnStep,
    Plan,
    check_replacement,
    plan_fit,
    wanted_steps,
)
from combsearch.trainers.flat import Layout, Minibatches
from combsearch.trainers.updates import adam_of, updated

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class LoopTrainer:
    """Trains networks one by one; every other trainer is tested against it.

    Attributes:
        dtype: ``float32``, or ``float64`` as the yardstick of rounding errors (the
            networks returned are then float64 too).
    """

    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise UsageError(f"dtype {self.dtype!r} is not one of {', '.join(_DTYPES)}")

    @property
    def name(self) -> str:
        """``"loop"``."""
        return "loop"

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; with ``on_step`` every network comes to its step before the next."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        dtype = _DTYPES[self.dtype]
        batches = Minibatches(task, plan, _CPU, dtype)
        runs = _runs(nets, plan.recipe, dtype)
        done = plan.start
        if on_step is not None:
            for step in wanted_steps(on_step, plan.start, plan.stop):
                _train(runs, range(done, step + 1), plan, batches)
                done = step + 1
                changed = on_step(step, _gather(nets, runs))
                if changed is not None:
                    runs = _runs(check_replacement(changed, nets), plan.recipe, dtype)
        _train(runs, range(done, plan.stop), plan, batches)
        return _gather(nets, runs).numpy()

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``nets.score``."""
        return score(nets, task)


class _Run:
    """One network in training: parameters, momenta and mask as flat vectors [P]."""

    def __init__(
        self,
        index: int,
        network: Network,
        layout: Layout,
        flat: torch.Tensor,
        state: Arrays,
        adam: Arrays,
    ) -> None:
        self.index, self.network, self.layout = index, network, layout
        self.state, self.adam = state, adam
        self.w, self.v, self.m = flat

    def take(self, step: int, plan: Plan, batches: Minibatches) -> None:
        """One optimiser step."""
        x, y = batches(step, int(plan.blocks[self.index]), np.array([self.index]))
        if batches.own:
            x = x[0]
        w = self.w.requires_grad_()
        with torch.enable_grad():
            logits, state = self.network.apply(self.layout.unpack(w), self.state, x)
            (g,) = torch.autograd.grad(mean_loss(logits, y), w)
        self.state = {**self.state, **{name: a.detach() for name, a in state.items()}}
        rate = float(plan.rates[self.index, step // plan.steps_per_epoch])
        with torch.no_grad():
            w, self.v, self.adam = updated(plan.recipe, rate, w, self.v, self.adam, g)
            self.w = torch.where(self.m != 0, w, 0.0)


def _train(runs: Sequence[_Run], steps: range, plan: Plan, batches: Minibatches) -> None:
    """One run after another takes all of ``steps``."""
    for run in runs:
        for step in steps:
            run.take(step, plan, batches)


def _runs(nets: NetBatch, recipe: Recipe, dtype: torch.dtype) -> list[_Run]:
    layout = Layout.of(nets)
    kinds = (nets.params, nets.momenta, nets.masks)
    flat = torch.stack([layout.pack(kind, _CPU, dtype) for kind in kinds], dim=1)
    states = {name: as_tensor(a).clone() for name, a in nets.state.items()}
    adam = adam_of(nets, recipe, layout.size, _CPU, dtype)
    return [
        _Run(i, nets.network, layout, flat[i], _at(states, i), _at(adam, i))
        for i in range(len(nets))
    ]


def _at(arrays: Arrays, index: int) -> Arrays:
    return {name: a[index] for name, a in arrays.items()}


def _gather(nets: NetBatch, runs: Sequence[_Run]) -> NetBatch:
    """The runs' networks as one batch of tensors."""
    w, m, v = (
        runs[0].layout.unpack(torch.stack([getattr(run, kind).detach() for run in runs]))
        for kind in ("w", "m", "v")
    )
    state, adam = _stacked([run.state for run in runs]), _stacked([run.adam for run in runs])
    return NetBatch(nets.network, w, m, v, state, adam)


def _stacked(runs: Sequence[Arrays]) -> Arrays:
    return {name: torch.stack([run[name] for run in runs]) for name in runs[0]}

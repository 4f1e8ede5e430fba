"""What every trainer does, and the pieces that they share.

A trainer takes state and returns state over a range of optimiser steps, so pruning during
training is a loop of (train a segment, change masks). Step s, from 0, is batch
``s % steps_per_epoch`` of epoch ``s // steps_per_epoch``; batch i of an epoch is rows
``order[i * batch_size : (i + 1) * batch_size]`` of ``epoch_order``. One step, for
parameters w, momenta v, mask m, rate r, momentum u and weight decay d::

    g = gradient of the mean loss over the batch     (of the masked network; not masked)
    g = g * min(1, clip / (norm of g + 1e-6))        (where the recipe clips)
    g = g + d * w
    v = u * v + g                                    (not masked)
    w = w - r * v where m is 1, else 0               (with Nesterov g + u * v instead of v)

as ``torch.optim.SGD`` without dampening, followed by the mask (chosen, not multiplied, so that
a masked parameter is 0 even in a network that has diverged). Where the task is augmented, the
images of a batch are moved first, as ``trainers.moving`` says. Adam, with s the mean square and
t the steps that the network has taken by it, this one included::

    v = u * v + (1 - u) * g;    s = 0.999 * s + 0.001 * g * g
    w = w - r * (v / (1 - u^t)) / (sqrt(s / (1 - 0.999^t)) + 1e-8) where m is 1, else 0
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, Scores
from combsearch.rng import U32, RunKeys, epoch_order
from combsearch.tasks.base import Task

OnStep = Callable[[int, NetBatch], NetBatch | None]
"""Called with the step just taken and all networks; may return what to go on with.

It may have a method ``wants(step) -> bool``: then it is called after those steps only, and
networks need not be gathered for it after the others.
"""

ALL_STEPS = slice(None)
FUSED_HIDDEN, FUSED_INPUTS = 5, 16  # hidden layers and inputs that the fused kernels take


class Trainer(Protocol):
    """A backend that trains batches of networks."""

    @property
    def name(self) -> str:
        """What ``get_trainer`` knows it by."""
        ...

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """Train ``nets`` over ``steps``.

        Args:
            nets: n networks; left as they are.
            task: what to learn.
            recipe: one for all, or one a network; these may differ in rate and schedule.
            keys: n run keys, which fix the minibatches.
            steps: a slice of 0 .. total steps, with start and stop only.
            on_step: called after every step, or those that it wants, with the step and the
                networks (torch tensors not to be written to); what it returns, unless None,
                replaces them.

        Returns:
            The networks after ``steps``, as numpy arrays.
        """
        ...

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """Accuracy of ``nets`` over the training points."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """The checked arguments of one ``fit``.

    Attributes:
        recipe: what all networks share (its rate and schedule are those of the first).
        rates: float64 [net, epoch], learning rates.
        blocks: int64 [net], blocks of restarts.
        seed: run seed.
        copies: uint32 [net, 2], the Philox key of each run.
        points: points of the task.
        start, stop: steps to take, half open.
    """

    recipe: Recipe
    rates: npt.NDArray[np.float64]
    blocks: npt.NDArray[np.int64]
    seed: int
    copies: U32
    points: int
    start: int
    stop: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return self.recipe.steps_per_epoch(self.points)

    def batch(self, step: int, block: int) -> npt.NDArray[np.int32]:
        """The rows of the minibatch of ``step``: int32 [batch_size]."""
        return minibatch(self.recipe, self.points, step, self.seed, block)


def plan_fit(
    nets: NetBatch, task: Task, recipe: Recipe | Sequence[Recipe], keys: RunKeys, steps: slice
) -> Plan:
    """Check the arguments of ``Trainer.fit``.

    Raises:
        UsageError: naming what does not fit.
    """
    recipes = [recipe] if isinstance(recipe, Recipe) else list(recipe)
    if len(recipes) == 1:
        recipes *= len(nets)
    if not len(nets) == len(keys) == len(recipes):
        raise UsageError(
            f"{len(nets)} networks, {len(keys)} run keys and {len(recipes)} recipes:"
            " there must be one key a network, and one recipe for all or one a network"
        )
    if not recipes:
        raise UsageError("there are no networks to train")
    shared = recipes[0]
    different = {id(recipe): recipe for recipe in recipes}  # thousands are one object
    for other in different.values():
        if dataclasses.replace(other, lr=shared.lr, schedule=shared.schedule) != shared:
            raise UsageError(
                "recipes trained side by side may differ in lr and schedule only:"
                f" {shared}, {other}"
            )
    if isinstance(nets.network, MLP):
        _check_fit(nets.network.shape, task)
    if shared.steps_per_epoch(task.points) == 0:
        raise UsageError(
            f"batch_size {shared.batch_size} is more than the {task.points} points of {task.name!r}"
        )
    start, stop = step_range(steps, shared.total_steps(task.points))
    place = {name: row for row, name in enumerate(different)}
    known = np.array([recipe.rates() for recipe in different.values()], np.float64)
    rates = known[[place[id(recipe)] for recipe in recipes]]
    blocks, copies = keys.blocks(), keys.philox_keys()
    return Plan(shared, rates, blocks, keys.seed, copies, task.points, start, stop)


def _check_fit(shape: NetShape, task: Task) -> None:
    outputs = 1 if task.classes == 2 else task.classes
    if shape.inputs != task.inputs:
        raise UsageError(f"shape {shape.to_json()}: task {task.name!r} has {task.inputs} inputs")
    if shape.outputs not in (outputs, task.classes):
        raise UsageError(
            f"shape {shape.to_json()}: task {task.name!r} has {task.classes} classes,"
            f" so a network needs {outputs} output{'s' * (outputs > 1)}"
        )


def step_range(steps: slice, total: int) -> tuple[int, int]:
    """(start, stop) of a slice of ``total`` steps; stop is at least start."""
    if steps.step not in (None, 1):
        raise UsageError(f"steps {steps} skips steps; only start and stop may be given")
    start = 0 if steps.start is None else steps.start
    stop = total if steps.stop is None else steps.stop
    if not 0 <= start <= stop <= total:
        raise UsageError(f"steps {start}..{stop} are not within the {total} steps of the recipe")
    return start, stop


def minibatch(
    recipe: Recipe, points: int, step: int, seed: int, block: int
) -> npt.NDArray[np.int32]:
    """The rows of ``task.x`` that step ``step`` trains on: int32 [batch_size]."""
    epoch, place = divmod(step, recipe.steps_per_epoch(points))
    order = epoch_orders(seed, block, epoch, points)
    return order[place * recipe.batch_size : (place + 1) * recipe.batch_size]


@lru_cache(maxsize=64)
def epoch_orders(seed: int, block: int, epoch: int, points: int) -> npt.NDArray[np.int32]:
    """``rng.epoch_order``, the last few kept; read-only."""
    order = epoch_order(seed, block, epoch, points)
    order.flags.writeable = False
    return order


def fused_obstacle(
    nets: NetBatch, task: Task, on_step: OnStep | None, recipe: Recipe | None = None
) -> str | None:
    """Why the compiled trainers cannot serve a request, or None when they can."""
    if on_step is not None:
        return "it runs all steps in one call and cannot call on_step"
    if task.augmentation is not None:
        return "it trains on points as they are, without augmentation"
    if recipe is not None and (rule := _other_rule(recipe)):
        return f"it trains by SGD with plain momentum, without {rule}"
    return _shape_obstacle(nets, task)


def _shape_obstacle(nets: NetBatch, task: Task) -> str | None:
    if not isinstance(nets.network, MLP):
        return f"it trains the MLP only, not a {type(nets.network).__name__}"
    shape = nets.network.shape
    if shape.outputs > 1 or task.classes > 2:
        return f"it has one output for two classes, not {shape.outputs} for {task.classes}"
    if len(shape.hidden) > FUSED_HIDDEN:
        return f"it takes 1 to {FUSED_HIDDEN} hidden layers, not {len(shape.hidden)}"
    if shape.inputs > FUSED_INPUTS:
        return f"it takes up to {FUSED_INPUTS} inputs, not {shape.inputs}"
    return None


def _other_rule(recipe: Recipe) -> str | None:
    """What ``recipe`` asks for beyond SGD with momentum and weight decay."""
    if recipe.optimizer != "sgd":
        return f"optimizer {recipe.optimizer!r}"
    if recipe.nesterov:
        return "nesterov"
    return f"clip {recipe.clip:g}" if recipe.clip else None


def wanted_steps(on_step: OnStep, start: int, stop: int) -> Iterator[int]:
    """The steps of start .. stop - 1 after which ``on_step`` is called.

    Each is asked for when the one before has been seen to, which may decide it.
    """
    wants: Callable[[int], bool] | None = getattr(on_step, "wants", None)
    return (step for step in range(start, stop) if wants is None or wants(step))


def check_replacement(changed: NetBatch, nets: NetBatch) -> NetBatch:
    """``changed`` if ``on_step`` may return it in place of ``nets``."""
    if len(changed) != len(nets) or changed.network != nets.network:
        raise UsageError(
            f"on_step returned {len(changed)} networks {changed.network},"
            f" it must return the {len(nets)} networks {nets.network} that it was given"
        )
    return changed

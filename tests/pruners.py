"""What the tests of pruners share: dense networks, budgets and the batches that they draw."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from training import make_task

from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.pruning import Budget
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer

TASK = make_task(points=400)
RATES = (0.05, 0.1)
RECIPE = Recipe(epochs=4, batch_size=40)  # 40 steps
SHORT = 1  # epoch, of 10 steps: for methods that train again and again


def dense(
    shape: str = "6,5,4", budgets: tuple[int, ...] = (9, 20, 40), restarts: int = 2,
    epochs: int = RECIPE.epochs,
) -> tuple[NetBatch, Any]:  # fmt: skip
    """Dense networks of budgets x rates x restarts, and a maker of fresh budgets for them."""
    wide = NetShape.parse(shape)
    rows = [(k, lr, r) for k in budgets for lr in RATES for r in range(restarts)]
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    recipes = tuple(recipe.with_cell(f"{lr}:cosine") for _, lr, _ in rows)
    # Restarts 0 and 17 are of different blocks, so that their minibatches differ.
    keys = RunKeys.make(
        3, np.repeat(MaskBatch.dense_of(wide).keys(), len(rows)),
        [recipe.cell for recipe in recipes], [17 * r for *_, r in rows],
    )  # fmt: skip
    nets = NetBatch.create(MLP(wide), keys)

    def budget(compat: str = "exact", task: Task = TASK, **changes: Any) -> Budget:
        goal = np.array([k for k, *_ in rows], np.int64)
        return Budget(goal, task, recipes, keys, get_trainer("vmap"), compat, **changes)

    return nets, budget


def one(nets: NetBatch, index: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Weights and biases of one network as torch tensors."""
    layers = range(len(nets.params) // 2)
    weights = [torch.tensor(nets.params[f"weight{layer}"][index]) for layer in layers]
    return weights, [torch.tensor(nets.params[f"bias{layer}"][index]) for layer in layers]


def batch(budget: Budget, step: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The minibatch of a step that one network sees."""
    x, y = budget.minibatch(step)
    return torch.tensor(x[index]), torch.tensor(y[index].astype(np.float32))

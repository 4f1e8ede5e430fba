"""One network and its points as plain arrays, checked, for ``initial_mask``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.pruning import Budget, as_budgets
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task


def one_mlp(weights: Sequence[npt.NDArray[Any]], biases: Sequence[npt.NDArray[Any]]) -> NetBatch:
    """One dense network of weights [out, in] and biases [out], a layer each; they are copied.

    Raises:
        UsageError: they are not those of an MLP with one output.
    """
    shapes, lengths = [np.shape(w) for w in weights], [np.shape(b) for b in biases]
    _check_layers(shapes, lengths)
    params = {}
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        params[f"weight{layer}"] = np.asarray(weight, np.float32)[None].copy()
        params[f"bias{layer}"] = np.asarray(bias, np.float32)[None].copy()
    network = MLP(NetShape((int(shapes[0][1]), *(int(s[0]) for s in shapes))))
    ones = {name: np.ones_like(p) for name, p in params.items()}
    return NetBatch(network, params, ones, {name: np.zeros_like(p) for name, p in params.items()})


def given_budget(
    nets: NetBatch,
    points: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    batch_index: npt.NDArray[Any],
    budget: int,
    compat: str,
) -> Budget:
    """The budget of one network, whose minibatches are those of ``batch_index``.

    Args:
        nets: the network.
        points: x [point, in] and y [point], classes 0 and 1.
        batch_index: rows of x, [batch, point].
        budget: weights to keep.
        compat: ``exact`` or ``paper``.

    Raises:
        UsageError: naming what does not fit.
    """
    from combsearch.trainers import get_trainer

    task = _task(*points, nets.params["weight0"].shape[2])
    index = _batches(batch_index, task.points)
    recipe = Recipe(lr=0.1, momentum=0.9, batch_size=index.shape[1])
    keys = RunKeys.make(0, [0], [recipe.cell], [0])
    return Budget(
        as_budgets([_whole(budget)], nets), task, (recipe,), keys, get_trainer("auto"), compat,
        batch_index=index,
    )  # fmt: skip


def _check_layers(shapes: list[tuple[int, ...]], lengths: list[tuple[int, ...]]) -> None:
    if not shapes:
        raise UsageError("weights is empty, it must hold an array [out, in] a layer")
    flat = all(len(shape) == 2 for shape in shapes)
    if (
        not flat
        or any(a[0] != b[1] for a, b in itertools.pairwise(shapes))
        or [shape[:1] for shape in shapes] != lengths
    ):
        raise UsageError(
            f"weights {shapes} and biases {lengths} are not those of an MLP: [out, in] and [out]"
            " a layer, each layer as wide as the one before it is long"
        )
    if shapes[-1][0] != 1:
        raise UsageError(
            f"the last weights are {shapes[-1]}, a network of {shapes[-1][0]} outputs: it must"
            " have one, for classes 0 and 1"
        )


def _task(x: npt.NDArray[Any], y: npt.NDArray[Any], inputs: int) -> Task:
    x, y = np.asarray(x, np.float32), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise UsageError(f"x has shape {x.shape}, of a first layer of {inputs} inputs it must be"
                         f" [point, {inputs}]")  # fmt: skip
    if y.shape != (len(x),):
        raise UsageError(f"y has shape {y.shape}, for {len(x)} points it must be ({len(x)},)")
    other = y[(y != 0) & (y != 1)]
    if len(other):
        raise UsageError(f"y holds {other[0]}, classes are 0 and 1")
    return Task("given", x, y.astype(np.uint8))


def _batches(batch_index: npt.NDArray[Any], points: int) -> npt.NDArray[np.int64]:
    index = np.asarray(batch_index)
    if index.ndim != 2 or not index.size or index.dtype.kind not in "iu":
        raise UsageError(
            f"batch_index has shape {index.shape} and type {index.dtype}, it must be [batch, point]"
            " of whole numbers"
        )
    wrong = index[(index < 0) | (index >= points)]
    if len(wrong):
        raise UsageError(f"batch_index holds {wrong[0]}, rows of x are 0 to {points - 1}")
    return index.astype(np.int64)


def _whole(budget: Any) -> int:
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)):
        raise UsageError(f"budget {budget!r} is not a whole number of weights")
    return int(budget)

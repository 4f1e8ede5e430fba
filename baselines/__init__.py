"""Pruning algorithms, one a file; installed as ``combsearch.baselines``.

A method is a class with ``prune(nets, budget)`` (see ``combsearch.pruning``) and a line of
``METHODS``; that line brings it into the sweep, the comparison and the contract tests.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.pruning import Budget, Pruner, as_budgets
from combsearch.registry import import_object, lookup
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task

__all__ = ["AT_INITIALISATION", "METHODS", "get_pruner", "initial_mask"]

# Name -> where it is; a method is imported when it is asked for.
METHODS = {
    "gmp": "combsearch.baselines.gmp:Gmp",
    "lth": "combsearch.baselines.lth:Lth",
    "snip": "combsearch.baselines.snip:Snip",
    "grasp": "combsearch.baselines.grasp:Grasp",
    "iter_snip": "combsearch.baselines.iter_snip:IterSnip",
    "force": "combsearch.baselines.force:Force",
    "synflow": "combsearch.baselines.synflow:SynFlow",
    "prospr": "combsearch.baselines.prospr:ProsPr",
    "rigl": "combsearch.baselines.rigl:RigL",
    "magnitude": "combsearch.baselines.magnitude:Magnitude",
    "random_uniform": "combsearch.baselines.random_mask:uniform_mask",
    "random_epl": "combsearch.baselines.random_mask:epl_mask",
    "random_epf": "combsearch.baselines.random_mask:epf_mask",
    "random_erk": "combsearch.baselines.random_mask:erk_mask",
}

AT_INITIALISATION = ("snip", "grasp", "iter_snip", "force", "synflow", "prospr", "magnitude")
"""Methods that choose a mask by the initial weights, which ``initial_mask`` serves."""


def get_pruner(name: str, **options: Any) -> Pruner:
    """The method called ``name``, or the user's own ``pkg.module:Name``.

    Args:
        name: a key of ``METHODS``, or what to import.
        options: fields of its class, such as ``steps=60`` of ``force``.

    Raises:
        UsageError: there is no such method, it has no ``prune``, or no such option.
    """
    make = import_object("pruner", name) if ":" in name else _known(name)
    if not callable(make):
        raise UsageError(f"pruner {name!r} is {make!r}, it must be a class")
    try:
        found = make(**options)
    except TypeError as error:
        raise UsageError(f"pruner {name!r} does not take {sorted(options)}: {error}") from error
    if not callable(getattr(found, "prune", None)):
        raise UsageError(f"pruner {name!r} has no method prune(nets, budget)")
    return cast(Pruner, found)


def _known(name: str) -> object:
    module, _, attribute = lookup("method", name, METHODS).partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    return found


def initial_mask(
    method: str,
    weights: Sequence[npt.NDArray[np.float32]],
    biases: Sequence[npt.NDArray[np.float32]],
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.integer],
    batch_index: npt.NDArray[np.integer],
    budget: int,
    compat: str = "exact",
) -> list[npt.NDArray[np.uint8]]:
    """The masks that a method makes for given initial weights.

    Args:
        method: one of ``AT_INITIALISATION``.
        weights: of each layer, [out, in], as ``nn.Linear`` has them.
        biases: of each layer, [out].
        x, y: points [point, in] and classes 0 and 1 [point].
        batch_index: rows of ``x``, [batch, point]. Methods that score one minibatch at a
            time take the first for every draw; GraSP walks through them for its samples;
            ProsPr trains on the first three (rate 0.1, momentum 0.9) and scores the fourth.
        budget: weights to keep.
        compat: ``exact`` or ``paper`` (the authors' code, without its new initial weights).

    Returns:
        A 0/1 array [out, in] a layer. On collapse they are what the method made of it.

    Raises:
        UsageError: unknown method, arrays that do not fit, or an impossible budget.
    """
    where = {name: METHODS[name] for name in AT_INITIALISATION}
    lookup("method", method, where)
    nets = _one_mlp(weights, biases)
    index = np.asarray(batch_index, np.int64)
    if index.ndim != 2 or not index.size:
        raise UsageError(f"batch_index has shape {index.shape}, it must be [batch, point]")
    found = get_pruner(method).prune(nets, _given(nets, x, y, index, budget, compat))
    return [found.masks[name][0].astype(np.uint8) for name in nets.network.prunable]


def _one_mlp(
    weights: Sequence[npt.NDArray[np.float32]], biases: Sequence[npt.NDArray[np.float32]]
) -> NetBatch:
    shapes = [np.shape(w) for w in weights]
    chained = all(a[0] == b[1] for a, b in itertools.pairwise(shapes) if len(b) > 1)
    if not chained or [s[:1] for s in shapes] != [np.shape(b) for b in biases]:
        raise UsageError(
            f"weights {shapes} and biases {[np.shape(b) for b in biases]} are not those of an"
            " MLP: [out, in] and [out] a layer, each layer as wide as the one before it is long"
        )
    params = {}
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        params[f"weight{layer}"] = np.asarray(weight, np.float32)[None].copy()
        params[f"bias{layer}"] = np.asarray(bias, np.float32)[None].copy()
    network = MLP(NetShape((int(shapes[0][1]), *(int(s[0]) for s in shapes))))
    ones = {name: np.ones_like(p) for name, p in params.items()}
    return NetBatch(network, params, ones, {name: np.zeros_like(p) for name, p in params.items()})


def _given(
    nets: NetBatch,
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.integer],
    batch_index: npt.NDArray[np.int64],
    budget: int,
    compat: str,
) -> Budget:
    from combsearch.trainers import get_trainer

    task = Task("given", np.asarray(x, np.float32), np.asarray(y, np.uint8))
    recipe = Recipe(lr=0.1, momentum=0.9, batch_size=batch_index.shape[1])
    keys = RunKeys.make(0, [0], [recipe.cell], [0])
    return Budget(
        as_budgets([budget], nets), task, (recipe,), keys, get_trainer("auto"), compat,
        batch_index=batch_index,
    )  # fmt: skip

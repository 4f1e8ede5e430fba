"""Pruning algorithms, one a file; installed as ``combsearch.baselines``.

A method is a class with ``prune(nets, budget)`` (see ``combsearch.pruning``) and a line of
``METHODS``; that line brings it into the sweep, the comparison and the contract tests.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from combsearch.baselines.given import given_budget, one_mlp
from combsearch.errors import UsageError
from combsearch.pruning import Pruner
from combsearch.registry import USERS_FAULT, fault_text, import_object, lookup

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
    "sap": "combsearch.baselines.sap:Sap",
    "sap_layer": "combsearch.baselines.sap:sap_by_layer",
    "sap_neuron": "combsearch.baselines.sap:sap_by_neuron",
    "lt": "combsearch.baselines.lt:LotteryTicket",
    "lt_layer": "combsearch.baselines.lt:lt_by_layer",
    "lt_neuron": "combsearch.baselines.lt:lt_by_neuron",
    "one_shot": "combsearch.baselines.one_shot:OneShot",
    "one_shot_layer": "combsearch.baselines.one_shot:one_shot_by_layer",
    "one_shot_neuron": "combsearch.baselines.one_shot:one_shot_by_neuron",
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
        UsageError: there is no such method, it has no ``prune`` or no such option, or a
            user's own cannot be made.
    """
    make = import_object("pruner", name) if ":" in name else _known(name)
    if not callable(make):
        raise UsageError(f"pruner {name!r} is {make!r}, it must be a class")
    try:
        found = make(**options)
    except USERS_FAULT as error:
        lacks = "does not take" if isinstance(error, TypeError) else "cannot be made with"
        how = f"{lacks} {sorted(options)}" if options else "cannot be made without arguments"
        raise UsageError(f"pruner {name!r} {how}: {fault_text(error)}") from error
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
        UsageError: unknown method, arrays that do not fit, or an impossible budget; the
            message names the bad value.
    """
    where = {name: METHODS[name] for name in AT_INITIALISATION}
    lookup("method", method, where)
    nets = one_mlp(weights, biases)
    found = get_pruner(method).prune(nets, given_budget(nets, (x, y), batch_index, budget, compat))
    return [found.masks[name][0].astype(np.uint8) for name in nets.network.prunable]

"""Pruning in rounds down to a budget: what SAP, the lottery ticket and one-shot share.

A round trains, prunes the smallest magnitudes and sets what stays back to its initial values
("Pruning Deep Neural Networks from a Sparsity Perspective", ICLR 2023, its algorithm; rounds
as arrays are ``combsearch.sparsity.rounds``). The paper stops after a number of rounds; here a
network stops at its budget, the last round cut so that it is met exactly, and ``exact`` and
``paper`` mode are one: no authors' thresholds are known for these methods at a budget.
"""

from __future__ import annotations

import numpy as np

from combsearch.nets import NetBatch
from combsearch.pruning import (
    Bits,
    Budget,
    Integers,
    flatten,
    masked,
    note_collapse,
    unflatten,
)
from combsearch.sparsity.rounds import prune_round
from combsearch.sparsity.rules import Rule


def in_rounds(nets: NetBatch, budget: Budget, rule: Rule, scope: str) -> NetBatch:
    """``nets`` trained before every round, each until its budget is met, and once after it.

    Every training starts from what ``nets`` are: its weights and momenta, masked.
    """
    kept = flatten(nets, nets.masks) != 0
    while len(over := above_budget(kept, budget)):
        trained = budget.fit_some(masked(nets[over], kept[over]), over)
        note_collapse(flatten(trained, trained.params), budget, over)
        kept[over] = next_round(trained, kept[over], budget.weight_nonzeros[over], rule, scope)
    return budget.fit(masked(nets, kept))


def next_round(trained: NetBatch, kept: Bits, goal: Integers, rule: Rule, scope: str) -> Bits:
    """bool [net, weight]: what a round by the weights of ``trained`` leaves of ``kept``.

    Args:
        trained: n networks.
        kept: bool [net, weight].
        goal: int [net], weights below which no network goes.
        rule: how many weights go.
        scope: of which vectors of them.
    """
    names = trained.network.prunable
    masks = unflatten(trained, kept)
    return flatten(trained, prune_round(trained.params, masks, names, rule, scope, goal))


def above_budget(kept: Bits, budget: Budget) -> Integers:
    """Numbers of the networks that keep more than their budget."""
    return np.flatnonzero(kept.sum(axis=1) > budget.weight_nonzeros)

"""SAP, the lottery ticket in rounds and one-shot, beside loops over one network at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive_sap as naive
import numpy as np
import numpy.typing as npt
import pytest
from pruners import SHORT, TASK, dense
from training import assert_same

from combsearch.baselines import METHODS, get_pruner
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.prune_config import NINE, RANDOM
from combsearch.pruning import Budget, flatten, rewound
from combsearch.sparsity.rounds import SCOPES
from combsearch.sparsity.rules import SapRule, ShareRule
from combsearch.trainers.base import ALL_STEPS, OnStep, Trainer

FAMILIES = ("sap", "lt", "one_shot")
EVERY = [f"{name}{end}" for name in FAMILIES for end in ("", "_layer", "_neuron")]
WEIGHTS = 5 * 2 + 4 * 5 + 4
STEPS = 10  # of a training; of 40 samples each


def scope_of(method: str) -> str:
    return next((scope for scope in SCOPES if method.endswith(scope)), "global")


def small(budgets: tuple[int, ...] = (9, 20), restarts: int = 1) -> tuple[NetBatch, Any]:
    return dense("5,4", budgets, restarts, SHORT)


def test_the_table_has_every_family_and_scope() -> None:
    assert set(EVERY) <= set(METHODS) and not set(EVERY) & {*NINE, *RANDOM}
    for method in EVERY:
        family = method.removesuffix(f"_{scope_of(method)}")
        assert get_pruner(method) == get_pruner(family, scope=scope_of(method))
    assert get_pruner("sap", rule=SapRule(p=1, q=2)) != get_pruner("sap")
    with pytest.raises(UsageError, match="unknown scope 'neurons', did you mean 'neuron'"):
        get_pruner("lt", scope="neurons")


def plain(method: str, nets: NetBatch, budget: Budget, i: int) -> NetBatch:
    """Network ``i`` alone as ``method`` leaves it, trained."""
    count = naive.sap_count() if method.startswith("sap") else naive.share_count()
    alone = Budget(
        budget.weight_nonzeros[i : i + 1], TASK, budget.recipes[i : i + 1],
        budget.keys[i : i + 1], budget.trainer,
    )  # fmt: skip
    start = nets[i : i + 1]
    goal, found, trained = int(alone.weight_nonzeros[0]), start, None
    names = start.network.prunable
    while flatten(found, found.masks).sum() > goal:
        if trained is None or not method.startswith("one_shot"):
            trained = alone.trainer.fit(found, TASK, alone.recipes, alone.keys)
        weights = {name: trained.params[name][0] for name in names}
        masks = {name: found.masks[name][0] for name in names}
        masks = naive.prune_round(weights, masks, count, scope_of(method), goal)
        found = with_masks(start, masks)
    return alone.trainer.fit(found, TASK, alone.recipes, alone.keys)


def with_masks(start: NetBatch, masks: dict[str, npt.NDArray[np.bool_]]) -> NetBatch:
    """``start`` with these masks of its weights, and biases where weights lead on."""
    new = dict(start.masks) | {name: m[None].astype(np.float32) for name, m in masks.items()}
    for layer in range(1, len(masks)):
        leads_on = np.asarray(masks[f"weight{layer}"].any(axis=0))
        new[f"bias{layer - 1}"] = leads_on[None].astype(np.float32)
    return rewound(dataclasses.replace(start, masks=new), start)


@pytest.mark.parametrize("method", EVERY)
def test_a_method_is_a_loop_of_training_and_rounds(method: str) -> None:
    nets, budget = small(budgets=(9, 20, WEIGHTS))
    given = budget()
    found = get_pruner(method).prune(nets, given)
    for i in (0, 3, 5):
        want = plain(method, nets, given, i)
        for name in nets.params:
            np.testing.assert_array_equal(found.masks[name][i], want.masks[name][0])
            np.testing.assert_allclose(found.params[name][i], want.params[name][0], atol=1e-5)


class Spy:
    """A trainer that remembers what it was given."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.name, self.score = trainer, trainer.name, trainer.score
        self.seen: list[NetBatch] = []
        self.rates: list[list[float]] = []

    def fit(
        self, nets: NetBatch, task: Any, recipe: Any, keys: Any, steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:  # fmt: skip
        self.seen.append(nets)
        self.rates.append([one.lr for one in recipe])
        assert len(recipe) == len(keys) == len(nets) and (steps.start, steps.stop) == (0, STEPS)
        return self.trainer.fit(nets, task, recipe, keys, steps)


def watched(method: str, budgets: tuple[int, ...]) -> tuple[Spy, NetBatch, Budget]:
    nets, budget = small(budgets)
    given = budget()
    spy = Spy(given.trainer)
    mine = Budget(given.weight_nonzeros, TASK, given.recipes, given.keys, spy)
    get_pruner(method).prune(nets, mine)
    return spy, nets, mine


@pytest.mark.parametrize("method", EVERY)
def test_every_training_starts_from_initial_weights_and_is_counted(method: str) -> None:
    spy, nets, given = watched(method, (9, 20, WEIGHTS))
    last = spy.seen[-1]
    assert len(last) == 6
    kept = flatten(last, last.masks).sum(axis=1)
    np.testing.assert_array_equal(kept, given.weight_nonzeros)
    for name, start in nets.params.items():
        np.testing.assert_array_equal(last.params[name], np.where(last.masks[name], start, 0))
        assert not last.momenta[name].any()
    samples = STEPS * 40.0
    spent = sum(m.reshape(len(s), -1).sum() for s in spy.seen for m in s.masks.values())
    assert given.spent.flops.sum() == spent * samples
    # Networks whose budget is all of their weights are trained once.
    whole = sum(p[0].size for p in nets.params.values())
    np.testing.assert_array_equal(given.spent.flops[4:], [whole * samples] * 2)
    assert given.spent.position == given.total_steps


def test_the_share_is_of_what_is_left() -> None:
    spy, _, _ = watched("lt", (9,))
    left = [int(flatten(seen, seen.masks)[0].sum()) for seen in spy.seen]
    assert left == [34, 28, 23, 19, 16, 13, 11, 9]  # floor(0.2 d) go, the last round is cut


def test_networks_that_are_done_wait_for_the_rest() -> None:
    spy, _, _ = watched("lt", (9, 28))
    assert [len(seen) for seen in spy.seen] == [4, 2, 2, 2, 2, 2, 2, 4]
    assert spy.rates[0] == spy.rates[-1] == [0.05, 0.1] * 2 and spy.rates[1] == [0.05, 0.1]


def test_one_shot_trains_twice() -> None:
    spy, nets, _ = watched("one_shot", (9, WEIGHTS))
    assert [len(seen) for seen in spy.seen] == [2, 4]
    first = spy.seen[0]
    assert_same(first, nets[np.array([0, 1])])
    trained = spy.trainer.fit(first, TASK, small((9,))[1]().recipes, small((9,))[1]().keys)
    sizes = np.abs(flatten(trained, trained.params))
    kept = flatten(spy.seen[1], spy.seen[1].masks)[:2] != 0
    for size, bits in zip(sizes, kept, strict=True):
        assert size[bits].min() >= size[~bits].max() and bits.sum() == 9


def test_where_a_rule_prunes_nothing_the_rest_goes_at_once() -> None:
    """Of rows of 5 entries and fewer, 0.2 leaves the first four of each: 28, then straight to 9."""
    spy, _, _ = watched("lt_neuron", (9,))
    rows = [seen.masks["weight1"][0].sum(axis=1).tolist() for seen in spy.seen]
    assert rows[0] == [5] * 4 and rows[1] == [4] * 4 and len(rows) == 3
    assert [int(flatten(seen, seen.masks)[0].sum()) for seen in spy.seen] == [34, 30, 9]


def test_sap_prunes_what_the_rule_says() -> None:
    nets, budget = small((4,))
    found = get_pruner("sap", rule=SapRule(gamma=50)).prune(nets, budget())
    assert (flatten(found, found.masks).sum(axis=1) == 4).all()  # 90% go at once: 34, 4
    slow, quick = budget(), budget()
    get_pruner("sap").prune(nets, slow)
    get_pruner("sap", rule=SapRule(gamma=50)).prune(nets, quick)
    assert (slow.spent.flops > quick.spent.flops).all()
    np.testing.assert_array_equal(quick.spent.flops, two_trainings(nets, found))


def two_trainings(nets: NetBatch, found: NetBatch) -> npt.NDArray[np.float64]:
    """Of the dense networks and of what was found."""
    sizes = [
        sum(m.reshape(len(m), -1).sum(axis=1) for m in n.masks.values()) for n in (nets, found)
    ]
    return np.asarray(STEPS * 40.0 * (sizes[0] + sizes[1]))


@pytest.mark.parametrize("method", EVERY)
def test_collapse_is_noted_of_those_that_collapsed(method: str) -> None:
    nets, budget = small((9, 20, WEIGHTS))
    for param in nets.params.values():
        param[1:] = 0
    given = budget()
    found = get_pruner(method).prune(nets, given)
    assert given.spent.collapsed.tolist() == [False, True, True, True, False, False]
    np.testing.assert_array_equal(flatten(found, found.masks).sum(axis=1), given.weight_nonzeros)


class Breaks(Spy):
    """A trainer whose networks diverge while they are dense."""

    def fit(
        self, nets: NetBatch, task: Any, recipe: Any, keys: Any, steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:  # fmt: skip
        trained = super().fit(nets, task, recipe, keys, steps)
        whole = np.asarray(flatten(nets, nets.masks).all(axis=1))
        broken = np.where(whole[:, None, None], np.float32(np.nan), trained.params["weight1"])
        return dataclasses.replace(trained, params={**trained.params, "weight1": broken})


@pytest.mark.parametrize("method", EVERY)
def test_networks_that_diverge_end_at_their_budget(method: str) -> None:
    nets, budget = small((9,))
    given = budget()
    mine = Budget(given.weight_nonzeros, TASK, given.recipes, given.keys, Breaks(given.trainer))
    found = get_pruner(method).prune(nets, mine)
    assert (flatten(found, found.masks).sum(axis=1) == 9).all()
    assert np.isfinite(flatten(found, found.params)).all()


def test_options_of_rules() -> None:
    nets, budget = small((9,))
    halves = get_pruner("lt", rule=ShareRule(0.5))
    given = budget()
    halves.prune(nets, given)
    faster = given.spent.flops
    get_pruner("lt").prune(nets, given := budget())
    assert (faster < given.spent.flops).all()

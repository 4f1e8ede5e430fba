"""Budgets, and the arithmetic of which weights stay."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pruners import TASK, dense
from training import assert_same

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.pruning import (
    Budget,
    as_budgets,
    flatten,
    keep_top,
    kth_largest,
    masked,
    note_collapse,
    rewound,
    top,
    unflatten,
)
from combsearch.pruning import budget as budgets
from combsearch.rng import RunKeys
from combsearch.trainers import get_trainer


def naive_top(row: list[float], k: int) -> list[bool]:
    usable = [-np.inf if np.isnan(s) else s for s in row]
    best = sorted(range(len(row)), key=lambda i: (-usable[i], i))[:k]
    return [i in best for i in range(len(row))]


@pytest.mark.parametrize("seed", range(20))
def test_top_is_a_stable_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, (6, 9)).astype(np.float32)  # many ties
    scores[rng.random(scores.shape) < 0.2] = [np.nan, np.inf, -np.inf][seed % 3]
    keep = rng.integers(0, 10, 6)
    found = top(scores, keep)
    for row, k, got in zip(scores, keep, found, strict=True):
        assert got.tolist() == naive_top(row.tolist(), int(k))


def test_kth_largest_is_that_of_a_sort() -> None:
    scores = np.random.default_rng(1).normal(size=(4, 30)).astype(np.float32)
    k = np.array([1, 5, 30, 0])
    expected = [sorted(row, reverse=True)[max(n, 1) - 1] for row, n in zip(scores, k, strict=True)]
    np.testing.assert_array_equal(kth_largest(scores, k)[:, 0], expected)


def test_flatten_and_back() -> None:
    nets, _ = dense(restarts=1)
    flat = flatten(nets, nets.params)
    assert flat.shape == (6, 6 * 2 + 5 * 6 + 4 * 5 + 4)
    np.testing.assert_array_equal(flat[2, :12], nets.params["weight0"][2].reshape(-1))
    for name, array in unflatten(nets, flat).items():
        np.testing.assert_array_equal(array, nets.params[name])


def test_a_bias_goes_when_nothing_leads_on() -> None:
    nets, _ = dense("3,2", budgets=(4,), restarts=1)
    kept = np.zeros((len(nets), 6 + 6 + 2), np.bool_)
    kept[:, [0, 2, 6, 10, 12]] = True  # weight1[0,0], weight1[1,1]; weight2[0,0]
    found = masked(nets, kept)
    np.testing.assert_array_equal(found.masks["bias0"][0], [1, 1, 0])
    np.testing.assert_array_equal(found.masks["bias1"][0], [1, 0])
    np.testing.assert_array_equal(found.masks["bias2"][0], [1])
    assert found.params["bias1"][0, 1] == 0 and found.params["bias1"][0, 0] != 0
    assert found.params["weight0"][0].ravel().nonzero()[0].tolist() == [0, 2]


def test_masks_of_a_network_that_diverged_leave_no_nan_behind() -> None:
    nets, budget = dense("3,2", budgets=(4,), restarts=1)
    nets.params["weight1"][0, 0, 0] = np.nan
    scores = {name: np.abs(nets.params[name]) for name in nets.network.prunable}
    found = keep_top(nets, scores, budget())
    assert np.isfinite(flatten(found, found.params)[0]).all()


def test_scores_without_information_are_a_collapse() -> None:
    nets, budget = dense("3,2", budgets=(4,), restarts=2)
    scores = np.ones((len(nets), 14), np.float32)
    scores[1], scores[2] = 0, np.nan
    given = budget()
    found = keep_top(nets, unflatten(nets, scores), given)
    assert given.spent.collapsed.tolist() == [False, True, True, False]
    assert flatten(found, found.masks).sum(axis=1).tolist() == [4, 4, 4, 4]


def test_rewound_networks_start_anew() -> None:
    nets, budget = dense()
    given = budget()
    trained = given.fit(nets)
    kept = np.random.default_rng(0).random(flatten(nets, nets.params).shape) < 0.5
    found = rewound(masked(trained, kept), nets)
    np.testing.assert_array_equal(flatten(found, found.params), flatten(nets, nets.params) * kept)
    assert not any(v.any() for v in found.momenta.values())
    start = dataclasses.replace(nets, state={"mean": np.zeros(len(nets))})
    late = dataclasses.replace(trained, state={"mean": np.ones(len(nets))})
    assert not rewound(late, start).state["mean"].any()


def test_fit_counts_operations_and_where_it_stands() -> None:
    nets, budget = dense()
    given = budget()
    parameters = 66 + 5 + 6 + 4 + 1
    half = given.fit(nets, slice(0, 10))
    assert given.spent.position == 10
    np.testing.assert_array_equal(given.spent.flops, np.full(12, 10 * 40 * parameters))
    whole = given.finish(half)
    assert given.finish(whole) is whole
    np.testing.assert_array_equal(given.spent.flops, np.full(12, 40 * 40 * parameters))
    assert_same(whole, given.trainer.fit(nets, TASK, given.recipes, given.keys))


def test_some_networks_are_trained_as_all_are_and_counted_alone() -> None:
    nets, budget = dense()
    given, which = budget(), np.array([7, 2, 3])
    some = given.fit_some(nets[which], which)
    whole = given.trainer.fit(nets, TASK, given.recipes, given.keys)
    for name, param in some.params.items():
        np.testing.assert_allclose(param, whole.params[name][which], atol=1e-5)
    assert np.flatnonzero(given.spent.flops).tolist() == [2, 3, 7]
    assert given.spent.position == given.total_steps
    zeros = np.zeros((3, 4))
    note_collapse(zeros, given, which)
    assert np.flatnonzero(given.spent.collapsed).tolist() == [2, 3, 7]


def test_dense_width_16_costs_what_the_paper_says() -> None:
    """Table 1: 1.5e9."""
    from combsearch.tasks import cubist_spiral

    task, shape = cubist_spiral(), NetShape.from_hidden((16, 16, 16))
    keys = RunKeys.make(0, [0], ["0.05:cosine"], [0])
    nets = NetBatch.create(MLP(shape), keys)
    given = Budget(np.array([55]), task, (Recipe(),), keys, get_trainer("vmap"))
    given.charge(nets, given.total_steps * 128)
    assert given.spent.flops[0] == 609 * 49_920 * 50


class Counting:
    """A trainer that remembers how many networks it was given."""

    name = "counting"
    inner = get_trainer("vmap")
    score = inner.score

    def __init__(self) -> None:
        self.trained: list[int] = []

    def fit(self, nets: NetBatch, *rest: Any) -> NetBatch:
        self.trained.append(len(nets))
        return self.inner.fit(nets, *rest)


LONG = Recipe(epochs=10, batch_size=40)  # 100 steps


@pytest.fixture
def soon_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal networks are looked for where training takes 100 steps, instead of 1,000."""
    monkeypatch.setattr(budgets, "_TWIN_STEPS", 100)


@pytest.mark.usefixtures("soon_worth_it")
def test_equal_networks_are_trained_once() -> None:
    """Budgets of one cell and restart share their dense training, and only that."""
    shape = NetShape.from_hidden((3, 2))
    rows = [(k, lr, r) for k in (5, 9) for lr in ("0.05", "0.1") for r in (0, 1)]
    recipes = tuple(LONG.with_cell(f"{lr}:constant") for _, lr, _ in rows)
    key = np.repeat(MaskBatch.dense_of(shape).keys(), 8)
    keys = RunKeys.make(0, key, [r.cell for r in recipes], [r for *_, r in rows])
    nets = NetBatch.create(MLP(shape), keys)
    counting = Counting()
    given = Budget(np.array([k for k, *_ in rows]), TASK, recipes, keys, counting)
    found = given.fit(nets)
    assert counting.trained == [4]
    for i in range(4):
        assert_same(found[i : i + 1], found[i + 4 : i + 5])
    alone = Counting.inner.fit(nets[5:6], TASK, recipes[5:6], keys[5:6])
    np.testing.assert_allclose(found.params["weight0"][5], alone.params["weight0"][0], atol=1e-3)
    given.fit(nets, slice(0, 99))  # not worth looking for
    assert counting.trained == [4, 8]


@pytest.mark.usefixtures("soon_worth_it")
def test_runs_from_one_initialisation_are_no_twins() -> None:
    """The network, the recipe and the cell are the same, the minibatches are not."""
    recipe, counting = LONG, Counting()
    mask = MaskBatch.dense_of(NetShape.from_hidden((3, 2)))
    keys = RunKeys.make(0, np.repeat(mask.keys(), 3), [recipe.cell] * 3, [0, 1, 0], 1)
    nets = NetBatch.create(MLP(mask.shape), keys)[np.zeros(3, np.int64)]
    given = Budget(np.full(3, 5), TASK, (recipe,) * 3, keys, counting)
    found = given.fit(nets)
    assert counting.trained == [2]
    first = found.params["weight0"]
    assert (first[0] == first[2]).all() and (first[0] != first[1]).all()


@pytest.mark.parametrize("value", [3, 85, -1])
def test_impossible_budgets(value: int) -> None:
    nets, _ = dense("6,5,4", restarts=1)
    with pytest.raises(UsageError, match=f"budget {value} is not possible"):
        as_budgets([9, value], nets)
    assert as_budgets([4, 66], nets).tolist() == [4, 66]


def test_a_budget_checks_its_parts() -> None:
    _, budget = dense()
    with pytest.raises(UsageError, match="compat is 'papr'"):
        budget("papr")
    given = budget()
    with pytest.raises(UsageError, match="one of each a network"):
        Budget(given.weight_nonzeros[:3], TASK, given.recipes, given.keys, given.trainer)

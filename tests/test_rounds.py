"""combsearch.sparsity.rounds and rules, beside plain loops over one network at a time."""

from __future__ import annotations

from typing import Any

import naive_sap as naive
import numpy as np
import numpy.typing as npt
import pytest

from combsearch.errors import UsageError
from combsearch.sparsity.rounds import SCOPES, largest, prune_round, shared_out
from combsearch.sparsity.rules import Rule, SapRule, ShareRule

Tensors = dict[str, npt.NDArray[Any]]

SHAPES = {"first": (5, 3), "filters": (4, 5, 2, 2), "last": (1, 4)}
NAMES = tuple(SHAPES)
RULES: list[tuple[Rule, naive.Count]] = [
    (ShareRule(), naive.share_count()),
    (ShareRule(0.7), naive.share_count("0.7")),
    (SapRule(), naive.sap_count()),
    (SapRule(p=1, q=2, gamma=1.7), naive.sap_count(1, 2, gamma="1.7")),
    (SapRule(gamma=5, beta=0.6), naive.sap_count(gamma="5", beta="0.6")),
]


def networks(seed: int, n: int = 6, density: float = 0.8) -> tuple[Tensors, Tensors]:
    """Weights of few different sizes, zeros among them, and masks."""
    rng = np.random.default_rng(seed)
    weights, masks = {}, {}
    for name, shape in SHAPES.items():
        values = rng.normal(size=(n, *shape)).astype(np.float32)
        coarse = np.round(values * 2) / 2
        weights[name] = np.where(np.arange(n).reshape(-1, *[1] * len(shape)) % 2, values, coarse)
        masks[name] = (rng.random((n, *shape)) < density).astype(np.float32)
    return weights, masks


def alone(tensors: Tensors, i: int) -> Tensors:
    return {name: tensor[i] for name, tensor in tensors.items()}


def assert_as_alone(
    found: Tensors, weights: Tensors, masks: Tensors, count: naive.Count, scope: str, goal: Any
) -> None:
    assert list(found) == list(NAMES)
    for i in range(len(weights["first"])):
        down_to = None if goal is None else int(goal[i])
        want = naive.prune_round(alone(weights, i), alone(masks, i), count, scope, down_to)
        for name in NAMES:
            np.testing.assert_array_equal(found[name][i], want[name])


def left(masks: Tensors) -> npt.NDArray[np.int64]:
    return np.asarray(sum(np.count_nonzero(m.reshape(len(m), -1), axis=1) for m in masks.values()))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("number", range(len(RULES)))
def test_a_round_is_that_of_the_plain_version(number: int, scope: str) -> None:
    rule, count = RULES[number]
    for seed in range(4):
        weights, masks = networks(seed, density=(1, 0.8, 0.5, 0.1)[seed])
        found = prune_round(weights, masks, NAMES, rule, scope)
        assert_as_alone(found, weights, masks, count, scope, None)
        for name in NAMES:
            assert found[name].dtype == np.bool_ and not (found[name] & (masks[name] == 0)).any()
        goal = np.random.default_rng(seed).integers(0, left(masks) + 3)
        found = prune_round(weights, masks, NAMES, rule, scope, goal)
        assert_as_alone(found, weights, masks, count, scope, goal)
        assert (left(found) >= np.minimum(goal, left(masks))).all()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("number", range(len(RULES)))
def test_rounds_come_to_their_goal_and_stay(number: int, scope: str) -> None:
    weights, masks = networks(7)
    goal = np.array([0, 1, 5, 20, 40, 500])
    for _ in range(300):
        before = left(masks)
        masks = prune_round(weights, masks, NAMES, RULES[number][0], scope, goal)
        now = left(masks)
        assert ((now < before) | (now == np.minimum(before, goal))).all()  # never stuck
    np.testing.assert_array_equal(left(masks), np.minimum(goal, left(networks(7)[1])))


def test_what_scopes_mean() -> None:
    weights, masks = networks(1, density=1)
    rule = ShareRule(0.25)
    entries = 15 + 80 + 4
    assert (left(prune_round(weights, masks, NAMES, rule)) == entries - entries // 4).all()
    by_layer = prune_round(weights, masks, NAMES, rule, "layer")
    assert [int(m[0].sum()) for m in by_layer.values()] == [15 - 3, 80 - 20, 4 - 1]
    by_neuron = prune_round(weights, masks, NAMES, rule, "neuron")
    assert by_neuron["filters"].sum(axis=(2, 3, 4)).tolist() == [[15] * 4] * 6
    assert by_neuron["first"].all()  # a quarter of 3 entries is none
    kept = by_neuron["filters"][1, 2]
    sizes = np.abs(weights["filters"][1, 2])
    assert sizes[kept].min() >= sizes[~kept].max()


def test_only_the_named_tensors_count() -> None:
    weights, masks = networks(2, density=1)
    found = prune_round(weights, masks, ("last", "first"), ShareRule(0.5))
    assert list(found) == ["last", "first"] and (left(found) == 19 - 9).all()


def test_of_entries_of_one_size_the_first_stay() -> None:
    weights = {"a": np.array([[[1, -1, 1, -1.0]]]), "b": np.array([[[1, 1.0]]])}
    masks = {name: np.ones_like(tensor) for name, tensor in weights.items()}
    found = prune_round(weights, masks, ("a", "b"), ShareRule(0.5))
    assert found["a"].tolist() == [[[True, True, True, False]]]
    assert found["b"].tolist() == [[[False, False]]]


@pytest.mark.parametrize("scope", SCOPES)
def test_networks_that_diverged(scope: str) -> None:
    """No index of NaN: SAP takes nothing; where weights must go, NaN goes first."""
    weights, masks = networks(3, density=1)
    weights["filters"][1, 0, 0, 0, 0], weights["filters"][1, 1, 0] = np.nan, np.inf
    found = prune_round(weights, masks, NAMES, SapRule(), scope)
    assert_as_alone(found, weights, masks, naive.sap_count(), scope, None)
    assert found["filters"][1, :2].all()
    alone_again = prune_round(
        {name: tensor[1:2] for name, tensor in weights.items()},
        {name: mask[1:2] for name, mask in masks.items()}, NAMES, SapRule(), scope,
    )  # fmt: skip
    for name in NAMES:
        np.testing.assert_array_equal(alone_again[name][0], found[name][1])
    shared = prune_round(weights, masks, NAMES, ShareRule(), "global", 98)
    assert not shared["filters"][1, 0, 0, 0, 0] and left(shared)[1] == 98
    assert shared["filters"][1, 1, 0].all()


def test_largest_gives_back_nothing() -> None:
    weights = np.array([[3.0, 0.0, np.nan, 2.0]])
    kept = np.array([[False, True, True, False]])
    for keep, want in ((0, []), (1, [1]), (2, [1, 2])):
        found = largest(weights, kept, np.array([keep]))
        assert np.flatnonzero(found[0]).tolist() == want


def test_shares_add_up() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 30, (200, 7))
    total = rng.integers(0, 150, 200)
    found = shared_out(counts, total)
    assert (found <= counts).all() and (found >= 0).all()
    np.testing.assert_array_equal(found.sum(axis=1), np.minimum(total, counts.sum(axis=1)))
    for row, given, want in zip(found, counts, total, strict=True):
        assert row.tolist() == naive.in_shares(given.tolist(), int(want))
    # As many as a model of 2e7 weights in one vector has; their product is below 2^63.
    assert shared_out(np.array([[2 * 10**7, 10**7]]), np.array([2 * 10**7])).tolist() == [
        [13_333_333, 6_666_667]
    ]


def test_a_share_is_what_it_is_written_as() -> None:
    """0.7 of 10 is 7, though 0.7 is below it as a float; 0.2 of 4 is none."""
    kept = np.arange(30) < np.array([4, 5, 10, 15, 30])[:, None]
    assert ShareRule(0.2).counts(np.ones((5, 30)), kept).tolist() == [0, 1, 2, 3, 6]
    assert ShareRule(0.7).counts(np.ones((5, 30)), kept).tolist() == [2, 3, 7, 10, 21]
    assert ShareRule(1).counts(np.ones((5, 30)), kept).tolist() == [4, 5, 10, 15, 30]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ShareRule(0), "share is 0, it must be above 0 and at most 1"),
        (lambda: ShareRule(1.5), "share is 1.5"),
        (lambda: ShareRule(float("nan")), "share is nan"),
        (lambda: SapRule(p=1), "p is 1 and q is 1"),
        (lambda: SapRule(p=0), "p is 0 and q is 1"),
        (lambda: SapRule(eta=-1), "eta is -1"),
        (lambda: SapRule(gamma=-1), "gamma is -1"),
        (lambda: SapRule(beta=1.1), "beta 1.1"),
    ],
)
def test_rules_that_are_not_possible(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scope": "layers"}, "unknown scope 'layers', did you mean 'layer'"),
        ({"names": ()}, "names is empty"),
        ({"names": ("second",)}, "weights of 'second' have shape None"),
        ({"masks": {"first": np.ones((6, 3))}, "names": ("first",)}, r"mask \(6, 3\)"),
        ({"down_to": np.array([1, 2])}, "down_to is .* of 6 networks"),
        ({"down_to": 1.5}, "down_to is 1.5"),
        ({"down_to": -1}, "down_to is -1"),
    ],
)
def test_a_round_names_what_is_wrong(change: dict[str, Any], said: str) -> None:
    weights, masks = networks(0)
    given: dict[str, Any] = {"weights": weights, "masks": masks, "names": NAMES}
    with pytest.raises(UsageError, match=said):
        prune_round(**{**given, "rule": ShareRule(), **change})

"""Intervals against scipy's test, frontiers against double loops, bounds by hand and by laws."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from combsearch.errors import CorruptDataError, UsageError
from combsearch.frontier import (
    PRUNABLE,
    Bound,
    Found,
    Frontier,
    Level,
    Trial,
    excluded_probability,
    frontier,
    success_interval,
)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_intervals_are_those_of_the_exact_binomial_test(confidence: float) -> None:
    for runs in (1, 2, 3, 7, 16, 96, 192, 1000, 6144, 10**6):
        for hits in sorted({0, 1, runs // 9, runs // 2, runs - 1, runs}):
            expected = binomtest(hits, runs).proportion_ci(confidence, "exact")
            found = success_interval(hits, runs, confidence)
            assert found == pytest.approx((expected.low, expected.high), abs=1e-11)


def test_an_end_leaves_out_exactly_half_of_the_rest() -> None:
    low, high = success_interval(3, 500)
    assert binom.sf(2, 500, low) == pytest.approx(0.025, rel=1e-9)
    assert binom.cdf(3, 500, high) == pytest.approx(0.025, rel=1e-9)


def test_no_success_excludes_about_three_point_seven_over_the_runs() -> None:
    low, high = success_interval(0, 1000)
    assert low == 0.0 and high == pytest.approx(1 - 0.025 ** (1 / 1000))
    assert high == pytest.approx(3.7 / 1000, rel=0.01)
    assert success_interval(1000, 1000) == pytest.approx((1 - high, 1.0))


@pytest.mark.parametrize(("hits", "runs"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(hits: int, runs: int) -> None:
    with pytest.raises(ValueError, match=f"{hits} successes of {runs} runs"):
        success_interval(hits, runs)


def test_the_frontier_rises_and_bounds_every_run() -> None:
    rng = random.Random(5)
    for _ in range(30):
        runs = [(rng.randrange(5, 12), rng.randrange(10) / 10) for _ in range(rng.randrange(1, 40))]
        best: dict[int, float] = {}
        for level in sorted({n for n, _ in runs}):
            top = max(a for n, a in runs if n <= level)
            if top > max(best.values(), default=-math.inf):
                best[level] = top
        nonzeros, accuracy = frontier(
            np.array([n for n, _ in runs]), np.array([a for _, a in runs])
        )
        assert dict(zip(nonzeros.tolist(), accuracy.tolist(), strict=True)) == best
        assert (np.diff(nonzeros) > 0).all() and (np.diff(accuracy) > 0).all()


# ---- what restarts exclude --------------------------------------------------------------


def test_excluded_probability_is_where_the_chance_to_miss_meets_the_risk() -> None:
    for restarts, confidence, orbits in itertools.product(
        (1, 16, 2995, 10**6), (0.5, 0.95), (1, 560)
    ):
        p = excluded_probability(restarts, confidence, orbits)
        assert restarts * math.log1p(-p) == pytest.approx(math.log((1 - confidence) / orbits))


def test_excluded_probability_at_the_figures_of_the_specification() -> None:
    assert excluded_probability(2995) == pytest.approx(1e-3, rel=1e-3)
    assert excluded_probability(29956) == pytest.approx(1e-4, rel=1e-4)
    assert excluded_probability(10**6, orbits=560) == pytest.approx(
        math.log(20 * 560) / 1e6, rel=1e-4
    )
    assert excluded_probability(2995, kept=0.8) == pytest.approx(1.25e-3, rel=1e-3)
    assert excluded_probability(0) == excluded_probability(3, kept=0.5) == 1
    for bad in ({"restarts": -1}, {"kept": 0.0}, {"kept": 1.1}, {"orbits": 0}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match=r"restarts|confidence"):
            excluded_probability(**{"restarts": 5, **bad})  # type: ignore[arg-type]


def test_the_excluded_probability_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    p, kept, restarts = 0.02, 0.7, 300
    hits = rng.binomial(rng.binomial(restarts, p, 40_000), kept)
    # Wrong only when nothing was found although the excluded p is at most the true one.
    wrong = (hits == 0).mean() if excluded_probability(restarts, kept=kept) <= p else 0.0
    assert 0.001 < wrong < 0.05


def level(nonzeros: int = 20, orbits: int = 10, **trials: Trial) -> Level:
    return Level(nonzeros, orbits, trials)


def test_trials_of_different_kept_shares_exclude_together() -> None:
    full, raced = Trial(100, 1000, 1000, 0, 0.8), Trial(5000, 50_000, 700, 0, 0.9, kept=0.6)
    both = level(a=full, b=raced)
    p = both.excluded()
    assert p is not None
    assert 100 * math.log1p(-p) + 5000 * math.log1p(-0.6 * p) == pytest.approx(math.log(0.06))
    alone = [level(a=trial).excluded() for trial in (full, raced)]
    assert p < min(q for q in alone if q is not None)
    whole = both.excluded(whole=True)
    assert whole is not None and whole > p
    same = level(a=full, b=full).excluded()
    assert same == excluded_probability(200)


# ---- levels and bounds ------------------------------------------------------------------


def test_a_level_says_what_its_trials_did() -> None:
    both = level(a=Trial(2, 25, 20, 0, 0.7), b=Trial(3, 30, 30, 0, 0.9))
    assert (both.restarts, both.started, both.finished, both.best_accuracy) == (5, 55, 50, 0.9)
    assert both.closed and both.excluded() == excluded_probability(5)
    found = both.merge(level(c=Trial(0, 1, 1, 1, 0.96)))
    assert (found.restarts, found.successes, found.closed, found.excluded()) == (5, 1, False, None)
    untried = level()
    assert (untried.restarts, untried.best_accuracy, untried.closed) == (0, None, False)
    assert untried.excluded() == 1
    half = level(a=Trial(0, 7, 7, 0, 0.7))  # some orbits have no restart yet
    assert not half.closed and half.excluded() == 1


def test_the_same_restarts_never_count_twice() -> None:
    early, late = Trial(2, 20, 20, 1, 0.96), Trial(8, 90, 60, 0, 0.9, kept=0.8)
    merged = level(seed0=early).merge(level(seed0=late))
    assert merged.trials == {"seed0": Trial(8, 90, 60, 1, 0.96, kept=0.8)}
    assert merged.merge(merged) == merged


@pytest.mark.parametrize(
    "values",
    [(1, 1, 1, 2, 0.5), (2, 1, 1, 0, 0.5), (1, 1, 2, 0, 0.5), (-1, 1, 1, 0, 0.5), (1, 1, 1, 0, 1.5),
     (1, 1, 1, 0, math.nan), (1, 1, 1, 0, 0.5, 0.0), (1, 1, 1, 0, 0.5, 1.5)],
)  # fmt: skip
def test_impossible_trials_are_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError, match="needs 0 <= successes"):
        Trial(*values)


def test_impossible_levels_are_refused() -> None:
    with pytest.raises(UsageError, match="2 restarts of 10 orbits are more than the 19 runs"):
        level(a=Trial(2, 19, 19, 0, 0.5))
    with pytest.raises(UsageError, match="from 1 up"):
        level(orbits=0)
    with pytest.raises(UsageError, match="levels of different orbits: 10 and 11"):
        level().merge(level(orbits=11))


def make_bound(
    levels: Sequence[Level] = (), existing: Sequence[Found] = (), **changes: Any
) -> Bound:
    facts = {"task": "cubist_spiral", "target": 0.95, "space": "all shapes", **changes}
    return Bound(**facts, levels=tuple(levels), existing=tuple(existing))


def test_a_bound_keeps_training_and_existence_apart() -> None:
    levels = [
        level(19, 4, a=Trial(9, 36, 36, 0, 0.7)),
        level(20, 9),
        level(21, 5, a=Trial(2, 10, 10, 3, 0.97)),
        level(22, 5),
    ]
    small, large = Found(17, 0.96, (2, 3, 1)), Found(25, 1.0, (2, 4, 1))
    bound = make_bound(levels, [large, small, Found(17, 0.951, (2, 3, 1))])
    assert bound.trained == levels[2] and bound.below == tuple(levels[:2]) and bound.open == (20,)
    assert bound.exists == small and bound.existing == (small, large)
    none = make_bound(levels[:2])
    assert none.trained is None and none.exists is None and none.below == tuple(levels[:2])
    saved = bound.to_json()
    assert (saved["bound"], saved["exists"], saved["open"]) == (21, 17, [20])
    assert saved["levels"][0]["excluded_success_probability"] == excluded_probability(9)
    assert saved["levels"][0]["excluded_for_the_level"] == excluded_probability(9, orbits=4)
    assert saved["levels"][2]["excluded_success_probability"] is None
    assert saved["levels"][1]["best_accuracy"] is None


def test_a_bound_of_pruned_biases_is_another_one() -> None:
    kept = make_bound(existing=[Found(20, 0.96, (2, 3, 1))])
    pruned = make_bound(existing=[Found(18, 0.96, (2, 3, 1))], counting=PRUNABLE)
    with pytest.raises(UsageError, match="bounds of different counting"):
        kept.merge(pruned)
    with pytest.raises(UsageError, match="masks that are trained keep biases"):
        make_bound([level()], counting=PRUNABLE)
    with pytest.raises(UsageError, match="counted as one of"):
        make_bound(counting="weights")
    others: dict[str, Any] = {"task": "xor", "target": 0.995, "space": "7,3,3"}
    for name, other in others.items():
        with pytest.raises(UsageError, match=f"different {name}"):
            make_bound().merge(make_bound(**{name: other}))


def test_impossible_bounds_are_refused() -> None:
    with pytest.raises(UsageError, match="does not reach the target"):
        make_bound(existing=[Found(20, 0.949, (2, 3, 1))])
    with pytest.raises(UsageError, match=r"target is 1\.5"):
        make_bound(target=1.5)
    with pytest.raises(UsageError, match="must ascend"):
        make_bound([level(20), level(19)])
    wrong: list[dict[str, Any]] = [
        {"accuracy": math.nan},
        {"accuracy": -0.1},
        {"effective": 21},
        {"effective": -2},
    ]
    for bad in wrong:
        with pytest.raises(UsageError, match="needs 0 <= effective"):
            Found(**{"nonzeros": 20, "accuracy": 0.5, "shape": (2, 3, 1), **bad})


# ---- merging ------------------------------------------------------------------------------

trials = st.builds(
    lambda restarts, more, successes, best, kept: Trial(
        restarts, 3 * restarts + more, 3 * restarts + more, min(successes, more), best, kept
    ),
    st.integers(0, 5), st.integers(0, 5), st.integers(0, 1), st.sampled_from([0.5, 0.8, 0.9]),
    st.sampled_from([0.5, 1.0]),
)  # fmt: skip
founds = st.builds(
    lambda nonzeros, fewer, accuracy, width, source: Found(
        nonzeros, accuracy, (2, width, 1), nonzeros - fewer, source
    ),
    st.integers(10, 13), st.integers(0, 2), st.sampled_from([0.95, 0.96, 1.0]),
    st.integers(2, 3), st.sampled_from("ab"),
)  # fmt: skip
levels = st.dictionaries(
    st.integers(18, 20), st.dictionaries(st.sampled_from("abc"), trials, max_size=2), max_size=3
)
bounds = st.builds(
    lambda tried, existing: make_bound([Level(n, 3, tried[n]) for n in sorted(tried)], existing),
    levels, st.lists(founds, max_size=4),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(bounds, bounds, bounds)
def test_bounds_merge_in_any_order_and_grouping(a: Bound, b: Bound, c: Bound) -> None:
    merged = a.merge(b, c)
    assert merged == a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b)
    assert merged.merge(a) == merged.merge(merged) == merged
    assert Bound.from_json(json.loads(json.dumps(merged.to_json()))) == merged
    assert {level.nonzeros for level in merged.levels} == {
        level.nonzeros for one in (a, b, c) for level in one.levels
    }


@settings(max_examples=150, deadline=None)
@given(st.tuples(*[st.lists(founds, max_size=6)] * 3))
def test_frontiers_merge_in_any_order_and_grouping(lists: tuple[list[Found], ...]) -> None:
    a, b, c = map(Frontier.of, lists)
    merged = a.merge(b, c)
    together = [found for one in lists for found in one]
    assert merged == a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(b, a)
    assert merged == Frontier.of(together) == merged.merge(merged)
    assert Frontier.from_json(json.loads(json.dumps(merged.to_json()))) == merged
    for effective, networks in ((False, merged.by_nonzeros), (True, merged.by_effective)):

        def count(found: Found, effective: bool = effective) -> int:
            return found.effective if effective else found.nonzeros

        best = {n: max(f.accuracy for f in together if count(f) == n) for n in map(count, together)}
        assert {count(f): f.accuracy for f in networks} == best
        for target in (0.95, 0.96, 1.0):
            lowest = merged.lowest(target, effective)
            reached = [count(f) for f in together if f.accuracy >= target]
            assert (count(lowest) if lowest else None) == min(reached, default=None)
        rising = merged.steps(effective)
        assert [(count(f), f.accuracy) for f in rising] == [
            (n, best[n]) for n in sorted(best) if all(best[m] < best[n] for m in best if m < n)
        ]


def test_frontier_of_runs_takes_the_best_of_each_level() -> None:
    rng = np.random.default_rng(5)
    nonzeros, accuracy = rng.integers(20, 25, 200), rng.random(200)
    made = Frontier.of_runs((2, 3, 3, 3, 1), nonzeros, accuracy, "run")
    single = [
        Found(int(n), float(a), (2, 3, 3, 3, 1), source="run")
        for n, a in zip(nonzeros, accuracy, strict=True)
    ]
    assert made == Frontier.of(single) and len(made.by_nonzeros) == 5
    pairs = [(found.nonzeros, found.accuracy) for found in made.steps()]
    expected = frontier(nonzeros, accuracy)
    assert pairs == list(zip(expected[0].tolist(), expected[1].tolist(), strict=True))
    assert Frontier.of_runs((2, 1, 1), nonzeros[:0], accuracy[:0]) == Frontier()


def test_frontiers_that_count_differently_do_not_merge() -> None:
    with pytest.raises(UsageError, match="frontiers of different counting"):
        Frontier().merge(Frontier(PRUNABLE))


@pytest.mark.parametrize(
    "change",
    [{"levels": 3}, {"levels": [{"nonzeros": 20}]}, {"target": "high"}, {"existing": [{"x": 1}]},
     {"existing": None}, {"levels": [None]}, {"counting": []},
     {"levels": [{"nonzeros": 20, "orbits": 3, "trials": {"a": {"restarts": 1}}}]},
     {"levels": [{"nonzeros": 20, "orbits": "3", "trials": {}}]},
     {"existing": [{"nonzeros": 1, "accuracy": 1.0, "shape": "x"}]}],
)  # fmt: skip
def test_damaged_json_is_one_clear_error(change: dict[str, Any]) -> None:
    values = {**make_bound().to_json(), **change}
    with pytest.raises(CorruptDataError, match="not a saved bound"):
        Bound.from_json(values)
    for broken in (
        {},
        {"counting": "x", "by_nonzeros": [], "by_effective": []},
        {"by_nonzeros": 1},
    ):
        with pytest.raises(CorruptDataError, match="not a saved frontier"):
            Frontier.from_json(broken)

"""Success intervals against scipy's test, the frontier against a double loop."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from combsearch.frontier import frontier, success_interval


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

"""The Monte-Carlo Spearman correlation against definitions, scipy and the limit of many draws."""

from __future__ import annotations

import naive_dimension as naive
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from combsearch.errors import UsageError
from combsearch.studies.dimensionality import correlation
from combsearch.studies.dimensionality.correlation import (
    Trials,
    drawn,
    monte_carlo_spearman,
    spearman,
)

Floats = npt.NDArray[np.float64]


def table(mean: npt.ArrayLike, spread: npt.ArrayLike = 0.0, widths: int = 3) -> Trials:
    """Of ``widths`` networks and four dimensions."""
    dimension = np.tile([16.0, 32.0, 64.0, 128.0], widths)
    shape = dimension.shape
    return Trials(dimension, np.broadcast_to(mean, shape), np.broadcast_to(spread, shape))


RANDOM = np.random.default_rng(1)
TABLES = {
    "no effect": table(RANDOM.normal(10, 3, 12), RANDOM.uniform(0.5, 4, 12)),
    "wide": table(RANDOM.normal(10, 0.1, 12), 20.0),
    "rising": table(np.tile([5.0, 9, 12, 20], 3), 3.0),
    "falling": table(np.tile([5.0, 4, 4, 2], 3) + np.repeat([0, 3, 6], 4), 1.0),
    "one network": table([1.0, 3, 2, 4], 0.7, widths=1),
}


def test_spearman_of_small_rows_by_definition() -> None:
    random = np.random.default_rng(0)
    a = random.integers(0, 4, (200, 9)).astype(float)
    b = random.integers(0, 6, (200, 9)).astype(float)
    b[::2] += random.normal(size=(100, 9))
    found = spearman(a, b)
    for row in range(200):
        assert found[row] == pytest.approx(naive.spearman(list(a[row]), list(b[row])), abs=1e-14)
    assert spearman(a, a) == pytest.approx(np.ones(200))
    assert spearman(a, -a) == pytest.approx(-np.ones(200))


def test_spearman_of_a_constant_row_is_not_defined() -> None:
    a = np.array([[1.0, 1, 1], [1, 2, 3]])
    assert np.isnan(spearman(a, a[:, ::-1])).tolist() == [True, False]
    assert np.isnan(spearman(a[::-1], a)).tolist() == [True, True]


@pytest.mark.parametrize("name", [*TABLES, "ties"])
def test_rollouts_against_scipy(name: str) -> None:
    """Spread 0 makes equal outcomes, whose ranks are averaged."""
    trials = TABLES[name] if name in TABLES else table(np.repeat([1.0, 2, 4], 4) % 3, 0.0)
    expected = []
    for rollout in range(20):
        trial, outcome = drawn(trials, 300, rollout, 3, seed=5)
        expected.append(float(spearmanr(trials.dimension[trial], outcome).statistic))
    found = monte_carlo_spearman(trials, draws=300, rollouts=20, seed=5)
    assert found.mean == pytest.approx(np.mean(expected), abs=1e-13)
    assert found.std == pytest.approx(np.std(expected, ddof=1), abs=1e-13)
    assert (found.rollouts, found.draws, found.trials) == (20, 300, len(trials.mean))


def test_what_a_rollout_draws() -> None:
    """Trials equally often, outcomes from N(mean, spread / sqrt(seeds))."""
    trials = table(np.arange(12.0), np.linspace(1, 3, 12))
    for seeds in (1, 3, 4):
        trial, outcome = drawn(trials, 120_000, 0, seeds, seed=2)
        for number in range(12):
            own = outcome[trial == number]
            assert len(own) == pytest.approx(10_000, abs=400)
            sigma = trials.spread[number] / np.sqrt(seeds)
            assert own.mean() == pytest.approx(number, abs=4 * sigma / 100)
            assert own.std() == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_mean_is_that_of_endless_draws(name: str, seeds: int) -> None:
    """An independent way to the same number; rollouts deviate from it by 1/sqrt(draws)."""
    trials = TABLES[name]
    rows = list(zip(trials.dimension, trials.mean, trials.spread, strict=True))
    expected = naive.endless_spearman(rows, seeds)
    found = monte_carlo_spearman(trials, rollouts=400, seeds=seeds)
    assert found.mean == pytest.approx(expected, abs=0.005)
    fewer = monte_carlo_spearman(trials, draws=250, rollouts=400, seeds=seeds)
    assert fewer.std / found.std == pytest.approx(2, rel=0.15)


def test_known_correlations() -> None:
    for order, sign in ((1, 1.0), (-1, -1.0)):
        found = monte_carlo_spearman(table(np.tile([1.0, 2, 3, 4][::order], 3)), rollouts=50)
        assert found.mean == pytest.approx(sign, abs=1e-15) and found.std < 1e-15
    null = monte_carlo_spearman(table(7.0, 2.0), rollouts=2000)
    assert null.mean == pytest.approx(0, abs=3 * null.std / np.sqrt(2000))
    assert null.std == pytest.approx(1 / np.sqrt(999), rel=0.06)


def test_only_the_order_of_dimensions_and_of_outcomes_counts() -> None:
    trials = TABLES["no effect"]
    found = monte_carlo_spearman(trials, rollouts=50)
    rescaled = Trials(np.log(trials.dimension), trials.mean / 128 - 1, trials.spread / 128)
    assert monte_carlo_spearman(rescaled, rollouts=50).mean == pytest.approx(found.mean, abs=1e-4)
    turned = Trials(-trials.dimension, trials.mean, trials.spread)
    assert monte_carlo_spearman(turned, rollouts=50).mean == pytest.approx(-found.mean, abs=1e-14)


def test_a_rollout_depends_on_its_number_and_the_seed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = TABLES["rising"]
    found = monte_carlo_spearman(trials, rollouts=40, seed=3)
    assert monte_carlo_spearman(trials, rollouts=40, seed=3) == found
    assert monte_carlo_spearman(trials, rollouts=40, seed=4) != found
    monkeypatch.setattr(correlation, "_AT_ONCE", 7000)
    assert monte_carlo_spearman(trials, rollouts=40, seed=3) == found
    assert monte_carlo_spearman(trials, rollouts=40, seed=2**64 - 1).rollouts == 40


def test_rollouts_without_a_correlation_do_not_count() -> None:
    trials = Trials(np.array([1.0, 2]), np.array([1.0, 2]), np.zeros(2))
    found = monte_carlo_spearman(trials, draws=2, rollouts=1000)
    assert found.rollouts == pytest.approx(500, abs=60) and found.mean == pytest.approx(1)
    lonely = Trials(np.r_[np.ones(10**5), 2], np.zeros(10**5 + 1), np.ones(10**5 + 1))
    with pytest.raises(UsageError, match="draws is 2: fewer than two rollouts drew different"):
        monte_carlo_spearman(lonely, draws=2, rollouts=5)


@pytest.mark.parametrize(
    ("dimension", "mean", "spread", "message"),
    [
        ([1, 2], [1, 2, 3], [1, 1, 1], r"unequal length \(dimension 2, mean 3, spread 3\)"),
        ([1, 2], [1, 2], [1], "dimension 2, mean 2, spread 1"),
        ([1, 2], [1, 2], [1, -0.5], "spread -0.5 is negative"),
        ([2, 2], [1, 2], [1, 1], "all trials have one dimension"),
        ([1, 2], [3, 3], [0, 0], "one mean and no spread"),
        ([1, 2], [np.nan, 3], [0, 0], "mean of trial 1 is nan"),
        ([1, 2], [1, 3], [0, np.inf], "spread of trial 2 is inf"),
        ([], [], [], r"dimension has shape \[0\]"),
        ([[1, 2]], [[1, 2]], [[1, 2]], r"dimension has shape \[1, 2\], expected \[trial\]"),
    ],
)
def test_bad_tables(dimension: Floats, mean: Floats, spread: Floats, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Trials(dimension, mean, spread)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"draws": 1}, "draws is 1, it must be at least 2"),
        ({"rollouts": 1}, "rollouts is 1, it must be at least 2"),
        ({"seeds": 0}, "seeds is 0, it must be at least 1"),
        ({"seed": -1}, "seed is -1, it must lie in 0"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
    ],
)
def test_bad_numbers(given: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        monte_carlo_spearman(TABLES["rising"], **given)

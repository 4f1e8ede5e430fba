"""combsearch.sparsity.sap: theorem 2 by brute force, whole numbers, and what a round prunes."""

from __future__ import annotations

import math
from typing import Any

import naive_sparsity as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combsearch.errors import UsageError
from combsearch.sparsity.pq_index import pq_index
from combsearch.sparsity.sap import retain_at_least, retain_bound, sap_prune_count, tail_ratio

POWERS = [(0.5, 1), (1, 2), (0.25, 0.5), (2, 4), (0.1, 7), (0.9, 1.1)]

floats = st.floats(1e-3, 1e3) | st.just(0.0) | st.floats(-1e3, -1e-3)
vectors = st.lists(floats, min_size=1, max_size=9).filter(any)
etas = st.sampled_from([0, 1e-3, 0.1, 1, 10])


@settings(max_examples=150, deadline=None)
@given(vectors, st.sampled_from(POWERS), etas)
def test_the_formula(values: list[float], powers: tuple[float, float], eta: float) -> None:
    expected = float(naive.retain_bound(values, *powers, eta))
    assert float(retain_bound(values, *powers, eta)) == pytest.approx(expected, rel=1e-11)
    assert int(retain_at_least(values, *powers, eta)) in (
        math.ceil(expected * (1 - 1e-11)),
        math.ceil(expected),
    )


@settings(max_examples=150, deadline=None)
@given(vectors, st.sampled_from(POWERS), etas)
def test_no_smaller_set_has_so_little_outside_it(
    values: list[float], powers: tuple[float, float], eta: float
) -> None:
    fewest = naive.fewest_kept(values, powers[0], eta * (1 + 1e-12))
    assert 1 <= int(retain_at_least(values, *powers, eta)) <= fewest <= len(values)


@pytest.mark.parametrize("powers", POWERS)
def test_the_bound_of_random_vectors(powers: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    for heavy in (0.5, 1, 3):
        w = rng.normal(size=(20, 60))
        w = np.sign(w) * np.abs(w) ** heavy
        for r in (1, 5, 30, 59, 60):
            for row, eta in zip(w, tail_ratio(w, r, powers[0]), strict=True):
                assert retain_bound(row, *powers, float(eta)) <= r * (1 + 1e-12)
                assert retain_at_least(row, *powers, float(eta)) <= r


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 50), st.integers(0, 50), st.floats(1e-3, 1e3), st.sampled_from(POWERS))
def test_entries_alike_attain_it(
    alike: int, zeros: int, value: float, powers: tuple[float, float]
) -> None:
    values = [value] * alike + [0.0] * zeros
    assert float(retain_bound(values, *powers)) == pytest.approx(alike, rel=1e-12)
    assert retain_at_least(values, *powers) == alike
    near = np.array(values) * (1 + 1e-16 * np.arange(len(values)))
    assert retain_at_least(near, *powers) <= alike


@pytest.mark.parametrize("powers", POWERS)
def test_a_few_entries_alike_among_many(powers: tuple[float, float]) -> None:
    w = np.zeros(10**6)
    w[:3] = 0.7
    assert float(retain_bound(w, *powers)) == pytest.approx(3, rel=1e-12)
    assert retain_at_least(w, *powers) == 3


@pytest.mark.parametrize("apart", [1e-6, 1e-10, 1e-15])
def test_powers_next_to_each_other(apart: float) -> None:
    """Rounding weighs ever more; what is said stays true."""
    w = 1 + 1e-9 * np.random.default_rng(0).random((40, 30))
    assert (retain_bound(w, 1, 1 + apart) <= 30).all()
    bounds = retain_at_least(w, 1, 1 + apart)
    assert (bounds >= 1).all() and (bounds <= 30).all()


@settings(max_examples=100, deadline=None)
@given(vectors, st.integers(0, 10), st.sampled_from([0.25, 1, 2]))
def test_tail_ratio(values: list[float], r: int, p: float) -> None:
    if r == 0:
        assert tail_ratio(values, 0, p) == math.inf
    else:
        expected = naive.tail_ratio(values, r, p)
        assert float(tail_ratio(values, r, p)) == pytest.approx(expected, rel=1e-11)


def test_batches_and_masks() -> None:
    rng = np.random.default_rng(5)
    w, kept = rng.normal(size=(6, 9)), rng.random((6, 9)) < 0.7
    rows = [row[mask] for row, mask in zip(w, kept, strict=True)]
    cases: list[tuple[Any, tuple[float, ...]]] = [
        (retain_bound, (0.5, 1, 0.1)),
        (tail_ratio, (3, 0.5)),
    ]
    for of, numbers in cases:  # one call for all, beside one a vector
        alone = [float(of(row, *numbers)) for row in rows]
        assert of(w, *numbers, kept).tolist() == pytest.approx(alone, rel=1e-12)
        assert of(w.T, *numbers, kept.T, axis=0).tolist() == pytest.approx(alone, rel=1e-12)
    whole = retain_at_least(w, 0.5, 1, 0, kept)
    assert whole.dtype == np.int64
    assert whole.tolist() == [int(retain_at_least(row, 0.5, 1)) for row in rows]
    whole = retain_at_least(w, 0.5, 1, 0, kept, axis=None)
    assert whole == retain_at_least(np.concatenate(rows), 0.5, 1)


def test_nothing_needs_nothing() -> None:
    for values in ([], [0.0, 0.0]):
        assert retain_bound(values, 0.5, 1) == retain_at_least(values, 0.5, 1) == 0
        assert tail_ratio(values, 1, 0.5) == tail_ratio(values, 0, 0.5) == 0


def test_what_is_not_finite() -> None:
    rows: Any = [[1, np.nan], [1, 2]]
    assert np.isnan(retain_bound(rows, 1, 2)).tolist() == [True, False]
    assert np.isnan(tail_ratio(rows, 1, 1)).tolist() == [True, False]
    with pytest.raises(UsageError, match="a weight is NaN or infinite"):
        retain_at_least(rows, 1, 2)
    assert retain_at_least(rows, 1, 2, kept=[True, False]).tolist() == [1, 1]


def test_sparser_vectors_need_less() -> None:
    """As the index rises along one vector that is made ever more unequal, the bound falls."""
    base = np.random.default_rng(0).random(200)
    powers_of = [base**heavy for heavy in (0, 0.5, 1, 2, 4, 8)]
    for p, q in POWERS:
        indices = [float(pq_index(w, p, q)) for w in powers_of]
        bounds = [int(retain_at_least(w, p, q)) for w in powers_of]
        assert indices == sorted(indices) and bounds == sorted(bounds, reverse=True)
        assert bounds[0] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 0.5, 0), "p is 1 and q is 0.5: needs 0 < p < q"),
        ((0.5, 1, -0.1), "eta is -0.1, it must be a number from 0 up"),
        ((0.5, 1, math.nan), "eta is nan"),
        ((0.5, 1, math.inf), "eta is inf"),
    ],
)
def test_bad_values(arguments: tuple[float, float, float], message: str) -> None:
    for of in (retain_bound, retain_at_least):
        with pytest.raises(UsageError, match=message):
            of([1, 2], *arguments)


@pytest.mark.parametrize(("r", "p"), [(-1, 1), (1, 0), (1, -1), (1, math.nan), (1, math.inf)])
def test_bad_values_of_the_tail(r: int, p: float) -> None:
    with pytest.raises(UsageError, match=f"r is {r} and p is {p:g}: r must be from 0 up"):
        tail_ratio([1, 2], r, p)


# ---- what a round prunes --------------------------------------------------------------

decimals = st.integers(0, 300).map(lambda hundredths: f"{hundredths / 100:.2f}")
shares = st.integers(0, 100).map(lambda hundredths: f"{hundredths / 100:.2f}")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**8), st.floats(0, 1), decimals, shares)
def test_sap_prunes_by_the_formula(d: int, part: float, gamma: str, beta: str) -> None:
    r = round(part * d)
    found = sap_prune_count(d, r, float(gamma), float(beta))
    assert found == naive.sap_prune_count(d, r, gamma, beta)


def test_sap_loses_no_entry_to_rounding() -> None:
    assert 0.29 * 100 < 29
    assert sap_prune_count(100, 0, gamma=0.29) == sap_prune_count(100, 0, beta=0.29) == 29


def test_sap_prunes_down_to_what_must_stay() -> None:
    d, r = np.meshgrid(np.arange(1, 200), np.arange(0, 200))
    r = np.minimum(r, d)
    found = sap_prune_count(d, r, beta=1)
    np.testing.assert_array_equal(found, d - r)
    assert found.dtype == np.int64
    assert sap_prune_count(1000, 3).tolist() == 900  # beta
    assert sap_prune_count(1000, 600.5).tolist() == 399  # the paper's real r
    assert sap_prune_count(10, 20) == 0
    assert sap_prune_count([10, 20], 5).tolist() == [5, 15]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 5, -1, 0.9), "gamma is -1 and beta 0.9: gamma must be from 0 up"),
        ((10, 5, math.nan, 0.9), "gamma is nan"),
        ((10, 5, 1, 1.5), "gamma is 1 and beta 1.5: .* beta from 0 to 1"),
        ((10, 5, 1, -0.1), "beta -0.1"),
        (([10, -3], 5, 1, 0.9), "d is -3, it must be a number of entries, 0 or more"),
        ((10, math.nan, 1, 0.9), "r is nan"),
    ],
)
def test_bad_values_of_a_round(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sap_prune_count(*arguments)

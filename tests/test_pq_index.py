"""combsearch.sparsity.pq_index: the formula to 60 digits, its range, and six properties."""

from __future__ import annotations

from typing import Any

import naive_sparsity as naive
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from combsearch.errors import UsageError
from combsearch.sparsity.pq_index import gini, pq_index, pq_limit

POWERS = [(0.5, 1), (1, 2), (0.25, 0.5), (2, 4), (0.1, 7), (1, 1.001), (0.01, 30)]
FAIR = [(0.5, 1), (1, 2), (0.25, 1), (0.5, 2), (1, 1.5), (1, 4)]  # p <= 1 <= q
UNFAIR = [(0.25, 0.5), (2, 4)]

floats = st.floats(1e-3, 1e3) | st.just(0.0) | st.floats(-1e3, -1e-3)
vectors = st.lists(floats, min_size=1, max_size=9).filter(any)
# Properties are strict: whole numbers keep what changes well above rounding.
counts = st.lists(st.integers(0, 40), min_size=2, max_size=9).filter(any)


def index(values: npt.ArrayLike, powers: tuple[float, float], **options: Any) -> float:
    return float(pq_index(values, *powers, **options))


def half_to_one(w: Any, **options: Any) -> Any:
    return pq_index(w, 0.5, 1, **options)


# ---- the formula ----------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(vectors, st.sampled_from(POWERS))
def test_the_formula(values: list[float], powers: tuple[float, float]) -> None:
    expected = float(naive.pq_index(values, *powers))
    assert index(values, powers) == pytest.approx(expected, rel=1e-12, abs=1e-14 / powers[0])


@pytest.mark.parametrize("powers", POWERS)
@pytest.mark.parametrize("values", [[3, 4], [0.5, -0.25, 0], [7], [1e-3, 1e3, 5, 5]])
def test_what_no_scale_changes(values: list[float], powers: tuple[float, float]) -> None:
    expected = index(values, powers)
    for exponent in (-1060, -600, 600, 1000):  # to the subnormal numbers
        scaled = np.ldexp(values, exponent)
        near = 1e-2 if exponent == -1060 else 1e-13
        assert index(scaled, powers) == pytest.approx(expected, rel=near, abs=1e-13)


def test_entries_further_apart_than_numbers_go() -> None:
    values = [1e-320, 1e300, 1e-10]
    expected = float(naive.pq_index(values, 1e-6, 2e-6))
    assert 0.1 < expected < 1
    assert index(values, (1e-6, 2e-6)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("powers", POWERS)
def test_an_index_near_0_keeps_its_digits(spread: float, powers: tuple[float, float]) -> None:
    values = 3 + spread * np.random.default_rng(1).normal(size=50)
    expected = float(naive.pq_index(values.tolist(), *powers))
    assert 0 < expected < 1e-3
    loss = 1e-15 / spread * powers[1] / (powers[1] - powers[0])
    assert index(values, powers) == pytest.approx(expected, rel=10 * loss, abs=0)


@pytest.mark.parametrize("values", [[], [0.0], [0, 0, 0], [-0.0]])
def test_nothing_has_an_index_of_0(values: list[float]) -> None:
    for found in (pq_index(values, 0.5, 1), gini(values)):
        assert found == 0 and not np.signbit(found)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_own_vector_only(bad: float) -> None:
    rows: Any = [[1, 2, bad], [1, 2, 3], [0, 0, 0]]
    for of in (half_to_one, gini):
        found = of(rows)
        assert np.isnan(found[0]) and found[1] == of([1, 2, 3]) and found[2] == 0
    kept = [[True, True, False]] * 3
    assert index(rows[0], (1, 2), kept=kept[0]) == pytest.approx(index([1, 2], (1, 2)))
    assert not np.isnan(gini(rows, kept)).any()


# ---- batches --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 8), st.sampled_from(POWERS))
def test_a_batch_with_masks_is_each_vector_alone(
    seed: int, n: int, d: int, powers: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    w, kept = rng.normal(size=(n, d)).astype(np.float32), rng.random((n, d)) < 0.6
    alone = [index(row[mask], powers) for row, mask in zip(w, kept, strict=True)]
    near = pytest.approx(alone, rel=1e-12, abs=1e-14 / powers[0])
    assert pq_index(w, *powers, kept).tolist() == near
    assert pq_index(w.T, *powers, kept.T, axis=0).tolist() == near
    every = [float(gini(row[mask])) for row, mask in zip(w, kept, strict=True)]
    assert gini(w, kept).tolist() == pytest.approx(every, rel=1e-12, abs=1e-15)
    assert gini(w.T, kept.T, axis=0).tolist() == gini(w, kept).tolist()
    whole = index(w, powers, kept=kept, axis=None)
    assert whole == pytest.approx(index(w[kept], powers), rel=1e-12, abs=1e-14 / powers[0])


def test_axes_and_masks_that_are_shared() -> None:
    w = np.random.default_rng(0).normal(size=(2, 3, 4))
    assert pq_index(w, 1, 2).shape == (2, 3) and pq_index(w, 1, 2, axis=1).shape == (2, 4)
    assert pq_index(w, 1, 2, axis=None).shape == ()
    shared = [True, False, True, True]
    assert pq_index(w, 1, 2, shared)[1, 2] == pytest.approx(index(w[1, 2, [0, 2, 3]], (1, 2)))
    before = w.copy()
    gini(w, shared)
    np.testing.assert_array_equal(w, before)
    assert index(5, (1, 2)) == 0  # one number is one entry
    assert index(np.array([3, 4], dtype=np.int8), (1, 2)) == index([3.0, 4.0], (1, 2))


@pytest.mark.parametrize(
    "arguments", [{"kept": [True, False]}, {"axis": 1}, {"kept": [[True] * 3]}]
)
def test_masks_and_axes_that_do_not_fit(arguments: dict[str, Any]) -> None:
    for of in (half_to_one, gini):
        with pytest.raises(UsageError, match=r"weights of shape \[3\]: a mask of shape .* or axis"):
            of([1, 2, 3], **arguments)


@pytest.mark.parametrize(
    ("p", "q"), [(1, 1), (2, 1), (0, 1), (-1, 1), (np.nan, 1), (1, np.nan), (1, np.inf)]
)
def test_powers_must_be_in_order(p: float, q: float) -> None:
    message = f"p is {p:g} and q is {q:g}: needs 0 < p < q"
    with pytest.raises(UsageError, match=message):
        pq_index([1, 2], p, q)
    with pytest.raises(UsageError, match=message):
        pq_limit(3, p, q)


# ---- the range (theorem 1) ------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(vectors, st.sampled_from(POWERS))
def test_the_range(values: list[float], powers: tuple[float, float]) -> None:
    assert 0 <= index(values, powers) <= float(pq_limit(len(values), *powers)) <= 1


@pytest.mark.parametrize("powers", POWERS)
@pytest.mark.parametrize("d", [1, 2, 3, 10, 1000])
def test_the_range_is_attained(d: int, powers: tuple[float, float]) -> None:
    p, q = powers
    assert index(np.full(d, -0.3), powers) == 0
    one_hot = np.zeros(d)
    one_hot[d // 2] = 17
    limit = float(pq_limit(d, p, q))
    assert limit == pytest.approx(1 - d ** (1 / q - 1 / p), rel=1e-12)
    assert index(one_hot, powers) == pytest.approx(limit, rel=1e-14)
    for k in range(1, min(d, 4)):  # k entries alike are a one-hot vector of d/k entries
        some = np.where(np.arange(d) < k, 0.3, 0)
        assert index(some, powers) == pytest.approx(float(pq_limit(d / k, p, q)), rel=1e-12)


# ---- the six properties (module docstring) --------------------------------------------


@settings(max_examples=200, deadline=None)
@given(counts, st.sampled_from(FAIR), st.data())
def test_d1_robin_hood(counts: list[int], powers: tuple[float, float], data: st.DataObject) -> None:
    rich, poor = (counts.index(pick) for pick in (max(counts), min(counts)))
    assume(counts[rich] > counts[poor])
    most = counts[rich] - counts[poor]
    share = data.draw(st.integers(1, 15)) / 16 * most / 2
    after = [float(count) for count in counts]
    after[rich] -= share
    after[poor] += share
    assert index(after, powers) < index(counts, powers)


@settings(max_examples=100, deadline=None)
@given(counts, st.sampled_from(FAIR), st.data())
def test_d1_robin_hood_between_any_two(
    counts: list[int], powers: tuple[float, float], data: st.DataObject
) -> None:
    first, second = data.draw(st.permutations(range(len(counts))))[:2]
    assume(counts[first] != counts[second])
    share = data.draw(st.integers(1, 15)) / 32
    after = [float(count) for count in counts]
    after[first] += share * (counts[second] - counts[first])
    after[second] += share * (counts[first] - counts[second])
    assert index(after, powers) < index(counts, powers)


@settings(max_examples=100, deadline=None)
@given(vectors, st.sampled_from(POWERS), st.floats(1e-200, 1e200), st.booleans())
def test_d2_scaling(
    values: list[float], powers: tuple[float, float], factor: float, negative: bool
) -> None:
    scaled = np.array(values) * (-factor if negative else factor)
    near = pytest.approx(index(values, powers), rel=1e-12, abs=1e-14 / powers[0])
    assert index(scaled, powers) == near


@settings(max_examples=100, deadline=None)
@given(counts, st.sampled_from([*FAIR, *UNFAIR]), st.integers(1, 20))
def test_d3_rising_tide(counts: list[int], powers: tuple[float, float], rise: int) -> None:
    risen = index([count + rise for count in counts], powers)
    if min(counts) == max(counts):
        assert risen == index(counts, powers) == 0
    else:
        assert risen < index(counts, powers)


@settings(max_examples=100, deadline=None)
@given(vectors, st.sampled_from(POWERS), st.integers(2, 5))
def test_d4_cloning(values: list[float], powers: tuple[float, float], copies: int) -> None:
    near = pytest.approx(index(values, powers), rel=1e-12, abs=1e-14 / powers[0])
    assert index(values * copies, powers) == near


@settings(max_examples=100, deadline=None)
@given(
    counts,
    st.sampled_from([*FAIR, *UNFAIR]),
    st.integers(0, 8),
    st.integers(0, 30),
    st.integers(1, 30),
)
def test_p1_bill_gates(
    counts: list[int], powers: tuple[float, float], who: int, lead: int, more: int
) -> None:
    who %= len(counts)
    assume(any(counts[:who] + counts[who + 1 :]))
    rich, richer = list(counts), list(counts)
    rich[who] = max(counts) + lead
    richer[who] = max(counts) + lead + more
    assert index(richer, powers) > index(rich, powers)


@settings(max_examples=100, deadline=None)
@given(counts, st.sampled_from([*FAIR, *UNFAIR]), st.integers(1, 3))
def test_p2_babies(counts: list[int], powers: tuple[float, float], babies: int) -> None:
    assert index(counts + [0] * babies, powers) > index(counts, powers)


@pytest.mark.parametrize(
    ("powers", "before", "after", "shown"),
    [
        (UNFAIR[1], [10, 1, 0.2], [10, 0.8, 0.4], ["0.2362", "0.2371"]),
        (UNFAIR[0], [100, 20] + [1] * 8, [60, 60] + [1] * 8, ["0.3847", "0.3862"]),
    ],
)
def test_robin_hood_fails_for_powers_on_one_side_of_1(
    powers: tuple[float, float], before: list[float], after: list[float], shown: list[str]
) -> None:
    gone = [b - a for b, a in zip(before, after, strict=True) if b != a]
    assert sum(gone) == pytest.approx(0) and len(gone) == 2  # from one to one other
    low, high = naive.pq_index(before, *powers), naive.pq_index(after, *powers)
    assert low < high
    assert [f"{index(values, powers):.4f}" for values in (before, after)] == shown


# ---- Gini -----------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(vectors)
def test_gini(values: list[float]) -> None:
    assert float(gini(values)) == pytest.approx(float(naive.gini(values)), rel=1e-12, abs=1e-15)


def test_gini_at_its_ends() -> None:
    assert gini(np.full(7, -0.3)) == 0
    assert float(gini(np.eye(10)[3])) == pytest.approx(0.9, abs=1e-5)
    assert float(gini([1e308, 1e308, 0])) == pytest.approx(1 / 3)
    assert float(gini([0, 1, 2, 3])) == pytest.approx(10 / 24, rel=1e-6)
    assert float(gini([1e-9, 0])) < 0.01  # of the size of what is added

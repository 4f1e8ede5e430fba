"""combsearch.rng: known answers, plain-Python twins, and statistics of the orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from naive import epoch_order as naive_order
from naive import philox4x32 as naive_philox
from naive import splitmix64
from scipy import stats

from combsearch.errors import UsageError
from combsearch.rng import (
    RESTART_BLOCK,
    RunKeys,
    as_philox_key,
    epoch_order,
    mix64,
    philox4x32,
    text_key,
    uniform,
)

Array = npt.NDArray[Any]
GOLDEN_TEXT_KEY = 9196542924170811899
GOLDEN_PHILOX_KEYS = [[2735836849, 134180355], [3092605045, 3795446855]]


def words(text: str) -> Array:
    return np.array([int(word, 16) for word in text.split()], np.uint32)


# Random123's known answers for philox4x32-10.
KNOWN_ANSWERS = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter: str, key: str, answer: str) -> None:
    np.testing.assert_array_equal(philox4x32(words(counter), words(key)), words(answer))


def test_philox_broadcasts_and_equals_plain_python() -> None:
    rng = np.random.default_rng(0)
    counter = rng.integers(0, 2**32, (5, 3, 4), dtype=np.uint32)
    key = rng.integers(0, 2**32, (5, 1, 2), dtype=np.uint32)
    found = philox4x32(counter, key)
    assert found.shape == (5, 3, 4)
    assert found.dtype == np.uint32
    for i in range(5):
        for j in range(3):
            assert found[i, j].tolist() == naive_philox(counter[i, j].tolist(), key[i, 0].tolist())


def test_mix64_is_splitmix64() -> None:
    values = [0, 1, 2**63, 2**64 - 1, 12345678901234567890]
    assert mix64(np.array(values, np.uint64)).tolist() == [splitmix64(v) for v in values]
    # The first output of splitmix64 seeded with 0, as published with it.
    assert int(mix64(np.uint64(0))) == 0xE220A8397B1DCDAF


def test_mix64_spreads_every_input_bit() -> None:
    values = np.random.default_rng(1).integers(0, 2**64, 2000, dtype=np.uint64)
    for bit in range(64):
        changed = mix64(values) ^ mix64(values ^ np.uint64(1 << bit))
        assert abs(np.bitwise_count(changed).mean() - 32) < 1


def test_text_key_stays_the_same_for_ever() -> None:
    assert int(text_key("0.05:cosine")) == GOLDEN_TEXT_KEY
    assert text_key("0.05:cosine") != text_key("0.05:step")


def make_keys(n: int = 6, seed: int = 7) -> RunKeys:
    return RunKeys.make(seed, np.arange(n) + 100, ["0.05:cosine"] * n, np.arange(n) * 10)


def test_run_keys_stay_the_same_for_ever() -> None:
    keys = RunKeys.make(3, [11, 2**64 - 1], ["0.05:cosine", "0.1:step"], [0, 5])
    assert keys.philox_keys().tolist() == GOLDEN_PHILOX_KEYS
    word = splitmix64(3)
    for part in (11, int(text_key("0.05:cosine")), 0):
        word = splitmix64(word ^ part)
    assert keys.philox_keys()[0].tolist() == [word % 2**32, word >> 32]


def test_run_key_depends_on_each_part_and_on_nothing_else() -> None:
    base = RunKeys.make(0, [1], ["a"], [0]).philox_keys()[0].tolist()
    others = [
        RunKeys.make(1, [1], ["a"], [0]),
        RunKeys.make(0, [2], ["a"], [0]),
        RunKeys.make(0, [1], ["b"], [0]),
        RunKeys.make(0, [1], ["a"], [1]),
    ]
    found = [base] + [keys.philox_keys()[0].tolist() for keys in others]
    assert len({tuple(key) for key in found}) == 5
    together = RunKeys.make(0, [9, 1, 8], ["b", "a", "c"], [4, 0, 2])
    assert together.philox_keys()[1].tolist() == base


def test_run_keys_index_and_blocks() -> None:
    keys = make_keys()
    assert len(keys) == 6
    np.testing.assert_array_equal(keys.blocks(), np.arange(6) * 10 // RESTART_BLOCK)
    picked = keys[np.array([4, 1])]
    np.testing.assert_array_equal(picked.philox_keys(), keys.philox_keys()[[4, 1]])
    np.testing.assert_array_equal(keys[2:4].restart, [20, 30])


def test_run_keys_refuse_what_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"seed is -1.*0\.\.2\^64-1"):
        make_keys(seed=-1)
    with pytest.raises(UsageError, match=r"seed is 18446744073709551616"):
        make_keys(seed=2**64)
    with pytest.raises(UsageError, match=r"differ in number: \(2, 1, 1\)"):
        RunKeys.make(0, [1, 2], ["a"], [0])
    with pytest.raises(UsageError, match="restart is -3"):
        RunKeys.make(0, [1], ["a"], [-3])


def test_uniform_is_philox_at_its_place() -> None:
    keys = make_keys(3).philox_keys()
    found = uniform(keys, layer=2, rows=3, cols=6, stream=1)
    assert found.dtype == np.float32
    assert found.shape == (3, 3, 6)
    for n, row, col in np.ndindex(3, 3, 6):
        word = naive_philox([1, 2, row, col // 4], keys[n].tolist())[col % 4]
        assert found[n, row, col] == np.float32((word >> 8) / 2**24)


def test_uniform_narrower_takes_the_leading_block() -> None:
    keys = make_keys(4).philox_keys()
    wide = uniform(keys, 1, 16, 16)
    for rows, cols in ((1, 1), (3, 7), (7, 3), (16, 5)):
        np.testing.assert_array_equal(uniform(keys, 1, rows, cols), wide[:, :rows, :cols])


def test_uniform_is_uniform_and_its_places_unrelated() -> None:
    keys = RunKeys.make(0, np.arange(4000), ["a"] * 4000, np.zeros(4000)).philox_keys()
    draws = np.concatenate([uniform(keys, layer, 2, 5).reshape(4000, -1) for layer in (0, 1)], 1)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.reshape(-1), "uniform").pvalue > 1e-3
    correlations = np.corrcoef(draws.T)[np.triu_indices(draws.shape[1], 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(4000)


def test_epoch_order_is_a_permutation() -> None:
    for points in (*range(1, 301), 49_982):
        order = epoch_order(3, 1, 4, points)
        assert order.dtype == np.int32
        np.testing.assert_array_equal(np.sort(order), np.arange(points))


@pytest.mark.parametrize("points", [1, 2, 3, 5, 16, 33, 1000])
@pytest.mark.parametrize("key", [(0, 0, 0), (2**64 - 1, 3, 49), (12345, 2**40, 7)])
def test_epoch_order_equals_plain_python(points: int, key: tuple[int, int, int]) -> None:
    assert epoch_order(*key, points).tolist() == naive_order(*key, points)


def test_epoch_order_stays_the_same_for_ever() -> None:
    assert epoch_order(0, 0, 0, 10).tolist() == [1, 8, 0, 7, 5, 3, 6, 2, 9, 4]
    assert epoch_order(0, 0, 0, 49_982)[:6].tolist() == [22710, 9583, 24240, 8125, 40448, 42177]


def test_epoch_order_differs_by_seed_block_and_epoch() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2), (2**63, 0, 0)]
    assert len({epoch_order(*key, 500).tobytes() for key in keys}) == len(keys)


def orders(points: int, epochs: int) -> Array:
    return np.stack([epoch_order(0, 0, epoch, points) for epoch in range(epochs)])


@pytest.mark.parametrize("points", [12, 37])
def test_epoch_order_puts_every_value_everywhere(points: int) -> None:
    found = orders(points, 2000)
    counts = np.stack([np.bincount(found[:, i], minlength=points) for i in range(points)])
    # Rows and columns of the table sum to 2000, which leaves (points - 1)^2 degrees of freedom.
    expected = 2000 / points
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic * (points - 1) / points, (points - 1) ** 2) > 1e-3


@pytest.mark.parametrize("points", [13, 40])
def test_epoch_order_has_random_successors(points: int) -> None:
    found = orders(points, 1500)
    steps = (np.diff(found, axis=1) % points).reshape(-1)
    counts = np.bincount(steps, minlength=points)[1:]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("points", [64, 97])
def test_epoch_order_has_poisson_fixed_points(points: int) -> None:
    fixed = (orders(points, 1500) == np.arange(points)).sum(axis=1)
    expected = 1500 * np.append(stats.poisson.pmf(range(4), 1), stats.poisson.sf(3, 1))
    counts = np.bincount(np.minimum(fixed, 4), minlength=5)
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_epoch_order_of_the_spiral_is_well_mixed() -> None:
    found = orders(49_982, 4)
    for order in found:
        halves = order.reshape(-1, 2)
        low = (order[:24_991] < 24_991).sum()  # hypergeometric: mean 12495.5, deviation 55.9
        assert abs(low - 12_495.5) < 4 * 55.9
        assert abs(np.corrcoef(halves.T)[0, 1]) < 4 / np.sqrt(len(halves))
        assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 4 / np.sqrt(len(order))
    assert abs(np.corrcoef(found)[np.triu_indices(4, 1)]).max() < 4 / np.sqrt(49_982)


@pytest.mark.parametrize("points", [0, -1, 2**31])
def test_epoch_order_refuses_what_cannot_be(points: int) -> None:
    with pytest.raises(UsageError, match=f"cannot order {points} points"):
        epoch_order(0, 0, 0, points)


def test_philox_key_halves() -> None:
    assert as_philox_key(np.uint64(0x0123456789ABCDEF)).tolist() == [0x89ABCDEF, 0x01234567]

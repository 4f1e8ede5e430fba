"""The fused CPU kernel as plain arrays: against the numpy twin, and bit for bit against itself."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt
import pytest
from numba.extending import intrinsic

from combsearch.kernels import cache, cpu, layers, reference, vector
from combsearch.kernels.cpu import BLOCK, LANES

Array = npt.NDArray[Any]
Widths = tuple[int, ...]

# Depths 1 to 5; fan-ins with straight-line code and beyond it; odd and even numbers of rows.
SHAPES: list[Widths] = [
    (2, 7, 3, 3, 1),
    (2, 1, 1, 1, 1),
    (1, 1, 1),
    (1, 4, 1),
    (3, 5, 2, 1),
    (5, 9, 1),
    (16, 3, 8, 2, 1),
    (2, 6, 5, 4, 3, 1),
    (3, 4, 1, 2, 9, 3, 1),
    (2, 9, 20, 33, 1),
    (2, 33, 1),
    (16, 16, 16, 16, 1),
]


def aligned(array: Array) -> npt.NDArray[np.float32]:
    copy = cpu.aligned(*array.shape)
    copy[:] = array
    return copy


class Problem:
    """Random networks [group, parameter, lane], samples in four random orders, and rates."""

    def __init__(
        self, widths: Widths, batch: int = 24, groups: int = 1, samples: int = 40, seed: int = 0
    ) -> None:
        rng = np.random.default_rng([seed, *widths])
        size = (groups, cpu.parameters(widths), LANES)
        self.widths, self.batch, self.steps = widths, batch, samples // batch
        self.m = aligned(rng.random(size) < 0.75)
        self.w = aligned(rng.uniform(-1, 1, size) * self.m)
        for group in self.w:
            for weight, bias in reference.layers(group, widths):
                weight[:] *= 1.7 / np.sqrt(weight.shape[1])
                bias[:] *= 0.5
        self.v = aligned(rng.uniform(-0.1, 0.1, size))
        self.rates = aligned(rng.uniform(0.05, 0.5, (groups, 4, LANES)))
        x = rng.standard_normal((samples, widths[0] + 1)).astype(np.float32)
        x[:, -1] = rng.random(samples) < 0.5
        self.samples = x
        self.orders = np.stack([rng.permutation(samples).astype(np.int32) for _ in range(4)])

    def batches(self, epoch: int = 0) -> Array:
        return cpu.gather(self.samples, self.orders[epoch:], self.batch)

    def train(self, first: int, last: int, kernel: Any = cpu, **changed: Array) -> Array:
        """Weights and velocities after the steps, [2, group, parameter, lane]."""
        arrays = {"w": self.w, "v": self.v, "m": self.m, "rates": self.rates, **changed}
        batches = arrays.pop("batches", None)
        if batches is None:
            batches = self.batches(first // self.steps)
        w, v, m, rates = (a if a.dtype == np.float64 else aligned(a) for a in arrays.values())
        kernel.train(
            w, v, m, rates, batches, self.widths,
            batch=self.batch, first=first, last=last, momentum=0.9, decay=0.01,
        )  # fmt: skip
        return np.stack([w, v])

    def exact(self, first: int, last: int) -> Array:
        """The same in float64, one sample after another."""
        names = ("w", "v", "m", "rates")
        wide = {name: getattr(self, name).astype(np.float64) for name in names}
        return self.train(first, last, reference, **wide)


def assert_same_bits(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(
        np.ascontiguousarray(found).view(np.uint32),
        np.ascontiguousarray(expected).view(np.uint32),
    )


def assert_close(problem: Problem, first: int, last: int) -> None:
    found, expected = problem.train(first, last), problem.exact(first, last)
    assert np.abs(expected[0] - problem.w).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6, err_msg=str(problem.widths))
    assert not found[0][problem.m == 0].any()


# ---- the reference itself --------------------------------------------------------------


def test_the_gradient_of_the_reference_is_that_of_finite_differences() -> None:
    widths, rng = (2, 4, 3, 1), np.random.default_rng(3)
    w = rng.uniform(-1, 1, (cpu.parameters(widths), 5))
    for sample in (np.array([0.3, -1.2, 0.0]), np.array([-0.7, 0.4, 1.0])):

        def loss(w: Array, sample: Array = sample) -> Array:
            z = reference.logits(w, sample[None], widths)[0]
            return np.asarray(np.logaddexp(0, z) - sample[-1] * z)

        found = reference.gradient(w, sample, widths)
        for parameter, step in enumerate(np.eye(len(w))[:, :, None] * 1e-6):
            slope = (loss(w + step) - loss(w - step)) / 2e-6
            np.testing.assert_allclose(found[parameter], slope, atol=1e-8)


def test_logits_of_the_reference_by_hand() -> None:
    # relu(2x - 1) = 3 and relu(-x + 1) = 0 at x = 2; the logit is 3 * 0.5 + 0 * 7 - 1.
    w = np.array([2.0, -1.0, -1.0, 1.0, 0.5, 7.0, -1.0])[:, None]
    assert reference.logits(w, np.array([[2.0, 1.0]]), (1, 2, 1)).tolist() == [[0.5]]


# ---- training against the reference ----------------------------------------------------


@pytest.mark.parametrize("widths", SHAPES, ids=str)
@pytest.mark.parametrize("batch", [1, 5, 16, 24])
def test_steps_over_two_epochs_are_those_of_the_reference(widths: Widths, batch: int) -> None:
    problem = Problem(widths, batch)
    assert_close(problem, problem.steps - 1, problem.steps + 2)


@pytest.mark.parametrize("before", [(2,), (2, 2), (2, 3, 2)], ids=str)
def test_every_pair_of_widths_is_that_of_the_reference(before: Widths) -> None:
    for pair in itertools.product(range(1, 11), repeat=2):
        assert_close(Problem((*before, *pair, 1), batch=18), 0, 1)


def test_every_number_of_inputs_is_that_of_the_reference() -> None:
    for inputs, width in itertools.product((*range(1, 7), 15, 16), (1, 2, 3, 8, 9)):
        assert_close(Problem((inputs, width, 1), batch=18), 0, 2)
        assert_close(Problem((inputs, width, 3, 1), batch=18), 0, 2)


@pytest.mark.parametrize("batch", [15, 17, 31, 32, 33, 48, 130])
def test_batches_of_several_blocks_and_a_rest(batch: int) -> None:
    for widths in ((2, 3, 1), (2, 4, 3, 1), (2, 3, 3, 3, 1)):
        assert_close(Problem(widths, batch, samples=2 * batch), 0, 3)


def test_several_groups_are_trained_each_with_its_own_rates() -> None:
    problem = Problem((2, 4, 3, 1), batch=16, groups=3)
    assert_close(problem, 1, 5)
    for group in range(3):
        parts = {n: getattr(problem, n)[group : group + 1] for n in ("w", "v", "m", "rates")}
        alone = problem.train(1, 5, **parts)
        assert_same_bits(alone[:, 0], problem.train(1, 5)[:, group])


# ---- bit for bit -----------------------------------------------------------------------


@pytest.mark.parametrize("batch", [5, 16, 40])
def test_steps_in_pieces_are_the_steps_in_one_call(batch: int) -> None:
    problem = Problem((2, 4, 3, 1), batch)
    last = 4 * problem.steps
    whole = problem.train(0, last)
    for cut in range(last):
        w, v = problem.train(0, cut)
        assert_same_bits(problem.train(cut, last, w=w, v=v), whole)
    assert_same_bits(problem.train(last - 1, last - 1), np.stack([problem.w, problem.v]))


@pytest.mark.parametrize("widths", [(2, 7, 3, 3, 1), (3, 9, 1), (2, 3, 9, 4, 1)], ids=str)
def test_a_lane_depends_neither_on_its_place_nor_on_the_others(widths: Widths) -> None:
    problem = Problem(widths)
    names = ("w", "v", "m", "rates")
    expected = problem.train(0, 4)
    for shift in (1, 2, LANES - 1):
        rolled = {n: np.roll(getattr(problem, n), shift, axis=-1) for n in names}
        assert_same_bits(problem.train(0, 4, **rolled), np.roll(expected, shift, axis=-1))
    for poison in (np.nan, np.inf, -1e30, 0.0):
        for lane in (0, LANES - 1):
            others = np.arange(LANES) != lane
            changed = {n: np.where(others, poison, getattr(problem, n)) for n in names}
            found = problem.train(0, 4, **changed)
            assert_same_bits(found[..., lane], expected[..., lane])


@pytest.mark.parametrize("batch", [1, 5, 24])
def test_padding_of_a_batch_counts_for_nothing(batch: int) -> None:
    for widths in ((2, 3, 1), (2, 9, 1), (2, 4, 3, 1), (3, 2, 9, 3, 1)):
        problem = Problem(widths, batch)
        batches = problem.batches()
        rows = batches.reshape(4, problem.steps, cpu.padded(batch), -1)
        assert not rows[:, :, batch:].any()
        rows[:, :, batch:] = 7
        last = 2 * problem.steps
        assert_same_bits(problem.train(0, last, batches=batches), problem.train(0, last))


def padded_wider(problem: Problem, widths: Widths) -> tuple[Problem, Array]:
    """The same networks inside wider ones, and which parameters they are."""
    wide = Problem(widths, problem.batch)
    place = np.arange(cpu.parameters(widths), dtype=np.float64)[:, None]
    sizes = itertools.pairwise(problem.widths)
    kept = np.concatenate(
        [
            part
            for (fan, out), (weight, bias) in zip(
                sizes, reference.layers(place, widths), strict=True
            )
            for part in (weight[:out, :fan].reshape(-1), bias[:out].reshape(-1))
        ]
    ).astype(np.intp)
    for name in ("w", "v", "m"):
        getattr(wide, name)[:] = 0
        getattr(wide, name)[:, kept] = getattr(problem, name)
    wide.rates, wide.orders = problem.rates, problem.orders
    wide.samples = np.zeros((len(problem.samples), widths[0] + 1), np.float32)
    wide.samples[:, : problem.widths[0]] = problem.samples[:, :-1]
    wide.samples[:, -1] = problem.samples[:, -1]
    return wide, kept


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ((2, 7, 3, 3, 1), (2, 8, 9, 20, 1)),
        ((2, 3, 1), (2, 33, 1)),
        ((2, 3, 3, 3, 1), (2, 16, 16, 16, 1)),
        ((2, 2, 2, 2, 2, 1), (2, 9, 3, 10, 4, 1)),
        ((3, 8, 4, 1), (5, 9, 5, 1)),
    ],
    ids=str,
)
def test_zero_padded_wider_networks_hold_the_same_bits(narrow: Widths, wide: Widths) -> None:
    problem = Problem(narrow)
    wider, kept = padded_wider(problem, wide)
    expected, found = problem.train(0, 4), wider.train(0, 4)
    live = expected[0] != 0
    assert live.mean() > 0.5
    assert_same_bits(found[0][:, kept][live], expected[0][live])
    assert not np.delete(found[0], kept, axis=1).any()


def test_training_changes_weights_and_velocities_only() -> None:
    problem = Problem((2, 4, 3, 1))
    m, rates, batches = problem.m.copy(), problem.rates.copy(), problem.batches()
    before = batches.copy()
    w, v = problem.w.copy(), problem.v.copy()
    cpu.train(
        problem.w, problem.v, problem.m, problem.rates, batches, problem.widths,
        batch=problem.batch, first=0, last=4, momentum=0.9, decay=0.01,
    )  # fmt: skip
    for found, expected in ((problem.m, m), (problem.rates, rates), (batches, before)):
        assert_same_bits(found, expected)
    assert (problem.w != w).mean() > 0.5 and (problem.v != v).mean() > 0.5


# ---- minibatches -----------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 5, 16, 40, 41])
def test_gather_takes_the_samples_in_order_and_drops_an_incomplete_batch(batch: int) -> None:
    problem = Problem((3, 2, 1))
    found = cpu.gather(problem.samples, problem.orders, batch)
    steps = 40 // batch
    assert found.shape == (4, steps * cpu.padded(batch), 4)
    rows = found.reshape(4, steps, cpu.padded(batch), 4)
    for epoch, step in itertools.product(range(4), range(steps)):
        order = problem.orders[epoch, step * batch : (step + 1) * batch]
        assert_same_bits(rows[epoch, step, :batch], problem.samples[order])
    assert not rows[:, :, batch:].any()
    if steps:
        assert_same_bits(found, reference.gather(problem.samples, problem.orders, batch))


# ---- scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("widths", SHAPES, ids=str)
@pytest.mark.parametrize("samples", [1, 15, 16, 37])
def test_scores_are_those_of_the_reference(widths: Widths, samples: int) -> None:
    problem = Problem(widths, batch=1, groups=2, samples=samples)
    correct, finite = cpu.score(problem.w, problem.samples, widths)
    expected, _ = reference.score(problem.w.astype(np.float64), problem.samples, widths)
    assert correct.dtype == np.int64 and finite.dtype == np.bool_
    np.testing.assert_array_equal(correct, expected)
    assert finite.all()


def constant_networks(logits: list[float]) -> Array:
    """(1, 1, 1) networks whose logit is the same everywhere, one a lane: [1, 4, lane]."""
    w = cpu.aligned(1, 4, LANES)
    w[0, 3, : len(logits)] = logits
    return w


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 100])
def test_only_a_logit_above_zero_is_class_one(samples: int) -> None:
    x = np.zeros((samples, 2), np.float32)
    x[::3, 1] = 1
    ones, zeros = len(x[::3]), samples - len(x[::3])
    for logits, expected, finite in (
        ([0.0, -0.0, 1e-45, -1e-45], [zeros, zeros, ones, zeros], [True] * 4),
        ([np.nan, np.inf, -np.inf, 3e38], [zeros, ones, zeros, ones], [False] * 3 + [True]),
    ):
        correct, found = cpu.score(constant_networks(logits), x, (1, 1, 1))
        assert correct[0, :4].tolist() == expected
        assert found[0, :4].tolist() == finite


def test_a_logit_that_overflows_is_not_finite_though_all_parameters_are() -> None:
    w = cpu.aligned(1, 4, LANES)
    w[0, 0], w[0, 2] = 1e20, 1e20
    x = np.zeros((20, 2), np.float32)
    x[:, 0] = 1e-20
    assert cpu.score(w, x, (1, 1, 1))[1].all()
    x[17, 0] = 1
    assert not cpu.score(w, x, (1, 1, 1))[1].any()


@pytest.mark.parametrize("widths", [(1, 2, 1, 1), (1, 2, 1, 1, 1), (1, 2, 9, 1, 1)], ids=str)
def test_infinities_that_cancel_in_a_hidden_layer_are_not_finite(widths: Widths) -> None:
    # 3e38 * 10 is inf in both neurons of the first layer, and inf - inf in the second.
    w = cpu.aligned(1, cpu.parameters(widths), LANES)
    parts = [weight for weight, _ in reference.layers(w[0], widths)]
    parts[0][:], parts[1][:, 0], parts[1][:, 1] = 3e38, 1, -1
    x = np.ones((20, 2), np.float32)
    assert cpu.score(w, x, widths)[1].all()
    x[17, 0] = 10
    correct, finite = cpu.score(w, x, widths)
    with np.errstate(over="ignore", invalid="ignore"):
        expected, known = reference.score(w, x, widths)
    assert not known.any()
    assert not finite.any()
    np.testing.assert_array_equal(correct, expected)


def test_padding_of_the_samples_is_not_scored() -> None:
    # Where x is 0, as in padding, the logit is 2 * 2e38: the samples themselves stay below.
    w = cpu.aligned(1, 4, LANES)
    w[0, 0], w[0, 1], w[0, 2] = -1e38, 2e38, 2
    x = np.ones((17, 2), np.float32)
    correct, finite = cpu.score(w, x, (1, 1, 1))
    assert finite.all()
    assert (correct == 17).all()


def test_samples_scored_in_pieces_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem((2, 4, 3, 1), groups=2, samples=100, batch=1)
    problem.w[0, :, 3] = 1e10  # three layers: logits of 1e30, and 1e45 for one sample
    problem.samples[70, :-1] = 1e15
    expected = cpu.score(problem.w, problem.samples, problem.widths)
    assert not expected[1][0, 3] and expected[1].sum() == 2 * LANES - 1
    for size in (BLOCK, 3 * BLOCK, 50):
        monkeypatch.setattr(cpu, "_SCORED", size)
        found = cpu.score(problem.w, problem.samples, problem.widths)
        np.testing.assert_array_equal(found, expected)


def test_no_networks_have_no_scores() -> None:
    correct, finite = cpu.score(cpu.aligned(0, 4, LANES), np.ones((3, 2), np.float32), (1, 1, 1))
    assert correct.shape == finite.shape == (0, LANES)


# ---- divergence ------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("widths", [(1, 2, 1), (1, 2, 1, 1), (1, 2, 9, 1)], ids=str)
def test_a_logit_that_is_not_a_number_spoils_the_network(widths: Widths, label: int) -> None:
    problem = Problem(widths, batch=1, samples=1)
    w = aligned(problem.w)
    problem.samples[:] = 10, label
    problem.m[:] = 1
    weights = [weight for weight, _ in reference.layers(w[0], widths)]
    weights[0][..., 2:], weights[1][:, 0, 2:], weights[1][:, 1, 2:] = 3e38, 1, -1
    found = problem.train(0, 1, w=w)
    assert np.isfinite(found[..., :2]).all()
    assert not np.isfinite(found[0, 0, :, 2:]).all(axis=0).any()
    _, finite = cpu.score(aligned(found[0]), np.ones((1, 2), np.float32), widths)
    assert finite[0].tolist() == [True] * 2 + [False] * (LANES - 2)


# ---- pieces ----------------------------------------------------------------------------


def _write_sigmoid(c: vector.Code, z: Any, count: Any, to: Any) -> None:
    with c.loop(count) as i:
        c.store(c.sigmoid(c.load(z, i)), to, i)


@intrinsic
def _sigmoid(_context, z, count, to):  # type: ignore[no-untyped-def]
    return vector.operation(_write_sigmoid, "aia", (z, count, to))


@numba.njit  # type: ignore[untyped-decorator]
def _all_sigmoids(z: Any, to: Any) -> None:
    _sigmoid(z, z.size // LANES, to)


def sigmoid(values: Array) -> Array:
    z = cpu.aligned(-(-len(values) // LANES) * LANES)
    z[: len(values)] = values
    found = cpu.aligned(z.size)
    _all_sigmoids(z, found)
    return found[: len(values)]


def test_sigmoid_is_accurate_everywhere() -> None:
    z = np.linspace(-100, 100, 400_001, dtype=np.float32)
    exact = 1 / (1 + np.exp(-z.astype(np.float64)))
    found = sigmoid(z).astype(np.float64)
    assert np.abs(found - exact).max() < 2e-7
    held = np.abs(z) < 55
    assert np.abs(found[held] / exact[held] - 1).max() < 1e-6
    assert found.min() > 0 and found.max() == 1
    assert (found[z < -55] < 2e-24).all() and (found[z > 20] == 1).all()


def test_sigmoid_of_what_is_beyond_numbers() -> None:
    odd = np.array([0x7FC00000, 0x7FC00001, 0xFFC12345, 0x7F800001], np.uint32).view(np.float32)
    found = sigmoid(np.array([np.inf, -np.inf, 3e38, 1e-45, 0], np.float32))
    assert found[0] == found[2] == 1
    assert 0 < found[1] < 2e-24
    assert found[3] == found[4] == pytest.approx(0.5, abs=1e-7)
    # Of NaN it is that of the lowest: training spreads NaN by the activations that made it.
    assert_same_bits(sigmoid(odd), np.repeat(found[1], 4))


@numba.njit  # type: ignore[untyped-decorator]
def _one_update(
    w: Any, v: Any, m: Any, g: Any, rates: Any, rate: int, mean: Any, decay: Any, momentum: Any
) -> None:
    layers.update(w, v, m, g, rates, rate, w.size // LANES, mean, decay, momentum)


def test_the_update_is_the_formula_exactly() -> None:
    rng = np.random.default_rng(0)
    # Multiples of 1/8 below 4: every product and sum is exact in float32.
    w, v, g = (aligned(rng.integers(-31, 32, (5, LANES)) / 8) for _ in range(3))
    m = aligned(rng.integers(0, 2, (5, LANES)))
    rates = aligned(rng.integers(1, 8, (3, LANES)) / 8)
    velocity = 0.5 * v + (g * 0.125 + 0.25 * w)
    expected = np.where(m > 0, w - rates[1] * velocity, 0)
    mean, decay, momentum = (np.float32(value) for value in (0.125, 0.25, 0.5))
    flat = [array.reshape(-1) for array in (w, v, m, g, rates)]
    _one_update(*flat, 1, mean, decay, momentum)
    np.testing.assert_array_equal(w, expected)
    np.testing.assert_array_equal(v, velocity)
    assert not g.any()
    assert not w[m == 0].any() and v[m == 0].any()


def test_a_masked_weight_is_zero_whatever_the_step() -> None:
    w, v, g, rates = (aligned(np.full((1, LANES), value)) for value in (1, 2, np.nan, 3))
    g[0, 1::3], rates[0, 2::3] = np.inf, np.inf
    m = aligned(np.arange(LANES)[None] % 2)
    one = np.float32(1)
    _one_update(*(array.reshape(-1) for array in (w, v, m, g, rates)), 0, one, one, one)
    assert_same_bits(w[m == 0], np.zeros(LANES // 2, np.float32))
    assert not np.isfinite(w[m == 1]).any()


def test_aligned_memory_is_aligned_and_zero() -> None:
    for shape in ((1,), (3, 5), (2, 7, LANES), (1000,)):
        arrays = [cpu.aligned(*shape) for _ in range(5)]
        for array in arrays:
            assert array.shape == shape and array.dtype == np.float32
            assert array.ctypes.data % 64 == 0 and array.flags.c_contiguous
            assert not array.any()


def test_parameters_and_padding_are_counted() -> None:
    assert cpu.parameters((2, 7, 3, 3, 1)) == 21 + 24 + 12 + 4
    assert [cpu.padded(n) for n in (1, BLOCK - 1, BLOCK, BLOCK + 1)] == [BLOCK] * 3 + [2 * BLOCK]


# ---- misuse ----------------------------------------------------------------------------


def unaligned(array: Array) -> Array:
    copy = cpu.aligned(array.size + 1)[1:].reshape(array.shape)
    copy[:] = array
    return copy


def test_arrays_that_would_be_misread_are_refused() -> None:
    problem = Problem((2, 3, 1), groups=2)
    good: dict[str, Any] = {
        "w": problem.w, "v": problem.v, "m": problem.m, "rates": problem.rates,
        "batches": problem.batches(), "widths": problem.widths, "batch": 24, "first": 0,
        "last": 4, "momentum": 0.9, "decay": 0.0,
    }  # fmt: skip
    before = problem.w.copy(), problem.v.copy()
    for name, value, message in [
        *((n, unaligned(good[n]), rf"{n} is not aligned.*aligned\(\)") for n in "wvm"),
        ("rates", unaligned(good["rates"]), "rates is not aligned"),
        *((n, good[n].astype(np.float64), f"{n} must be.*got float64") for n in "wvm"),
        ("rates", good["rates"].astype(np.float64), "rates must be.*got float64"),
        ("w", good["w"][:, :-1], "w must be contiguous float32"),
        ("v", good["v"][:1], "v must be contiguous float32"),
        ("m", np.moveaxis(good["m"], 1, 2), "m must be contiguous float32"),
        ("w", good["w"][..., : LANES // 2], "w must be contiguous float32"),
        ("rates", good["rates"][:, :3], r"rates must be.*\(2, 4, "),
        ("widths", (2, 4, 1), "w must be contiguous"),
        ("widths", (3, 3, 1), "batches must be float32 with 3 axes, the last of 3 inputs"),
        ("widths", (2, 3, 2), "widths .2, 3, 2. must be"),
        ("widths", (2, 1), "widths .2, 1. must be"),
        ("batches", good["batches"].astype(np.float64), "batches must be.*got float64"),
        ("batches", good["batches"][0], "batches must be float32 with 3 axes"),
        ("batches", good["batches"][:3], "steps 0 to 4 are not all in batches.*3 epochs of 1"),
        ("first", -1, "steps -1 to 4"),
        ("first", 5, "steps 5 to 4"),
        ("last", 5, "steps 0 to 5"),
        ("batch", 200, "0 steps"),
    ]:
        changed = {**good, name: value}
        arrays = [changed.pop(n) for n in ("w", "v", "m", "rates", "batches", "widths")]
        with pytest.raises(ValueError, match=message):
            cpu.train(*arrays, **changed)
    assert_same_bits(problem.w, before[0])
    assert_same_bits(problem.v, before[1])


def test_scoring_refuses_what_it_would_misread() -> None:
    problem = Problem((2, 3, 1))
    cases: list[tuple[Any, Any, Widths, str]] = [
        (unaligned(problem.w), problem.samples, problem.widths, "w is not aligned"),
        (problem.w.astype(np.float64), problem.samples, problem.widths, "w must be.*float64"),
        (problem.w, problem.samples.astype(np.float64), problem.widths, "samples must be float32"),
        (problem.w, problem.samples[:, 1:], problem.widths, "samples must be.*2 inputs and the la"),
        (problem.w, problem.samples, (2, 4, 1), "w must be"),
        (problem.w, problem.samples, (2, 3), "widths .2, 3. must be"),
    ]
    for w, samples, widths, message in cases:
        with pytest.raises(ValueError, match=message):
            cpu.score(w, samples, widths)


@pytest.mark.parametrize("bad", [-1, 40])
def test_gather_refuses_orders_beyond_the_samples(bad: int) -> None:
    problem = Problem((2, 3, 1))
    problem.orders[2, 7] = bad
    with pytest.raises(ValueError, match=f"orders must be 0 to 39, got .*{bad}"):
        problem.batches()


# ---- lanes and the cache of compiled code ----------------------------------------------


def test_the_number_of_lanes_is_chosen_or_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen in ("4", "8", "16"):
        monkeypatch.setenv("COMBSEARCH_LANES", chosen)
        assert vector._native_lanes() == int(chosen)
    for bad in ("7", "0", "", "sixteen", "32"):
        monkeypatch.setenv("COMBSEARCH_LANES", bad)
        with pytest.raises(ValueError, match=f"COMBSEARCH_LANES is '{bad}'; valid: 4, 8, 16"):
            vector._native_lanes()
    monkeypatch.delenv("COMBSEARCH_LANES")
    for features, lanes in (({"avx512f": True}, 16), ({"avx512f": False}, 8), ({}, 8)):
        monkeypatch.setattr(llvm, "get_host_cpu_features", lambda f=features: f)
        assert vector._native_lanes() == lanes


def test_the_cache_folder_is_named_after_all_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMBSEARCH_CACHE", str(tmp_path / "cache"))
    sources = tmp_path / "kernels"
    shutil.copytree(Path(cache.__file__).parent, sources, ignore=lambda *_: ["__pycache__"])
    here = cache.cache_folder()
    monkeypatch.setattr(cache, "_FOLDER", sources)
    assert cache.cache_folder() == here
    assert here.parent == tmp_path / "cache"
    seen = {here}
    for change in ("emit.py", "layers.py", "vector.py", "cpu.py"):
        with (sources / change).open("a") as file:
            file.write("# \n")
        seen.add(cache.cache_folder())
    monkeypatch.setattr(cache, "LANES", 2)
    seen.add(cache.cache_folder())
    monkeypatch.setattr(numba, "__version__", "0.1")
    seen.add(cache.cache_folder())
    assert len(seen) == 7


def test_the_cache_folder_is_the_user_s_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMBSEARCH_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.cache_folder().parent == Path("/home/someone/.cache/combsearch")


def _twice(x: int) -> int:
    return 2 * x


def test_compiled_code_is_kept_and_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMBSEARCH_CACHE", str(tmp_path))
    before = numba.config.CACHE_DIR
    first, second = cache.compiled(_twice), cache.compiled(_twice)
    assert before == numba.config.CACHE_DIR
    assert first(21) == second(21) == 42
    assert sum(first.stats.cache_hits.values()) == 0
    assert sum(second.stats.cache_hits.values()) == 1
    assert list(cache.cache_folder().rglob("*.nbi"))


@pytest.mark.parametrize("can_lock", [True, False])
def test_code_for_different_types_is_kept_by_one_process_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, can_lock: bool
) -> None:
    monkeypatch.setenv("COMBSEARCH_CACHE", str(tmp_path))
    first, second = (cache.compiled(_twice)._cache._cache_file for _ in range(2))
    read, begun, done = first._load_index, threading.Event(), threading.Event()

    def slow_read() -> Any:
        found = read()
        begun.set()
        done.wait(0.5)  # for the other to save meanwhile, if it may
        return found

    def save_second() -> None:
        begun.wait()
        second.save("float", 2.0)
        done.set()

    monkeypatch.setattr(first, "_load_index", slow_read)
    if not can_lock:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    other = threading.Thread(target=save_second)
    other.start()
    first.save("int", 1)
    other.join()
    monkeypatch.undo()
    assert (second.load("int"), second.load("float")) == (1, 2.0 if can_lock else None)


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def no_folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cache"


def test_without_a_cache_folder_code_is_compiled_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beside = Path(__file__).parent / "__pycache__"
    monkeypatch.setenv("COMBSEARCH_CACHE", str(no_folder(tmp_path)))
    found = [cache.compiled(_twice)]
    # A folder that is there and takes no file, not even from root.
    if os.path.isdir("/proc/self/fdinfo"):
        monkeypatch.setattr(cache, "cache_folder", lambda: Path("/proc/self/fdinfo"))
        found.append(cache.compiled(_twice))

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache, "cache_folder", homeless)
    found.append(cache.compiled(_twice))
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(cache, "_ROOM", shutil.disk_usage(tmp_path).total + 1)
    found.append(cache.compiled(_twice))
    assert len(found) > 2
    for function in found:
        assert function(21) == 42
        assert function.stats.cache_path is None
    assert not [*beside.glob("*_twice*.nbi"), *tmp_path.rglob("*.nbi")]

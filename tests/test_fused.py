"""The fused trainer: against the plain torch loop, and bit for bit against itself.

The loop is slow (half a millisecond a step), so tasks and step counts are small here;
tests/test_kernels.py has the shapes, one by one, against the numpy twin.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from training import distances

from combsearch.config import CELLS, Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.kernels import cpu
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.rng import RESTART_BLOCK, RunKeys, uniform
from combsearch.tasks.base import Task
from combsearch.trainers import kernel_data
from combsearch.trainers.fused import FusedTrainer
from combsearch.trainers.loop import LoopTrainer

Array = npt.NDArray[Any]
Widths = tuple[int, ...]
FUSED = FusedTrainer()


def make_task(inputs: int = 2, points: int = 640, seed: int = 0) -> Task:
    """A curved border through noise; integer arithmetic only, so the same on any machine."""
    keys = RunKeys.make(seed, [inputs], ["task"], [0]).philox_keys()
    x = uniform(keys, 0, points, inputs)[0] * np.float32(4) - np.float32(2)
    noise = uniform(keys, 1, points, 1)[0, :, 0] < np.float32(0.05)
    y = (x[:, 0] * x[:, 0] + x.sum(axis=1) > 1) ^ noise
    return Task("border", x, y.astype(np.uint8))


def make_nets(
    widths: Widths, cells: Sequence[str], restarts: Sequence[int] | None = None, seed: int = 0,
    density: float = 0.85,
) -> tuple[NetBatch, RunKeys]:  # fmt: skip
    """Networks with random masks, one a cell, by default alternating between restart blocks."""
    shape, n = NetShape(widths), len(cells)
    rng = np.random.default_rng([seed, *widths])
    masks = MaskBatch.from_dense(
        shape, [(rng.random((n, *layer)) < density).astype(np.uint8) for layer in shape.layers]
    )
    if restarts is None:
        restarts = [i * (RESTART_BLOCK // 2 + 1) for i in range(n)]
    keys = RunKeys.make(seed, masks.keys(), cells, restarts)
    return NetBatch.create(MLP(shape, init_width=4), keys, masks), keys


def recipes(cells: Sequence[str], **fields: Any) -> list[Recipe]:
    return [Recipe(**fields).with_cell(cell) for cell in cells]


def vectors(nets: NetBatch, kind: str = "params") -> Array:
    """float [net, parameter]."""
    arrays = getattr(nets, kind).values()
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in arrays], axis=1)


def assert_close(found: NetBatch, expected: NetBatch) -> None:
    """All within 1e-5, but for one: where an activation is 0 to rounding, two ways part."""
    wrong = distances(found, expected)
    assert np.median(wrong) <= 1e-6
    assert (wrong > 1e-5).sum() <= 1
    assert wrong.max() <= 1e-2


def assert_same_bits(found: NetBatch, expected: NetBatch) -> None:
    for kind in ("params", "momenta"):
        a, b = vectors(found, kind), vectors(expected, kind)
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def assert_masked_are_zero(nets: NetBatch) -> None:
    masked = vectors(nets, "masks") == 0
    assert masked.any()
    assert not vectors(nets)[masked].any()


# ---- against the loop ------------------------------------------------------------------


LOOP = LoopTrainer()


SLOW_CELLS = [cell for cell in CELLS if cell.startswith("0.05")] * 2


@pytest.mark.parametrize(
    "widths", [(2, 7, 3, 3, 1), (1, 4, 1), (3, 5, 2, 1), (5, 6, 3, 4, 2, 1)], ids=str
)
def test_narrow_networks_stay_with_the_loop_for_390_steps(widths: Widths) -> None:
    # Five steps an epoch: the schedules change the rate 77 times on the way.
    task, (nets, keys) = make_task(widths[0]), make_nets(widths, SLOW_CELLS)
    recipe = recipes(SLOW_CELLS, epochs=78)
    found = expected = nets
    for first, last in ((0, 1), (1, 100), (100, 390)):
        found = FUSED.fit(found, task, recipe, keys, slice(first, last))
        expected = LOOP.fit(expected, task, recipe, keys, slice(first, last))
        assert_close(found, expected)
        assert_masked_are_zero(found)
    assert np.median(distances(found, nets)) > 0.1


@pytest.mark.parametrize(
    "widths",
    [(2, 1, 1), (2, 2, 2, 2, 2, 2, 1), (16, 3, 3, 1), (2, 6, 3, 2, 1), (2, 4, 4, 3, 2, 1)],
    ids=str,
)
def test_both_rates_and_all_schedules_stay_with_the_loop(widths: Widths) -> None:
    task, (nets, keys) = make_task(widths[0]), make_nets(widths, CELLS, seed=1)
    recipe = recipes(CELLS, epochs=32)
    found = FUSED.fit(nets, task, recipe, keys, slice(0, 100))
    expected = LOOP.fit(nets, task, recipe, keys, slice(0, 100))
    assert_close(found, expected)
    momenta = np.abs(vectors(found, "momenta") - vectors(expected, "momenta"))
    assert np.median(momenta.max(axis=1)) <= 1e-5
    assert_masked_are_zero(found)


@pytest.mark.parametrize(
    "widths", [(2, 9, 20, 33, 1), (3, 33, 9, 1), (2, 20, 1), (5, 16, 16, 16, 1)], ids=str
)
def test_wide_networks_err_no_more_than_ten_times_the_loop(widths: Widths) -> None:
    cells = [SLOW_CELLS[1], "0.1:constant"] * 3
    task, (nets, keys) = make_task(widths[0], 320), make_nets(widths, cells, seed=2)
    recipe = recipes(cells, epochs=40)
    runs = [
        trainer.fit(nets, task, recipe, keys, slice(0, 60))
        for trainer in (FUSED, LOOP, LoopTrainer("float64"))
    ]
    own, eager = distances(runs[0], runs[2]), distances(runs[1], runs[2])
    assert np.median(own) <= 10 * np.median(eager)
    assert np.median(own) <= 1e-5


# ---- segments --------------------------------------------------------------------------


def test_memory_for_minibatches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task, (nets, keys) = make_task(points=330), make_nets((2, 5, 3, 1), CELLS)
    recipe = recipes(CELLS, epochs=6, batch_size=5)
    whole = FUSED.fit(nets, task, recipe, keys)
    partly = FUSED.fit(nets, task, recipe, keys, slice(70, 300))
    epoch = 66 * cpu.padded(5) * 3 * 4
    held: list[int] = []
    original = kernel_data.Minibatches

    def watched(*arguments: Any) -> Any:
        batches = original(*arguments)
        held.append(batches.room.nbytes)
        return batches

    monkeypatch.setattr(kernel_data, "Minibatches", watched)
    for size, epochs in ((1, 1), (epoch, 1), (2 * epoch + 1, 2), (5 * epoch, 5), (2**30, 6)):
        monkeypatch.setattr(kernel_data, "_BYTES", size)
        held.clear()
        kernel_data.kept.clear()
        assert_same_bits(FUSED.fit(nets, task, recipe, keys), whole)
        assert max(held) == epochs * epoch
        assert_same_bits(FUSED.fit(nets, task, recipe, keys, slice(70, 300)), partly)


# ---- a network depends on itself alone -------------------------------------------------


def test_a_network_is_the_same_alone_in_a_group_and_in_any_place() -> None:
    n = 2 * cpu.LANES + 3
    cells = [CELLS[i % 6] for i in range(n)]
    task, (nets, keys) = make_task(), make_nets((2, 7, 3, 3, 1), cells, range(n))
    recipe = recipes(cells, epochs=6)
    together = FUSED.fit(nets, task, recipe, keys)
    rng = np.random.default_rng(0)
    picks = [np.array([i]) for i in (0, 1, cpu.LANES - 1, cpu.LANES, n - 1)]
    picks += [rng.permutation(n), rng.permutation(n)[:5], np.arange(n)[::-1], np.arange(1, n)]
    for pick in picks:
        some = FUSED.fit(nets[pick], task, [recipe[i] for i in pick], keys[pick])
        assert_same_bits(some, together[pick])


def test_restarts_of_one_block_share_minibatches_and_others_do_not() -> None:
    task, (nets, keys) = make_task(), make_nets((2, 4, 3, 1), ["0.05:cosine"], [0])
    same = nets[np.zeros(3, np.intp)]
    restarts = np.array([0, RESTART_BLOCK - 1, RESTART_BLOCK])
    keys = RunKeys(0, keys.mask.repeat(3), keys.cell.repeat(3), restarts)
    found = vectors(FUSED.fit(same, task, Recipe(epochs=2), keys))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def wider(nets: NetBatch, widths: Widths) -> NetBatch:
    """The same networks in a wider shape, all the rest masked."""

    def pad(arrays: dict[str, Array]) -> dict[str, Array]:
        like = MLP(NetShape(widths)).init(RunKeys.make(0, [0], ["a"], [0]))
        padded = {k: np.zeros((len(nets), *a.shape[1:]), np.float32) for k, a in like.items()}
        for name, array in arrays.items():
            padded[name][tuple(slice(size) for size in array.shape)] = array
        return padded

    kinds = (pad(getattr(nets, kind)) for kind in ("params", "masks", "momenta"))
    return NetBatch(MLP(NetShape(widths)), *kinds)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ((2, 7, 3, 3, 1), (2, 16, 16, 16, 1)),
        ((2, 3, 3, 3, 1), (2, 8, 9, 4, 1)),
        ((2, 5, 1), (2, 20, 1)),
    ],
    ids=str,
)
def test_networks_padded_with_masked_neurons_are_the_same(narrow: Widths, wide: Widths) -> None:
    task, (nets, keys) = make_task(), make_nets(narrow, CELLS)
    recipe = recipes(CELLS, epochs=20)
    plain = FUSED.fit(nets, task, recipe, keys)
    padded = FUSED.fit(wider(nets, wide), task, recipe, keys)
    expected, found = vectors(wider(plain, wide)), vectors(padded)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        FUSED.score(padded, task).correct, FUSED.score(plain, task).correct
    )


KINDS = (
    (2, 7, 3, 3, 1), (2, 9, 20, 33, 1), (16, 3, 10, 2, 4, 6, 1),
    (1, 4, 1), (5, 4, 3, 1), (2, 1, 1, 1, 1), (2, 33, 1), (2, 8, 8, 8, 8, 1),
)  # fmt: skip
SOME = 3  # of them, for other lanes


@functools.cache
def outcomes(kinds: int = len(KINDS)) -> dict[str, str]:
    """A digest of what training gives for so many kinds of network: bits, not numbers."""
    found = {}
    for widths in KINDS[:kinds]:
        cells = [CELLS[i % 6] for i in range(11)]
        # Five blocks of restarts, so that groups are full and less than full.
        restarts = [0, 1, 2, 3, 4, 5, 16, 17, 40, 60, 80]
        task, (nets, keys) = make_task(widths[0], 300), make_nets(widths, cells, restarts)
        for batch in (128, 24, 5):
            recipe = recipes(cells, epochs=40, batch_size=batch)
            trained = FUSED.fit(nets, task, recipe, keys, slice(0, 80))
            scores = FUSED.score(trained, task)
            digest = hashlib.sha256()
            for kind in ("params", "momenta"):
                digest.update(vectors(trained, kind).astype("<f4").tobytes())
            digest.update(scores.correct.astype("<i8").tobytes())
            found[f"{widths} batch {batch}"] = digest.hexdigest()[:16]
    return found


def outcomes_elsewhere(root: Path, kinds: int = len(KINDS), **settings: str) -> dict[str, str]:
    """The same from another process, with these variables in its environment."""
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}", **settings}
    code = f"import json, test_fused; print(json.dumps(test_fused.outcomes({kinds})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd=root, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_another_process_finds_the_same_bits(root: Path) -> None:
    assert outcomes_elsewhere(root, SOME) == outcomes(SOME)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_neither_lanes_nor_the_compiler_change_a_bit(
    root: Path, tmp_path: Path, lanes: int
) -> None:
    if lanes == cpu.LANES:
        pytest.skip("the lanes of this process")
    # Without optimisation, which takes two thirds of the time to compile and must not matter;
    # kept apart from the kernels of other tests.
    plain = {"NUMBA_OPT": "0", "COMBSEARCH_CACHE": str(tmp_path)}
    assert outcomes_elsewhere(root, SOME, COMBSEARCH_LANES=str(lanes), **plain) == outcomes(SOME)


def test_outcomes_stay_the_same_for_ever() -> None:
    # Where this changes, saved runs cannot be continued: raise NUMERICS with it.
    text = json.dumps(outcomes(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN_OUTCOMES, text


GOLDEN_OUTCOMES = "ecc52cbb8876fb01e5b121119fb0811a569259930244f8fdb485a4b06fde3a24"

# ---- scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(2, 7, 3, 3, 1), (1, 4, 1), (16, 9, 20, 33, 1)], ids=str)
def test_scores_are_those_of_torch(widths: Widths) -> None:
    cells = [CELLS[i % 6] for i in range(cpu.LANES + 5)]
    task, (nets, keys) = make_task(widths[0], 2501), make_nets(widths, cells)
    nets = FUSED.fit(nets, task, recipes(cells, epochs=4), keys)
    found, expected = FUSED.score(nets, task), score(nets, task)
    assert found.points == 2501 and not found.diverged.any()
    assert found.correct.dtype == np.int64 and found.diverged.dtype == np.bool_
    assert np.abs(found.correct - expected.correct).max() <= 2
    assert len(set(found.correct.tolist())) > 3


def test_scores_of_all_points_of_the_spiral_are_those_of_torch() -> None:
    from combsearch.tasks import cubist_spiral

    task, (nets, keys) = cubist_spiral(), make_nets((2, 7, 3, 3, 1), CELLS, density=1)
    nets = FUSED.fit(nets, task, recipes(CELLS, epochs=50), keys, slice(0, 390))
    found, expected = FUSED.score(nets, task), score(nets, task)
    assert found.points == 49_982
    assert np.abs(found.correct - expected.correct).max() <= 2
    assert found.accuracy.min() > 0.49
    alone = FUSED.score(nets[4:5], task)
    assert alone.correct.tolist() == found.correct[4:5].tolist()


def test_a_parameter_that_is_not_finite_is_divergence() -> None:
    task, (nets, _) = make_task(), make_nets((2, 4, 3, 1), CELLS)
    expected = FUSED.score(nets, task)
    for i, value in enumerate((np.nan, np.inf, -np.inf)):
        nets.params["bias0"][i, 2] = value
    found = FUSED.score(nets, task)
    assert found.diverged.tolist() == [True] * 3 + [False] * 3
    assert found.correct[3:].tolist() == expected.correct[3:].tolist()
    assert score(nets, task).diverged.tolist() == found.diverged.tolist()


# ---- divergence ------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [1e4, 1e30])
def test_diverged_networks_are_flagged_and_touch_no_neighbour(lr: float) -> None:
    cells = ["0.05:cosine", f"{lr:g}:constant"] * 8
    task, (nets, keys) = make_task(), make_nets((2, 7, 3, 3, 1), cells, range(16))
    recipe = recipes(cells, epochs=6)
    calm = np.arange(0, 16, 2)
    trained = FUSED.fit(nets, task, recipe, keys)
    found, expected = FUSED.score(trained, task), score(trained, task)
    assert found.diverged.tolist() == [False, True] * 8
    assert expected.diverged.tolist() == found.diverged.tolist()
    assert_masked_are_zero(trained)
    alone = FUSED.fit(nets[calm], task, recipe[0], keys[calm])
    assert_same_bits(trained[calm], alone)
    assert FUSED.score(alone, task).correct.tolist() == found.correct[calm].tolist()


# ---- minibatches that are kept ---------------------------------------------------------


def test_minibatches_of_one_task_never_serve_another() -> None:
    widths, cells = (2, 4, 3, 1), CELLS[:3]
    nets, keys = make_nets(widths, cells)
    first, second = make_task(seed=1), make_task(seed=2)
    assert first.name == second.name
    flipped = dataclasses.replace(first, y=1 - first.y)
    recipe = recipes(cells, epochs=3)
    results = []
    for task in (first, second, flipped):
        kernel_data.kept.clear()
        results.append(FUSED.fit(nets, task, recipe, keys))
    assert all((vectors(a) != vectors(b)).any() for a, b in itertools.pairwise(results))
    for _ in range(2):
        for task, expected in zip((first, second, flipped), results, strict=True):
            assert_same_bits(FUSED.fit(nets, task, recipe, keys), expected)


def test_minibatches_are_kept_by_content_and_notice_a_change_in_place() -> None:
    nets, keys = make_nets((2, 4, 3, 1), ["0.05:cosine"])
    task, recipe = make_task(), Recipe(epochs=3)
    kernel_data.kept.clear()
    before = FUSED.fit(nets, task, recipe, keys)
    FUSED.fit(nets, make_task(), recipe, keys)
    assert len(kernel_data.kept) == 1
    task.x[:] *= 2
    changed = FUSED.fit(nets, task, recipe, keys)
    kernel_data.kept.clear()
    assert_same_bits(FUSED.fit(nets, task, recipe, keys), changed)
    assert (vectors(changed) != vectors(before)).any()


def test_minibatches_differ_by_seed_block_batch_size_and_epoch() -> None:
    nets, keys = make_nets((2, 4, 3, 1), ["0.05:cosine"], [0])
    task, results = make_task(), []
    kernel_data.kept.clear()
    for clear in (False, True):
        found = []
        for seed, restart, batch, steps in (
            (0, 0, 32, slice(0, 20)),
            (1, 0, 32, slice(0, 20)),
            (0, RESTART_BLOCK, 32, slice(0, 20)),
            (0, 0, 64, slice(0, 20)),
            (0, 0, 31, slice(0, 20)),
            (0, 0, 32, slice(20, 40)),
        ):
            if clear:
                kernel_data.kept.clear()
            key = dataclasses.replace(keys, seed=seed, restart=np.array([restart]))
            recipe = Recipe(epochs=4, batch_size=batch, schedule=Schedule("constant"))
            found.append(vectors(FUSED.fit(nets, task, recipe, key, steps)).tobytes())
        assert len(set(found)) == len(found)
        results.append(found)
    assert results[0] == results[1]


# ---- what it cannot do -----------------------------------------------------------------


def request(widths: Widths, classes: int = 2) -> tuple[NetBatch, Task, RunKeys]:
    nets, keys = make_nets(widths, ["0.05:cosine"])
    task = make_task(widths[0], 128)
    return nets, dataclasses.replace(task, classes=classes), keys


@pytest.mark.parametrize(
    ("widths", "classes", "message"),
    [
        ((2, 3, 2), 2, "one output for two classes, not 2 for 2"),
        ((2, 3, 3), 3, "one output for two classes, not 3 for 3"),
        ((2, 3, 3, 3, 3, 3, 3, 1), 2, "1 to 5 hidden layers, not 6"),
        ((17, 3, 1), 2, "up to 16 inputs, not 17"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused(widths: Widths, classes: int, message: str) -> None:
    nets, task, keys = request(widths, classes)
    way_out = "trainer 'fused' cannot do this: .*{}; 'vmap' and 'loop' can"
    with pytest.raises(UsageError, match=way_out.format(message)):
        FUSED.fit(nets, task, Recipe(epochs=1), keys)
    with pytest.raises(UsageError, match=way_out.format(message)):
        FUSED.score(nets, task)
    LOOP.fit(nets, task, Recipe(epochs=1), keys)


def test_on_step_is_refused() -> None:
    nets, task, keys = request((2, 3, 1))
    with pytest.raises(UsageError, match="cannot call on_step; 'vmap' and 'loop' can"):
        FUSED.fit(nets, task, Recipe(epochs=1), keys, on_step=lambda _step, _nets: None)


def test_another_kind_of_network_is_refused() -> None:
    other: Any = type("Other", (), {})()
    nets, task, keys = request((2, 3, 1))
    other = dataclasses.replace(nets, network=other)
    with pytest.raises(UsageError, match="the MLP only, not a Other"):
        FUSED.fit(other, task, Recipe(epochs=1), keys)


def test_requests_that_do_not_fit_are_refused() -> None:
    nets, task, keys = request((2, 3, 1))
    with pytest.raises(UsageError, match=r"steps 0\.\.2 are not within the 1 steps"):
        FUSED.fit(nets, task, Recipe(epochs=1), keys, slice(0, 2))
    with pytest.raises(UsageError, match="batch_size 129 is more than the 128 points"):
        FUSED.fit(nets, task, Recipe(batch_size=129), keys)
    with pytest.raises(UsageError, match="has 3 inputs"):
        FUSED.fit(nets, make_task(3), Recipe(epochs=1), keys)
    with pytest.raises(UsageError, match="no networks"):
        FUSED.fit(nets[:0], task, Recipe(epochs=1), keys[:0])


# ---- processes -------------------------------------------------------------------------


def run_python(
    root: Path, arguments: list[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_workers_need_no_torch(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from combsearch.trainers import get_trainer;"
        "get_trainer('fused').prepare(); print('torch' in sys.modules)"
    )
    done = run_python(root, ["-c", code], tmp_path)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_a_bad_number_of_lanes_ends_a_command_with_its_message(root: Path, tmp_path: Path) -> None:
    command = ["-m", "combsearch", "phase1", "--width", "1", "--dry-run"]
    done = run_python(root, command, tmp_path, COMBSEARCH_LANES="7")
    message = "combsearch: COMBSEARCH_LANES is '7'; valid: 4, 8, 16, or leave it unset\n"
    assert (done.returncode, done.stderr) == (2, message)

"""The sparse trainer: against the plain torch loop, and bit for bit against itself."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from test_fused import (
    assert_close,
    assert_masked_are_zero,
    assert_same_bits,
    make_nets,
    make_task,
    recipes,
    vectors,
    wider,
)
from training import distances

from combsearch.config import CELLS, Recipe
from combsearch.errors import UsageError
from combsearch.kernels import cpu, sparse
from combsearch.nets import NetBatch, score
from combsearch.rng import RESTART_BLOCK, RunKeys
from combsearch.trainers import get_trainer, kernel_data
from combsearch.trainers.fused import FusedTrainer
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.sparse import SparseTrainer

Array = npt.NDArray[Any]
Widths = tuple[int, ...]
SPARSE, LOOP, FUSED = SparseTrainer(), LoopTrainer(), FusedTrainer()
SLOW = [cell for cell in CELLS if cell.startswith("0.05")]
CUBE = (2, 5, 4, 3, 1)


def masked(nets: NetBatch, change: Callable[[dict[str, Array]], None]) -> NetBatch:
    """The networks with other masks: ``change`` writes to arrays [net, ...] by name."""
    masks = {name: mask.copy() for name, mask in nets.masks.items()}
    change(masks)
    params = {name: param * masks[name] for name, param in nets.params.items()}
    return dataclasses.replace(nets, params=params, masks=masks)


def moving(nets: NetBatch, seed: int = 0) -> NetBatch:
    """The same networks on the move: no momentum is 0, those of masked parameters included."""
    rng = np.random.default_rng(seed)
    momenta = {n: rng.normal(size=a.shape).astype(np.float32) for n, a in nets.params.items()}
    return dataclasses.replace(nets, momenta=momenta)


def assert_kept_momenta_close(found: NetBatch, expected: NetBatch) -> None:
    kept = vectors(found, "masks") != 0
    wrong = np.abs(vectors(found, "momenta") - vectors(expected, "momenta")) * kept
    assert np.median(wrong.max(axis=1)) <= 1e-5


# ---- against the loop ------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.1, 0.4, 0.85, 1.0])
@pytest.mark.parametrize(
    "widths",
    [(2, 7, 3, 3, 1), (1, 4, 1), (5, 6, 3, 4, 2, 1), (2, 40, 30, 1), (2, 6, 5, 4, 3, 2, 1)],
    ids=str,
)
def test_networks_of_any_density_stay_with_the_loop(widths: Widths, density: float) -> None:
    task, (nets, keys) = make_task(widths[0]), make_nets(widths, CELLS, density=density)
    some = np.flatnonzero(vectors(nets, "masks").any(axis=1))
    recipe, nets, keys = recipes(CELLS, epochs=12)[: len(some)], nets[some], keys[some]
    found = expected = nets
    for first, last in ((0, 1), (1, 45)):
        found = SPARSE.fit(found, task, recipe, keys, slice(first, last))
        expected = LOOP.fit(expected, task, recipe, keys, slice(first, last))
        assert_close(found, expected)
        assert_kept_momenta_close(found, expected)
    assert distances(found, nets).min() > 1e-4
    if density < 1:
        assert_masked_are_zero(found)


def test_hundreds_of_steps_stay_with_the_loop() -> None:
    cells = SLOW * 2
    task, (nets, keys) = make_task(), make_nets((2, 7, 3, 3, 1), cells, density=0.6)
    recipe = recipes(cells, epochs=78)
    steps = slice(0, 390)
    found, expected = (t.fit(nets, task, recipe, keys, steps) for t in (SPARSE, LOOP))
    assert_close(found, expected)
    assert np.median(distances(found, nets)) > 0.1


@pytest.mark.parametrize("widths", [(2, 70, 65, 1), (2, 300, 1), (3, 33, 30, 20, 1)], ids=str)
def test_wide_and_dense_networks_err_no_more_than_ten_times_the_loop(widths: Widths) -> None:
    # Gradients of thousands of parameters pass through the ring many times.
    cells = ["0.05:cosine", "0.1:constant"] * 2
    task, (nets, keys) = make_task(widths[0], 320), make_nets(widths, cells, density=1)
    recipe = recipes(cells, epochs=20)
    runs = [
        trainer.fit(nets, task, recipe, keys, slice(0, 30))
        for trainer in (SPARSE, LOOP, LoopTrainer("float64"))
    ]
    own, eager = distances(runs[0], runs[2]), distances(runs[1], runs[2])
    assert np.median(own) <= 10 * np.median(eager)
    assert np.median(own) <= 1e-5


def no_bias(masks: dict[str, Array]) -> None:
    for layer in range(4):
        masks[f"bias{layer}"][:, ::2] = 0


def constants(masks: dict[str, Array]) -> None:
    masks["weight1"][:, 1] = 0  # with a bias: a constant
    masks["weight2"][:, 2] = 0
    masks["bias2"][:, 2] = 0  # without: always 0
    masks["weight0"][:, :2] = 0
    masks["bias0"][:, 1] = 0


def dead_ends(masks: dict[str, Array]) -> None:
    masks["weight1"][:, :, 2] = 0
    masks["weight3"][:, :, 1] = 0
    masks["weight2"][:, 0, 3] = 0


def emptied_layer(masks: dict[str, Array]) -> None:
    masks["weight2"][:] = 0


def emptied_output(masks: dict[str, Array]) -> None:
    masks["weight3"][:] = 0


def emptied_first(masks: dict[str, Array]) -> None:
    masks["weight0"][:] = 0


def one_input(masks: dict[str, Array]) -> None:
    masks["weight0"][:, :, 0] = 0


def only_biases(masks: dict[str, Array]) -> None:
    for layer in range(4):
        masks[f"weight{layer}"][:] = 0


def nothing(masks: dict[str, Array]) -> None:
    for mask in masks.values():
        mask[:] = 0


CHANGES = [
    no_bias, constants, dead_ends, emptied_layer, emptied_output, emptied_first, one_input,
    only_biases, nothing,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_dead_constant_and_disconnected_parts_stay_with_the_loop(
    change: Callable[[dict[str, Array]], None],
) -> None:
    task, (nets, keys) = make_task(), make_nets(CUBE, CELLS, density=0.9)
    nets = masked(nets, change)
    start = dataclasses.replace(
        moving(nets), momenta={n: a * nets.masks[n] for n, a in moving(nets).momenta.items()}
    )
    recipe = recipes(CELLS, epochs=12, weight_decay=0.01)
    for begin in (nets, start):
        found = SPARSE.fit(begin, task, recipe, keys, slice(0, 40))
        expected = LOOP.fit(begin, task, recipe, keys, slice(0, 40))
        if change is nothing:
            assert not vectors(found).any()
            continue
        assert_close(found, expected)
        assert_kept_momenta_close(found, expected)
        assert_masked_are_zero(found)
        assert SPARSE.score(found, task).correct == pytest.approx(score(found, task).correct, abs=1)


def test_a_disconnected_weight_decays_and_keeps_its_momentum() -> None:
    task, (nets, keys) = make_task(), make_nets(CUBE, ["0.1:constant"], density=1)
    nets = moving(masked(nets, dead_ends))
    found = SPARSE.fit(
        nets, task, Recipe(weight_decay=0.1).with_cell("0.1:constant"), keys, slice(1)
    )
    w, v = nets.params["weight0"][0, 2], nets.momenta["weight0"][0, 2]
    moved = np.float32(0.9) * v + np.float32(0.1) * w
    np.testing.assert_allclose(found.momenta["weight0"][0, 2], moved, rtol=1e-6)
    np.testing.assert_allclose(found.params["weight0"][0, 2], w - 0.1 * moved, rtol=1e-6)


def test_momenta_of_masked_parameters_stay_what_they_were() -> None:
    task, (nets, keys) = make_task(), make_nets(CUBE, CELLS, density=0.5)
    nets = moving(nets)
    found = SPARSE.fit(nets, task, recipes(CELLS, epochs=2), keys)
    same = vectors(found, "momenta") == vectors(nets, "momenta")
    np.testing.assert_array_equal(same, vectors(nets, "masks") == 0)


def test_whole_runs_stay_with_the_fused_trainer() -> None:
    from combsearch.tasks import cubist_spiral

    task, (nets, keys) = cubist_spiral(), make_nets((2, 7, 3, 3, 1), CELLS, density=0.6)
    recipe = recipes(CELLS, epochs=1)
    found, expected = (t.fit(nets, task, recipe, keys) for t in (SPARSE, FUSED))
    assert np.median(distances(found, expected)) <= 1e-4
    a, b = (t.score(found, task) for t in (SPARSE, FUSED))
    assert a.points == b.points == 49_982
    assert np.abs(a.correct - b.correct).max() <= 2


# ---- segments --------------------------------------------------------------------------


def test_memory_for_minibatches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task, (nets, keys) = make_task(points=330), make_nets(CUBE, CELLS, density=0.6)
    recipe = recipes(CELLS, epochs=6, batch_size=5)
    whole = SPARSE.fit(nets, task, recipe, keys)
    partly = SPARSE.fit(nets, task, recipe, keys, slice(70, 300))
    epoch = 66 * sparse.padded(5) * 3 * 4
    for size in (1, epoch, 2 * epoch + 1, 5 * epoch):
        monkeypatch.setattr(kernel_data, "_BYTES", size)
        kernel_data.kept.clear()
        assert_same_bits(SPARSE.fit(nets, task, recipe, keys), whole)
        assert_same_bits(SPARSE.fit(nets, task, recipe, keys, slice(70, 300)), partly)


# ---- a network depends on itself alone -------------------------------------------------


def test_a_network_is_the_same_alone_and_in_any_place() -> None:
    cells = [CELLS[i % 6] for i in range(20)]
    task, (nets, keys) = make_task(), make_nets(CUBE, cells, range(20), density=0.6)
    assert len(set(keys.blocks().tolist())) == 2
    recipe = recipes(cells, epochs=6)
    together = SPARSE.fit(nets, task, recipe, keys)
    rng = np.random.default_rng(0)
    for pick in (np.array([0]), np.array([17]), rng.permutation(20), np.arange(20)[::-1]):
        some = SPARSE.fit(nets[pick], task, [recipe[i] for i in pick], keys[pick])
        assert_same_bits(some, together[pick])


def test_restarts_of_one_block_share_minibatches_and_others_do_not() -> None:
    task, (nets, keys) = make_task(), make_nets((2, 4, 3, 1), ["0.05:cosine"], [0])
    same = nets[np.zeros(3, np.intp)]
    restarts = np.array([0, RESTART_BLOCK - 1, RESTART_BLOCK])
    keys = RunKeys(0, keys.mask.repeat(3), keys.cell.repeat(3), restarts)
    found = vectors(SPARSE.fit(same, task, Recipe(epochs=2), keys))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("wide", [(2, 16, 16, 16, 1), (2, 5, 40, 3, 1)], ids=str)
def test_networks_padded_with_masked_neurons_are_the_same(wide: Widths) -> None:
    task, (nets, keys) = make_task(), make_nets(CUBE, CELLS, density=0.6)
    recipe = recipes(CELLS, epochs=20)
    plain = SPARSE.fit(nets, task, recipe, keys)
    padded = SPARSE.fit(wider(nets, wide), task, recipe, keys)
    np.testing.assert_array_equal(vectors(padded), vectors(wider(plain, wide)))
    found, expected = SPARSE.score(padded, task), SPARSE.score(plain, task)
    np.testing.assert_array_equal(found.correct, expected.correct)


@functools.cache
def outcomes() -> dict[str, str]:
    """A digest of what training gives for every kind of network: bits, not numbers."""
    found = {}
    for widths in ((2, 7, 3, 3, 1), (1, 4, 1), (2, 40, 30, 1), (16, 3, 10, 2, 4, 6, 1)):
        task = make_task(widths[0], 300)
        for density in (0.3, 1.0):
            nets, keys = make_nets(widths, CELLS, density=density)
            for batch in (150, 128, 24, 5):
                recipe = recipes(CELLS, epochs=20, batch_size=batch)
                trained = SPARSE.fit(nets, task, recipe, keys, slice(0, 40))
                digest = hashlib.sha256(SPARSE.score(trained, task).correct.astype("<i8").tobytes())
                for kind in ("params", "momenta"):
                    digest.update(vectors(trained, kind).astype("<f4").tobytes())
                found[f"{widths} {density} {batch}"] = digest.hexdigest()[:16]
    return found


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_neither_lanes_nor_the_compiler_change_a_bit(
    root: Path, tmp_path: Path, lanes: int
) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
        "COMBSEARCH_LANES": str(lanes),
    }
    if lanes != cpu.LANES:  # see test_fused
        environment |= {"NUMBA_OPT": "0", "COMBSEARCH_CACHE": str(tmp_path)}
    code = "import json, test_sparse; print(json.dumps(test_sparse.outcomes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd=root, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == outcomes()


def test_outcomes_stay_the_same_for_ever() -> None:
    # Where this changes, saved runs cannot be continued: raise NUMERICS with it.
    text = json.dumps(outcomes(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN_OUTCOMES, text


GOLDEN_OUTCOMES = "cf779161cc17f4ca68dc6bb6a47b1f624d1ddadabfef472eb9479150fee812bc"

# ---- scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 16, 128, 129, 2501])
@pytest.mark.parametrize("widths", [CUBE, (1, 4, 1), (16, 9, 20, 33, 1)], ids=str)
def test_scores_are_those_of_torch(widths: Widths, points: int) -> None:
    task, (nets, keys) = make_task(widths[0], points), make_nets(widths, CELLS)
    recipe = recipes(CELLS, epochs=4, batch_size=min(points, 128))
    nets = SPARSE.fit(nets, task, recipe, keys)
    found, expected = SPARSE.score(nets, task), score(nets, task)
    assert found.points == points and not found.diverged.any()
    assert found.correct.dtype == np.int64 and found.diverged.dtype == np.bool_
    assert np.abs(found.correct - expected.correct).max() <= 2


def test_a_parameter_that_is_not_finite_is_divergence_even_where_nothing_reads_it() -> None:
    task, (nets, _) = make_task(), make_nets(CUBE, CELLS, density=1)
    nets = masked(nets, dead_ends)
    for i, value in enumerate((np.nan, np.inf, -np.inf)):
        nets.params["bias0"][i, 2] = value
    assert SPARSE.score(nets, task).diverged.tolist() == [True] * 3 + [False] * 3


# ---- divergence ------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [1e4, 1e30])
def test_diverged_networks_are_flagged_and_touch_no_neighbour(lr: float) -> None:
    cells = ["0.05:cosine", f"{lr:g}:constant"] * 4
    task, (nets, keys) = make_task(), make_nets((2, 7, 3, 3, 1), cells, range(8))
    recipe = recipes(cells, epochs=6)
    trained = SPARSE.fit(nets, task, recipe, keys)
    found, expected = SPARSE.score(trained, task), score(trained, task)
    assert found.diverged.tolist() == expected.diverged.tolist() == [False, True] * 4
    assert_masked_are_zero(trained)
    calm = np.arange(0, 8, 2)
    assert_same_bits(trained[calm], SPARSE.fit(nets[calm], task, recipe[0], keys[calm]))


# ---- minibatches that are kept ---------------------------------------------------------


def test_minibatches_are_kept_by_content_and_notice_a_change_in_place() -> None:
    nets, keys = make_nets(CUBE, ["0.05:cosine"])
    task, recipe = make_task(), Recipe(epochs=3)
    kernel_data.kept.clear()
    before = SPARSE.fit(nets, task, recipe, keys)
    SPARSE.fit(nets, make_task(), recipe, keys)
    assert len(kernel_data.kept) == 1
    results = [before]
    for change in ("x", "y"):
        if change == "x":
            task.x[:] *= 2
        else:
            task.y[:] = 1 - task.y
        found = SPARSE.fit(nets, task, recipe, keys)
        kernel_data.kept.clear()
        assert_same_bits(SPARSE.fit(nets, task, recipe, keys), found)
        assert (vectors(found) != vectors(results[-1])).any()
        results.append(found)


# ---- structures ------------------------------------------------------------------------


def test_a_structure_has_the_live_neurons_and_every_kept_parameter_once() -> None:
    nets, _ = make_nets((2, 16, 16, 16, 1), CELLS * 4, density=0.1)
    for m in vectors(nets, "masks"):
        s = sparse.plan(m, (2, 16, 16, 16, 1), 128)
        kept = s.origin[s.origin >= 0]
        assert sorted(kept.tolist()) == np.flatnonzero(m).tolist()
        assert (s.origin[sparse.BLOCK :][: s.active] >= 0).all()
        assert (s.origin[: sparse.BLOCK] == -1).all()
        assert s.origin.size % sparse.BLOCK == 0


def test_a_structure_skips_what_no_kept_path_connects() -> None:
    # 2 inputs, 3 and 2 neurons: 0 -> 0 -> 0 -> output; neuron 1 is a constant that leads on,
    # neuron 2 leads nowhere; of the second layer neuron 1 is always 0.
    layers = [[1, 0, 0, 0, 1, 1], [1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0], [1, 1], [1]]
    s = sparse.plan(np.concatenate(layers).astype(np.float32), (2, 3, 2, 1), 16)
    assert (s.neurons, s.active, s.idle, s.output_bias) == (4, 7, 1, 1)
    h = [16 * slot for slot in range(8)]  # inputs, label, real or not, four neurons
    assert s.forward.tolist() == [
        *(1, 22, h[0], 21), *(0, 19), *(2, 0, h[4], 20, h[5], 18), *(1, 16, h[6], 17),
    ]  # fmt: skip
    assert s.backward.tolist() == [*(1, 0, 0, h[7]), *(1, 0, 1, h[6]), *(1, 1, 1, h[6], h[0])]
    assert s.origin.tolist() == (
        [-1] * 16 + [19, 17, 10, 7, 9, 0, 6] + [-1] * 9 + [4, 5, 18, 8] + [-1] * 12
    )


# ---- what it cannot do -----------------------------------------------------------------


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
    nets, keys = make_nets(widths, ["0.05:cosine"])
    task = dataclasses.replace(make_task(widths[0], 128), classes=classes)
    way_out = f"trainer 'sparse' cannot do this: .*{message}; 'vmap' and 'loop' can"
    with pytest.raises(UsageError, match=way_out):
        SPARSE.fit(nets, task, Recipe(epochs=1), keys)
    with pytest.raises(UsageError, match=way_out):
        SPARSE.score(nets, task)


def test_on_step_and_other_kinds_of_network_are_refused() -> None:
    (nets, keys), task = make_nets((2, 3, 1), ["0.05:cosine"]), make_task(2, 128)
    with pytest.raises(UsageError, match="cannot call on_step; 'vmap' and 'loop' can"):
        SPARSE.fit(nets, task, Recipe(epochs=1), keys, on_step=lambda _step, _nets: None)
    other: Any = dataclasses.replace(nets, network=type("Other", (), {})())
    with pytest.raises(UsageError, match="the MLP only, not a Other"):
        SPARSE.fit(other, task, Recipe(epochs=1), keys)
    with pytest.raises(UsageError, match=r"steps 0\.\.2 are not within the 1 steps"):
        SPARSE.fit(nets, task, Recipe(epochs=1), keys, slice(0, 2))


def kernel_arguments(widths: Widths = (2, 3, 1)) -> dict[str, Any]:
    w, v = (np.zeros(sparse.parameters(widths), np.float32) for _ in range(2))
    batches = sparse.gather(np.zeros((20, 3), np.float32), np.arange(20, dtype=np.int32)[None], 10)
    return {
        "w": w, "v": v, "m": np.ones_like(w), "rates": np.ones(1, np.float32),
        "batches": batches, "widths": widths, "batch": 10, "first": 0, "last": 2,
        "momentum": 0.9, "decay": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"w": np.zeros(12, np.float32)}, "w must be contiguous float32"),
        ({"v": np.zeros(13)}, "v must be contiguous float32"),
        ({"m": np.ones(26, np.float32)[::2]}, "m must be contiguous float32"),
        ({"rates": np.zeros(0, np.float32)}, "rates must be contiguous float32"),
        ({"widths": (2, 3, 2)}, "1 output"),
        ({"widths": (2, 1)}, "one hidden layer or more"),
        ({"batch": 20}, "batches must be contiguous float32"),
        ({"last": 3}, "not all in batches, which hold 1 epochs of 2 steps"),
        ({"first": -1}, "not all in batches"),
    ],
)
def test_arguments_that_the_compiled_code_would_misread_are_refused(
    wrong: dict[str, Any], message: str
) -> None:
    sparse.train(**kernel_arguments())
    with pytest.raises(ValueError, match=message):
        sparse.train(**{**kernel_arguments(), **wrong})


def test_the_trainer_has_a_name_and_needs_no_torch(root: Path) -> None:
    assert isinstance(get_trainer("sparse"), SparseTrainer)
    assert get_trainer("sparse").name == "sparse"
    code = (
        "import sys; from combsearch.trainers import get_trainer;"
        "get_trainer('sparse').prepare(); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr

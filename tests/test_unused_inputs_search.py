"""Searches whose masks may leave inputs unused: plan, rows, report, resume, trainers, descents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from naive import accuracy_of_mlp
from searching import run_json
from training import distances

from combsearch import cli
from combsearch.canonical import canonical_form
from combsearch.config import Recipe
from combsearch.connectivity import compact, effective_nonzeros
from combsearch.counting import orbits_over_shapes
from combsearch.enumeration import SYMMETRIES, mask_space
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.rng import RunKeys
from combsearch.saved_network import save_network
from combsearch.search.certify import certify
from combsearch.search.descent import Descent, lowest_at
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import DescendConfig, ExhaustConfig, Phase2Config
from combsearch.store import RunStore
from combsearch.tasks import Task, load_task
from combsearch.trainers.fused import FusedTrainer
from combsearch.trainers.loop import LoopTrainer

Capture = pytest.CaptureFixture[str]
QUICK = (
    "--task=sum.csv",
    "--epochs=8",
    "--batch-size=16",
    "--no-figures",
    "--target=0.97",
    "--jobs=1",
)
EXHAUST = ("exhaust", "--depth=1", "--width=2", "--max-nonzeros=9", "--restarts=40", *QUICK)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three inputs of which the sum of the outer two decides; the middle one is noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 3))
    x = x[np.abs(x[:, 0] + x[:, 2]) > 0.4][:200]
    rows = [f"{a:.5f},{b:.5f},{c:.5f},{int(a + c > 0)}" for a, b, c in x]
    Path("sum.csv").write_text("\n".join(["x1,x2,x3,label", *rows, ""]))
    return tmp_path


def exhaust(**changes: Any) -> MaskPlan:
    given: dict[str, Any] = {
        "task": "sum.csv", "depth": 2, "width": 4, "target": 0.9, "restarts": 60, "epochs": 5,
        "batch_size": 16, "max_nonzeros": 13, "level_runs": 10_000, "unused_inputs": True,
    }  # fmt: skip
    return MaskPlan.of(ExhaustConfig(**given | changes))


def phase2(**changes: Any) -> MaskPlan:
    given: dict[str, Any] = {
        "task": "sum.csv", "shape": "2,2", "restarts": 3, "epochs": 5, "batch_size": 16,
        "unused_inputs": True,
    }  # fmt: skip
    return MaskPlan.of(Phase2Config(**given | changes))


def masks_of(plan: MaskPlan) -> Iterator[tuple[int, MaskBatch]]:
    for segment in plan.segments:
        ranks = range(segment.rank, segment.rank + segment.masks)
        yield segment.nonzeros, plan.piece_masks(segment, ranks)


def test_an_exhaust_plan_holds_every_orbit_of_every_shape_once() -> None:
    plan = exhaust()
    counts = orbits_over_shapes(13, 2, 3, 1, 4, unused_inputs=True)
    assert plan.masks == sum(n for levels in counts.values() for n in levels.values())
    seen, used = set(), set()
    for nonzeros, masks in masks_of(plan):
        assert (masks.nonzeros() == nonzeros).all() and masks.eligible(unused_inputs=True).all()
        assert np.array_equal(canonical_form(masks).words, masks.words)
        seen |= {(masks.shape, key) for key in masks.keys().tolist()}
        used |= {tuple(row) for row in np.array(masks.dense()[0].any(axis=1)).tolist()}
    assert len(seen) == plan.masks
    assert used == {*itertools.product((False, True), repeat=3)} - {(False,) * 3}
    assert plan.segments[0].nonzeros == 6 and exhaust(unused_inputs=False).masks < plan.masks


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_phase_two_plan_is_the_space_of_its_shape(symmetry: str) -> None:
    plan = phase2(symmetry=symmetry, min_nonzeros=10, max_nonzeros=12)
    shape = plan.segments[0].shape
    space = mask_space(shape, symmetry, unused_inputs=True)
    wanted = {n: count for n, count in space.levels().items() if 10 <= n <= 12}
    assert {segment.nonzeros: segment.masks for segment in plan.segments} == wanted
    for nonzeros, masks in masks_of(plan):
        first = space.level_start(nonzeros)
        assert np.array_equal(space.rank(masks), first + np.arange(len(masks)))


def test_the_option_names_a_run_of_its_own_and_leaves_others_as_they_were() -> None:
    for make in (exhaust, phase2):
        off, on = make(unused_inputs=False), make()
        assert "unused_inputs" not in off.identity()["config"]
        assert on.identity()["config"]["unused_inputs"] is True
        assert on.name() != off.name()
        for nonzeros, masks in masks_of(off):
            assert masks.eligible().all() and (masks.nonzeros() == nonzeros).all()


def test_the_sparsest_network_leaves_the_noise_unused(capsys: Capture) -> None:
    report = run_json(capsys, *EXHAUST, "--unused-inputs", "--run=free")
    every = run_json(capsys, *EXHAUST, "--run=all")
    # one hidden neuron on two inputs: 3 weights and 2 biases
    assert report["bound"] == 5 and every["bound"] == 6
    assert report["best"]["mask"][0] == [[1, 0, 1]] and every["best"]["mask"][0] == [[1, 1, 1]]
    assert report["space"] == "all shapes, 1 hidden layers of up to 2, inputs used or not"
    assert [level["nonzeros"] for level in report["levels"]] == [4, 5]
    assert [level["orbits"] for level in report["levels"]] == [3, 3]
    task = load_task("sum.csv")
    for row in RunStore.attach("runs/free").read().to_pylist()[::17]:
        if row["parameters"] is not None:
            widths = [int(width) for width in row["shape"].split(",")]
            flat = np.array(row["parameters"], np.float32)
            assert accuracy_of_mlp(flat, widths, task.x, task.y) == row["accuracy"]
    found = certify("runs/free/best.npz", task)
    assert (found.nonzeros, found.effective_nonzeros, found.eligible) == (5, 5, False)
    assert found.accuracy == report["best"]["accuracy"] >= 0.97 and not found.disagreements
    status = run_json(capsys, "status", "free")
    assert status["finished"] and status["bound"] == 5


def test_what_is_left_of_a_run_gives_the_same_rows(capsys: Capture) -> None:
    arguments = (*EXHAUST, "--unused-inputs", "--all", "--race", "--restarts=600")
    whole = run_json(capsys, *arguments, "--run=whole")
    again = run_json(capsys, *arguments, "--run=whole")
    assert again["trained_now"] == 0 and again["digest"] == whole["digest"]
    for shard in sorted(Path("runs/whole/shards").iterdir())[::2]:
        shard.unlink()
    rest = run_json(capsys, *arguments, "--run=whole")
    assert rest["trained_now"] > 0
    assert (rest["digest"], rest["levels"]) == (whole["digest"], whole["levels"])
    message = error_of(capsys, *EXHAUST, "--all", "--race", "--restarts=600", "--run=whole", code=3)
    assert "unused_inputs" in message


def test_phase_two_from_one_initialisation(capsys: Capture) -> None:
    wide = MLP(NetShape((3, 2, 2, 1)), 4)
    nets = NetBatch.create(wide, RunKeys.make(9, [1], ["0.1:step"], [0]))
    save_network("wide.npz", nets)
    report = run_json(
        capsys, "phase2", "--shape=2,2", "--unused-inputs", "--init=wide.npz", "--restarts=2",
        "--max-nonzeros=12", "--all", "--cells=0.1:cosine", *QUICK,
    )  # fmt: skip
    assert report["symmetry"] == "rows" and report["space"].endswith("inputs used or not")
    space = mask_space(NetShape((3, 2, 2, 1)), "rows", 12, unused_inputs=True)
    assert {x["nonzeros"]: x["orbits"] for x in report["levels"]} == space.levels()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["exhaust", "--max-nonzeros=5"],
            "needs at least 8: every neuron keeps an input, an output and its bias, and one input",
        ),
        (["phase2", "--shape=3,3", "--max-nonzeros=9"], "shape (3,3) needs at least 16"),
        (["phase2", "--shape=3,3", "--min-nonzeros=99"], "no mask with so many (dense it has 28"),
    ],
)
def test_bad_limits_are_one_clear_line(
    arguments: list[str], message: str, capsys: Capture, tmp_path: Path
) -> None:
    assert message in error_of(capsys, *arguments, "--task=sum.csv", "--unused-inputs")
    assert not (tmp_path / "runs").exists()


def error_of(capsys: Capture, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    return capsys.readouterr().err.strip().splitlines()[-1]


# ---- descents -------------------------------------------------------------------------


@pytest.mark.parametrize("prune_biases", [False, True])
def test_a_descent_drops_the_input_that_is_noise(prune_biases: bool) -> None:
    task = load_task("sum.csv")
    config = DescendConfig(
        task="sum.csv", shapes=("2",), restarts=16, beam=8, retrain_epochs=2, target=0.97,
        prune_biases=prune_biases,
    )  # fmt: skip
    descent = Descent(NetShape((3, 2, 1)), task, config)
    state = descent.start()
    while state.pools:  # the first turn
        state = descent.step(state)
    lowest = lowest_at(state, 0.97, task.points)
    assert lowest == (3 if prune_biases else 5)
    nets = compact(state.elites[lowest].nets[:1].batch())
    assert nets.masks["weight0"][0].tolist() == [[1, 0, 1]]
    assert score(nets, task).correct[0] == state.elites[lowest].correct[0]
    assert effective_nonzeros(nets)[0] == lowest


# ---- training -------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [5, 16])
def test_the_fused_trainer_does_what_the_loop_does(inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    x = rng.normal(size=(320, inputs)).astype(np.float32)
    task = Task("wide", x, (x[:, 0] * x[:, -1] + x[:, 1] > 0).astype(np.uint8))
    space = mask_space(NetShape((inputs, 4, 2, 1)), "full", 22, unused_inputs=True)
    ranks = np.random.default_rng(1).integers(len(space), size=12)
    words = np.concatenate([space.masks(int(r), int(r) + 1).words for r in ranks])
    masks = MaskBatch(space.shape, words)
    assert not masks.eligible().all()
    cell = "0.05:cosine"
    keys = RunKeys.make(0, masks.keys(), [cell] * 12, np.arange(12))
    nets = NetBatch.create(MLP(masks.shape, 16), keys, masks)
    recipe = Recipe(batch_size=16, epochs=2).with_cell(cell)
    found = FusedTrainer().fit(nets, task, recipe, keys)
    expected = LoopTrainer().fit(nets, task, recipe, keys)
    apart = distances(found, expected)
    assert np.median(apart) <= 1e-6 and (apart > 1e-5).sum() <= 1
    assert np.median(distances(found, nets)) > 0.1
    unused = masks.dense()[0] == 0
    assert unused.any() and not found.params["weight0"][unused].any()
    assert np.array_equal(FusedTrainer().score(found, task).correct, score(found, task).correct)

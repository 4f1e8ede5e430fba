"""The beam search: deletions against brute force, states that survive anything, the command."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from searching import run_json, write_task

from combsearch import cli, durable
from combsearch.commands.descend import descend_command
from combsearch.commands.options import Options
from combsearch.config import Recipe
from combsearch.errors import CombsearchError, RunMismatchError, UsageError
from combsearch.mask import NetShape
from combsearch.nets import score
from combsearch.runfile import identity_digest
from combsearch.search.beam import Scored, distinct, orbits, retrained, scored, trained, varied
from combsearch.search.certify import certify
from combsearch.search.deletions import children, grown
from combsearch.search.descend import (
    AUTO,
    DescendPlan,
    DescendWork,
    proved,
    read_state,
    state_bytes,
    state_path,
)
from combsearch.search.descent import Descent, State, lowest_at
from combsearch.search.polish import polished
from combsearch.search.sparse_nets import SparseNets, cut_chunks, layers_of, tidied
from combsearch.search_config import DescendConfig
from combsearch.shards import Shard
from combsearch.tasks import Task, load_task

Layers = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
SHAPE = NetShape.from_hidden((3, 2, 2))
WIDE = NetShape.from_hidden((4, 3))


def random_nets(shape: NetShape, n: int, seed: int = 0, keep: float = 0.6) -> SparseNets:
    """Any masks: dead neurons, lost biases and all."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, shape.parameters)) < keep
    params = np.where(masks, rng.normal(size=masks.shape), 0).astype(np.float32)
    return SparseNets(shape, params, masks)


def live_nets(shape: NetShape, n: int, seed: int = 0, keep: float = 0.6) -> SparseNets:
    """Networks as the search has them: no dead neurons, every live one with its bias."""
    nets = random_nets(shape, n, seed, keep)
    for (weight, _), (_, bias) in zip(
        layers_of(shape, nets.masks), layers_of(shape, nets.masks), strict=True
    ):
        bias[:] = weight.any(axis=2)
    nets = SparseNets(shape, nets.params * nets.masks, nets.masks)
    nets, alive = tidied(nets, prune_biases=False)
    return nets[alive]


def function(nets: SparseNets, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Logits [net, point] by plain numpy in float64."""
    h: Any = np.broadcast_to(x.T.astype(np.float64), (len(nets), *x.T.shape))
    layers = layers_of(nets.shape, nets.params.astype(np.float64))
    for weight, bias in layers[:-1]:
        h = np.maximum(weight @ h + bias[:, :, None], 0)
    weight, bias = layers[-1]
    return np.asarray((weight @ h + bias[:, :, None])[:, 0])


def points(n: int = 40) -> npt.NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(n, 2)).astype(np.float32)


def one_mask(nets: SparseNets, index: int) -> Layers:
    """Weight and bias masks of one network, as copies."""
    layers = layers_of(nets.shape, nets.masks[index : index + 1])
    return [(weight[0].copy(), bias[0].copy()) for weight, bias in layers]


def naive_cleanup(layers: Layers) -> None:
    """Remove dead neurons one at a time until there are none; every live neuron has its bias."""
    changed = True
    while changed:
        changed = False
        for k, (weight, bias) in enumerate(layers[:-1]):
            after = layers[k + 1][0]
            for j in range(len(weight)):
                there = weight[j].any() or bias[j] or after[:, j].any()
                if there and not (weight[j].any() and after[:, j].any()):
                    weight[j], bias[j], after[:, j] = False, False, False
                    changed = True


def naive_key(layers: Layers) -> bytes:
    """The smallest bytes over all relabellings of hidden neurons."""
    orders = [itertools.permutations(range(len(weight))) for weight, _ in layers[:-1]]
    keys = []
    for order in itertools.product(*orders):
        columns: Any = range(layers[0][0].shape[1])
        parts = []
        for (weight, bias), rows in zip(layers, [*order, range(1)], strict=True):
            rows_at = list(rows)
            parts += [weight[rows_at][:, list(columns)].ravel(), bias[rows_at]]
            columns = rows
        keys.append(np.concatenate(parts).astype(np.uint8).tobytes())
    return min(keys)


def keys(nets: SparseNets) -> list[bytes]:
    return [naive_key(one_mask(nets, index)) for index in range(len(nets))]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return load_task(str(write_task(tmp_path_factory.mktemp("task") / "clouds.csv", 400)))


def small(task: str = "", **changes: Any) -> DescendConfig:
    given: dict[str, Any] = {
        "task": task, "shapes": ("3x2",), "restarts": 32, "beam": 8, "retrain_epochs": 2,
        "target": 0.9,
    }  # fmt: skip
    return DescendConfig(**given | changes)


@pytest.mark.parametrize("prune_biases", [False, True])
def test_tidied_networks_compute_the_same_and_have_no_dead_neuron(prune_biases: bool) -> None:
    nets = random_nets(SHAPE, 400, keep=0.45)
    if not prune_biases:
        for weight, bias in layers_of(SHAPE, nets.masks):
            bias[:] = bias | weight.any(axis=2)  # a constant needs a bias to move into
    nets = SparseNets(SHAPE, nets.params * nets.masks, nets.masks)
    clean, alive = tidied(nets, prune_biases)
    assert 20 < alive.sum() < len(nets)
    np.testing.assert_allclose(
        function(clean[alive], points()), function(nets[alive], points()), rtol=1e-4, atol=1e-4
    )
    kept = layers_of(SHAPE, clean[alive].masks)
    for (weight, _), (after, _) in itertools.pairwise(kept):
        live = weight.any(axis=2)
        assert np.array_equal(live, after.any(axis=1))
        assert (np.diff(live.astype(int), axis=1) <= 0).all()  # the live ones first
    assert not clean.params[~clean.masks].any()
    again, _ = tidied(clean[alive], prune_biases)
    assert np.array_equal(again.params, clean[alive].params)


def test_a_constant_neuron_moves_into_the_next_bias() -> None:
    shape = NetShape.from_hidden((2, 1))
    nets = SparseNets(shape, np.zeros((1, shape.parameters), np.float32), np.zeros((1, 12), bool))
    values, kept = layers_of(shape, nets.params), layers_of(shape, nets.masks)
    # Neuron 0 has an input, neuron 1 has only its bias 3, which neuron 0 of layer 1 weighs by 2.
    for arrays, one in ((values, 1.0), (kept, True)):
        arrays[0][0][0, 0, 0] = arrays[1][0][0, 0, 0] = arrays[2][0][0, 0, 0] = one
    values[0][1][0, 1], values[1][0][0, 0, 1] = 3, 2
    kept[0][1][0, 1], kept[1][0][0, 0, 1] = True, True
    moved, _ = tidied(nets, prune_biases=True)
    assert layers_of(shape, moved.params)[1][1][0, 0] == 6
    assert moved.nonzeros()[0] == 4
    lost, _ = tidied(nets, prune_biases=False)  # that bias is not kept, so it takes nothing
    assert lost.nonzeros()[0] == 3


@pytest.mark.parametrize("shape", [SHAPE, WIDE])
def test_children_are_all_masks_one_deletion_below(shape: NetShape) -> None:
    nets = live_nets(shape, 15, keep=0.8)
    expected = []
    for index in range(len(nets)):
        mask = one_mask(nets, index)
        for k, (weight, _) in enumerate(mask):
            for place in np.argwhere(weight):
                smaller = one_mask(nets, index)
                smaller[k][0][tuple(place)] = False
                expected.append(smaller)
        for k, (weight, _) in enumerate(mask[:-1]):
            for neuron in np.flatnonzero(weight.any(axis=1)):
                smaller = one_mask(nets, index)
                smaller[k][0][neuron] = False
                smaller[k + 1][0][:, neuron] = False
                expected.append(smaller)
    for smaller in expected:
        naive_cleanup(smaller)
    alive = [naive_key(smaller) for smaller in expected if smaller[-1][0].any()]
    found = children(nets, points(), prune_biases=False)
    assert len(alive) > 100
    assert sorted(keys(found)) == sorted(alive)
    assert (
        np.array_equal(found.nonzeros(), found.masks.sum(axis=1))
        and found.nonzeros().max() < nets.nonzeros().max()
    )
    for weight, bias in layers_of(shape, found.masks)[:-1]:
        assert np.array_equal(weight.any(axis=2), bias)


def test_biases_are_deleted_only_when_asked_for() -> None:
    nets = live_nets(SHAPE, 1, keep=1.0)
    kept = children(nets, points(), prune_biases=False)
    pruned = children(nets, points(), prune_biases=True)
    assert len(pruned) == len(kept) + SHAPE.biases
    fewer = [np.array_equal(layers_of(SHAPE, pruned.masks[i : i + 1])[0][0], [[[1, 1]] * 3])
             for i in range(len(pruned))]  # fmt: skip
    assert any(fewer)
    last = pruned[slice(-SHAPE.biases, None)]
    assert (last.nonzeros() == SHAPE.parameters - 1).all()
    assert len({mask.tobytes() for mask in last.masks}) == SHAPE.biases


def test_a_deleted_weight_leaves_its_mean_behind() -> None:
    nets = live_nets(WIDE, 1, keep=1.0)
    x = points(500)
    hidden = np.maximum(x @ nets.params[0, :8].reshape(4, 2).T + nets.params[0, 8:12], 0)
    found = children(nets, x, prune_biases=False)
    # After the 8 weights of the first layer: that from neuron 2 to neuron 1 of the next.
    weight, bias = layers_of(WIDE, found.params[8 + 6 : 8 + 7])[1]
    before, old = layers_of(WIDE, nets.params)[1]
    assert weight[0, 1, 2] == 0
    moved = before[0, 1, 2] * hidden.mean(axis=0)[2]
    np.testing.assert_allclose(bias[0, 1] - old[0, 1], moved, rtol=1e-4)


@pytest.mark.parametrize("prune_biases", [False, True])
def test_grown_networks_have_one_more_and_compute_the_same(prune_biases: bool) -> None:
    nets = live_nets(SHAPE, 10)
    if prune_biases:
        layers_of(SHAPE, nets.masks)[0][1][:, 0] = False
        nets = SparseNets(SHAPE, nets.params * nets.masks, nets.masks)
    found = grown(nets, prune_biases)
    live = np.concatenate([np.full((len(nets), 1), 2), nets.live(), np.ones((len(nets), 1))], 1)
    free = (live[:, 1:] * live[:, :-1] + live[:, 1:]).sum(axis=1) - nets.nonzeros()
    if not prune_biases:
        assert (free >= 0).all()
    assert len(found) == free.sum() > 0
    parent = np.repeat(np.arange(len(nets)), free.astype(int))
    assert np.array_equal(found.nonzeros(), nets.nonzeros()[parent] + 1)
    assert np.array_equal(found.params, nets.params[parent])
    assert (found.masks >= nets.masks[parent]).all()


def test_orbits_are_those_of_all_relabellings() -> None:
    for prune_biases in (False, True):
        nets = live_nets(SHAPE, 150, keep=0.7)
        if prune_biases:
            nets = children(nets, points(), True)[slice(-150, None)]
        found, expected = orbits(nets), keys(nets)
        pairs = set(zip(found.tolist(), expected, strict=True))
        assert len(pairs) == len(set(expected)) == len(set(found.tolist())) < len(nets)


def test_distinct_and_varied() -> None:
    nets = live_nets(SHAPE, 120, keep=0.8)
    correct = np.random.default_rng(1).integers(0, 9, len(nets))
    found = distinct(Scored(nets, correct), 2)
    assert (np.diff(found.correct) <= 0).all()
    counts: dict[bytes, list[int]] = {}
    for key, value in zip(keys(nets), correct.tolist(), strict=True):
        counts.setdefault(key, []).append(value)
    best = sorted(v for values in counts.values() for v in sorted(values)[-2:])
    assert sorted(found.correct.tolist()) == best
    some = varied(found, 20)
    assert len(some) == 20 and (np.diff(some.correct) <= 0).all()
    shapes, number = np.unique(found.nets.live(), axis=0, return_counts=True)
    for shape, there in zip(shapes, number, strict=True):
        taken = (some.nets.live() == shape).all(axis=1).sum()
        assert taken >= min(there, 5) or (np.minimum(number, 5).sum() > 20)


def test_networks_are_scored_and_trained_the_same_alone_and_together(task: Task) -> None:
    nets = live_nets(SHAPE, 70)
    found = scored(nets, task)
    assert np.array_equal(found.correct, score(nets.batch(), task).correct)
    recipes = [Recipe(epochs=2, batch_size=32, lr=lr) for lr in (0.05, 0.01)]
    together = trained(nets, task, recipes, 3, 7)
    alone = trained(nets[slice(5, 6)], task, recipes[1:], 3, 7)
    assert np.array_equal(together.params[len(nets) + 5], alone.params[0])
    assert not together.params[~together.masks].any()
    better = retrained(found, task, recipes, 3, 7)
    assert (better.correct >= found.correct).all() and better.correct.sum() > found.correct.sum()
    assert np.array_equal(scored(better.nets, task).correct, better.correct)


def test_chunks_hold_every_network_in_the_widths_that_it_needs() -> None:
    nets = live_nets(SHAPE, 50)
    seen = []
    for rows, shape in cut_chunks(nets, 8):
        seen += rows.tolist()
        assert len(rows) <= 8
        back = nets[rows].resized(shape).resized(SHAPE)
        assert np.array_equal(back.params, nets.params[rows])
        assert np.array_equal(back.masks, nets.masks[rows])
    assert sorted(seen) == list(range(len(nets)))


def test_polish_never_loses_and_repeats_itself(task: Task) -> None:
    found = scored(live_nets(SHAPE, 20), task)
    better = polished(found, task, 30, 1, 0)
    assert (better.correct >= found.correct).all() and better.correct.sum() > found.correct.sum()
    assert np.array_equal(better.correct, scored(better.nets, task).correct)
    assert np.array_equal(better.nets.masks, found.nets.masks)
    assert not better.nets.params[~better.nets.masks].any()
    assert np.array_equal(polished(found, task, 30, 1, 0).nets.params, better.nets.params)
    assert not np.array_equal(polished(found, task, 30, 1, 1).nets.params, better.nets.params)


def test_a_saved_state_comes_back_whole(task: Task, tmp_path: Path) -> None:
    shape = NetShape.from_hidden((3, 2))
    descent = Descent(shape, task, small())
    state = descent.step(descent.start())
    (tmp_path / "descents").mkdir()
    data = state_bytes(state, shape)
    path = state_path(tmp_path, shape)
    path.write_bytes(data)
    again = read_state(path, shape)
    assert again is not None and state_bytes(again, shape) == data
    assert list(again.pools) == list(state.pools) and len(again.pools) > 1
    path.write_bytes(data[:-40])
    assert read_state(path, shape) is None
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 255
    path.write_bytes(damaged)
    assert read_state(path, shape) is None
    path.write_bytes(data)
    assert read_state(path, NetShape.from_hidden((3, 3))) is None


@pytest.mark.parametrize("prune_biases", [False, True])
def test_a_descent_keeps_its_books(task: Task, prune_biases: bool) -> None:
    state = Descent(NetShape.from_hidden((3, 2)), task, small(prune_biases=prune_biases)).run()
    assert state.finished and not state.pools
    for level, elite in state.elites.items():
        assert (elite.nets.nonzeros() == level).all() and len(elite) <= 8
        assert np.array_equal(scored(elite.nets, task).correct, elite.correct)
        assert (np.diff(elite.correct) <= 0).all()
    found = proved(state, task, 16)
    assert [one.nonzeros for one in found] == sorted(state.elites)
    lowest = lowest_at(state, 0.9, task.points)
    assert lowest is not None and lowest < 3 * 3 + 3 * 2 + 2 + 2 + 1
    if prune_biases:  # with biases kept, two neurons a layer are 3*2+3*2+3 nonzeros
        assert any(
            not np.array_equal(weight.any(axis=2), bias)
            for elite in state.elites.values()
            for weight, bias in layers_of(elite.nets.shape, elite.nets.masks)
        )


def test_lowest_is_where_a_descent_ends(task: Task) -> None:
    for lowest in (13, 6):
        config = small(lowest=lowest, target=1.0, restarts=8, beam=4)
        state = Descent(NetShape.from_hidden((3, 2)), task, config).run()
        assert min(state.elites) == lowest


def run(config: DescendConfig, folder: Path, capsys: Any, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"runs": str(folder), "jobs": 1, "json": True, "figures": False}
    capsys.readouterr()
    report = descend_command(config, Options(**given | options))
    assert json.loads(capsys.readouterr().out) == report
    return report


def test_the_command_finds_saves_and_proves(tmp_path: Path, capsys: Any) -> None:
    task = str(write_task(tmp_path / "clouds.csv", 120))
    config = small(task, shapes=("2x2", "1x3", "2x1x1"), beam=4)
    report = run(config, tmp_path, capsys)
    folder = Path(report["run_folder"])
    lowest = report["lowest"]
    assert lowest["accuracy"] >= 0.9 and lowest["nonzeros"] < 20
    starts = [[2, 2, 2, 1], [2, 1, 3, 1], [2, 2, 1, 1, 1], [2, 2, 3, 1]]
    assert [row["shape"] for row in report["by_shape"]] == starts
    joint = report["by_shape"][-1]
    assert joint["joint"] and not report["by_shape"][0]["joint"]
    for row in report["by_shape"][:2]:  # the joint descent knows what those before it found
        for level, accuracy in row["frontier"].items():
            assert joint["frontier"][level] >= accuracy
    found = certify(folder / "best.npz", load_task(task))
    assert found.accuracy == lowest["accuracy"] and not found.disagreements
    assert [found.nonzeros, list(found.shape)] == [lowest["nonzeros"], lowest["shape"]]
    assert found.effective_nonzeros == found.nonzeros and found.counting == report["counting"]
    for row in report["frontier"]:
        one = certify(folder / "frontier" / f"{row['nonzeros']}.npz", load_task(task))
        assert one.accuracy == row["accuracy"] and not one.disagreements
        assert one.nonzeros == one.effective_nonzeros == row["nonzeros"]
        assert one.counting == report["counting"] and list(one.shape) == row["shape"]
    again = run(config, tmp_path, capsys)
    assert again["digest"] == report["digest"] and again["trained_now"] == 0
    assert again["sessions"] == report["sessions"]
    several = run(config, tmp_path / "two", capsys, jobs=2)
    assert several["digest"] == report["digest"]
    with pytest.raises(RunMismatchError, match="belongs to another run"):
        run(small(task, beam=9), tmp_path, capsys, run=folder.name)


def test_a_descent_that_is_cut_off_at_any_write_ends_the_same(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = str(write_task(tmp_path / "clouds.csv", 96))
    config = small(task, shapes=("2x2", "1x2"), restarts=8, beam=4)
    whole = run(config, tmp_path, capsys)
    plan = DescendPlan.of(config)
    root = tmp_path / "cut"
    (root / "descents").mkdir(parents=True)
    work = DescendWork(config, root, identity_digest(plan.identity()))
    before, turns = durable.write_bytes, 0

    def die_after_write(path: Path, data: bytes) -> None:
        before(path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "write_bytes", die_after_write)
    assert len(plan.paths(root)) == 3
    for index, (path, shape) in enumerate(plan.paths(root)):
        while (state := read_state(path, shape)) is None or not state.finished:
            with pytest.raises(KeyboardInterrupt):
                work(Shard(index, index + 1))
            turns += 1
    monkeypatch.undo()
    assert turns > 30
    assert work(Shard(0, 3)).steps == 0
    made = [path for path, _ in plan.paths(Path(whole["run_folder"]))]
    for (path, _), other in zip(plan.paths(root), made, strict=True):
        assert path.read_bytes() == other.read_bytes()
    path = made[-1]
    path.write_bytes(path.read_bytes()[:1000])
    mended = run(config, tmp_path, capsys)
    assert mended["digest"] == whole["digest"] and 0 < mended["trained_now"] < turns


def test_no_success_is_said(tmp_path: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{k % 2}" for k, (a, b) in enumerate(rng.normal(size=(90, 2)))]
    (tmp_path / "noise.csv").write_text("\n".join(["x1,x2,label", *rows, ""]))
    config = small(str(tmp_path / "noise.csv"), target=1.0)
    report = run(config, tmp_path, capsys)
    assert report["lowest"] is None and report["by_shape"][0]["lowest"] is None
    assert 0.5 < report["best"]["accuracy"] < 1
    text = descend_command(config, Options(runs=str(tmp_path), jobs=1))
    assert text["lowest"] is None
    assert capsys.readouterr().out.startswith("no network reached 1; the best was at")


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: Any) -> None:
    task = str(write_task(tmp_path / "clouds.csv"))
    report = run(small(task, shapes=("auto",)), tmp_path / "runs", capsys, dry_run=True)
    assert len(report["shapes"]) == len(AUTO) and report["dense_runs"] == 32 * len(AUTO)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": ("7,3",)}, "shape '7,3' is not a list of hidden widths such as 7x3x3"),
        ({"shapes": ("0x2",)}, "not a list of hidden widths"),
        ({"shapes": ("3x2", "3x2")}, "name one twice"),
        ({"shapes": ("2x2x2x2x2x2",)}, "1 to 5 hidden layers"),
        ({"shapes": ("3x2",), "lowest": 500}, "lowest is 500"),
        ({"task": "no such task"}, "no such task"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    task = str(write_task(tmp_path / "clouds.csv"))
    with pytest.raises(UsageError, match=message):
        DescendPlan.of(small(**{"task": task} | changes))


def test_a_shape_that_cannot_be_finished_is_named(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = str(write_task(tmp_path / "clouds.csv"))

    def no_memory(self: Descent) -> State:
        raise MemoryError("too big")

    monkeypatch.setattr(Descent, "start", no_memory)
    message = r"such as that from 3,2: in each of 4 tries it ran out of memory \(too big\)"
    with pytest.raises(CombsearchError, match=message):
        run(small(task), tmp_path, capsys)


def test_the_command_line_descends_from_a_run_of_phase_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    one = run_json(
        capsys, "phase1", "--task=clouds.csv", "--width=3", "--depth=2", "--target=0.9",
        "--run=one", "--epochs=10", "--batch-size=16", "--restarts=16", "--cells=0.1:cosine",
        "--no-figures",
    )  # fmt: skip
    quick = ("--beam=8", "--restarts=16", "--retrain-epochs=2")
    report = run_json(capsys, "descend", "--from=one", *quick, "--run=two")
    assert [d["shape"] for d in report["by_shape"]] == [one["shape"]]
    assert report["target"] == 0.9 and report["task"] == "clouds"
    names = {path.name for path in (tmp_path / "runs/two/figures").iterdir()}
    assert names == {"frontier.png", "network.png", "regions.png"}
    status = run_json(capsys, "status", "two")
    lowest = report["lowest"] and report["lowest"]["nonzeros"]
    assert status["finished"] and status["lowest"] == lowest
    drawn = run_json(capsys, "plot", "two", "-o", "elsewhere")["files"]
    assert [Path(file).parent.name for file in drawn] == ["elsewhere"] * 3
    assert run_json(capsys, "verify", "two")["valid"] == 2 + len(report["frontier"])
    state = next((tmp_path / "runs/two/descents").iterdir())
    state.write_bytes(state.read_bytes()[:-40])
    assert cli.main(["verify", "two"]) == 4
    assert (tmp_path / "runs/two/quarantine" / state.name).exists() and not state.exists()
    capsys.readouterr()
    assert cli.main(["status", "two"]) == 0
    assert "0 of 1 descents done" in capsys.readouterr().out
    assert cli.main(["descend", "--shapes=nonsense"]) == 2
    assert "--shapes: shape 'nonsense'" in capsys.readouterr().err

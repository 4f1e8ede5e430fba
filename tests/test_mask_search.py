"""Phase two and exhaust: the plan, every row, the report, faults, the command line."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from naive import accuracy_of_mlp
from searching import phase2, run_json, write_task

from combsearch import cli
from combsearch.canonical import canonical_form
from combsearch.counting import orbits_over_shapes
from combsearch.enumeration import mask_space
from combsearch.frontier import excluded_probability
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network, save_network
from combsearch.search import mask_plan, mask_training
from combsearch.search.mask_plan import POOL, MaskPlan, level_restarts
from combsearch.search.mask_training import train_shard
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.store import RunStore, Shard, digest
from combsearch.tasks import load_task
from combsearch.trainers import get_trainer

Capture = pytest.CaptureFixture[str]
QUICK = ("--task=clouds.csv", "--epochs=5", "--batch-size=16", "--no-figures")
PHASE2 = ("phase2", "--shape=2,2", "--target=0.9", "--restarts=3", *QUICK, "--cells=0.1:cosine")
EXHAUST = ("exhaust", "--depth=2", "--width=3", "--max-nonzeros=13", *QUICK, "--restarts=40")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    return tmp_path


def exhaust(**changes: Any) -> MaskPlan:
    given: dict[str, Any] = {
        "task": "clouds.csv", "depth": 2, "width": 4, "target": 0.9, "restarts": 600, "epochs": 5,
        "batch_size": 16, "max_nonzeros": 14, "level_runs": 10_000,
    }  # fmt: skip
    return MaskPlan.of(ExhaustConfig(**given | changes))


def error_of(capsys: Capture, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    err = capsys.readouterr().err.strip().splitlines()
    return err[-1]


# ---- the plan -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e5, 1e7, 1e12])
def test_shards_are_all_ranks_once_and_none_crosses_a_level(
    size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_plan, "SHARD_WORK", size)
    plan = exhaust()
    ends = [shard.last for shard in plan.shards]
    assert [shard.first for shard in plan.shards] == [0, *ends[:-1]] and ends[-1] == plan.masks
    for shard in plan.shards:
        pieces = list(plan.pieces(shard))
        assert [r for _, ranks in pieces for r in ranks] == list(range(shard.first, shard.last))
        assert len({segment.nonzeros for segment, _ in pieces}) == 1
    levels = len(plan.levels())
    if size == 1e7:
        assert levels < len(plan.shards) < plan.masks
    else:
        assert len(plan.shards) == (plan.masks if size == 1e5 else levels)


def test_an_exhaust_plan_holds_every_orbit_of_every_shape_once() -> None:
    plan = exhaust()
    counts = orbits_over_shapes(14, 2, 2, 1, 4)
    assert plan.masks == sum(n for levels in counts.values() for n in levels.values())
    seen = set()
    for segment in plan.segments:
        ranks = range(segment.rank, segment.rank + segment.masks)
        masks = plan.piece_masks(segment, ranks)
        assert (masks.nonzeros() == segment.nonzeros).all() and masks.eligible().all()
        assert np.array_equal(canonical_form(masks).words, masks.words)
        seen |= {(segment.shape, key) for key in masks.keys().tolist()}
    assert len(seen) == plan.masks
    nonzeros = [segment.nonzeros for segment in plan.segments]
    assert nonzeros == sorted(nonzeros)


def test_a_phase_two_plan_is_the_space_of_its_shape() -> None:
    for symmetry in ("full", "rows", "none"):
        plan = phase2(symmetry=symmetry, min_nonzeros=10, max_nonzeros=12)
        space = mask_space(plan.segments[0].shape, symmetry)
        wanted = {n: count for n, count in space.levels().items() if 10 <= n <= 12}
        assert {s.nonzeros: s.masks for s in plan.segments} == wanted
        found = [
            nonzeros
            for s in plan.segments
            for nonzeros in plan.piece_masks(s, range(s.rank, s.rank + s.masks)).nonzeros()
        ]
        assert found == [n for n, count in wanted.items() for _ in range(count)]


def test_restarts_of_a_level_share_its_runs() -> None:
    config = ExhaustConfig(restarts=3072, min_restarts=16, level_runs=100_000)
    assert level_restarts(config, 1) == 3072
    assert level_restarts(config, 100) == 768  # of 1000, in whole pools
    assert level_restarts(config, 1000) == 100
    assert level_restarts(config, 10**6) == 16
    assert level_restarts(ExhaustConfig(restarts=4, min_restarts=16), 10**6) == 4
    two = ExhaustConfig(restarts=3072, level_runs=100_000, cells=("0.05:cosine", "0.1:step"))
    assert level_restarts(two, 100) == 500 // POOL * POOL


# ---- training -------------------------------------------------------------------------


@pytest.mark.parametrize("race", [False, True])
def test_every_row_is_the_run_of_its_key(race: bool) -> None:
    plan = phase2(restarts=20, race=race, controls=2)
    rows = train_shard(plan, Shard(0, plan.masks)).to_pylist()
    assert len(rows) == plan.masks * 40 if not race else len(rows) < plan.masks * 40
    trainer = get_trainer("fused")
    mask_of: dict[int, Any] = {}
    for segment in plan.segments:
        ranks = range(segment.rank, segment.rank + segment.masks)
        mask_of |= dict(zip(ranks, plan.piece_masks(segment, ranks).words, strict=True))
    for row in random.Random(1).sample(rows, 15):
        mask = MaskBatch(plan.segments[0].shape, mask_of[row["rank"]][None])
        keys = RunKeys.make(0, mask.keys(), [row["cell"]], [row["restart"]], POOL)
        recipe = plan.recipe.with_cell(row["cell"])
        start = NetBatch.create(MLP(mask.shape, 16), keys, mask)
        nets = trainer.fit(start, plan.task, recipe, keys)
        assert trainer.score(nets, plan.task).accuracy[0] == row["accuracy"]
        assert (row["mask"], row["nonzeros"]) == (mask.keys()[0], mask.nonzeros()[0])


def test_shards_of_any_size_and_races_give_the_same_rows() -> None:
    plan = phase2(restarts=20, race=True, controls=3)
    whole = train_shard(plan, Shard(0, plan.masks))
    cuts = [0, 1, 5, 6, plan.masks]
    parts = [train_shard(plan, Shard(a, b)) for a, b in itertools.pairwise(cuts)]
    columns = ["rank", "cell", "restart", "accuracy", "status", "mask"]
    assert pa.concat_tables(parts).select(columns).equals(whole.select(columns))
    full = train_shard(phase2(restarts=20), Shard(0, plan.masks)).to_pylist()
    known = {(r["rank"], r["cell"], r["restart"]): r["accuracy"] for r in full}
    assert set(whole["status"].to_pylist()) == {"ok", "spared"}
    for row in whole.to_pylist():
        assert known[row["rank"], row["cell"], row["restart"]] == row["accuracy"]


def test_saved_parameters_are_of_the_best_and_do_what_the_row_says() -> None:
    plan = phase2(restarts=30, target=0.8)
    rows = train_shard(plan, Shard(0, plan.masks)).to_pylist()
    best: dict[int, Any] = {}
    for row in rows:
        if row["accuracy"] > best.get(row["rank"], {"accuracy": -1.0})["accuracy"]:
            best[row["rank"]] = row
    tops = []
    for lot in plan.lots:
        own = [row for rank, row in best.items() if lot.first <= rank < lot.last]
        tops.append(min(own, key=lambda r: (-r["accuracy"], r["cell"], r["restart"], r["rank"])))
    wanted = [row for row in best.values() if row["accuracy"] >= 0.8 or row in tops]
    assert len(tops) > 3 and any(row["accuracy"] < 0.8 for row in tops)
    saved = [row for row in rows if row["parameters"] is not None]
    assert saved == wanted and len(saved) > 3
    for row in saved:
        widths = [int(width) for width in row["shape"].split(",")]
        flat = np.array(row["parameters"], np.float32)
        assert accuracy_of_mlp(flat, widths, plan.task.x, plan.task.y) == row["accuracy"]


def test_from_one_initialisation_runs_differ_by_minibatches_alone() -> None:
    wide = NetShape.from_hidden((4, 4))
    nets = NetBatch.create(MLP(wide, 4), RunKeys.make(9, [1], ["0.1:step"], [0]))
    save_network("wide.npz", nets)
    plan = phase2(init="wide.npz", restarts=2)
    assert plan.symmetry == "rows" and plan.block == 1 and "init" not in plan.identity()["config"]
    table = train_shard(plan, Shard(0, plan.masks))
    start = load_network("wide.npz").params
    for row in table.to_pylist()[:: len(table) // 7]:
        mask = plan.piece_masks(
            next(s for s in reversed(plan.segments) if s.rank <= row["rank"]),
            range(row["rank"], row["rank"] + 1),
        )
        keys = RunKeys.make(0, mask.keys(), [row["cell"]], [row["restart"]], 1)
        one = NetBatch.create(MLP(mask.shape), keys, mask)
        for name, m in one.masks.items():
            place = (0, *(slice(0, size) for size in m.shape[1:]))
            one.params[name][:] = start[name][place] * m
        trained = get_trainer("fused").fit(one, plan.task, plan.recipe.with_cell(row["cell"]), keys)
        assert get_trainer("fused").score(trained, plan.task).accuracy[0] == row["accuracy"]


# ---- the commands ---------------------------------------------------------------------


def test_phase_two_reports_the_first_level_with_a_success(capsys: Capture) -> None:
    report = run_json(capsys, *PHASE2, "--restarts=60", "--run=p", "--target=0.8")
    rows = RunStore.attach("runs/p").read()
    good = rows["accuracy"].to_numpy() >= 0.8
    bound = int(rows["nonzeros"].to_numpy()[good].min())
    assert report["bound"] == bound == report["best"]["nonzeros"]
    *below, last = report["levels"]
    assert last["nonzeros"] == bound and last["successes"] > 0 and not last["closed"]
    assert last["excluded_success_probability"] is None
    space = mask_space(NetShape.from_hidden((2, 2)), "full").levels()
    for level in below:
        assert level["closed"] and level["successes"] == 0 and level["restarts"] == 60
        assert level["orbits"] == space[level["nonzeros"]]
        assert level["excluded_success_probability"] == excluded_probability(60)
        whole = excluded_probability(60, orbits=level["orbits"])
        assert level["excluded_for_the_level"] == whole
    net = load_network("runs/p/best.npz")
    score = get_trainer("fused").score(net, load_task("clouds.csv"))
    assert score.accuracy[0] == report["best"]["accuracy"] >= 0.8
    masks = [net.masks[f"weight{layer}"][0].astype(int).tolist() for layer in range(3)]
    assert masks == report["best"]["mask"]
    again = run_json(capsys, *PHASE2, "--restarts=60", "--run=p", "--target=0.8")
    assert again["digest"] == report["digest"] and again["trained_now"] == 0


def test_levels_beyond_and_all_levels(capsys: Capture) -> None:
    first = run_json(capsys, *PHASE2, "--restarts=60", "--target=0.7")
    one = run_json(capsys, *PHASE2, "--restarts=60", "--target=0.7", "--beyond=1")
    every = run_json(capsys, *PHASE2, "--restarts=60", "--target=0.7", "--all")
    assert len(one["levels"]) == len(first["levels"]) + 1
    assert one["levels"][: len(first["levels"])] == first["levels"]
    assert [x["nonzeros"] for x in every["levels"]] == list(
        mask_space(NetShape.from_hidden((2, 2)), "full").levels()
    )
    assert every["bound"] == one["bound"] == first["bound"]


def test_phase_two_takes_the_shape_that_phase_one_found(capsys: Capture) -> None:
    one = run_json(
        capsys, "phase1", "--width=3", "--depth=2", "--target=0.8", "--run=one", *QUICK,
        "--restarts=8", "--cells=0.1:cosine",
    )  # fmt: skip
    two = run_json(capsys, "phase2", "--from=one", "--restarts=1", *QUICK, "--cells=0.1:cosine")
    assert two["shape"] == ",".join(map(str, one["shape"][1:-1]))
    assert two["target"] == 0.8 and two["task"] == one["task"]
    mine = run_json(
        capsys, "phase2", "--from=one", "--restarts=1", "--target=0.7", *QUICK, "--dry-run"
    )
    assert mine["dry_run"] and mine["masks"] > 0


def test_exhaust_counts_levels_and_says_what_racing_costs(capsys: Capture) -> None:
    report = run_json(capsys, *EXHAUST, "--target=0.99", "--controls=2", "--run=e")
    levels = orbits_over_shapes(13, 2, 2, 1, 3)
    for level in report["levels"]:
        n = level["nonzeros"]
        assert level["orbits"] == sum(counts.get(n, 0) for counts in levels.values())
        assert level["started"] == level["orbits"] * level["restarts"] > level["finished"]
    race = report["race"]
    rows = RunStore.attach("runs/e").read()
    assert race["controls"] > 0 and race["kept"] + race["lost"] >= 30
    good = rows["accuracy"].to_numpy() >= race["threshold"]
    spared = np.array(rows["status"].to_pylist()) == "spared"
    assert race["lost"] == int((good & spared).sum()) > 0
    kept = race["kept_at_least"]
    assert race["estimated"] == (race["threshold"] < 0.99)
    assert 0 < kept < race["kept_interval"][0] < race["kept_share"]
    for level in report["levels"]:
        excluded = excluded_probability(40, 0.94, kept=kept)
        assert level["excluded_success_probability"] == excluded
        assert level["closed"] == (excluded < 1 and not level["successes"])


def test_a_dry_run_says_what_it_costs_and_writes_nothing(capsys: Capture, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    report = run_json(capsys, *EXHAUST, "--dry-run")
    assert sorted(tmp_path.rglob("*")) == before
    assert report["masks"] == sum(level["masks"] for level in report["levels"])
    assert all(x["runs"] == x["masks"] * x["restarts"] for x in report["levels"])
    assert cli.main([*EXHAUST, "--dry-run"]) == 0
    assert "restarts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exhaust", "--max-nonzeros=5"], "--max-nonzeros: max_nonzeros is 5, a network of 3"),
        (["exhaust", "--target=1.5"], "--target: target is 1.5, it must be in (0, 1]"),
        (["exhaust", "--restarts=0"], "--restarts: restarts is 0"),
        (["phase2"], "no shape: name one as --shape 7,3,3, or a run with --from"),
        (["phase2", "--shape=7,x"], "shape '7,x' is not a list of hidden widths"),
        (["phase2", "--shape=3,3,3", "--max-nonzeros=5"], "shape (3,3,3) needs at least 22"),
        (["phase2", "--shape=3,3,3", "--min-nonzeros=99"], "no mask with so many (dense it has 37"),
        (["phase2", "--shape=3,3", "--symmetry=half"], "it must be one of full, rows, none"),
        (["phase2", "--shape=3,3", "--init=no.npz"], "no.npz"),
        (["phase2", "--shape=3,3", "--init=no.npz", "--race"], "--race: race is not possible"),
        (["phase2", "--from=nothing"], "no run in"),
        (["phase2", "--shape=20,20,20"], "20"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, capsys: Capture, tmp_path: Path
) -> None:
    assert message in error_of(capsys, *arguments)
    assert not (tmp_path / "runs").exists()


def test_a_mask_search_refuses_the_folder_of_another(capsys: Capture) -> None:
    run_json(capsys, *PHASE2, "--run=mine")
    assert "target" in error_of(capsys, *PHASE2, "--target=0.7", "--run=mine", code=3)
    found = error_of(capsys, *PHASE2, "--max-nonzeros=12", "--run=mine", code=3)
    assert "max_nonzeros" in found
    assert "other run" in error_of(capsys, *EXHAUST, "--run=mine", code=3)


def test_initial_weights_must_be_as_wide(capsys: Capture) -> None:
    nets = NetBatch.create(
        MLP(NetShape.from_hidden((2, 2)), 4), RunKeys.make(9, [1], ["0.1:step"], [0])
    )
    save_network("narrow.npz", nets)
    found = error_of(capsys, *PHASE2, "--shape=3,2", "--init=narrow.npz")
    assert "it must have as many layers and be as wide" in found
    assert cli.main([*PHASE2, "--init=narrow.npz", "--run=i"]) == 0
    assert "orbits are not reduced" in capsys.readouterr().err


def test_a_damaged_shard_is_computed_again(capsys: Capture) -> None:
    first = run_json(capsys, *PHASE2, "--run=d")
    shard = next(Path("runs/d/shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-7])
    again = run_json(capsys, *PHASE2, "--run=d")
    assert again["digest"] == first["digest"] and again["trained_now"] > 0
    assert len(list(Path("runs/d/quarantine").iterdir())) == 1


def test_memory_of_a_part_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phase2(restarts=6)
    whole = train_shard(plan, Shard(0, plan.masks))
    monkeypatch.setattr(mask_training, "_FLOATS", 500)
    assert digest(train_shard(plan, Shard(0, plan.masks))) == digest(whole)


def test_status_tells_what_is_left_and_plot_draws_what_is_there(capsys: Capture) -> None:
    report = run_json(capsys, *PHASE2, "--restarts=60", "--run=s", "--target=0.8")
    status = run_json(capsys, "status", "s")
    assert status["finished"] and status["masks_left"] == 0
    assert status["bound"] == report["bound"] and status["levels"] == report["levels"]
    assert status["runs_done"] == report["trained"]
    drawn = run_json(capsys, "plot", "s")["files"]
    names = {Path(file).name for file in drawn}
    assert names == {"bound.png", "levels.png", "network.png", "regions.png"}
    assert all(Path(file).stat().st_size > 5000 for file in drawn)
    first = min(Path("runs/s/shards").iterdir())
    first.unlink()
    status = run_json(capsys, "status", "s")
    assert not status["finished"] and status["masks_left"] == 1
    assert cli.main(["status", "s"]) == 0
    assert "not finished" in capsys.readouterr().out


def test_levels_that_were_begun_too_early_do_not_count(capsys: Capture) -> None:
    arguments = (*PHASE2, "--restarts=60", "--target=0.7", "--run=ahead")
    report = run_json(capsys, *arguments)
    plan = MaskPlan.of(
        Phase2Config(
            task="clouds.csv", shape="2,2", target=0.7, restarts=60, epochs=5, batch_size=16,
            cells=("0.1:cosine",),
        )
    )  # fmt: skip
    store = RunStore.open("runs/ahead", plan.identity())
    for shard in plan.shards:  # another process had begun the levels above the bound
        store.write(shard, train_shard(plan, shard))
    again = run_json(capsys, *arguments)
    assert again["digest"] == report["digest"] and again["trained"] == report["trained"]
    assert again["levels"] == report["levels"]
    assert again["levels"][-1]["nonzeros"] == report["bound"] < plan.levels()[-1]
    assert run_json(capsys, "status", "ahead")["levels"] == report["levels"]


def test_levels_below_the_first_are_said_to_be_untried(capsys: Capture) -> None:
    report = run_json(capsys, *PHASE2, "--min-nonzeros=13")
    assert report["untried"] == [11, 12] and report["levels"][0]["nonzeros"] == 13
    assert cli.main([*PHASE2, "--min-nonzeros=13"]) == 0
    assert "levels 11 to 12 were not tried" in capsys.readouterr().out


def test_what_races_lose_is_not_told_from_chance(capsys: Capture) -> None:
    report = run_json(
        capsys, *PHASE2, "--shape=1,1", "--race", "--restarts=40", "--epochs=1", "--controls=1"
    )
    assert report["race"] is None and report["raced"]
    assert not any(level["closed"] for level in report["levels"])
    found = run_json(capsys, *PHASE2, "--shape=1,1", "--race", "--restarts=1", "--seed=1")
    text = "outlived" if not found["rows"] else "no mask reached"
    assert cli.main([*PHASE2, "--shape=1,1", "--race", "--restarts=1", "--seed=1"]) == 0
    assert text in capsys.readouterr().out


def test_shapes_are_written_with_commas_or_crosses() -> None:
    assert NetShape.parse("7x3x3") == NetShape.parse("7,3,3") == NetShape.from_hidden((7, 3, 3))

"""Sweeps over pruners: rows, faults, a user's own pruner, the command line."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from naive import accuracy_of_mlp
from searching import combsearch, finish, gone, run_json, tree, write_task

from combsearch import cli
from combsearch.baselines import get_pruner
from combsearch.connectivity import effective_nonzeros, neurons, nonzeros
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.prune_config import NINE, PruneConfig
from combsearch.prune_rows import PRUNE_ROWS, saved_net
from combsearch.pruning import Budget
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network, save_network
from combsearch.store import RunStore, Shard, digest
from combsearch.sweep import plan as planning
from combsearch.sweep.plan import PrunePlan
from combsearch.sweep.training import pruned_nets, train_shard
from combsearch.trainers import get_trainer

Capture = pytest.CaptureFixture[str]
QUICK = ("--task=clouds.csv", "--epochs=4", "--batch-size=16", "--no-figures", "--jobs=1")
CELLS = ("0.05:cosine", "0.2:step")
SMALL = (
    "prune", *QUICK, "--widths=3,4", "--budgets=15,20", f"--cells={','.join(CELLS)}",
    "--restarts=2",
)  # fmt: skip

OWN = """
import dataclasses
import numpy as np
from combsearch.pruning import keep_top

class Mine:
    def prune(self, nets, budget):
        scores = {name: np.abs(nets.params[name]) for name in nets.network.prunable}
        return keep_top(nets, scores, budget)

class Few(Mine):
    def prune(self, nets, budget):
        nets = super().prune(nets, budget)
        nets.masks["weight0"][:] = 0
        nets.params["weight0"][:] = 0
        return nets

class Dense:
    def prune(self, nets, budget):
        return nets

class Loose(Mine):
    def prune(self, nets, budget):
        pruned = super().prune(nets, budget)
        return dataclasses.replace(pruned, params=nets.params)

class Grey(Mine):
    def prune(self, nets, budget):
        nets = super().prune(nets, budget)
        masks = {name: np.full_like(mask, np.nan) for name, mask in nets.masks.items()}
        return dataclasses.replace(nets, masks=masks)

class Half(Mine):
    def prune(self, nets, budget):
        return super().prune(nets, budget)[:1]

class Double(Mine):
    def prune(self, nets, budget):
        return super().prune(nets, budget).map(lambda a: a.astype("float64"))

class Nothing:
    def prune(self, nets, budget):
        return None

class Broken:
    def prune(self, nets, budget):
        raise ZeroDivisionError("no way")

class Leaves:
    def prune(self, nets, budget):
        raise SystemExit(0)

class Loses(Mine):
    def prune(self, nets, budget):
        nets = super().prune(nets, budget)
        del nets.masks["bias1"]
        return nets

class Adds(Mine):
    def prune(self, nets, budget):
        nets = super().prune(nets, budget)
        nets.masks["weight9"] = nets.masks["weight0"]
        return nets

class Slows(Mine):
    def prune(self, nets, budget):
        nets = super().prune(nets, budget)
        nets.momenta.clear()
        return nets

class Needy:
    def __init__(self, rate):
        self.rate = rate
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    write_task(tmp_path / "clouds.csv")
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def small(**changes: Any) -> PrunePlan:
    given: dict[str, Any] = {
        "task": "clouds.csv", "widths": (3, 4), "budgets": ("15", "20"), "cells": CELLS,
        "restarts": 2, "epochs": 4, "batch_size": 16,
    }  # fmt: skip
    return PrunePlan.of(PruneConfig(**given | changes))


def all_rows(plan: PrunePlan) -> pa.Table:
    return pa.concat_tables(train_shard(plan, shard) for shard in plan.shards)


def error_of(capsys: Capture, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    return capsys.readouterr().err.strip().splitlines()[-1]


# ---- rows -----------------------------------------------------------------------------


def test_rows_of_every_method_say_what_their_networks_are() -> None:
    plan = small(methods=("all", "random"))
    rows = all_rows(plan).to_pylist()
    assert len(rows) == plan.ranks * 4 == 13 * 2 * 2 * 4
    assert [(r["rank"], r["cell"], r["restart"]) for r in rows] == [
        (rank, cell, restart) for rank in range(plan.ranks) for cell in CELLS for restart in (0, 1)
    ]
    for row in rows:
        group = plan.group_of(row["rank"])
        assert (row["method"], row["width"]) == (group.method, group.width)
        assert row["budget"] == plan.budget(row["rank"])
        assert row["status"] == "collapsed" or row["weight_nonzeros"] == row["budget"]
        assert row["effective_nonzeros"] <= row["nonzeros"]
        assert row["weight_nonzeros"] <= row["nonzeros"] and row["flops"] > 0
    saved = [row for row in rows if row["index"] is not None]
    assert [row["rank"] for row in saved] == list(range(plan.ranks))
    for row in saved:
        rivals = [r for r in rows if r["rank"] == row["rank"] and r["status"] != "diverged"]
        assert row == max(rivals, key=lambda r: (r["accuracy"], -r["nonzeros"]))
        nets = saved_net(row)
        assert nonzeros(nets)[0] == row["nonzeros"]
        assert effective_nonzeros(nets)[0] == row["effective_nonzeros"]
        layers = range(len(nets.params) // 2)
        flat = np.concatenate([nets.params[f"{kind}{k}"].ravel() for k in layers for kind in ("weight", "bias")])  # noqa: E501  # fmt: skip
        widths = [int(width) for width in row["shape"].split(",")]
        assert accuracy_of_mlp(flat, widths, plan.task.x, plan.task.y) == row["accuracy"]


def test_a_row_is_the_run_of_its_key_alone() -> None:
    plan = small(methods=("snip", "synflow", "gmp"))
    for row in random.Random(3).sample(all_rows(plan).to_pylist(), 8):
        shape = NetShape.from_hidden((row["width"],) * 3)
        mask = MaskBatch.dense_of(shape)
        keys = RunKeys.make(0, mask.keys(), [row["cell"]], [row["restart"]])
        recipe = plan.config.recipes()[CELLS.index(row["cell"])]
        trainer = get_trainer(plan.trainer)
        budget = Budget(np.array([row["budget"]]), plan.task, (recipe,), keys, trainer)
        dense = NetBatch.create(MLP(shape, row["width"]), keys)
        nets = budget.finish(pruned_nets(row["method"], dense, budget))
        assert trainer.score(nets, plan.task).accuracy[0] == row["accuracy"]
        assert nonzeros(nets)[0] == row["nonzeros"]
        assert budget.spent.flops[0] == row["flops"]


@pytest.mark.parametrize("floats", [49 * 2, 49])
def test_memory_of_a_part_changes_nothing(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small(methods=("snip", "gmp"))
    whole = digest(all_rows(plan), PRUNE_ROWS)
    monkeypatch.setattr(planning, "_MOST_FLOATS", floats)
    assert len(plan.parts(plan.groups[0])) > 1
    assert digest(all_rows(plan), PRUNE_ROWS) == whole


def test_what_diverges_is_no_ones_best() -> None:
    rows = all_rows(small(methods=("snip",), cells=("1e30:constant",))).to_pylist()
    assert {row["status"] for row in rows} == {"diverged"}
    assert all(row["index"] is None for row in rows)


def zeros(width: int) -> str:
    """A file of a network whose parameters are all 0."""
    shape = NetShape.from_hidden((width,) * 3)
    nets = NetBatch.create(MLP(shape, width), RunKeys.make(0, [1], ["0.1:step"], [0]))
    for p in nets.params.values():
        p[:] = 0
    save_network("zeros.npz", nets)
    return "zeros.npz"


def test_what_has_no_scores_has_collapsed_even_where_a_path_is_left() -> None:
    plan = small(methods=("snip", "gmp"), widths=(3,), budgets=("26",), init=zeros(3))
    rows = all_rows(plan).to_pylist()
    assert {row["status"] for row in rows} == {"collapsed"}
    for row in rows:
        assert row["weight_nonzeros"] == 26
        if row["index"] is not None:
            assert neurons(saved_net(row).masks).fed[-1].all()


@pytest.mark.parametrize("compat", ["exact", "paper"])
@pytest.mark.parametrize("init", [False, True])
def test_paper_mode_draws_new_weights_unless_some_are_given(compat: str, init: bool) -> None:
    given: dict[str, Any] = {"widths": (4,), "budgets": ("20",), "restarts": 6, "epochs": 20}
    if init:
        shape = NetShape.from_hidden((4, 4, 4))
        keys = RunKeys.make(0, [1], ["0.1:step"], [0])
        save_network("wide.npz", NetBatch.create(MLP(shape, 4), keys))
        given["init"] = "wide.npz"
    plan = small(methods=("snip",), compat=compat, **given)
    rows = all_rows(plan).to_pylist()
    found = [(r["accuracy"], r["nonzeros"], r["effective_nonzeros"]) for r in rows]
    fresh, same = (outcomes(plan, reinitialise) for reinitialise in (True, False))
    assert fresh != same
    assert found == (fresh if compat == "paper" and not init else same)


def outcomes(plan: PrunePlan, reinitialise: bool) -> list[tuple[float, int, int]]:
    """Accuracy and parameters of SNIP at a plan's only rank, with or without new weights."""
    nets, keys = plan.dense_nets(plan.groups[0])
    recipes = tuple(r for r in plan.config.recipes() for _ in range(plan.config.restarts))
    trainer, goal = get_trainer(plan.trainer), np.full(len(nets), plan.budget(0))
    budget = Budget(goal, plan.task, recipes, keys, trainer, plan.config.compat, reinitialise)
    nets = budget.finish(get_pruner("snip").prune(nets, budget))
    accuracy = trainer.score(nets, plan.task).accuracy.tolist()
    return list(
        zip(accuracy, nonzeros(nets).tolist(), effective_nonzeros(nets).tolist(), strict=True)
    )


def test_what_has_no_path_has_collapsed() -> None:
    plan = small(methods=("own:Few",), compat="paper")
    rows = all_rows(plan).to_pylist()
    assert {row["status"] for row in rows} == {"collapsed"}
    assert all(row["weight_nonzeros"] < row["budget"] for row in rows)


def test_runs_from_one_initialisation_start_from_its_leading_block() -> None:
    shape = NetShape.from_hidden((5, 5, 5))
    wide = NetBatch.create(MLP(shape, 5), RunKeys.make(0, [1], ["0.1:step"], [0]))
    save_network("wide.npz", wide)
    given: dict[str, Any] = {"methods": ("magnitude",), "epochs": 20, "budgets": ("26",)}
    plan = small(init="wide.npz", widths=(4,), **given)
    start = load_network("wide.npz").params
    nets, keys = plan.dense_nets(plan.groups[0])
    assert keys.block == 1 and len(nets) == 4
    assert (nets.params["weight1"] == start["weight1"][:, :4, :4]).all()
    assert (nets.params["bias0"] == start["bias0"][:, :4]).all()
    found = plan.identity()
    assert "init" not in found["config"] and len(found["init_digest"]) == 64
    accuracy = {row["accuracy"] for row in all_rows(plan).to_pylist()}
    assert len(accuracy) > 2  # restarts differ by their minibatches
    with pytest.raises(UsageError, match=r"\[2, 6, 6, 6, 1\] at width 6: it must have as many"):
        small(init="wide.npz", widths=(3, 6), methods=("snip",))


# ---- a user's own ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Few", "kept 1[0-9] of them for the budget"),
        ("Dense", "kept 27 of them for the budget 15: it must keep exactly the budget"),
        ("Loose", "masked parameters of weight0 that are not 0"),
        ("Grey", "a mask of weight0 with other values than 0 and 1"),
        ("Half", "returned 1 networks .* it must return the 8 networks"),
        ("Double", "parameters of other shapes or types"),
        ("Nothing", "returned a NoneType, it must return a NetBatch"),
        ("Broken", "failed: ZeroDivisionError: no way"),
        ("Leaves", "failed: SystemExit: 0$"),
        ("Loses", "returned masks of other names .*: masks lacks 'bias1'$"),
        ("Adds", "returned masks of other names .*: masks holds 'weight9'$"),
        ("Slows", "returned momenta of other names .*: momenta lacks 'weight0', lacks 'bias0'"),
    ],
)
def test_a_pruner_that_does_wrong_is_named(name: str, message: str) -> None:
    plan = small(pruner=f"own:{name}")
    match = f"^pruner 'own:{name}' on networks of 27 weights (returned )?{message}"
    with pytest.raises(UsageError, match=match):
        train_shard(plan, plan.shards[0])


def test_a_pruner_of_ones_own_from_the_current_folder(capsys: Capture) -> None:
    command = (*SMALL, "--pruner=own:Mine", "--run=mine", "--json")
    code, out, err = finish(combsearch(*command))
    assert code == 0, err
    report = json.loads(out)
    assert [g["method"] for g in report["groups"]] == ["own:Mine"] * 2
    assert all(b["weight_nonzeros"] == b["budget"] for g in report["groups"] for b in g["budgets"])
    Path("own.py").write_text(OWN + "\n# another day\n")
    found = error_of(capsys, *command, code=3)
    assert "pruners.own:Mine: the pruner's file has changed, sha256 this command" in found
    assert run_json(capsys, "status", "mine")["finished"]
    more = error_of(capsys, *command, "--pruner=own:Half", code=3)
    assert "pruners.own:Half: this command" in more


def test_a_pruner_of_ones_own_that_was_edited_starts_a_new_run() -> None:
    def name(**changes: Any) -> str:
        return small(**changes).name()

    before = name(pruner="own:Mine")
    assert before.startswith("prune-clouds-") and name(pruner="own:Mine") == before
    Path("own.py").write_text(OWN + "\n# another day\n")
    assert name(pruner="own:Mine") != before
    assert name(pruner="own:Mine").rpartition("-")[0] == before.rpartition("-")[0]
    plain = small(methods=("snip",))
    assert plain.name() == f"prune-clouds-{plain.config.digest()[:8]}"
    assert PrunePlan.of(PruneConfig()).name() == "prune-cubist_spiral-44136fa3"


def test_a_broken_pruner_ends_the_command_with_one_line(capsys: Capture) -> None:
    found = error_of(capsys, *SMALL, "--pruner=own:Broken")
    assert "pruner 'own:Broken' on networks of 27 weights failed: ZeroDivisionError" in found


# ---- the command ----------------------------------------------------------------------


def test_the_report_says_what_the_rows_hold(capsys: Capture) -> None:
    report = run_json(capsys, *SMALL, "--run=p")
    rows = RunStore.attach("runs/p").read()
    assert report["runs"] == report["trained"] == report["trained_now"] == len(rows) == 144
    assert report["digest"] == digest(rows, PRUNE_ROWS)
    assert [(g["method"], g["width"]) for g in report["groups"]] == [
        (m, w) for m in NINE for w in (3, 4)
    ]
    listed = rows.to_pylist()
    for group in report["groups"]:
        own = [r for r in listed if (r["method"], r["width"]) == (group["method"], group["width"])]
        assert group["runs"] == len(own) == 8
        for status in ("collapsed", "diverged"):
            assert group[status] == sum(r["status"] == status for r in own)
        assert group["prune_seconds"] == pytest.approx(sum(r["prune_seconds"] for r in own), abs=1)
        for budget in group["budgets"]:
            best = max(r["accuracy"] for r in own if r["budget"] == budget["budget"])
            assert budget["accuracy"] == best and budget["runs"] == 4
    assert json.loads(Path("runs/p/summary.json").read_text()) == report
    assert report["made_with"]["command"].startswith("combsearch prune --widths 3,4")
    assert cli.main([*SMALL, "--run=p"]) == 0
    assert "144 of 144 runs, from random weights" in capsys.readouterr().out
    again = run_json(capsys, *SMALL, "--run=p")
    assert again["trained_now"] == 0 and again["digest"] == report["digest"]
    assert again["sessions"] == report["sessions"]


def test_paper_mode_counts_what_is_above_its_budget_apart(capsys: Capture) -> None:
    report = run_json(capsys, *SMALL, "--compat=paper", "--run=p")
    listed = RunStore.attach("runs/p").read().to_pylist()
    allowed = 4  # layers, each of which may be rounded up
    above = sum(row["weight_nonzeros"] > row["budget"] + allowed for row in listed)
    assert sum(g["above_budget"] for g in report["groups"]) == above
    for group in report["groups"]:
        for budget in group["budgets"]:
            found = budget["accuracy"]
            assert found is None or budget["weight_nonzeros"] <= budget["budget"] + allowed


def test_a_dry_run_says_what_it_costs_and_writes_nothing(capsys: Capture, tmp_path: Path) -> None:
    before = tree(tmp_path)
    report = run_json(capsys, "prune", "--dry-run")
    assert tree(tmp_path) == before
    assert report["runs"] == sum(g["runs"] for g in report["groups"]) == 18_954
    assert all(g["seconds"] > 0 and g["bytes"] > 0 for g in report["groups"])
    assert cli.main(["prune", "--dry-run", "--widths=16"]) == 0
    assert "1,863 runs: 9 methods, 1 widths, 9 cells, 1 restarts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods=snp"], "--methods: unknown method 'snp', did you mean 'snip'?"),
        (["--budgets=papr"], "--budgets: budget 'papr' is not a whole number"),
        (["--budgets=99"], "--budgets: budget 99 is above the 44 weights of width 4, the largest"),
        (["--budgets=3"], "--budgets: budget 3 keeps no path"),
        (["--widths=0"], "--widths: widths holds 0"),
        (["--widths=3,x"], "--widths: 'x' is not a whole number"),
        (["--budgets=30", "--widths=3,4"], "--widths: width 3 has 27 weights: none of the"),
        (["--pruner=nosuch:P"], "cannot import pruner 'nosuch:P'"),
        (["--pruner=own:Min"], "has no 'Min', did you mean 'Mine'?"),
        (["--pruner=own:Needy"], "pruner 'own:Needy' cannot be made without arguments: TypeError"),
        (["--pruner=leaves:P"], "cannot import pruner 'leaves:P': SystemExit: 0"),
        (["--trainer=sparse", "--depth=6"], "--trainer: trainer 'sparse' cannot do this: it takes"),
        (["--trainer=fused", "--depth=6"], "--trainer: trainer 'fused' cannot do this: it takes"),
        (["--init=no.npz"], "--init: there is no file no.npz"),
        (["--compat=fast"], "--compat: compat is 'fast'"),
        (["--cells=0.1"], "--cells: cell '0.1' is not RATE:SCHEDULE"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, capsys: Capture, tmp_path: Path
) -> None:
    Path("leaves.py").write_text("raise SystemExit(0)\n")
    assert message in error_of(capsys, *SMALL, *arguments)
    assert not (tmp_path / "runs").exists()


def test_settings_from_a_file(capsys: Capture) -> None:
    Path("s.toml").write_text(
        '[prune]\nwidths = [3, 4]\nbudgets = [15, 20]\nmethods = "snip"\nfigures = false\n'
        'task = "clouds.csv"\nepochs = 4\nbatch_size = 16\n'
    )
    report = run_json(capsys, "prune", "--config=s.toml", "--dry-run")
    assert [g["width"] for g in report["groups"]] == [3, 4] and report["runs"] == 36
    Path("s.toml").write_text('[prune]\nwidths = ["3", 0.5]\n')
    found = error_of(capsys, "prune", "--config=s.toml")
    assert "s.toml, key widths: widths is (3, 0.5), it must be a list" in found


def test_a_sweep_refuses_the_folder_of_another(capsys: Capture) -> None:
    arguments = (*SMALL, "--methods=snip", "--run=mine")
    run_json(capsys, *arguments)
    assert "config.compat" in error_of(capsys, *arguments, "--compat=paper", code=3)
    assert "config.widths" in error_of(capsys, *arguments, "--widths=4", "--dry-run", code=3)
    phase1 = ("phase1", *QUICK, "--run=mine", "--width=2", "--depth=1")
    assert "command" in error_of(capsys, *phase1, code=3)


def test_status_verify_and_plot(capsys: Capture) -> None:
    arguments = (*SMALL, "--methods=snip,gmp", "--run=s")
    first = run_json(capsys, *arguments)
    status = run_json(capsys, "status", "s")
    assert status["finished"] and status["runs_left"] == 0 and status["runs_done"] == 32
    assert status["groups"] == first["groups"]
    shard = min(Path("runs/s/shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-7])
    assert "sha256" in error_of(capsys, "verify", "s", code=4)
    status = run_json(capsys, "status", "s")
    assert not status["finished"] and status["budgets_left"] == 2
    assert cli.main(["status", "s"]) == 0
    assert "gmp: 3 (0 of 2 budgets), 4\n" in capsys.readouterr().out
    again = run_json(capsys, *arguments)
    assert again["digest"] == first["digest"] and again["trained_now"] == 8
    assert run_json(capsys, "verify", "s")["rows"] == 32
    drawn = [Path(file) for file in run_json(capsys, "plot", "s")["files"]]
    assert {file.name for file in drawn} == {
        "accuracy.png", "accuracy-gmp.png", "accuracy-snip.png",
    }  # fmt: skip
    assert all(file.stat().st_size > 5000 for file in drawn)


def test_an_empty_sweep_has_nothing_to_draw(capsys: Capture) -> None:
    RunStore.open("runs/e", small().identity())
    assert "no finished shard yet" in error_of(capsys, "plot", "e")
    status = run_json(capsys, "status", "e")
    assert not status["finished"] and status["runs_done"] == 0


def test_a_task_that_changes_while_a_sweep_goes_on_is_noticed() -> None:
    from combsearch.sweep.training import PruneWork

    plan = small(methods=("snip",))
    store = RunStore.open("runs/c", plan.identity())
    write_task(Path("clouds.csv"), points=120)
    with pytest.raises(Exception, match="changed while the run was going on"):
        PruneWork(plan.config, store)(plan.shards[0])


def test_a_sweep_survives_kill_9(capsys: Capture) -> None:
    command = (
        "prune", *QUICK, "--epochs=20", "--widths=3,4,5", "--methods=snip,gmp", "--budgets=15,17",
        "--restarts=2", "--cells=0.05:cosine,0.1:step",
    )  # fmt: skip
    expected = run_json(capsys, *command, "--run=whole")
    shards = Path("runs/killed/shards")
    process = combsearch(*command, "--run=killed", "--json")
    while process.poll() is None and len(list(shards.glob("*.parquet"))) < 2:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.1))
    process.kill()
    finish(process)
    assert gone(process.pid, 15)
    found = run_json(capsys, *command, "--run=killed")
    assert 0 < found["trained_now"] < found["runs"]
    assert found["digest"] == expected["digest"] and found["groups"][0]["runs"] > 0
    assert digest(RunStore.attach("runs/killed").read(), PRUNE_ROWS) == expected["digest"]


def test_shards_are_found_done_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small(methods=("snip",))
    store = RunStore.open("runs/x", plan.identity())
    rows = all_rows(plan)
    for rank in range(plan.ranks):  # as if shards had been cut otherwise
        store.write(Shard(rank, rank + 1), rows.slice(4 * rank, 4))
    assert store.missing(plan.shards) == []

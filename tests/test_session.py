"""Runs trained in parts, as jobs of a cluster do, and reported when they are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searching import run_json, small_config, tree, write_task

from combsearch import cli
from combsearch.commands import mask_search, phase1, prune, study_dctps_spiral_run, study_pqi_run
from combsearch.commands.options import Options
from combsearch.commands.session import begin, run_search
from combsearch.errors import CombsearchError, InterruptedRunError, UsageError
from combsearch.prune_config import PruneConfig
from combsearch.search.course import Course
from combsearch.search_config import Phase2Config
from combsearch.store import RunStore, Shard, digest
from combsearch.studies.course import NONE, RoundsCourse
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.pqi.config import PqiConfig

SHARDS = [Shard(2 * k, 2 * k + 2) for k in range(6)]  # ranks 0 to 11
LEVELS = np.array([5, 5, 6, 6, 7, 8])


def course(done: tuple[int, ...] = (), **options: Any) -> Course:
    work = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    return Course(SHARDS, LEVELS, work, [SHARDS[k] for k in done], None, **options)


# ------------------------------------------------------------------ courses


def test_a_course_keeps_to_its_ranks() -> None:
    one = course(done=(1,))
    assert one.missing() == [[SHARDS[k]] for k in (0, 2, 3, 4, 5)] and len(one) == 6
    one.keep_to([Shard(10, 99), Shard(2, 5), Shard(4, 8)])
    assert [shard for [shard] in one.missing()] == [SHARDS[k] for k in (2, 3, 5)]
    assert list(one.todo()) == [SHARDS[k] for k in (2, 3, 5)]
    assert (one.nonzeros, one.level, one.levels) == (6, 2, 4)
    assert one.level_work() == (12.0, 12.0) and one.whole_work() == (2 + 4 + 8 + 32.0, 44.0)
    for place in (2, 3):
        one.note(SHARDS[place], 0)
    assert not one.complete() and (one.nonzeros, one.end) == (8, 12)
    one.note(SHARDS[5], 0)
    assert one.complete() and one.missing() == []


def test_ranks_without_a_whole_shard_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no shard lies inside.* 0:2, 2:4, 4:6 and so on"):
        course().keep_to([Shard(12, 13)])
    for ranks, cut in (((1, 4), "0:2"), ((2, 9), "8:10"), ((1, 2), "0:2")):
        with pytest.raises(UsageError, match=rf"cut through {cut}, a shard.* 0:2, 2:4, 4:6 and so"):
            course().keep_to([Shard(*ranks), Shard(10, 12)])  # else nobody trained that one


def test_a_course_hears_of_a_success_elsewhere() -> None:
    one = course()
    one.keep_to(SHARDS[3:])
    todo = one.todo()
    assert next(todo) == SHARDS[3]
    one.hear(None)
    one.hear(7)
    one.hear(8)  # later news of a larger one
    assert (one.found, one.last, one.end) == (7, 7, 10)
    one.hear(5)  # below all that is to be trained here: nothing of that counts any more
    assert one.complete() and list(todo) == [] and one.missing() == []
    whole = course(stops=False)
    whole.hear(5)
    assert whole.found is None and whole.end == 12
    further = course(beyond=1)
    further.hear(5)
    assert (further.last, further.end) == (6, 8)


def test_rounds_of_a_chain_stay_together() -> None:
    before = np.array([NONE, NONE, 0, 1, 2, 3])
    chains = RoundsCourse(SHARDS, before, [SHARDS[0], SHARDS[1], SHARDS[3]])
    assert chains.missing() == [[SHARDS[2], SHARDS[4]], [SHARDS[5]]]
    chains.keep_to([SHARDS[2], SHARDS[4]])
    todo = chains.todo()
    assert list(todo) == [SHARDS[2]]
    chains.note(SHARDS[2], 0)
    assert next(todo) == SHARDS[4] and not chains.complete()
    chains.note(SHARDS[4], 0)
    assert chains.complete() and list(todo) == []


# ------------------------------------------------------------------ commands


def searches(folder: Path) -> dict[str, Any]:
    """A small search of every kind, by name: what opens it."""
    task = str(write_task(folder / "clouds.csv"))
    recipe: dict[str, Any] = {"task": task, "epochs": 4, "batch_size": 16}
    cells = ("0.1:step",)
    phase2 = Phase2Config(
        shape="2,2", restarts=2, every_level=True, max_nonzeros=13, cells=cells, **recipe
    )
    sweep = PruneConfig(
        widths=(4,), depth=2, methods=("gmp", "snip"), budgets=("8", "12"), restarts=2,
        cells=cells, **recipe,
    )  # fmt: skip
    spiral = SpiralConfig(
        shape="2,2", supports="search", budgets="10-9", tries=12, beam=2, cells=cells, **recipe
    )
    study = PqiConfig(
        network="4,4", methods=("lt",), rounds=2, seeds=2, checkpoint="last", **recipe
    )
    return {
        "phase1": lambda: phase1.open_search(small_config(task, full=True)),
        "phase2": lambda: mask_search.open_search(phase2),
        "prune": lambda: prune.open_search(sweep),
        "study pqi": lambda: study_pqi_run.open_search(study),
        "study dctps spiral": lambda: study_dctps_spiral_run.open_search(spiral),
    }


@pytest.mark.parametrize("name", ["phase1", "phase2", "prune", "study pqi", "study dctps spiral"])
def test_parts_in_any_order_make_the_whole_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller_shards(monkeypatch)
    open_search = searches(tmp_path)[name]
    given: dict[str, Any] = {"runs": str(tmp_path), "jobs": 1, "figures": False}
    whole = run_search(open_search, Options(run="whole", **given))
    # Jobs of a cluster are made of what is missing, and end in any order.
    begun = begin(open_search(), tmp_path / "parts")
    chains = begun.course.missing()
    assert len(chains) > 1 or "spiral" in name
    for chain in reversed(chains):
        ranks = ",".join(f"{shard.first}:{shard.last}" for shard in chain)
        with pytest.raises(InterruptedRunError, match=r"not trained yet.* or leave out --no-train"):
            run_search(open_search, Options(run="parts", train=False, **given))
        part = run_search(open_search, Options(run="parts", ranks=ranks, **given))
        assert part["ranks"] == ranks and part["trained_now"] > 0
        again = run_search(open_search, Options(run="parts", ranks=ranks, **given))
        assert again["trained_now"] == 0
    for _ in range(2):
        report = run_search(open_search, Options(run="parts", train=False, **given))
        assert report["trained_now"] == 0
        [session] = report["sessions"]  # what trained it, not what reports
        assert (session["parts"], session["trained"]) == (len(chains), whole["trained_now"])
        assert session["made_with"] == report["made_with"] == whole["made_with"]
    rows = [RunStore.attach(tmp_path / run).read() for run in ("whole", "parts")]
    assert digest(rows[0], begun.store.kind) == digest(rows[1], begun.store.kind)


def test_what_other_parts_have_halfway_stays(tmp_path: Path) -> None:
    open_search = searches(tmp_path)["study pqi"]
    chains = begin(open_search(), tmp_path / "run").course.missing()
    halfway = tmp_path / "run" / "halfway" / "other-1.npz"
    halfway.parent.mkdir()
    halfway.write_bytes(b"of a job that runs now")
    for chain in chains:
        assert halfway.exists()
        ranks = ",".join(f"{shard.first}:{shard.last}" for shard in chain)
        given = Options(run="run", runs=str(tmp_path), jobs=1, ranks=ranks)
        run_search(open_search, given)
    run_search(open_search, Options(run="run", runs=str(tmp_path), train=False, figures=False))
    assert not halfway.exists()  # all is saved


def test_a_report_alone_makes_no_run(tmp_path: Path) -> None:
    open_search = searches(tmp_path)["phase1"]
    with pytest.raises(UsageError, match=r"no run in .*typo"):
        run_search(open_search, Options(run="typo", runs=str(tmp_path), train=False))
    assert not (tmp_path / "typo").exists()


def smaller_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards of what is trained in a moment."""
    monkeypatch.setattr("combsearch.search.mask_plan.SHARD_WORK", 2e5)
    monkeypatch.setattr("combsearch.search.plan.SHARD_WORK", 1e5)
    monkeypatch.setattr("combsearch.sweep.plan.SHARD_SECONDS", 1e-6)


def test_a_part_of_a_chain_alone_says_what_it_waits_for(tmp_path: Path) -> None:
    open_search = searches(tmp_path)["study pqi"]
    chain = begin(open_search(), tmp_path / "run").course.missing()[0]
    options = Options(
        run="run", runs=str(tmp_path), jobs=1, ranks=f"{chain[1].first}:{chain[1].last}"
    )
    with pytest.raises(CombsearchError, match="wait for shards that no other part has trained"):
        run_search(open_search, options)


def test_a_part_ends_at_once_above_a_level_that_had_a_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller_shards(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    words = (
        "phase2", "--task=clouds.csv", "--shape=2,2", "--target=0.6", "--restarts=2",
        "--epochs=4", "--batch-size=16", "--cells=0.1:step", "--no-figures", "--jobs=1",
    )  # fmt: skip
    whole = run_json(capsys, *words, "--run=whole")
    store = RunStore.attach(Path("runs/whole"))
    levels = [level["nonzeros"] for level in whole["levels"]]
    assert whole["bound"] == levels[-1]
    last = max(shard.last for shard in store.saved())
    first = run_json(capsys, *words, "--run=parts", f"--ranks=0:{last}")
    assert first["trained_now"] > 0
    above = f"--ranks={last}:{10**9}"
    assert run_json(capsys, *words, "--run=parts", above)["trained_now"] == 0
    report = run_json(capsys, *words, "--run=parts", "--no-train")
    assert report["digest"] == whole["digest"] and report["bound"] == whole["bound"]


def test_a_part_looks_into_its_own_shards_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller_shards(monkeypatch)
    monkeypatch.chdir(tmp_path)
    words = ("phase1", f"--task={write_task(tmp_path / 'clouds.csv')}", "--width=3", "--depth=2",
             "--restarts=2", "--epochs=4", "--cells=0.1:step", "--batch-size=16", "--full",
             "--target=0.9", "--no-figures", "--jobs=1", "--run=one")  # fmt: skip
    whole = run_json(capsys, *words)
    files = sorted(Path("runs/one/shards").iterdir())
    assert len(files) > 2
    for file in (files[0], files[-1]):
        file.write_bytes(b"damaged")
    first, last = map(int, re.findall(r"\d+", files[0].name)[:2])
    part = run_json(capsys, *words, f"--ranks={first}:{last}")
    assert part["trained_now"] > 0
    assert files[-1].read_bytes() == b"damaged"  # another job sees to that
    assert cli.main([*words, "--no-train"]) == 75
    assert "1 shards of runs/one are not trained yet" in capsys.readouterr().err
    before = tree(Path("runs/one/shards"))
    assert run_json(capsys, *words)["digest"] == whole["digest"]
    assert len(tree(Path("runs/one/shards"))) == len(before) + 1


def test_a_descent_is_one_piece_of_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["descend", "--shapes=2x2", f"--task={write_task(tmp_path / 'clouds.csv')}",
             "--restarts=2", f"--runs={tmp_path}"]  # fmt: skip
    for word in ("--ranks=0:1", "--engine=dask"):
        given = [word] if "ranks" in word else [word, "--scheduler=tcp://a:1"]
        assert cli.main([*words, *given]) == 2
        assert "leave out --ranks and --engine" in capsys.readouterr().err
    assert cli.main([*words, "--no-train"]) == 75
    assert "1 descents of" in capsys.readouterr().err.splitlines()[-1]

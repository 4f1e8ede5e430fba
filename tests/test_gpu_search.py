"""The search for a bare GPU machine: its rows are those of the commands, however it was stopped."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_cpu import OnCpu
from searching import python, run_json, write_task

from combsearch import cli
from combsearch.errors import CorruptDataError, RunMismatchError, UsageError
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.search import mask_plan
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.trainers import get_trainer

QUICK = ("--task=clouds.csv", "--epochs=5", "--batch-size=16")
PHASE2 = (
    "phase2", "--shape=2,2", "--restarts=3", *QUICK, "--target=0.9", "--all",
    "--cells=0.05:cosine,0.1:step",
)  # fmt: skip
EXHAUST = (
    "exhaust", "--depth=2", "--width=3", "--max-nonzeros=13", *QUICK, "--restarts=300",
    "--controls=3", "--target=0.8", "--level-runs=1500", "--beyond=1",
)  # fmt: skip
Capture = pytest.CaptureFixture[str]
Scripts = Callable[[str], Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mask_plan, "SHARD_WORK", 2e5)  # a shard a mask
    write_task(tmp_path / "clouds.csv")
    return tmp_path


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """The modules of ``results/gpu``, which find each other as scripts do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "results" / "gpu"))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if "results" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def packed(script: Scripts, *arguments: str, path: str = "x.masks") -> Any:
    assert script("masks").main([path, *arguments]) == 0
    return script("job").open_job(path)


def search(script: Scripts, *arguments: str, out: str = "out", code: int = 0) -> None:
    more = () if "--trainer" in arguments else ("--trainer", "fused")
    assert script("search").main(["x.masks", "--out", out, *more, *arguments]) == code


def collected(script: Scripts, *folders: str, check: int = 3) -> dict[str, Any]:
    job = script("job").open_job("x.masks")
    report: dict[str, Any] = script("collect").collect(
        job, list(map(Path, folders)), Path("run"), check
    )
    return report


def wanted(capsys: Capture, *arguments: str) -> dict[str, Any]:
    return run_json(
        capsys, *arguments, "--trainer=fused", "--no-figures", "--run=wanted", "--jobs=1"
    )


def test_the_file_holds_what_the_commands_would_train(script: Scripts) -> None:
    for arguments in (PHASE2, EXHAUST):
        job = packed(script, *arguments)
        plan = MaskPlan.of(job.config)
        assert isinstance(job.config, (Phase2Config, ExhaustConfig))
        assert job.masks.facts["identity"] == plan.identity() and len(job) == plan.masks
        assert job.cuts == [0, *(lot.last for lot in plan.lots)]
        for segment in plan.segments:
            ranks = range(segment.rank, segment.rank + segment.masks)
            ((piece, masks),) = job.masks.read(ranks.start, ranks.stop)
            assert piece.nonzeros == segment.nonzeros and masks.shape == segment.shape
            assert np.array_equal(masks.words, plan.piece_masks(segment, ranks).words)
            assert job.restarts[segment.nonzeros] == segment.restarts


@pytest.mark.parametrize(("command", "runs"), [(PHASE2, 1), (PHASE2, 200), (EXHAUST, 900)])
def test_the_rows_are_those_of_the_command(
    command: tuple[str, ...], runs: int, script: Scripts, capsys: Capture
) -> None:
    packed(script, *command)
    search(script, "--runs", str(runs), "--workers", "2")
    report = collected(script, "out")
    plain = wanted(capsys, *command)
    assert report["digest"] == plain["digest"] and report["levels"] == plain["levels"]
    for name in ("status", "verify"):
        assert cli.main([name, "run"]) == 0
    assert cli.main(["certify", "run", "--task=clouds.csv"]) == 0
    assert report["best"] == plain["best"] and Path("run/best.npz").exists()


def test_the_kernels_of_a_gpu_give_the_same_rows_to_threads(
    script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(script, *PHASE2)
    search(script, out="whole")
    monkeypatch.setattr(script("search"), "get_trainer", lambda _: OnCpu())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a CPU")
    search(script, "--runs", "20", "--workers", "3")
    report = collected(script, "out")
    assert report["digest"] == collected(script, "whole")["digest"]
    assert report["made_with"]["trainer"] == "cuda" and report["made_with"]["device"] == "a CPU"


def test_kernels_are_compiled_for_every_shape_before_they_are_needed(script: Scripts) -> None:
    job = packed(script, *EXHAUST)
    sources = []
    compiler = SimpleNamespace(cubin=lambda source, arch: sources.append((source, arch)))
    gpu = SimpleNamespace(compiler=compiler, arch="sm_90")
    script("stream").compile_kernels(SimpleNamespace(gpu=gpu), job)
    shapes = {stretch.shape for stretch in job.masks.stretches}
    assert len({source for source, _ in sources}) == len(sources) == len(shapes) > 3
    script("stream").compile_kernels(get_trainer("fused"), job)


def test_a_killed_search_goes_on_and_ends_with_the_same_rows(root: Path, script: Scripts) -> None:
    packed(script, *PHASE2)
    search(script, out="whole")
    arguments = ("x.masks", "--out", "out", "--trainer", "fused", "--runs", "1", "--save", "0")
    process = python(str(root / "results/gpu/search.py"), *arguments)
    while not Path("out/done.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    Path("out/search.000000000900-000000000901.npz").write_bytes(b"half of a file")
    search(script, "--runs", "50")
    assert collected(script, "out")["digest"] == collected(script, "whole")["digest"]


def test_the_list_alone_is_enough_to_go_on_elsewhere(script: Scripts, capsys: Capture) -> None:
    job = packed(script, *PHASE2)
    search(script, out="whole")
    cut = job.cuts[len(job.cuts) // 2]
    for folder, first, last in (("a", 0, cut), ("b", cut, len(job))):
        Path(f"without-{folder}").mkdir()
        done = script("pieces").Done("search", job.digest, first, last, 0, {}, {}, 0.0, {})
        Path(f"without-{folder}/done.json").write_text(json.dumps([vars(done)]))
    search(script, "--done", "without-a", out="b")
    search(script, "--done", "without-b", out="a")
    names = {path.name for folder in "ab" for path in Path(folder).glob("*.npz")}
    assert names == {f"search.{0:012d}-{cut:012d}.npz", f"search.{cut:012d}-{len(job):012d}.npz"}
    half = collected(script, "b")
    assert half["rows"] == 6 * (len(job) - cut) and half["levels"][-1]["closed"] is not None
    capsys.readouterr()
    assert cli.main(["status", "run"]) == 0
    assert "not finished" in capsys.readouterr().out
    assert collected(script, "b", "a")["digest"] == collected(script, "whole")["digest"]


def test_no_time_left_is_no_row_and_a_code_of_its_own(script: Scripts, capsys: Capture) -> None:
    packed(script, *PHASE2)
    capsys.readouterr()
    search(script, "--minutes", "0", code=75)
    found = json.loads(capsys.readouterr().out)
    assert found["masks_done"] == 0 and not found["complete"]
    assert found["highest_closed_level"] is None and found["lowest_success"] is None


def test_the_clock_stops_before_a_chunk_that_may_come_too_late(script: Scripts) -> None:
    clock = script("stream").Clock(10.0)
    assert not clock.over()
    clock.note(5.0)
    assert not clock.over()
    clock.note(9.0)
    assert clock.over()
    other = script("stream").Clock(10.0)
    other.stop()
    assert other.over()


def test_a_search_that_finds_a_success_ends_there(script: Scripts, capsys: Capture) -> None:
    job = packed(script, *EXHAUST)
    capsys.readouterr()
    search(script, "--runs", "1", "--workers", "1")
    found = json.loads(capsys.readouterr().out)
    levels = sorted(job.restarts)
    first = found["lowest_success"]
    assert found["complete"] and found["highest_closed_level"] == levels[levels.index(first) - 1]
    assert found["masks_done"] == job.end(first) < len(job)


def test_what_was_trained_before_a_failure_is_kept(
    script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = packed(script, *PHASE2)
    stream, pieces = script("stream"), script("pieces")
    trained = stream.train

    def failing(job: Any, trainer: Any, first: int, last: int) -> Any:
        if first > 5:
            raise MemoryError
        return trained(job, trainer, first, last)

    monkeypatch.setattr(stream, "train", failing)
    folder = pieces.Folder(Path("out"))
    run = stream.Stream(get_trainer("fused"), folder, stream.Clock(60), 1, 1, 60.0)
    with pytest.raises(MemoryError):
        run.run(job, [])
    assert [(done.first, done.last) for done in folder.done] == [(0, 6)]


@pytest.mark.parametrize("done", [[], [(0, 2)], [(2, 5), (5, 6)], [(0, 3), (2, 9)], [(7, 12)]])
def test_chunks_are_what_is_missing_from_cut_to_cut(
    done: list[tuple[int, int]], script: Scripts
) -> None:
    job = packed(script, *PHASE2)
    assert job.cuts == list(range(len(job) + 1)) and len(job) > 12
    make = script("pieces").Done
    ranges = [make("search", job.digest, a, b, 0, {}, {}, 0.0, {}) for a, b in done]
    for runs in (1, 13, 10**9):
        found = list(script("stream").chunks(job, ranges, runs))
        places = [place for first, last in found for place in range(first, last)]
        covered = {place for a, b in done for place in range(a, b)}
        assert places == [place for place in range(len(job)) if place not in covered]
        assert runs > 1 or all(last == first + 1 for first, last in found)


def test_files_are_closed_when_they_are_large(script: Scripts) -> None:
    job = packed(script, *PHASE2)
    stream, pieces = script("stream"), script("pieces")
    folder = pieces.Folder(Path("out"), most=1, room=10**9)
    run = stream.Stream(get_trainer("fused"), folder, stream.Clock(60), 20, 1, 0.0)
    assert run.run(job, [])
    assert len(pieces.files(Path("out"))) == len(folder.done) > 2
    search(script, out="whole")
    assert collected(script, "out")["digest"] == collected(script, "whole")["digest"]
    small = pieces.Folder(Path("small"), most=1, room=1)
    assert not stream.Stream(get_trainer("fused"), small, stream.Clock(60), 20, 1, 0.0).run(job, [])
    assert len(pieces.files(Path("small"))) == 1


def test_a_round_takes_the_best_masks_of_each_level(script: Scripts) -> None:
    job = packed(script, *PHASE2)
    search(script, "--rounds", "0.5x4,0.5x300", "--runs", "500")
    rounds, pieces = script("rounds"), script("pieces")
    found = {p.name.partition(".")[0]: pieces.decode(p) for p in pieces.files(Path("out"))}
    rows = found["search"][1]
    best: dict[int, tuple[int, int, int]] = {}
    for rank in np.unique(rows.rank).tolist():
        correct = rows.correct[rows.rank == rank]
        best[rank] = (-int((correct / job.task.points >= 0.9).sum()), -int(correct.max()), rank)
    levels = dict(zip(best, job.levels(np.array(list(best))).tolist(), strict=True))
    picked = []
    for level in set(levels.values()):
        own = sorted((rank for rank in best if levels[rank] == level), key=best.__getitem__)
        picked += own[: max(1, round(0.5 * len(own)))]
    first, second = found["round-1"], found["round-2"]
    assert sorted(picked) == np.unique(first[1].rank).tolist()
    assert set(first[1].restart.tolist()) == {3, 4, 5, 6}
    assert set(second[1].restart.tolist()) == set(range(7, 307))
    assert set(second[1].rank.tolist()) < set(picked)
    check_rows(job, second[1])
    assert [one.share for one in rounds.parse_rounds("0.5x4,1x2")] == [0.5, 1.0]
    collected(script, "out")
    tally = json.loads(Path("run/rounds.json").read_text())
    assert sum(level["runs"] for level in tally["levels"]) == len(first[1]) + len(second[1])
    assert cli.main(["certify", "run/best-rounds.npz", "--task=clouds.csv"]) == 0
    good = [rows.rank[rows.correct / 96 >= 0.9] for rows in (first[1], second[1])]
    assert tally["best"]["nonzeros"] == job.levels(np.concatenate(good)).min()
    with np.load("run/rounds.npz") as saved:
        assert saved["rank"].tolist() == sorted(picked)


def check_rows(job: Any, rows: Any) -> None:
    """Each of some rows is what the trainer gives for its key."""
    for row in range(0, len(rows), max(1, len(rows) // 7)):
        rank, cell = int(rows.rank[row]), job.config.cells[rows.cell[row]]
        ((_, masks),) = job.masks.read(rank, rank + 1)
        keys = RunKeys.make(0, masks.keys(), [cell], [rows.restart[row]], mask_plan.POOL)
        nets = NetBatch.create(MLP(masks.shape, job.config.width), keys, masks)
        recipe = job.recipes()[rows.cell[row]]
        trainer = get_trainer("fused")
        nets = trainer.fit(nets, job.task, recipe, keys)
        assert trainer.score(nets, job.task).correct[0] == rows.correct[row]


@pytest.mark.parametrize("text", ["0.5", "x4", "2x4", "0.5x0", "0.5x4,", "ax4"])
def test_what_is_no_round(text: str, script: Scripts) -> None:
    if text.endswith(","):
        assert len(script("rounds").parse_rounds(text)) == 1
        return
    with pytest.raises(UsageError, match="is not SHARExRESTARTS, such as"):
        script("rounds").parse_rounds(text)


@pytest.mark.parametrize("what", ["correct", "parameters", "missing"])
def test_rows_that_the_cpu_does_not_give_are_refused(what: str, script: Scripts) -> None:
    packed(script, *PHASE2)
    search(script)
    pieces = script("pieces")
    (path,) = pieces.files(Path("out"))
    done, rows = pieces.decode(path)
    if what == "correct":
        rows.correct[:] = (rows.correct + 1) % 90
    elif what == "parameters":
        rows.parameters[0][0] += 1e-6
    else:
        path.write_bytes(path.read_bytes()[:-100])
    if what != "missing":
        path.write_bytes(pieces.encode(rows, done))
    with pytest.raises(CorruptDataError, match=r"comes out otherwise|is damaged"):
        collected(script, "out", check=10**6)
    assert not list(Path("run/shards").glob("*")) if Path("run").exists() else True


def test_rows_of_another_search_are_refused(script: Scripts) -> None:
    packed(script, *PHASE2)
    search(script)
    packed(script, *PHASE2, "--seed=1")
    search(script, code=RunMismatchError.exit_code)
    write_task(Path("clouds.csv"), points=64)
    search(script, out="new", code=RunMismatchError.exit_code)


BARE = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {scripts!r})
import search
sys.exit(search.main(sys.argv[1:]))
"""
ABSENT = ("numba", "llvmlite", "pyarrow", "scipy", "joblib", "rich", "matplotlib", "safetensors")


def bare(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``search.py`` where only PyTorch and numpy can be imported."""
    code = BARE.format(absent=set(ABSENT), scripts=str(root / "results" / "gpu"))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_bare_machine_without_a_gpu_says_so(root: Path, script: Scripts) -> None:
    packed(script, *PHASE2)
    found = bare(root, "x.masks", "--rounds", "0.5x4")
    assert found.returncode == 2 and "no GPU was found" in found.stderr
    assert len(found.stderr.splitlines()) == 1 and not Path("out").exists()


def test_a_bare_machine_trains_every_kind_of_row(root: Path, script: Scripts) -> None:
    more = ("--epochs=1", "--batch-size=48", "--max-nonzeros=11", "--restarts=2")
    packed(script, *EXHAUST, *more, "--target=1")
    found = bare(root, "x.masks", "--trainer", "loop", "--rounds", "0.5x1")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["job"] == "round-1"
    planned = bare(root, "x.masks", "--dry-run")
    assert planned.returncode == 0 and "raced: about 1 pieces of 9 minutes" in planned.stdout

"""The search for a bare GPU machine: its rows are those of the commands, however it was stopped."""

from __future__ import annotations

import importlib
import json
import os
import signal
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
from combsearch.packed_masks import write_packed
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


@pytest.mark.parametrize("lost", ["the list", "its last lines"])
def test_rows_that_the_list_does_not_name_are_not_lost(lost: str, script: Scripts) -> None:
    """The list is gone, or the process was killed before it wrote it anew."""
    job = packed(script, *PHASE2)
    search(script, out="whole")
    pieces, stream = script("pieces"), script("stream")
    folder = pieces.Folder(Path("out"))
    clock = SimpleNamespace(over=lambda: len(folder.done) > 0, note=abs, stopped=True)
    run = stream.Stream(get_trainer("fused"), folder, clock, 20, 1, 60.0)
    assert not run.run(job, [])
    (first,) = pieces.files(Path("out"))
    before, rows = Path("out/done.json").read_bytes(), first.read_bytes()
    clock.over = lambda: folder.done[-1].last > 8
    assert not run.run(job, [])
    first.write_bytes(rows)  # it goes only when the list is written
    if lost == "the list":
        Path("out/done.json").unlink()
    else:
        Path("out/done.json").write_bytes(before)
    end = folder.done[-1].last
    assert [(done.first, done.last) for done in pieces.Folder(Path("out")).done] == [(0, end)]
    assert not first.exists() and json.loads(Path("out/done.json").read_text())[0]["last"] == end
    search(script)
    assert collected(script, "out")["digest"] == collected(script, "whole")["digest"]


def test_a_gap_that_is_filled_later_does_not_mix_files(script: Scripts) -> None:
    """What another machine had done is lost, and is trained here after what lay behind it."""
    job = packed(script, *PHASE2)
    search(script, out="whole")
    pieces, stream = script("pieces"), script("stream")
    cuts = job.cuts[:13:4]
    other = pieces.Done("search", job.digest, cuts[1], cuts[2], 0, {}, {}, 0.0, {})
    folder = pieces.Folder(Path("out"))
    clock = SimpleNamespace(over=lambda: len(folder.done) > 1, note=abs, stopped=True)
    run = stream.Stream(get_trainer("fused"), folder, clock, 20, 1, 0.0)
    assert not run.run(job, [other])
    assert [(done.first, done.last) for done in folder.done] == [(0, cuts[1]), (cuts[2], cuts[3])]
    search(script, "--runs=20", "--workers=1", "--save=0")
    for path in pieces.files(Path("out")):
        done, rows = pieces.decode(path)
        assert np.unique(rows.rank).tolist() == list(range(done.first, done.last))
    assert collected(script, "out")["digest"] == collected(script, "whole")["digest"]


def test_the_list_may_lie_in_the_folder_that_goes_on(script: Scripts) -> None:
    job = packed(script, *PHASE2)
    for out in ("a", "b"):
        Path(out).mkdir()
    done = script("pieces").Done("search", job.digest, 0, job.cuts[9], 0, {}, {}, 0.0, {})
    Path("a/done.json").write_text(json.dumps([vars(done)]))
    search(script, out="a")
    assert [path.name for path in Path("a").glob("*.npz")] == [
        f"search.{job.cuts[9]:012d}-{len(job):012d}.npz"
    ]


def test_rounds_come_after_a_search_that_ended_at_a_success(
    script: Scripts, capsys: Capture
) -> None:
    packed(script, *EXHAUST)
    found = []
    for out, workers in (("a", "1"), ("b", "3")):
        search(script, "--runs=1", f"--workers={workers}", "--rounds=0.5x2", out=out)
        pieces = [p.read_bytes() for p in Path(out).glob("round-1.*")]
        assert len(pieces) == 1 and pieces[0]
        (path,) = Path(out).glob("round-1.*")
        found.append(script("pieces").decode(path)[1].rank)
    # What was begun beyond the end is another thing every time, and does not count.
    assert np.array_equal(*found)


@pytest.mark.parametrize("second", [False, True])
def test_a_signal_saves_what_is_being_trained_and_a_second_one_ends_at_once(
    second: bool, root: Path, script: Scripts
) -> None:
    packed(script, *PHASE2, f"--epochs={50_000 if second else 50}")
    code = STARTED.format(scripts=str(root / "results" / "gpu"))
    arguments = ("x.masks", "--out=out", "--trainer=fused", "--runs=1", "--workers=1", "--save=60")
    process = python("-c", code, *arguments)
    try:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "started\n"
        process.terminate()
        assert process.stderr.readline().startswith("search: stops when what is being trained is")
        if second:
            process.terminate()
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    if second:
        assert process.returncode == -signal.SIGTERM and not Path("out/done.json").exists()
    else:
        assert process.returncode == 75 and json.loads(out)["masks_done"] == 1
        search(script)


STARTED = """
import sys
sys.path.insert(0, {scripts!r})
import search, stream

def train(*given, before=stream.train):
    print("started", flush=True)
    stream.train = before
    return before(*given)

stream.train = train
sys.exit(search.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--workers=0", "'0' is no whole number from 1 up"),
        ("--runs=x", "'x' is no whole number from 1 up"),
        ("--trainer=vmap", "choose from"),
        ("--done=typo", "--done: typo has no done.json; name folders that were --out before"),
    ],
)
def test_what_the_search_does_not_take(
    wrong: str, said: str, script: Scripts, capsys: Capture
) -> None:
    packed(script, *PHASE2)
    try:
        code = script("search").main(["x.masks", "--trainer=fused", wrong])
    except SystemExit as end:
        code = end.code
    assert code == 2 and said in capsys.readouterr().err and not Path("out").exists()


def test_files_that_are_not_there_or_not_of_a_search(script: Scripts, capsys: Capture) -> None:
    job = packed(script, *PHASE2, path="new/x.masks")  # its folder is made
    assert len(job) > 0
    for path in ("typo.masks", "alone.masks"):
        if path == "alone.masks":
            write_packed(path, [masks for _, masks in job.masks.read(0, 2)])
        assert script("search").main([path, "--trainer=fused"]) == 2
    said = capsys.readouterr().err
    assert "there is no file typo.masks" in said
    assert "alone.masks has masks alone: make it with results/gpu/masks.py" in said
    for folder in ("typo", "new"):
        assert script("collect").main(["new/x.masks", folder, "--run=run"]) == 2
        assert f"there are no rows of search.py in {folder}\n" in capsys.readouterr().err
    assert not Path("run").exists()


def test_the_estimate_takes_rounds_level_by_level(script: Scripts, capsys: Capture) -> None:
    job = packed(script, *PHASE2)
    arguments = ["x.masks", "--trainer=fused", "--rounds=0.05x7", "--dry-run"]
    assert script("search").main(arguments) == 0
    words = capsys.readouterr().out.splitlines()[-1].split()
    masks = sum(max(1, round(0.05 * len(m))) for _, _, m in job.read(0, len(job)))
    assert words[:5] == ["round", "1", str(masks), "7", str(14 * masks)]


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
if {trainer!r}:  # without numba there is no ``fused``
    from combsearch.trainers import get_trainer
    search.get_trainer = lambda _: get_trainer({trainer!r})
sys.exit(search.main(sys.argv[1:]))
"""
ABSENT = ("numba", "llvmlite", "pyarrow", "scipy", "joblib", "rich", "matplotlib", "safetensors")


def bare(root: Path, *arguments: str, trainer: str = "") -> subprocess.CompletedProcess[str]:
    """``search.py`` where only PyTorch and numpy can be imported."""
    scripts = str(root / "results" / "gpu")
    code = BARE.format(absent=set(ABSENT), scripts=scripts, trainer=trainer)
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
    found = bare(root, "x.masks", "--trainer=fused", "--rounds", "0.5x1", trainer="loop")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["job"] == "round-1"
    planned = bare(root, "x.masks", "--dry-run")
    assert planned.returncode == 0 and "raced: about 1 pieces of 9 minutes" in planned.stdout


PYTHON3 = """#!/bin/sh
[ "$1" = -c ] && exit 0
[ -e broken ] && exit 2
mkdir -p runs/descend-0.9-beam-4
head -c "$(cat size)" /dev/urandom > runs/descend-0.9-beam-4/state
exit 75
"""


def test_the_beam_search_carries_its_state_from_piece_to_piece(root: Path, tmp_path: Path) -> None:
    script, name = tmp_path / "results/gpu/descend.sh", "descend-0.9-beam-4"
    script.parent.mkdir(parents=True)
    script.write_bytes((root / "results/gpu/descend.sh").read_bytes())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(PYTHON3)
    (tmp_path / "bin/python3").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"

    def piece() -> tuple[int, list[str]]:
        command = ["bash", str(script), "0.9", "4", "out", "1", "out"]
        code = subprocess.run(command, env={"PATH": path}, check=False).returncode
        return code, sorted(file.name for file in (tmp_path / "out").iterdir())

    (tmp_path / "broken").touch()
    assert piece() == (2, [])
    (tmp_path / "broken").unlink()
    for size, parts in ((16 * 2**20, ["aa", "ab"]), (100, ["aa"])):  # no part of the first is left
        (tmp_path / "size").write_text(str(size))
        assert piece() == (75, [f"{name}.tar.gz.{part}" for part in parts])
    state = (tmp_path / "runs" / name / "state").read_bytes()
    (tmp_path / "runs" / name / "state").unlink()
    (tmp_path / "broken").touch()
    assert piece()[0] == 2  # it begins with what was carried
    assert (tmp_path / "runs" / name / "state").read_bytes() == state

"""The commands from end to end: results, run folders, damage, full disks, signals, kills."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from naive import accuracy_of_mlp
from searching import (
    SMALL,
    alive,
    combsearch,
    finish,
    gone,
    run_json,
    tree,
    workers,
    write_task,
)
from soaking import in_process

from combsearch import cli
from combsearch.commands import provenance
from combsearch.engines import InlineEngine
from combsearch.saved_network import read_network
from combsearch.search import plan, training
from combsearch.store import RunStore, digest
from combsearch.tasks import load_task

Capture = pytest.CaptureFixture[str]
CLOUDS = "--task=clouds.csv"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    return tmp_path


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ranks that are trained in this process."""
    ranks: list[int] = []
    train_shape = training.train_shape

    def counted(made: plan.Plan, rank: int) -> Any:
        ranks.append(rank)
        return train_shape(made, rank)

    monkeypatch.setattr(training, "train_shape", counted)
    return ranks


def small(capsys: Capture, *arguments: str) -> dict[str, Any]:
    return run_json(capsys, "phase1", *SMALL, CLOUDS, "--jobs=1", *arguments)


def fails(capsys: Capture, code: int, *arguments: str) -> str:
    """The one line on standard error of a command that ends with this code."""
    capsys.readouterr()
    assert cli.main(arguments) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("combsearch: ")
    return lines[-1].removeprefix("combsearch: ")


# ---- results --------------------------------------------------------------------------


def test_the_report_says_what_the_rows_hold(capsys: Capture) -> None:
    report = small(capsys, "--target=0.7", "--restarts=3")
    assert report["command"] == "phase1" and report["task"] == "clouds"
    assert report["target"] == 0.7 and report["width"] == 3
    folder = Path(report["run_folder"])
    rows = RunStore.attach(folder).read()
    counted = [r for r in rows.to_pylist() if r["nonzeros"] <= (report["nonzeros"] or 99)]
    good = [r for r in counted if r["accuracy"] >= 0.7]
    assert report["nonzeros"] == min(r["nonzeros"] for r in good)
    of_shape = [r for r in counted if r["shape"] == ",".join(map(str, report["shape"]))]
    assert report["successes"] == sum(r["accuracy"] >= 0.7 for r in of_shape) > 0
    assert report["restarts"] == len(of_shape) == 3 * 2
    assert report["accuracy"] == max(r["accuracy"] for r in of_shape)
    low, high = report["success_interval"]
    assert 0 < low < report["successes"] / 6 < high <= 1
    assert report["trained"] == len(counted) and report["diverged"] == 0
    assert report["digest"] == digest(rows.slice(0, len(counted)))
    assert report["core_seconds"] > 0 and 0 < report["seconds"] < 60
    assert report["cells"] == ["0.05:cosine", "0.1:step"] and report["seed"] == 0
    assert json.loads((folder / "summary.json").read_text()) == report


def test_the_saved_network_reaches_the_reported_accuracy_in_plain_torch(capsys: Capture) -> None:
    report = small(capsys, "--target=0.7")
    saved = np.load(Path(report["run_folder"]) / "best.npz")
    layers = len(report["shape"]) - 1
    names = [f"{kind}{k}" for k in range(layers) for kind in ("weight", "bias")]
    assert {*names, *(f"mask{k}" for k in range(layers))} <= set(saved.files)
    for k in range(layers):
        out, fan = report["shape"][k + 1], report["shape"][k]
        assert saved[f"weight{k}"].shape == saved[f"mask{k}"].shape == (out, fan)
        assert (saved[f"mask{k}"] == 1).all() and saved[f"bias{k}"].shape == (out,)
    flat = np.concatenate([saved[name].ravel() for name in names])
    task = load_task("clouds.csv")
    assert accuracy_of_mlp(flat, report["shape"], task.x, task.y) == report["accuracy"]
    about = read_network(Path(report["run_folder"]) / "best.npz").about
    rows = RunStore.attach(report["run_folder"]).read(["shape", "cell", "restart", "accuracy"])
    key = {"shape": about["shape"], "cell": about["cell"], "restart": about["restart"]}
    [row] = [row for row in rows.to_pylist() if key.items() <= row.items()]
    assert row["accuracy"] == about["accuracy"] == report["accuracy"]


def test_a_search_without_a_success_says_so(capsys: Capture) -> None:
    report = small(capsys, "--target=1", "--epochs=1", "--width=2")
    assert report["shape"] is report["nonzeros"] is None
    assert report["successes"] == 0 and report["success_interval"][0] == 0
    assert report["trained"] == 4 * 4 and report["shapes"] == 4
    best = max(RunStore.attach(report["run_folder"]).read()["accuracy"].to_pylist())
    assert report["accuracy"] == best and report["best_shape"] is not None
    assert cli.main(["phase1", *SMALL, CLOUDS, "--target=1", "--epochs=1", "--width=2"]) == 0
    assert capsys.readouterr().out.startswith("no shape reached 1; the best was (")


def test_a_search_in_which_everything_diverges_ends_well(capsys: Capture) -> None:
    arguments = ("--cells=1e30:constant", "--width=1", "--figures")
    report = small(capsys, *arguments)
    assert report["shape"] is report["best_shape"] is report["accuracy"] is None
    assert report["diverged"] == report["trained"] == 2
    assert not (Path(report["run_folder"]) / "best.npz").exists()
    assert cli.main(["phase1", *SMALL, CLOUDS, *arguments]) == 0
    assert "all 2 runs diverged: lower the learning rates" in capsys.readouterr().out


def test_the_text_names_the_winner_and_the_folder(capsys: Capture) -> None:
    report = small(capsys, "--target=0.7")
    assert cli.main(["phase1", *SMALL, CLOUDS, "--target=0.7"]) == 0
    out = capsys.readouterr().out
    hidden = ",".join(map(str, report["shape"][1:-1]))
    assert f"({hidden}) with {report['nonzeros']} nonzeros is the smallest dense shape" in out
    assert f"{report['successes']} of its 4 restarts succeeded" in out
    assert f"run folder {report['run_folder']}" in out
    [marked] = [line for line in out.splitlines() if line.endswith("<")]
    assert marked.split()[0] == hidden


def test_where_a_result_comes_from_stands_beside_it(capsys: Capture, root: Path) -> None:
    made = small(capsys)["made_with"]
    assert made["command"] == (
        "combsearch phase1 --task clouds.csv --width 3 --depth 2 --target 0.9 --restarts 2"
        " --cells 0.05:cosine,0.1:step --epochs 4 --batch-size 16"
    )
    assert made["versions"]["numpy"] == np.__version__
    assert {"combsearch", "python", "numba", "torch", "pyarrow"} <= set(made["versions"])
    assert made["machine"]["processor"] and made["machine"]["system"]


def test_repeating_a_finished_command_keeps_what_made_it(capsys: Capture) -> None:
    first = small(capsys)
    assert [session["trained"] for session in first["sessions"]] == [first["trained_now"]]
    again = small(capsys)
    assert again["trained_now"] == 0
    assert again["sessions"] == first["sessions"]
    assert again["made_with"] == first["made_with"]


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    assert provenance._commit(tmp_path) is None

    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", "clouds.csv")
    git("commit", "--quiet", "-m", "x")
    head = git("rev-parse", "HEAD")
    assert provenance._commit(tmp_path) == head
    (tmp_path / "clouds.csv").write_text("")
    assert provenance._commit(tmp_path) == f"{head}+"


# ---- one configuration, one run -------------------------------------------------------


def test_the_same_command_finds_its_run_and_trains_nothing_twice(
    capsys: Capture, trained: list[int]
) -> None:
    first = small(capsys)
    assert first["trained_now"] == first["trained"] == 4 * len(trained)
    before = tree(Path(first["run_folder"]) / "shards")
    trained.clear()
    again = small(capsys)
    assert trained == [] and again["trained_now"] == 0
    assert tree(Path(first["run_folder"]) / "shards") == before
    changing = ("trained_now", "seconds")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    assert os.listdir("runs") == [Path(first["run_folder"]).name]
    small(capsys, "--seed=1")
    assert len(os.listdir("runs")) == 2


def test_neither_the_name_nor_the_processes_change_the_result(capsys: Capture) -> None:
    plain = small(capsys, "--full")
    other = small(capsys, "--full", "--run=a/b", "--jobs=2")
    assert other["digest"] == plain["digest"] and other["trained_now"] == 9 * 4
    assert other["run_folder"] == "runs/a/b"


def test_the_processes_are_chosen_by_the_work(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(
        name: str, jobs: int, say: Callable[[str], None], gpus: int, scheduler: str | None
    ) -> Any:
        assert (name, gpus, scheduler) == ("local", 0, None)
        asked.append(jobs)
        return InlineEngine()

    monkeypatch.setattr("combsearch.commands.session.get_engine", noted)
    monkeypatch.setattr("combsearch.commands.running.cores", lambda: 7)
    small(capsys, "--jobs=0")  # nobody waits for a pool for so little
    small(capsys, "--jobs=5", "--seed=1")
    monkeypatch.setattr("combsearch.commands.phase1.SHARD_WORK", 1.0)
    small(capsys, "--jobs=0", "--seed=2")
    assert asked == [1, 5, 7]


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--seed=5"], "config.seed: this command 5, run folder its default"),
        (["--epochs=3"], "config.epochs: this command 3, run folder 4"),
        (["--full"], "config.full: this command true, run folder its default"),
        (["--trainer=vmap"], 'trainer: this command "vmap", run folder "fused"'),
    ],
)
def test_a_folder_of_another_configuration_is_left_alone(
    arguments: list[str], difference: str, capsys: Capture
) -> None:
    small(capsys, "--run=mine")
    before = tree(Path("runs"))
    for more in ([], ["--dry-run"]):
        command = ("phase1", *SMALL, CLOUDS, "--run=mine", *arguments, *more)
        assert difference in fails(capsys, 3, *command)
        assert tree(Path("runs")) == before


def test_other_numerics_or_another_task_are_another_run(
    capsys: Capture, in_a_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(capsys)
    before = tree(Path("runs"))
    with monkeypatch.context() as patch:
        patch.setattr(plan, "NUMERICS", plan.NUMERICS + 1)
        found = fails(capsys, 3, "phase1", *SMALL, CLOUDS)
    assert f"numerics: this command {plan.NUMERICS + 1}, run folder {plan.NUMERICS}" in found
    write_task(in_a_folder / "clouds.csv", points=64)
    assert "task_digest: this command" in fails(capsys, 3, "phase1", *SMALL, CLOUDS)
    assert tree(Path("runs")) == before


def test_a_damaged_run_json_is_named(capsys: Capture) -> None:
    path = Path(small(capsys)["run_folder"]) / "run.json"
    path.write_bytes(path.read_bytes().replace(b"clouds", b"crowds"))
    before = tree(Path("runs"))
    for command in (("phase1", *SMALL, CLOUDS), ("status", str(path.parent))):
        assert "does not match its own checksum" in fails(capsys, 4, *command)
    assert tree(Path("runs")) == before


# ---- dry run --------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_counts_right(capsys: Capture, in_a_folder: Path) -> None:
    before = tree(in_a_folder)
    report = run_json(capsys, "phase1", "--dry-run", "--jobs=2", "--restarts=16")
    assert report["dry_run"] and report["stops_at_first_success"] and report["shapes_done"] == 0
    assert abs(report["free_bytes"] - shutil.disk_usage(in_a_folder).free) < 1e9
    *some, last = report["steps"]
    assert (last["nonzeros"], last["shapes"], last["runs"]) == (609, 4096, 4096 * 6 * 16)
    assert 3600 < last["seconds"] < 5 * 3600 and 1e6 < last["bytes"] < 1e9
    for column in ("nonzeros", "shapes", "runs", "seconds", "bytes"):
        values = [step[column] for step in report["steps"]]
        assert values == sorted(values) and len(some) >= 3
    alone = run_json(capsys, "phase1", "--dry-run", "--jobs=1", "--restarts=16")["steps"]
    assert alone[-1]["seconds"] == pytest.approx(2 * last["seconds"], abs=1)
    assert cli.main(["phase1", "--dry-run", "--full"]) == 0
    out = capsys.readouterr().out
    assert "4096" in out and "The search ends" not in out
    assert tree(in_a_folder) == before


def test_a_dry_run_of_a_begun_run_leaves_out_what_is_done(capsys: Capture) -> None:
    small(capsys, "--full", "--run=mine")
    shards = sorted(Path("runs/mine/shards").iterdir())
    shards[-1].unlink()
    before = tree(Path("runs"))
    report = small(capsys, "--full", "--run=mine", "--dry-run")
    assert report["shapes_done"] == 8 and not report["stops_at_first_success"]
    assert report["steps"][-1]["shapes"] == 1 and report["steps"][0]["seconds"] == 0
    assert cli.main(["phase1", *SMALL, CLOUDS, "--full", "--run=mine", "--dry-run"]) == 0
    assert "8 shapes are done" in capsys.readouterr().out
    assert tree(Path("runs")) == before


def test_a_million_shapes_are_estimated_at_once(capsys: Capture) -> None:
    started = time.process_time()
    report = run_json(capsys, "phase1", "--dry-run", "--depth=5")
    assert report["steps"][-1]["shapes"] == 16**5
    assert cli.main(["phase1", "--dry-run", "--depth=5", "--full"]) == 0
    assert "Not all levels fit on the disk." in capsys.readouterr().out or (
        report["free_bytes"] > report["steps"][-1]["bytes"]
    )
    assert time.process_time() - started < 10


def test_a_million_shapes_are_searched_from_the_first_on(capsys: Capture) -> None:
    report = small(capsys, "--depth=5", "--width=16", "--target=0.5", "--epochs=1")
    assert report["nonzeros"] < 25 and report["trained"] < 400


# ---- status, verify, plot -------------------------------------------------------------


def test_status_of_a_run_that_is_finished_or_not(
    capsys: Capture, in_a_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = small(capsys, "--target=0.7", "--run=mine")
    (in_a_folder / "clouds.csv").unlink()  # a look at a run needs the run alone
    monkeypatch.chdir(in_a_folder / "runs")
    report = run_json(capsys, "status", "mine")
    assert report["finished"] and report["shapes_left"] == 0
    assert report["shapes_done"] == done["shapes"] and report["shape"] == done["shape"]
    assert report["nonzeros"] == done["nonzeros"]
    assert report["config"]["task"] == "clouds.csv" and report["config"]["momentum"] == 0.9
    assert 0 <= report["seconds_since_last_shard"] < 60
    first = sorted(Path("mine/shards").iterdir())[0]
    first.unlink()
    report = run_json(capsys, "status", "mine")
    assert not report["finished"] and report["shapes_left"] == 1
    for path in Path("mine/shards").iterdir():
        path.unlink()
    report = run_json(capsys, "status", "mine")
    assert not report["finished"] and report["shapes_left"] == 9
    assert report["shape"] is report["best_accuracy"] is report["seconds_since_last_shard"] is None
    assert cli.main(["status", "mine"]) == 0
    assert "not finished: repeat its command to continue" in capsys.readouterr().out


def test_status_finds_a_run_by_name_or_path_and_names_those_near(capsys: Capture) -> None:
    small(capsys, "--run=mine", "--target=0.7")
    for arguments in (["mine"], ["runs/mine"], [str(Path("runs/mine").resolve())]):
        assert cli.main(["status", *arguments]) == 0
    assert "mine: finished" in capsys.readouterr().out
    os.rename("runs", "elsewhere")
    assert cli.main(["status", "mine", "--runs=elsewhere"]) == 0
    os.environ["COMBSEARCH_RUNS"] = "elsewhere"
    try:
        assert cli.main(["status", "mine"]) == 0
        assert "did you mean 'mine'?" in fails(capsys, 2, "status", "mime")
    finally:
        del os.environ["COMBSEARCH_RUNS"]
    assert "x" * 300 in fails(capsys, 2, "verify", "x" * 300)
    assert "has no run.json" in fails(capsys, 2, "plot", "nothing")


def test_a_damaged_shard_is_set_aside_and_it_alone_is_computed_again(
    capsys: Capture, trained: list[int]
) -> None:
    done = small(capsys, "--full", "--run=mine")
    paths = sorted(Path("runs/mine/shards").iterdir())
    sound = tree(Path("runs/mine/shards"))
    data = bytearray(paths[1].read_bytes())
    data[len(data) // 2] ^= 4
    paths[1].write_bytes(data)
    assert "combsearch verify" in fails(capsys, 4, "status", "mine")
    found = fails(capsys, 4, "verify", "mine")
    assert paths[1].name in found and "quarantine" in found and "sha256" in found
    assert not paths[1].exists()
    assert cli.main(["verify", "mine"]) == 0  # the rest is sound
    assert f"{len(paths) - 1} sound shards with 32 networks" in capsys.readouterr().out
    report = run_json(capsys, "verify", "mine")
    assert report["valid"] == len(paths) - 1 and report["quarantined"] == []
    trained.clear()
    again = small(capsys, "--full", "--run=mine")
    assert trained == [1] and again["digest"] == done["digest"]
    assert len(tree(Path("runs/mine/shards"))) == len(sound)
    # The command finds damage by itself as well, and says so.
    paths[0].write_bytes(b"")
    trained.clear()
    capsys.readouterr()
    assert cli.main(["phase1", *SMALL, CLOUDS, "--full", "--run=mine", "--json"]) == 0
    printed = capsys.readouterr()
    assert trained == [0] and json.loads(printed.out)["digest"] == done["digest"]
    assert f"shard {paths[0].name} is damaged" in printed.err


def test_a_foreign_file_is_named_and_left_alone(capsys: Capture) -> None:
    small(capsys, "--run=mine")
    foreign = Path("runs/mine/shards/notes.txt")
    foreign.write_text("mine")
    assert cli.main(["verify", "mine"]) == 0
    assert "not ours, left alone: notes.txt" in capsys.readouterr().out
    assert foreign.read_text() == "mine"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """(rows, task) of each drawing; nothing is drawn, which ``test_plots`` does."""
    seen: list[tuple[int, Any]] = []

    def draw_run(rows: Any, task: Any, target: float, folder: Path, suffix: str = "png") -> Any:
        seen.append((len(rows), task))
        return [folder / f"scatter.{suffix}"]

    monkeypatch.setattr("combsearch.commands.figures.draw_run", draw_run)
    return seen


def test_figures_are_drawn_from_what_counts(capsys: Capture, drawn: list[Any]) -> None:
    report = small(capsys, "--run=mine", "--target=0.7", "--figures")
    plotted = run_json(capsys, "plot", "mine", "--format=pdf", "-o", "figs")
    assert plotted["files"] == ["figs/scatter.pdf"]
    assert [rows for rows, _ in drawn] == [report["trained"]] * 2
    assert all(task.digest() == load_task("clouds.csv").digest() for _, task in drawn)
    assert run_json(capsys, "plot", "mine")["files"] == ["runs/mine/figures/scatter.png"]


def test_a_run_is_drawn_without_its_task(
    capsys: Capture, in_a_folder: Path, drawn: list[Any]
) -> None:
    small(capsys, "--run=mine")
    write_task(in_a_folder / "clouds.csv", points=80)
    assert cli.main(["plot", "mine"]) == 0
    assert (
        "no pictures of the task: task 'clouds.csv' is not what it was" in capsys.readouterr().err
    )
    (in_a_folder / "clouds.csv").unlink()
    assert cli.main(["plot", "mine"]) == 0
    assert "no pictures of the task: task file 'clouds.csv'" in capsys.readouterr().err
    assert [task for _, task in drawn] == [None, None]
    for path in Path("runs/mine/shards").iterdir():
        path.unlink()
    assert "there is nothing to draw" in fails(capsys, 2, "plot", "mine")


def test_all_figures_of_a_real_run(capsys: Capture) -> None:
    names = {"scatter", "success", "regions", "levels", "network"}
    report = small(capsys, "--run=mine", "--width=2", "--figures")
    folder = Path(report["run_folder"]) / "figures"
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in names}
    assert all(path.stat().st_size > 5000 for path in folder.iterdir())
    assert cli.main(["plot", "mine", "--format", "pdf", "--output", "there"]) == 0
    files = capsys.readouterr().out.split()
    assert {Path(file).name for file in files} == {f"{name}.pdf" for name in names}
    assert all(Path(file).read_bytes().startswith(b"%PDF") for file in files)


# ---- disks ----------------------------------------------------------------------------


@pytest.fixture
def small_disk(in_a_folder: Path) -> Iterator[Path]:
    """A file system of half a megabyte; skipped where mounting is not permitted."""
    disk = in_a_folder / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=512k", "combsearch-test", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_ends_the_run_and_free_space_lets_it_go_on(
    small_disk: Path, capsys: Capture
) -> None:
    plain = small(capsys, "--full")
    command = ("phase1", *SMALL, CLOUDS, "--full", f"--runs={small_disk}", "--run=r")
    (small_disk / "ballast").write_bytes(bytes(490_000))
    assert "free some space and repeat the command" in fails(capsys, 5, *command, "--jobs=1")
    assert "free some space and repeat the command" in fails(capsys, 5, *command, "--jobs=2")
    assert cli.main(["verify", "r", f"--runs={small_disk}"]) == 0
    (small_disk / "ballast").unlink()
    assert run_json(capsys, *command, "--jobs=1")["digest"] == plain["digest"]


def test_a_read_only_disk_fails_before_training_and_still_reports(
    small_disk: Path, capsys: Capture, trained: list[int]
) -> None:
    runs = f"--runs={small_disk}"
    small(capsys, runs, "--run=done")
    trained.clear()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for name in ("done", "new"):
        found = fails(capsys, 2, "phase1", *SMALL, CLOUDS, runs, f"--run={name}")
        assert "Read-only file system" in found and "folder that exists and can be written" in found
    assert trained == []
    assert run_json(capsys, "status", "done", runs)["runs_done"] > 0
    assert run_json(capsys, "verify", "done", runs)["quarantined"] == []
    assert cli.main(["plot", "done", runs, "--output", "figs"]) == 0
    assert (Path("figs") / "scatter.png").exists()


# ---- signals and kills ----------------------------------------------------------------

LONG = (
    "--task=many.csv", "--width=4", "--depth=2", "--full", "--restarts=16", "--epochs=400",
    "--cells=0.05:cosine,0.05:step,0.1:cosine,0.1:step", "--batch-size=32", "--no-figures",
    "--json",
)  # fmt: skip


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a task that takes some seconds, and the digest of its undisturbed run."""
    folder = tmp_path_factory.mktemp("long")
    write_task(folder / "many.csv", points=1000)
    return folder, complete(folder, "plain")["digest"]


def start(folder: Path, run: str, jobs: int) -> subprocess.Popen[str]:
    return combsearch("phase1", *LONG, f"--run={run}", f"--jobs={jobs}", cwd=folder)


def complete(folder: Path, run: str) -> dict[str, Any]:
    """The report of a run that begins or goes on in this process, to its end."""
    found = in_process("phase1", *LONG, f"--run={run}", "--jobs=1", cwd=folder)
    assert said(found.err) == ""
    return found.report


def said(err: str) -> str:
    """Standard error without the lines of progress, which come where a machine is busy."""
    return re.sub(r"^phase1: .* runs.*\n", "", err, flags=re.MULTILINE)


def saved(folder: Path, run: str) -> int:
    shards = folder / "runs" / run / "shards"
    return len(list(shards.glob("*.parquet"))) if shards.is_dir() else 0


def wait_for_shards(process: subprocess.Popen[str], folder: Path, run: str, count: int) -> None:
    stop = time.monotonic() + 60
    while saved(folder, run) < count and time.monotonic() < stop:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "jobs", "again"),
    [
        (signal.SIGTERM, 2, 0),
        (signal.SIGUSR1, 1, 1),
        (signal.SIGINT, 2, 3),
    ],
)
def test_a_signal_stops_a_run_which_then_goes_on(
    number: int, jobs: int, again: int, long_runs: tuple[Path, str]
) -> None:
    (folder, expected), name = long_runs, f"signal-{number}-{jobs}-{again}"
    process = start(folder, name, jobs)
    wait_for_shards(process, folder, name, 2)
    status = in_process("status", name, "--json", cwd=folder)  # while it runs
    assert not status.report["finished"]
    started = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal does: workers get it too
    for _ in range(again):
        time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, number)
    code, out, err = finish(process)
    assert time.monotonic() - started < 10
    ended = (
        "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    )
    assert (code, out) == (130 if number == signal.SIGINT else 75, "")
    assert said(err) == f"combsearch: {ended}; repeat the command to continue\n"
    assert gone(process.pid, within=15)
    before = saved(folder, name)
    report = complete(folder, name)
    assert report["digest"] == expected
    assert before >= 2 and report["trained_now"] < report["trained"]


def test_a_run_survives_kill_9_of_anything_at_any_time(long_runs: tuple[Path, str]) -> None:
    (folder, expected), name = long_runs, "killed"
    rng = random.Random(5)
    for victim in ("coordinator", "worker"):
        process = start(folder, name, jobs=2)
        wait_for_shards(process, folder, name, saved(folder, name) + 1)
        time.sleep(rng.uniform(0, 0.2))
        if victim == "worker":
            os.kill(rng.choice(workers(process.pid)), signal.SIGKILL)
            break
        if victim == "coordinator":
            process.kill()
            assert gone(process.pid, within=15), alive(process.pid)
            assert said(finish(process)[2]) == ""
    code, out, err = finish(process)
    assert code == 0 and json.loads(out)["digest"] == expected
    assert said(err) == "a worker process was killed; what it worked on is computed again\n"
    assert gone(process.pid, within=15)
    assert in_process("verify", name, cwd=folder).code == 0


def test_two_coordinators_on_one_folder_agree(long_runs: tuple[Path, str]) -> None:
    folder, expected = long_runs
    processes = [start(folder, "shared", jobs=1) for _ in range(2)]
    for code, out, err in map(finish, processes):
        assert (code, said(err)) == (0, "") and json.loads(out)["digest"] == expected
    ranges = [RunStore.attach(folder / "runs" / run).saved() for run in ("shared", "plain")]
    assert ranges[0] == ranges[1]  # of some there are two files, where both were at work on it


def test_progress_is_told_on_standard_error(
    long_runs: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder, expected = long_runs
    monkeypatch.chdir(folder)
    monkeypatch.setattr("combsearch.progress._PLAIN_SECONDS", 0.0)
    monkeypatch.setattr("combsearch.progress._RATE_SECONDS", 0.0)
    assert cli.main(["phase1", *LONG, "--run=told", "--jobs=1"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["digest"] == expected
    lines = err.splitlines()
    assert all(" runs" in line and line.startswith("phase1: ") for line in lines)
    assert "a second" in lines[-2] and lines[-2].endswith("left in all")


def test_the_end_of_the_search_is_announced(capsys: Capture) -> None:
    assert cli.main(["phase1", *SMALL, CLOUDS, "--target=0.6", "--jobs=1"]) == 0
    found = capsys.readouterr()
    nonzeros = found.out.partition(" nonzeros")[0].rsplit(maxsplit=1)[1]
    assert found.err == (
        f"a shape with {nonzeros} nonzeros reached 0.6: none above {nonzeros} will be trained,"
        " and those begun do not count\n"
    )

"""``combsearch submit slurm``, and ``status`` of what was submitted; the elements really run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm
from searching import combsearch, finish, run_json, tree, write_task

from combsearch import cli
from combsearch.commands.reading import settings_of
from combsearch.commands.submit_inner import read_inner
from combsearch.config import changed
from combsearch.engines.slurm_folder import Submission, submissions
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import Phase2Config
from combsearch.shards import Shard
from combsearch.slurm_config import SlurmConfig
from combsearch.store import RunStore, digest

Capture = pytest.CaptureFixture[str]
QUICK = ("--task=clouds.csv", "--epochs=5", "--batch-size=16", "--trainer=fused")
PHASE2 = ("phase2", "--shape=2,2", "--target=1", "--restarts=3", *QUICK, "--cells=0.1:cosine")
SUBMIT = ("submit", "slurm", "--minutes=1e-9")  # a shard an element
PIECES = str(Path(__file__).parent / "image_files")


@pytest.fixture(autouse=True)
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> FakeSlurm:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    fake = FakeSlurm(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(root))
    return fake


def submit(capsys: Capture, *command: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The object that ``submit --json`` prints."""
    capsys.readouterr()
    code = cli.main([*SUBMIT, "--json", *options, "--", *command])
    found = capsys.readouterr()
    assert code == 0, found.err
    return dict(json.loads(found.out))


def error_of(capsys: Capture, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    found = capsys.readouterr()
    assert not found.out
    return found.err.strip().splitlines()[-1]


def ranks_of(report: dict[str, Any]) -> list[tuple[Shard, ...]]:
    return Submission(Path(report["script"]).parent).ranks()


def end(cluster: FakeSlurm, state: str = "CANCELLED") -> None:
    """All elements end without having run."""
    for number, job in cluster.jobs.items():
        for index in job["elements"]:
            cluster.change(number, index, state)


# The whole way -----------------------------------------------------------------------------


def test_an_array_gives_the_rows_of_an_undisturbed_run(cluster: FakeSlurm, capsys: Capture) -> None:
    alone = run_json(capsys, *PHASE2, "--run=alone", "--no-figures", "--jobs=1")
    name = '$(touch oops) %a "q"'
    command = (*PHASE2, f"--run={name}", "--runs=my runs", "--no-figures")
    halves = (*SUBMIT[:2], "--minutes=3.5e-7")
    cluster.set(max_array=1)
    capsys.readouterr()
    assert cli.main([*halves, "--", *command]) == 0
    said = capsys.readouterr().out
    [first] = submissions(Path("my runs") / name)
    elements, jobs = len(first.ranks()), list(cluster.jobs)
    assert (elements, len(jobs)) == (2, 3)  # of five shards; the last job reports
    assert said.startswith(f"submitted {elements} elements with ")
    assert f"as job {','.join(jobs[:-1])}\njob {jobs[-1]} reports when these have ended" in said

    # The first element fails: its interpreter is not there. The report is not waited for.
    jobs_before = cluster.jobs
    broken = jobs_before[jobs[0]]["script"].replace("python=", "python=/nonexistent", 1)
    cluster.set(jobs={**jobs_before, jobs[0]: {**jobs_before[jobs[0]], "script": broken}})
    cluster.change(jobs[-1], "0", "CANCELLED")
    assert cluster.run() == {(jobs[0], "0"): 127, (jobs[1], "0"): 0}
    status = run_json(capsys, "status", name, "--runs=my runs")
    [failed] = status["failed"]
    assert not status["finished"] and status["queue"] == {"running": 0, "waiting": 0, "reasons": []}
    log = Path(failed["log"])
    assert failed["reason"].startswith("exit code 127") and failed["host"] == "n1"
    assert log.name == f"{jobs[0]}_0.log" and "nonexistent" in log.read_text()
    assert cli.main(["status", name, "--runs=my runs"]) == 0
    assert f"    log {log}" in capsys.readouterr().out.splitlines()

    # The same command sends what is missing, and no more.
    report = submit(capsys, *command, options=("--minutes=3.5e-7",))
    assert ranks_of(report) == [first.ranks()[0]] and report["elements"] == 1
    assert set(cluster.run().values()) == {0}
    assert digest(RunStore.attach(Path("my runs") / name).read()) == alone["digest"]
    status = run_json(capsys, "status", name, "--runs=my runs")
    assert status["finished"] and status["failed"] == []
    summary = json.loads((Path("my runs") / name / "summary.json").read_bytes())
    assert summary["digest"] == alone["digest"] and summary["levels"] == alone["levels"]
    assert not list(Path().rglob("oops"))
    report = submit(capsys, *command)
    assert report["elements"] == 0 and report["jobs"] == []


# What is submitted -------------------------------------------------------------------------


def test_only_what_is_missing_and_not_queued_is_submitted(
    cluster: FakeSlurm, capsys: Capture
) -> None:
    first = submit(capsys, *PHASE2)
    [job] = first["jobs"]
    assert first["elements"] == first["shards"] > 3 and first["shards_queued"] == 0
    again = submit(capsys, *PHASE2)
    assert (again["elements"], again["shards_queued"]) == (0, first["shards"])
    assert cli.main([*SUBMIT, "--", *PHASE2]) == 0
    assert f"the {first['shards']} shards that are missing wait or run" in capsys.readouterr().out
    cluster.change(job, "1", "RUNNING")
    cluster.change(job, "2", "CANCELLED")
    third = submit(capsys, *PHASE2)
    assert ranks_of(third) == [ranks_of(first)[2]]
    [report_job] = [job for job in cluster.jobs if job == third["report_job"]]
    assert cluster.jobs[report_job]["after"] == [job, *third["jobs"]]
    end(cluster)
    assert submit(capsys, *PHASE2)["shards"] == first["shards"]


def test_saved_shards_are_not_submitted_but_damaged_ones_are(
    cluster: FakeSlurm, capsys: Capture
) -> None:
    first = submit(capsys, *PHASE2)
    end(cluster)
    run_json(capsys, *PHASE2, "--jobs=1", "--no-figures")
    assert submit(capsys, *PHASE2)["elements"] == 0
    damaged = sorted((Path(first["run_folder"]) / "shards").iterdir())[2]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert ranks_of(submit(capsys, *PHASE2)) == [ranks_of(first)[2]]


def test_a_dry_run_writes_nothing_and_asks_no_scheduler(
    cluster: FakeSlurm, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    before = tree(Path())
    report = submit(capsys, *PHASE2, options=("--dry-run", "--partition=gpu", "--time=2:00:00"))
    assert report["dry_run"] and tree(Path()) == before
    lines = report["script"].splitlines()
    assert "#SBATCH --partition=gpu" in lines and "#SBATCH --time=2:00:00" in lines
    assert cli.main([*SUBMIT, "--dry-run", "--", *PHASE2]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("#!/bin/bash\n") and "nothing was written" in shown.splitlines()[-1]
    error = error_of(capsys, *SUBMIT, "--", *PHASE2)
    assert "there is no scontrol here" in error and tree(Path()) == before


def test_a_run_of_another_configuration_is_left_alone(cluster: FakeSlurm, capsys: Capture) -> None:
    submit(capsys, *PHASE2, "--run=a")
    before = tree(Path("runs"))
    for options in (("--dry-run",), ()):
        words = [*SUBMIT, *options, "--", *PHASE2, "--run=a", "--restarts=4"]
        assert "belongs to another run" in error_of(capsys, *words, code=3)
    assert tree(Path("runs")) == before


def test_arrays_with_a_limit_follow_each_other(cluster: FakeSlurm, capsys: Capture) -> None:
    cluster.set(max_array=2)
    report = submit(capsys, *PHASE2, options=("--max-running=2",))
    jobs = [cluster.jobs[job] for job in report["jobs"]]
    assert [job["words"][1] for job in jobs] == [str(2 * n) for n in range(len(jobs))]
    assert sum(len(job["elements"]) for job in jobs) == report["elements"] and len(jobs) > 2
    assert all(job["options"]["array"].endswith("%2") for job in jobs)
    assert [job["after"] for job in jobs] == [[], *([job] for job in report["jobs"][:-1])]


def test_what_slurm_does_not_take_is_submitted_the_next_time(
    cluster: FakeSlurm, capsys: Capture
) -> None:
    cluster.set(max_array=2, most_jobs=2)
    error = error_of(capsys, *SUBMIT, "--", *PHASE2, code=1)
    assert "SLURM took 4 of " in error and "QOS policy" in error and "repeat this command" in error
    cluster.set(max_array=100, most_jobs=100)
    report = submit(capsys, *PHASE2)
    [first, second] = submissions(Path(report["run_folder"]))
    assert second.ranks() == first.ranks()[4:]


def test_without_an_answer_nothing_is_submitted(cluster: FakeSlurm, capsys: Capture) -> None:
    cluster.set(down=True)
    before = tree(Path())
    assert "Unable to contact slurm" in error_of(capsys, *SUBMIT, "--", *PHASE2, code=1)
    assert tree(Path()) == before


def test_status_tells_the_queue_and_every_failure(cluster: FakeSlurm, capsys: Capture) -> None:
    report = submit(capsys, *PHASE2)
    folder = Path(report["script"]).parent
    for element, code in ((0, 5), (1, 137), (3, 2)):
        (folder / "failed" / str(element)).write_text(f"code {code}\nnode n{element}\nlog /l\n")
    [job] = report["jobs"]
    for element, state in enumerate(("FAILED", "FAILED", "RUNNING", "PENDING")):
        cluster.change(job, str(element), state)  # the fourth failed before and waits again
    status = run_json(capsys, "status", report["run_folder"])
    assert status["queue"] == {
        "running": 1, "waiting": report["elements"] - 3, "reasons": [],
    }  # fmt: skip
    texts = [",".join(f"{s.first}:{s.last}" for s in ranks) for ranks in ranks_of(report)]
    assert status["failed"] == [
        {"ranks": texts[0], "reason": "exit code 5: the disk is full", "host": "n0", "log": "/l"},
        {
            "ranks": texts[1], "reason": "exit code 137: killed, maybe for memory",
            "host": "n1", "log": "/l",
        },
    ]  # fmt: skip
    assert cli.main(["status", report["run_folder"]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"in the queue: 1 running, {report['elements'] - 3} waiting" in lines
    assert f"  ranks {texts[0]} on n0: exit code 5: the disk is full" in lines
    cluster.set(down=True)
    assert run_json(capsys, "status", report["run_folder"])["queue"] is None


# The words of an element -------------------------------------------------------------------


def inner(*words: str, **slurm: Any) -> tuple[list[str], argparse.Namespace, Any]:
    """(words of an element, these words parsed, the command as submit reads it)."""
    config = SlurmConfig(**slurm)
    found = read_inner(words, cli.read_command, config)
    train = found.train_words(config)
    return train, cli.read_command(train), found


COMMANDS = [
    (
        "phase1",
        "--full",
        "--width=3",
        "--cells=0.1:step,0.05:cosine",
        "--seed=18446744073709551615",
    ),
    ("phase2", "--shape=3,2", "--race", "--weight-decay=1e-05", "--target=0.9"),
    ("exhaust", "--depth=2", "--width=3", "--max-nonzeros=13", "--no-race", "--beyond=2"),
    ("prune", "--methods=snip,gmp", "--pruner=combsearch.baselines.snip:Snip", "--budgets=15,20"),
    ("descend", "--shapes=3x2,2x2", "--prune-biases"),
    ("study", "pqi", "--network=5,4", "--rounds=3", "--grid=0.5:1,1:2"),
    ("study", "dctps", "--task=fashion-mnist", "--network=6,4", "--densities=5,0.1"),
    ("study", "dctps", "spiral", "--shape=3,3,3", "--budgets=37-35"),
    ("study", "dimensionality", "spiral", "--dimensions=2,4", "--embedding=both"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words[:3]))
def test_an_element_does_what_the_command_says_wherever_it_starts(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", PIECES)
    monkeypatch.setenv("COMBSEARCH_BATCH_SIZE", "8")
    wanted = settings_of(cli.read_command(list(words))).config
    _, again, found = inner(*words)
    monkeypatch.delenv("COMBSEARCH_BATCH_SIZE")
    settings = settings_of(again)
    assert dataclasses.replace(settings.config, trainer="auto") == wanted
    assert settings.options.run == found.folder.name
    assert (settings.options.runs, settings.options.jobs) == (str(tmp_path / "runs"), 1)
    assert settings.options.figures == (words[0] == "descend")
    report = settings_of(cli.read_command(found.report_words()))
    assert report.config == settings.config and not report.options.train


def test_what_is_taken_from_a_run_stands_in_the_words(capsys: Capture) -> None:
    small = ("--width=3", "--depth=2", "--target=0.6", "--restarts=2", "--cells=0.1:cosine")
    one = run_json(capsys, "phase1", *small, *QUICK, "--run=one", "--no-figures", "--jobs=1")
    train, again, _ = inner("phase2", "--from=one")
    config = settings_of(again).config
    assert config.shape == ",".join(map(str, one["shape"][1:-1])) and config.epochs == 5
    assert changed(config).keys() == {"shape", "task", "width", "target", "epochs", "batch_size",
                                      "trainer"}  # fmt: skip
    assert "--from" not in shlex.join(train)


def test_processes_of_an_element() -> None:
    assert "--jobs=1" in inner(*PHASE2)[0]
    assert "--jobs=6" in inner(*PHASE2, cpus=6)[0]
    assert "--jobs=3" in inner(*PHASE2, "--jobs=3", cpus=6)[0]
    auto = [word for word in PHASE2 if not word.startswith("--trainer")]
    assert not [word for word in inner(*auto, gpus="2")[0] if "jobs" in word]


def test_elements_of_a_gpu_get_its_shards_on_a_machine_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("phase2", "--shape=4,3", "--restarts=64", "--max-nonzeros=23")
    config = Phase2Config(shape="4,3", restarts=64, max_nonzeros=23, trainer="fused")
    plan = MaskPlan.of(config)
    joined = dataclasses.replace(plan, trainer="cuda").shards
    assert len(joined) < len(plan.shards)
    for trainer, slurm, shards, told in (
        ((), {"gpus": "1"}, joined, []),
        (("--trainer=cuda",), {"gpus": "1"}, joined, ["--trainer=cuda"]),
        ((), {}, plan.shards, ["--trainer=fused"]),
        (("--trainer=fused",), {"gpus": "1"}, plan.shards, ["--trainer=fused"]),
    ):
        train, _, found = inner(*words, *trainer, **slurm)
        assert found.search.plan.shards == shards
        assert [word for word in train if word.startswith("--trainer")] == told
        assert not [word for word in found.report_words() if "cuda" in word]
        assert found.folder.name == plan.name() if told != ["--trainer=fused"] else True
        assert found.search.plan.identity() == plan.identity()


def test_shards_that_no_walltime_suffices_for_are_told(capsys: Capture) -> None:
    words = ("phase2", "--shape=3,3", *QUICK[:-1], "--trainer=loop", "--restarts=1000000")
    for minutes, told in (("2", True), ("9000", False)):
        assert cli.main([*SUBMIT, f"--time={minutes}", "--dry-run", "--", *words]) == 0
        assert ("the longest shard takes about" in capsys.readouterr().err) == told


def test_a_descent_is_one_element(cluster: FakeSlurm, capsys: Capture) -> None:
    words = ("descend", "--shapes=2x2", "--restarts=2", "--beam=2", "--task=clouds.csv")
    report = submit(capsys, *words, options=("--cpus=2", "--time=1-0"))
    assert (report["elements"], report["shards"], report["report_job"]) == (1, 0, None)
    [job] = report["jobs"]
    script = cluster.jobs[job]["script"]
    assert "--ranks" not in script and "--no-figures" not in script and "--jobs=2" in script
    assert submit(capsys, *words)["elements"] == 0
    end(cluster)
    assert submit(capsys, *words)["elements"] == 1
    end(cluster)
    assert cli.main([*words, "--no-figures", "--jobs=1"]) == 0  # the same run, finished here
    assert submit(capsys, *words)["elements"] == 0


# What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("submit", "slurm"), "submit: no command to submit; write it behind --, as combsearch"),
        (("submit", "slurm", "--"), "no command to submit"),
        (("submit", "dask", "--", *PHASE2), "invalid choice: 'dask'"),
        (("submit", "slurm", "phase2", "--shape=2,2"), "unexpected argument 'phase2': write"),
        ((*SUBMIT, "--", "phase3"), "unknown command 'phase3', did you mean 'phase"),
        ((*SUBMIT, "--", "status", "x"), "'status x' does not train a run"),
        ((*SUBMIT, "--", "study", "pqi", "index", "v.npy"), "does not train a run"),
        ((*SUBMIT, "--", *SUBMIT, "--", *PHASE2), "does not train a run"),
        ((*SUBMIT, "--", *PHASE2, "--dry-run"), "takes no --dry-run (write it before --)"),
        ((*SUBMIT, "--", *PHASE2, "--json"), "takes no --json (write it before --)"),
        ((*SUBMIT, "--", *PHASE2, "--ranks=0:3"), "takes no --ranks"),
        ((*SUBMIT, "--", *PHASE2, "--no-train"), "takes no --no-train"),
        (
            (*SUBMIT, "--", *PHASE2, "--engine=dask", "--scheduler=tcp://a:1"),
            "takes no --engine",
        ),
        ((*SUBMIT, "--", *PHASE2[:-2], "--trainer=cuda"), "no GPU is asked for: add --gpus 1"),
        ((*SUBMIT, "--gpus=x", "--", *PHASE2), "--gpus: gpus is 'x'"),
        ((*SUBMIT, "--gpus=a100:0", "--", *PHASE2), "--gpus: gpus is 'a100:0'"),
        ((*SUBMIT, "--minutes=inf", "--", *PHASE2), "--minutes: 'inf' is not a number"),
        ((*SUBMIT, "--", "phase2", "--shape=2,x"), "--shape: "),
        ((*SUBMIT, "--", *PHASE2, "--run=../x"), "run name '../x'"),
        ((*SUBMIT, "--", *PHASE2, "--runs=a\\b"), "a backslash or a control character"),
    ],
)
def test_bad_words_are_named(
    capsys: Capture, cluster: FakeSlurm, words: tuple[str, ...], message: str
) -> None:
    before = tree(Path())
    assert message in error_of(capsys, *words)
    assert tree(Path()) == before and cluster.jobs == {}


def test_help_says_how(capsys: Capture) -> None:
    code, out, err = finish(combsearch("submit", "--help"))
    assert code == 0 and not err
    assert "usage: combsearch submit slurm [OPTIONS] -- COMMAND ARGS..." in out
    assert "--max-running N" in out and "COMBSEARCH_SLURM_PARTITION=gpu" in out

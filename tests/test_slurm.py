"""What is written for SLURM and asked of it: elements, scripts that run, jobs, the queue."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm, sbatch_options

from combsearch.engines import slurm
from combsearch.engines.slurm import Element
from combsearch.engines.slurm_elements import chunks, pack
from combsearch.engines.slurm_folder import (
    Chunk,
    Submission,
    make_submission,
    parse_ranks,
    ranks_in,
    ranks_text,
    submissions,
    write_jobs,
    write_scripts,
)
from combsearch.engines.slurm_script import (
    REQUEUES,
    Batch,
    element_script,
    log_pattern,
    report_script,
    sbatch_value,
)
from combsearch.errors import CombsearchError, UsageError
from combsearch.shards import Shard
from combsearch.slurm_config import SlurmConfig

NASTY = """$(touch oops) `touch oops` 'a' "b" %a %% # ; & \u00e9"""

# Stands for Python: says what it was given, then does what its first word asks for.
_WORKER = """#!/bin/bash
target=${COMBSEARCH_TARGET-unset}
printf '%s\\n' "$@" "$COMBSEARCH_LOG" "$OMP_NUM_THREADS" "$PWD" "$target" > "$SEEN"
case "$3" in
    wait)
        trap 'echo USR1 >> "$SEEN"; exit 75' USR1
        trap 'echo TERM >> "$SEEN"; exit 75' TERM
        touch "$SEEN.ready"
        while :; do sleep 0.05; done ;;
    code*) exit "${3#code}" ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "cluster", max_array=3)
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    return fake


def shards(*ranges: tuple[int, int]) -> list[Shard]:
    return [Shard(first, last) for first, last in ranges]


def batch(folder: Path, *words: str, **changes: Any) -> Batch:
    """A batch whose Python is ``_WORKER``."""
    worker = folder / "my python"
    worker.write_text(_WORKER)
    worker.chmod(0o755)
    given: dict[str, Any] = {
        "title": "a test", "name": folder.name, "folder": folder, "train": words, "report": words,
        "ranged": True, "python": str(worker), "home": str(folder),
        "exports": {"SEEN": str(folder / "seen")}, "unset": (), "config": SlurmConfig(),
    }  # fmt: skip
    return Batch(**given | changes)


def sent(run: Path, cluster: FakeSlurm, *words: str, **changes: Any) -> tuple[Submission, str]:
    """A submission of two elements, and its job."""
    submission = make_submission(run)
    made = batch(submission.folder, *words, **changes)
    elements = [shards((0, 5), (5, 9)), shards((20, 22), (30, 31))]
    write_scripts(submission, elements, element_script(made), report_script(made))
    job = slurm.send(submission.folder / "job.sh", 0, 2)
    write_jobs(submission, {}, [Chunk(job, 0, 2)])
    return submission, job


def until(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()


# Elements ----------------------------------------------------------------------------------


def test_neighbours_share_an_element_until_it_is_long_enough() -> None:
    missing = [[shard] for shard in shards((0, 2), (2, 4), (4, 10), (12, 13), (13, 14))]
    assert pack(missing, len, 4.0) == [
        shards((0, 2), (2, 4)), shards((4, 10)), shards((12, 13), (13, 14)),
    ]  # fmt: skip
    assert pack([], len, 4.0) == []


def test_a_chain_is_never_parted() -> None:
    chains = [shards((0, 3), (9, 12)), shards((3, 6), (12, 15))]
    assert pack(chains, len, 1.0) == chains
    assert pack(chains, len, 100.0) == [[*chains[0], *chains[1]]]


def test_an_element_has_no_more_ranges_than_a_command_can_hold() -> None:
    missing = [[Shard(10**17 + 3 * n, 10**17 + 3 * n + 1)] for n in range(5000)]
    elements = pack(missing, lambda shard: 0.0, 60.0)
    assert [shard for element in elements for shard in element] == [c[0] for c in missing]
    assert max(len(ranks_text(element)) for element in elements) < 2**17  # of one argument, Linux


def test_every_element_is_in_one_chunk() -> None:
    found = [n for first, count in chunks(2503, 1001) for n in range(first, first + count)]
    assert found == list(range(2503))
    assert list(chunks(0, 5)) == []


def test_ranks_are_joined_and_read_back() -> None:
    assert ranks_text(shards((5, 9), (0, 5), (20, 22))) == "0:9,20:22"
    assert parse_ranks("0:9,20:22") == shards((0, 9), (20, 22))
    assert parse_ranks("") == []


# Scripts -----------------------------------------------------------------------------------


def test_an_element_trains_the_ranks_of_its_line(tmp_path: Path, cluster: FakeSlurm) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code0", "--shape=3,2")
    assert cluster.run() == {(job, "0"): 0, (job, "1"): 0}
    seen = (submission.folder / "seen").read_text().splitlines()
    log = submission.folder / "logs" / f"{job}_1.log"
    assert seen == [
        "-m", "combsearch", "code0", "--shape=3,2", "--ranks=20:22,30:31",
        str(log), "1", str(submission.folder), "unset",
    ]  # fmt: skip
    assert "element 1, ranks 20:22,30:31" in log.read_text()


def test_an_offset_leads_to_the_lines_of_a_later_chunk(tmp_path: Path, cluster: FakeSlurm) -> None:
    submission, _ = sent(tmp_path / "run", cluster, "code0")
    slurm.send(submission.folder / "job.sh", 1, 1)
    cluster.run()
    assert "--ranks=20:22,30:31" in (submission.folder / "seen").read_text().splitlines()


def test_every_value_is_a_value_whatever_it_looks_like(tmp_path: Path, cluster: FakeSlurm) -> None:
    run = tmp_path / NASTY
    config = SlurmConfig(setup=("export COMBSEARCH_TARGET=1",), gpus="a100:2", lines=("--qos=x",))
    submission, job = sent(
        run, cluster, "code0", f"--run={NASTY}", config=config,
        exports={"SEEN": str(tmp_path / "seen"), "PYTHONPATH": NASTY},
    )  # fmt: skip
    assert cluster.run() == {(job, "0"): 0, (job, "1"): 0}
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[2:4] == ["code0", f"--run={NASTY}"]
    assert seen[5] == str(run / "slurm" / "1" / "logs" / f"{job}_1.log") and Path(seen[5]).exists()
    assert seen[6:] == ["8", str(submission.folder), "1"]
    assert not list(tmp_path.rglob("oops"))
    options = sbatch_options(cluster.jobs[job]["script"])
    assert (options["gres"], options["qos"]) == ("gpu:a100:2", "x")
    assert options["signal"] == "B:USR1@60" and "requeue" in options


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        ("source /no/such/file", 1, "setup: source /no/such/file"),
        ("export A='$(touch oops)'; false # || true", 1, "setup: export A='$(touch oops)'; false"),
        ("exit 3", 3, "a line of setup ended the script"),
        ("exit 0", 0, "a line of setup ended the script"),
    ],
)
def test_a_line_of_setup_that_fails_ends_the_element_with_a_note(
    tmp_path: Path, cluster: FakeSlurm, line: str, code: int, why: str
) -> None:
    config = SlurmConfig(setup=("true", line, "touch oops"))
    submission, job = sent(tmp_path / "run", cluster, "code0", config=config)
    assert cluster.run()[job, "0"] == code
    failed = submission.failed()
    assert [one.element for one in failed] == [0, 1] and failed[0].code == code
    assert failed[0].why.startswith(why) and Path(failed[0].log).exists()
    assert not list(tmp_path.rglob("oops"))
    assert not (submission.folder / "seen").exists()


def test_settings_of_the_environment_do_not_reach_an_element(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code0", unset=["COMBSEARCH_TARGET"])
    process = cluster.start(job, "0", COMBSEARCH_TARGET="0.5")
    assert cluster.finish(job, "0", process) == 0
    assert (submission.folder / "seen").read_text().splitlines()[-1] == "unset"


def test_a_failure_leaves_a_note_until_it_is_made_up_for(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    run = tmp_path / "run"
    submission, job = sent(run, cluster, "code137")
    assert cluster.run() == {(job, "0"): 137, (job, "1"): 137}
    found = submission.failed()
    assert [(one.element, one.code, one.node) for one in found] == [(0, 137, "n1"), (1, 137, "n1")]
    assert found[1].ranks == (Shard(20, 22), Shard(30, 31))
    assert found[1].log == str(submission.folder / "logs" / f"{job}_1.log")
    assert sorted(os.listdir(submission.folder / "failed")) == ["0", "1"]
    (submission.folder / "job.sh").write_text(
        (submission.folder / "job.sh").read_text().replace("code137", "code0")
    )
    slurm.send(submission.folder / "job.sh", 0, 1)
    cluster.run()
    assert [one.element for one in submission.failed()] == [1]


def test_damaged_notes_and_records_are_passed_over(tmp_path: Path) -> None:
    submission = make_submission(tmp_path)
    (submission.folder / "failed" / "3").write_bytes(b"\xff\x00 code")
    (submission.folder / "failed" / "x.17").touch()
    (submission.folder / "ranks.txt").write_text("1:2\nwhat\n")
    (submission.folder / "jobs.json").write_text('{"chunks": [3]}')
    (tmp_path / "slurm" / "notes").mkdir()
    [again] = submissions(tmp_path)
    [note] = again.failed()
    assert (note.element, note.code, note.ranks, note.log) == (3, 1, (), "")
    assert again.chunks() == [] and again.ranks() == []
    assert make_submission(tmp_path).number == 2


@pytest.mark.parametrize(
    ("number", "said", "state", "why"),
    [
        (signal.SIGUSR1, "USR1", "PENDING", []),
        (
            signal.SIGTERM,
            "TERM",
            "FAILED",
            ["stopped by SLURM: cancelled, preempted or out of time"],
        ),
    ],
)
def test_a_signal_is_handed_on_and_only_a_walltime_queues_again(
    tmp_path: Path, cluster: FakeSlurm, number: int, said: str, state: str, why: list[str]
) -> None:
    submission, job = sent(tmp_path / "run", cluster, "wait")
    process = cluster.start(job, "0")
    until(submission.folder / "seen.ready")
    os.kill(process.pid, number)  # of the shell alone, as --signal=B: does
    assert cluster.finish(job, "0", process) == 75
    assert (submission.folder / "seen").read_text().splitlines()[-1] == said
    assert cluster.jobs[job]["elements"]["0"] == state
    assert [one.why for one in submission.failed()] == why


def test_all_processes_of_a_job_may_get_the_signal(tmp_path: Path, cluster: FakeSlurm) -> None:
    submission, job = sent(tmp_path / "run", cluster, "wait")
    for index in ("0", "1", "0", "1"):  # bash loses the exit code in some, and no element notices
        (submission.folder / "seen.ready").unlink(missing_ok=True)
        process = cluster.start(job, index)
        until(submission.folder / "seen.ready")
        os.killpg(process.pid, signal.SIGTERM)
        assert cluster.finish(job, index, process) == 75
    assert cluster.states() == ["FAILED", "FAILED"]
    assert [(one.element, one.code) for one in submission.failed()] == [(0, 75), (1, 75)]


def test_the_shell_may_hear_of_the_end_after_its_command(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code75")
    process = cluster.start(job, "0")
    until(submission.folder / "seen")
    os.kill(process.pid, signal.SIGTERM)
    assert cluster.finish(job, "0", process) == 75
    assert cluster.jobs[job]["elements"]["0"] == "FAILED"  # it did not queue itself again
    assert [one.why[:16] for one in submission.failed()] == ["stopped by SLURM"]


def test_a_signal_before_python_answers_it_queues_again_too(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    submission, _ = sent(tmp_path / "run", cluster, "code138")
    cluster.run()
    assert cluster.states() == ["PENDING", "PENDING"] and submission.failed() == []


def test_the_last_element_queues_itself_again_and_not_the_array(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code75")
    cluster.change(job, "0", "COMPLETED")  # its number is the last element's and the array's too
    assert cluster.finish(job, "1", cluster.start(job, "1")) == 75
    assert cluster.states() == ["COMPLETED", "PENDING"] and submission.failed() == []


def test_an_element_that_never_ends_is_a_failure_one_day(
    tmp_path: Path, cluster: FakeSlurm
) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code75")
    tries = submission.folder / "requeued" / "0"
    tries.write_text("earlier\n" * (REQUEUES - 1))
    codes = [cluster.finish(job, "0", cluster.start(job, "0")) for _ in range(2)]
    assert codes == [75, 75] and cluster.jobs[job]["elements"]["0"] == "FAILED"
    assert [(one.element, one.code) for one in submission.failed()] == [(0, 75)]
    assert submission.failed()[0].why == f"met the end of its walltime more than {REQUEUES} times"


def test_a_queue_that_takes_nothing_back_is_a_failure(tmp_path: Path, cluster: FakeSlurm) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code75")
    process = cluster.start(job, "0", PATH="/usr/bin:/bin")
    assert cluster.finish(job, "0", process) == 75
    [note] = submission.failed()
    assert (note.code, note.why) == (75, "SLURM did not queue it for another walltime")


def test_a_report_waits_for_all_arrays(tmp_path: Path, cluster: FakeSlurm) -> None:
    submission, job = sent(tmp_path / "run", cluster, "code0", config=SlurmConfig(gpus="2"))
    report = slurm.send_report(submission.folder / "report.sh", [f"{job};other"])
    assert list(cluster.pending()) == [(job, "0"), (job, "1")]
    assert cluster.run() == {(job, "0"): 0, (job, "1"): 0, (report, "0"): 0}
    seen = (submission.folder / "seen").read_text().splitlines()
    assert seen[:3] == ["-m", "combsearch", "code0"]
    assert Path(seen[3]) == submission.folder / "logs" / f"report-{report}.log"
    assert Path(seen[3]).exists()
    assert "gres" not in sbatch_options(cluster.jobs[report]["script"])


@pytest.mark.parametrize("folder", ["/a\\b", "/a\nb"])
def test_a_folder_that_slurm_could_not_write_to_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="choose another one with --runs"):
        log_pattern(Path(folder))
    with pytest.raises(UsageError, match="no line of a SLURM script"):
        sbatch_value("--comment=a\nb")


# SLURM's programs --------------------------------------------------------------------------


def test_the_size_of_an_array_is_asked_of_slurm(
    cluster: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slurm.array_limit() == 3
    said = "SchedulerParameters = sched_interval=1,max_array_tasks=2\nMaxArraySize            = 9\n"
    monkeypatch.setattr(slurm, "_run", lambda *words: said)
    assert slurm.array_limit() == 2
    monkeypatch.setattr(slurm, "_run", lambda *words: "")
    assert slurm.array_limit() == slurm.USUAL_ARRAY
    monkeypatch.setattr(slurm, "_run", lambda *words: "MaxArraySize = 0\n")
    with pytest.raises(UsageError, match="takes no job arrays"):
        slurm.array_limit()


def test_the_queue_is_read_element_by_element(tmp_path: Path, cluster: FakeSlurm) -> None:
    _, job = sent(tmp_path / "run", cluster, "code0")
    cluster.change(job, "0", "RUNNING")
    queue = slurm.queued([job])
    assert queue == {Element(job, 0): "RUNNING", Element(job, 1): "PENDING"}
    assert [slurm.waits(state) for state in queue.values()] == [False, True]
    cluster.change(job, "0", "COMPLETED")
    queue = slurm.queued([job])
    assert list(ranks_in(submissions(tmp_path / "run"), queue)) == [
        (Element(job, 1), tuple(shards((20, 22), (30, 31))))
    ]
    assert slurm.queued(["7"]) == {}  # SLURM has forgotten it


def test_jobs_of_several_clusters_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(*words: str, patience: float | None = None) -> str:
        asked.append(words)
        if "--clusters=b" in words:
            return "CLUSTER: b\n17 N/A RUNNING None\n"
        return "17 2 PENDING PartitionConfig\n18 N/A PENDING Priority\n"

    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.queued(["17;b", "17", "18"]) == {
        Element("17;b", 0): "RUNNING",
        Element("17", 2): "PENDING PartitionConfig",  # for which no time is a cure
        Element("18", 0): "PENDING",
    }
    assert slurm.waits("PENDING PartitionConfig") and not slurm.waits("RUNNING")
    assert "--jobs=17,18" in asked[1] and "--jobs=17" in asked[0]
    monkeypatch.setattr(slurm, "_run", lambda *words: "17;b\n")
    assert slurm.send(Path("job.sh"), 0, 1, ["17;b"]) == "17;b"


def test_no_slurm_no_answer_and_a_refusal_are_said(
    tmp_path: Path, cluster: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n")
    with pytest.raises(CombsearchError, match=r"sbatch refuses: .* Invalid job array"):
        slurm.send(script, 0, 4)
    cluster.set(down=True)
    with pytest.raises(CombsearchError, match=r"squeue refuses: .*Unable to contact"):
        slurm.queued(["100"])
    monkeypatch.setattr(slurm, "_run", lambda *words: "Welcome\n")
    with pytest.raises(CombsearchError, match="sbatch printed 'Welcome', not the number"):
        slurm.send(script, 0, 1)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no sbatch here: submit where"):
        slurm.send(script, 0, 1)


def test_a_slurm_that_hangs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/bash\nexec sleep 30\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(CombsearchError, match=r"squeue does not answer .*: try again later"):
        slurm.queued(["1"])

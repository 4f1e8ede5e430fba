"""A search that is submitted to a real SLURM, disturbed, and judged.

The judge is the digest of the same search trained here, undisturbed.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from searching import combsearch, finish
from slurm_cluster import Cluster, send
from soaking import TASK, Finished, as_process, check_sound, rows_digest, shard_names

SEARCH: tuple[str, ...] = (
    "phase2", f"--task={TASK}", "--shape=5,2", "--all", "--target=1.0", "--batch-size=16",
    "--restarts=60", "--epochs=1000", "--cells=0.05:cosine", "--trainer=fused",
)  # fmt: skip
"""Ten seconds of a core in 11 shards."""

PATIENCE_S = 300.0
_MOST_SUBMISSIONS = 6  # until nothing is missing


@dataclass(frozen=True)
class Site:
    """A cluster, a search, and what it gives when nobody disturbs it.

    Attributes:
        folder: to work in; the task lies there and ``runs/``.
        words: the search.
        minutes: wanted length of an element.
        digest: of all rows of the undisturbed run.
        shards: that it has.
    """

    cluster: Cluster
    folder: Path
    words: tuple[str, ...]
    minutes: float
    digest: str
    shards: int

    def call(self, *words: str) -> Finished:
        """One command, on the machine from which jobs are submitted."""
        started = time.monotonic()
        process = combsearch(*words, cwd=self.folder, env=self.cluster.environment)
        code, out, err = finish(process, 120)
        return Finished(code, out, err, time.monotonic() - started)


def undisturbed(cluster: Cluster, folder: Path, words: Sequence[str], minutes: float) -> Site:
    """The site, once the search has been trained here without SLURM."""
    report = as_process(*words, "--run=whole", "--json", "--no-figures", cwd=folder).report
    run = folder / "runs" / "whole"
    assert report["digest"] == rows_digest(run)
    shards = len(shard_names(run))
    return Site(cluster, folder, tuple(words), minutes, report["digest"], shards)


@dataclass
class Trial:
    """One run that is submitted and disturbed.

    Attributes:
        name: of the run.
        options: of ``submit``.
        jobs: all that were submitted.
        elements: of each submission.
        facts: what the disturbance did.
    """

    site: Site
    name: str
    options: tuple[str, ...] = ()
    jobs: list[str] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        return self.site.folder / "runs" / self.name

    def words(self) -> list[str]:
        """The search, as it is submitted."""
        return [*self.site.words, f"--run={self.name}", "--no-figures"]

    def submit(self) -> dict[str, Any]:
        """What is missing, to SLURM; the report of ``submit``."""
        asked = ("--json", f"--minutes={self.site.minutes}", "--cpus=1", *self.options)
        report = self.site.call("submit", "slurm", *asked, "--", *self.words()).report
        self.jobs += report["jobs"]
        self.elements.append(report["elements"])
        return report

    def running(self) -> list[str]:
        """Elements that run."""
        return self._queue("RUNNING")

    def queued(self) -> list[str]:
        """Elements that wait or run, and none of the jobs that report."""
        return self._queue()

    def _queue(self, *states: str) -> list[str]:
        return [job for job in self.site.cluster.jobs(*states) if job.split("_")[0] in self.jobs]

    def started(self, shards: int = 1) -> None:
        """Wait until two elements run (or one, the last) and so many shards are saved."""

        def reached() -> bool:
            enough = min(2, len(self.queued()))
            return len(self.running()) >= enough and len(shard_names(self.run)) >= shards

        self.site.cluster.wait(reached, f"start of {self.name}", PATIENCE_S)

    def settle(self) -> None:
        """Wait until the queue is empty, reports too."""
        self.site.cluster.wait(
            lambda: self.site.cluster.states() and not self.site.cluster.jobs(),
            f"end of {self.name}", PATIENCE_S,
        )  # fmt: skip

    def training(self, node: str = "") -> list[int]:
        """Numbers of the processes that train, on one node or all; not of the scripts around."""
        mine = self.site.cluster.processes(f"SLURMD_NODENAME={node}")
        return [pid for pid in mine if f"--run={self.name}" in _words_of(pid)]

    def put_to_sleep(self, count: int) -> dict[str, int]:
        """Stop so many processes that train while they do; element, as ``12_3`` -> process."""
        stopped: dict[str, int] = {}

        def reached() -> bool:
            awake = [pid for pid in self.training() if pid not in stopped.values()]
            for pid in awake[: count - len(stopped)]:
                if send([pid], signal.SIGSTOP):
                    found = self.site.cluster.variables(pid)
                    stopped[f"{found['SLURM_ARRAY_JOB_ID']}_{found['SLURM_ARRAY_TASK_ID']}"] = pid
            for element in [element for element, pid in stopped.items() if not _is_there(pid)]:
                del stopped[element]  # it was just ending
            return len(stopped) >= count

        self.site.cluster.wait(reached, f"{count} elements that train", PATIENCE_S)
        return stopped

    def missing(self) -> int:
        """Shards that are not saved."""
        return self.site.shards - len(shard_names(self.run))

    def reported(self) -> bool:
        """Whether the job that waits for all elements found all shards, and reported."""
        summary = self.run / "summary.json"
        if not summary.exists():
            return False
        assert json.loads(summary.read_text())["digest"] == self.site.digest
        return True

    def check_reported(self) -> None:
        """The queue empties, and the report was made: it waited for elements queued again."""
        self.settle()
        logs = (self.run / "slurm").glob("*/logs/report-*.log")
        assert self.reported(), [log.read_text()[-2000:] for log in logs]

    def requeues(self) -> int:
        """How often SLURM started an element again."""
        said = self.site.cluster.run("scontrol", "--all", "--oneliner", "show", "jobs")
        lines = [line for line in said.splitlines() if _array_of(line) in self.jobs]
        return sum(int(found[1]) for line in lines if (found := re.search(r"Restarts=(\d+)", line)))


Fault = Callable[[Site, Trial], None]


def endure(site: Site, name: str, fault: Fault, *options: str) -> dict[str, Any]:
    """Submit the search, disturb it, submit what is missing until nothing is; the figures."""
    started, trial = time.monotonic(), Trial(site, name, options)
    trial.submit()
    fault(site, trial)
    trial.settle()
    while trial.missing() and len(trial.elements) < _MOST_SUBMISSIONS:
        trial.submit()
        trial.settle()
    assert trial.missing() == 0 and check_sound(trial.run) == site.shards
    assert rows_digest(trial.run) == site.digest, name
    reported = trial.reported()
    return {
        **trial.facts,
        "arrays": len(trial.jobs),
        "elements_of_each_submission": trial.elements,
        "elements_started_again_by_slurm": trial.requeues(),
        "digest_equal_to_the_undisturbed_run": True,  # asserted above
        "reported_by_the_last_job": reported,
        "seconds": round(time.monotonic() - started, 1),
    }


def _is_there(pid: int) -> bool:
    """Whether a process has not ended, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _words_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _array_of(line: str) -> str:
    """The job of a line of ``scontrol --oneliner show jobs``, as sbatch named it."""
    found = re.search(r"ArrayJobId=(\d+)", line) or re.search(r"JobId=(\d+)", line)
    return found[1] if found else ""

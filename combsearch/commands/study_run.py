"""A study that prunes in rounds, as a search: the same for every study, whatever its rows are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from combsearch.commands.session import Described, Found, Plan, Report
from combsearch.engines import cores
from combsearch.progress import Progress, Rate, duration
from combsearch.search.course import Course
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard, Verification
from combsearch.studies.checkpoint import tidy
from combsearch.studies.course import RoundsCourse

__all__ = ["Report", "Study", "StudySearch"]


class Study(Described, Protocol):
    """A run of a study: a plan, and what is particular to it."""

    @property
    def lanes(self) -> int:
        """Shards that can be trained at a time."""
        ...

    def course(self, done: list[Shard]) -> RoundsCourse:
        """All shards, of which ``done`` are saved."""
        ...

    def work(self, store: RunStore, threads: int) -> Callable[[Shard], Outcome]:
        """What trains a shard."""
        ...

    def where(self, shard: Shard) -> str:
        """Which one it is, as ``round 7 of 30, seed 3``."""
        ...

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        """What the run would take, as JSON and for a reader."""
        ...

    def report(self, store: RunStore) -> tuple[Report, Callable[[Report], str]]:
        """What the run found, and its text; tables are written on the way."""
        ...

    def draw(self, store: RunStore) -> None:
        """Draw the figures into the run's folder."""
        ...


@dataclass(frozen=True)
class StudySearch:
    """A study as ``session.Search``."""

    study: Study

    @property
    def command(self) -> str:
        """See ``Search``."""
        return self.study.command

    @property
    def config(self) -> Any:
        """See ``Search``."""
        return self.study.config

    @property
    def plan(self) -> Plan:
        """See ``Search``."""
        return self.study.plan

    @property
    def gpus(self) -> int:
        """None: a study has one process on a GPU."""
        return 0

    def jobs(self, asked: int, course: Course | None) -> int:
        """One a core, and no more than can be used; one where a GPU trains."""
        if asked:
            return min(asked, self.study.lanes)
        return 1 if _on_cuda(self.plan) else min(cores(), self.study.lanes)

    def announce(self, folder: Path, jobs: int) -> list[str]:
        """Nothing: an estimate takes a trial."""
        return []

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        """See ``Search``."""
        return self.study.estimate(folder, jobs)

    def course(self, done: list[Shard]) -> RoundsCourse:
        """See ``Search``."""
        return self.study.course(done)

    def success(self, store: RunStore, sound: Verification) -> int | None:
        """None: all rounds count."""
        return None

    def seconds(self, course: Course, folder: Path) -> float:
        """By the trial that an estimate takes; a shard is a unit of work."""
        report, _ = self.study.estimate(folder, 1)
        return float(report["estimated_seconds"] / len(course))

    def prepare(self) -> None:
        """See ``Search``."""

    def tidy(self, folder: Path, finished: bool) -> None:
        """Of a finished run all files halfway."""
        tidy(folder, finished)

    def work(self, store: RunStore, jobs: int) -> Callable[[Shard], Outcome]:
        """See ``Search``; the processes share the threads of this one."""
        import torch

        threads = max(1, torch.get_num_threads() // jobs)  # as OMP_NUM_THREADS may say
        return self.study.work(store, threads)

    def watch(self, course: Course, progress: Progress) -> _Watch:
        """See ``Search``."""
        return _Watch(self.study, course, progress)

    def found(self, store: RunStore, course: Course) -> Found:
        """See ``Search``."""
        report, text = self.study.report(store)
        return Found(report, text, lambda: self.study.draw(store))


def _on_cuda(plan: Plan) -> bool:
    import torch

    return plan.trainer == "vmap" and torch.cuda.is_available()


class _Watch:
    """Tells how a study gets on.

    Attributes:
        runs: rows so far.
    """

    def __init__(self, study: Study, course: Course, progress: Progress) -> None:
        self._study, self._course, self._progress = study, course, progress
        self._rate = Rate()
        self.runs = 0

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        self.runs += outcome.runs
        self._rate.add(1)
        whole, left = self._course.whole_work()
        self._progress.show(1 - left / (whole or 1.0), self._note(shard, outcome, whole, left))

    def _note(self, shard: Shard, outcome: Outcome, whole: float, left: float) -> str:
        """As ``round 7 of 30, seed 3, best 0.8812, 32 of 124 done, 12 min 05 s left``."""
        parts = [
            self._study.where(shard),
            f"best {outcome.best:.4f}",
            f"{whole - left:.0f} of {whole:.0f} done",
        ]
        rate = self._rate.per_second()
        if rate is not None:
            parts.append(f"{duration(left / rate)} left")
        return ", ".join(parts)

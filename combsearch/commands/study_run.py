"""Running a study that prunes in rounds: the same for every study, whatever its rows are."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import sessions, sound_shards
from combsearch.engines import cores, local_engine
from combsearch.progress import Progress, Rate, duration
from combsearch.search.running import Outcome, run_course
from combsearch.store import RunStore, Shard, run_folder, write_json
from combsearch.studies.checkpoint import tidy
from combsearch.studies.course import RoundsCourse

Report = dict[str, Any]


class Plan(Protocol):
    """What every plan of a study tells."""

    @property
    def trainer(self) -> str:
        """Its trainer's name."""
        ...

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are."""
        ...

    def name(self) -> str:
        """A run's name made from its configuration."""
        ...


class Study(Protocol):
    """A run of a study: a plan, and what is particular to it."""

    @property
    def command(self) -> str:
        """Such as ``study pqi``."""
        ...

    @property
    def config(self) -> Any:
        """Its configuration, a dataclass."""
        ...

    @property
    def plan(self) -> Plan:
        """What is trained."""
        ...

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


def study_command(study_of: Callable[[], Study], options: Options) -> Report:
    """Run or continue a study; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task may print.
    with contextlib.redirect_stdout(sys.stderr):
        study = study_of()
        folder = run_folder(study.plan.name() if options.run is None else options.run, options.runs)
        if options.dry_run:
            report, text = study.estimate(folder, _jobs(study, options.jobs))
        else:
            report, text = _run(study, folder, options)
    say(json.dumps(report) if options.json else text)
    return report


def _jobs(study: Study, asked: int) -> int:
    """Processes: one a core, and no more than can be used; one where a GPU trains."""
    if asked:
        return min(asked, study.lanes)
    return 1 if _on_cuda(study.plan) else min(cores(), study.lanes)


def _on_cuda(plan: Plan) -> bool:
    import torch

    return plan.trainer == "vmap" and torch.cuda.is_available()


def _run(study: Study, folder: Path, options: Options) -> tuple[Report, str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, study.plan.identity())
    store.check_writable()
    course = study.course(sound_shards(store, quarantine=True))
    tidy(folder, course.complete())
    trained = _train(study, store, course, _jobs(study, options.jobs))
    tidy(folder, course.complete())
    report, text = study.report(store)
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    made_with = provenance(study.command, study.config, study.plan.trainer)
    report["sessions"] = sessions(folder, report, made_with)
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    if options.figures:  # last, so that nothing is missing where they cannot be drawn
        study.draw(store)
    return report, text(report)


def _train(study: Study, store: RunStore, course: RoundsCourse, jobs: int) -> int:
    """Do the rounds that are missing; how many networks that were."""
    if course.complete():
        return 0
    import torch

    threads = max(1, torch.get_num_threads() // jobs)  # as OMP_NUM_THREADS may say
    with Progress(study.command) as progress:
        watch = _Watch(study, course, progress)
        engine = local_engine(jobs, progress.say)
        run_course(study.work(store, threads), course, engine, watch)
    return watch.runs


class _Watch:
    """Tells how a study gets on.

    Attributes:
        runs: rows so far.
    """

    def __init__(self, study: Study, course: RoundsCourse, progress: Progress) -> None:
        self._study, self._course, self._progress = study, course, progress
        self._rate = Rate()
        self.runs = 0

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        self.runs += outcome.runs
        self._rate.add(1)
        whole, left = self._course.whole_work()
        self._progress.show(1 - left / whole, self._note(shard, outcome, whole, left))

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

"""The one flow of all commands that train shards into a run folder: open, train, report.

What is particular to a command is its ``Search``. A run may be trained by one command, by
several at once, or in parts by jobs of a cluster (``--ranks``): the folder is the truth.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import checked, log, note_part, sessions, sound_shards
from combsearch.engines import get_engine
from combsearch.errors import CombsearchError, InterruptedRunError
from combsearch.marks import Marks
from combsearch.progress import Progress
from combsearch.search.course import Course
from combsearch.search.running import Outcome, run_course
from combsearch.store import RunStore, Shard, Verification, run_folder, write_json

Report = dict[str, Any]


class Plan(Protocol):
    """What every plan tells."""

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


class Watch(Protocol):
    """Tells how a run gets on; called after every shard."""

    @property
    def runs(self) -> int:
        """Training runs so far."""
        ...

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        ...


@dataclass(frozen=True)
class Found:
    """What a run found.

    Attributes:
        report: as JSON; files beside it are written already.
        text: of the report, for a reader.
        draw: makes the figures.
    """

    report: Report
    text: Callable[[Report], str]
    draw: Callable[[], object]


class Described(Protocol):
    """What every run tells of itself."""

    @property
    def command(self) -> str:
        """Such as ``phase2`` or ``study pqi``."""
        ...

    @property
    def config(self) -> Any:
        """Its configuration, a dataclass."""
        ...

    @property
    def plan(self) -> Plan:
        """What is trained."""
        ...


class Search(Described, Protocol):
    """A run of a command that trains shards: a plan, and what is particular to it."""

    @property
    def gpus(self) -> int:
        """GPUs to spread processes over; 0 where cores do the work."""
        ...

    def jobs(self, asked: int, course: Course | None) -> int:
        """Processes to take; ``asked`` may be 0. No course: as many as can be of use."""
        ...

    def announce(self, folder: Path, jobs: int) -> list[str]:
        """Lines to say before anything is trained."""
        ...

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        """What the run would take, as JSON and for a reader; writes nothing."""
        ...

    def course(self, done: list[Shard]) -> Course:
        """All shards, of which ``done`` are saved."""
        ...

    def success(self, store: RunStore, sound: Verification) -> int | None:
        """The fewest nonzeros of a success in sound shards; None of none, or where none ends it."""
        ...

    def seconds(self, course: Course, folder: Path) -> float:
        """Seconds of one process that a unit of the course's work takes, about."""
        ...

    def prepare(self) -> None:
        """Done once before shards are trained, such as compiling."""
        ...

    def tidy(self, folder: Path, finished: bool) -> None:
        """Done before and after, whether or not anything is trained."""
        ...

    def work(self, store: RunStore, jobs: int) -> Callable[[Shard], Outcome]:
        """What trains a shard, in one of ``jobs`` processes."""
        ...

    def watch(self, course: Course, progress: Progress) -> Watch:
        """What tells how it gets on."""
        ...

    def found(self, store: RunStore, course: Course) -> Found:
        """What the run found so far."""
        ...


@dataclass(frozen=True)
class Begun:
    """A run whose folder is open.

    Attributes:
        search: what is to be done.
        store: of the run.
        course: where it stands.
    """

    search: Search
    store: RunStore
    course: Course


def run_search(search_of: Callable[[], Search], options: Options) -> Report:
    """Run or continue a search; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task or trainer may print.
    with contextlib.redirect_stdout(sys.stderr):
        search = search_of()
        folder = folder_of(search.plan, options)
        if options.dry_run:
            report, text = search.estimate(folder, search.jobs(options.jobs, None))
        elif options.ranks is not None:
            parts = [Shard(first, last) for first, last in options.parts()]
            report, text = _train_part(begin(search, folder, parts), options)
        else:
            if options.train:
                for line in search.announce(folder, search.jobs(options.jobs, None)):
                    log(line)
            else:
                RunStore.attach(folder)  # what reports makes no run
            report, text = _run(begin(search, folder), options)
    say(json.dumps(report) if options.json else text)
    return report


def folder_of(plan: Plan, options: Options) -> Path:
    """The run folder that the options name, or else the plan."""
    return run_folder(plan.name() if options.run is None else options.run, options.runs)


def begin(search: Search, folder: Path, parts: list[Shard] | None = None) -> Begun:
    """Open or create the run folder, and see where the run stands.

    Damaged shards are set aside. With ``parts`` only those of these ranks are looked into:
    of others, and of successes there, the names say enough.
    """
    store = RunStore.open(folder, search.plan.identity())
    store.check_writable()
    if parts is None:
        return Begun(search, store, standing(search, store, quarantine=True))
    course = search.course(sound_shards(store, quarantine=True, within=parts))
    course.keep_to(parts)
    course.hear(Marks(store.root).fewest())
    return Begun(search, store, course)


def standing(search: Search, store: RunStore, quarantine: bool) -> Course:
    """Where a run stands; with ``quarantine`` damaged shards are set aside."""
    sound = checked(store, quarantine)
    course = search.course(sound.valid)
    course.hear(search.success(store, sound))
    return course


def _run(begun: Begun, options: Options) -> tuple[Report, str]:
    """The report of the whole run, as JSON and for a reader."""
    started = time.monotonic()
    search, store, course = begun.search, begun.store, begun.course
    if not options.train and not course.complete():
        raise InterruptedRunError(_missing_text(begun))
    trained = _train(begun, options)
    found = search.found(store, course)
    report = found.report
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    report["sessions"] = sessions(store.root, report, _made_with(search))
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(store.root / "summary.json", report)
    if options.figures:  # last, so that nothing is missing where they cannot be drawn
        found.draw()
    return report, found.text(report)


def _made_with(search: Search) -> Report:
    return provenance(search.command, search.config, search.plan.trainer)


def _missing_text(begun: Begun) -> str:
    left = [shard for chain in begun.course.missing() for shard in chain]
    return (
        f"{len(left)} shards of {begun.store.root} are not trained yet, the first of them ranks"
        f" {left[0].first}:{left[0].last}; `combsearch status` names those that failed; submit the"
        " run again, or leave out --no-train"
    )


def _train_part(begun: Begun, options: Options) -> tuple[Report, str]:
    """Train some ranks; what was done, as JSON and in a line."""
    started = time.monotonic()
    trained = _train(begun, options)
    if not begun.course.complete():
        raise CombsearchError(
            f"ranks {options.ranks} wait for shards that no other part has trained yet:"
            " repeat the command once these are there, or give it their ranks too"
        )
    seconds = round(time.monotonic() - started, 3)
    if trained:
        note_part(begun.store.root, str(options.ranks), trained, seconds, _made_with(begun.search))
    report = {
        "command": begun.search.command,
        "ranks": options.ranks,
        "trained_now": trained,
        "seconds": seconds,
        "run_folder": str(begun.store.root),
    }
    text = f"ranks {options.ranks}: {trained:,} runs trained now, all that counts of them is saved"
    return report, f"{text}\n\nrun folder {begun.store.root}"


def _train(begun: Begun, options: Options) -> int:
    """Train what is missing; how many training runs that were."""
    search, store, course = begun.search, begun.store, begun.course
    whole = options.ranks is None  # what other parts have halfway is theirs
    search.tidy(store.root, whole and course.complete())
    if course.complete():
        return 0
    search.prepare()
    jobs = search.jobs(options.jobs, course)
    with Progress(search.command) as progress:
        watch = search.watch(course, progress)
        engine = get_engine(options.engine, jobs, progress.say, search.gpus, options.scheduler)
        run_course(search.work(store, jobs), course, engine, watch, Marks(store.root))
    search.tidy(store.root, whole and course.complete())
    return watch.runs

"""The loop of every search: give out the shards that count until all of those are saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from combsearch.errors import CombsearchError, RunMismatchError
from combsearch.marks import Marks
from combsearch.runfile import identity_digest
from combsearch.search.course import Course
from combsearch.shards import range_name
from combsearch.store import Shard

T = TypeVar("T")

_HEAR_SECONDS = 1.0  # between two looks for what other processes have found


@dataclass(frozen=True)
class Outcome:
    """What a finished shard reports; its rows are in the store.

    Attributes:
        runs: training runs, those given up early included.
        successes: how many reached the target.
        best: accuracy of the best.
    """

    runs: int
    successes: int
    best: float


@dataclass(frozen=True)
class Failure:
    """An engine's word that it gave up a shard."""

    reason: str


class Engine(Protocol):
    """Where shards run; see ``combsearch.engines``."""

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """(shard, work(shard)) as they finish; ``shards`` is asked for more while it runs.

        To close it ends what is still running. What ``work`` raises is raised here,
        except that it ran out of memory or died with its process: then the shard is
        tried again, in the end given up.
        """
        ...


def check_unchanged(task: str, found: dict[str, Any], identity: str) -> None:
    """Refuse to go on when what a worker loads is not what its run was begun with.

    Args:
        task: that the configuration names.
        found: identity of the plan as it loads now.
        identity: ``identity_digest`` of the run.

    Raises:
        RunMismatchError: they differ.
    """
    if identity_digest(found) != identity:
        raise RunMismatchError(
            f"task {task!r} or the initial weights changed while the run was going on: restore"
            " them and repeat the command, or start another run"
        )


def run_course(
    work: Callable[[Shard], Outcome],
    course: Course,
    engine: Engine,
    watch: Callable[[Shard, Outcome], None],
    marks: Marks | None = None,
) -> None:
    """Do what is missing, up to where ``course`` ends.

    Args:
        work: trains a shard and commits its rows.
        course: learns of every shard before ``watch`` does.
        engine: where it runs.
        watch: called after every shard.
        marks: of the run: shards that were given up and successes are marked there, and what
            other processes have found ends this search too.

    Raises:
        CombsearchError: shards that count were given up; everything else is saved.
    """
    notes = _Notes(course, marks)
    notes.hear()
    if course.complete():
        return
    failed: list[tuple[Shard, str]] = []
    with closing(engine.run(work, course.todo())) as results:
        for shard, result in results:
            if isinstance(result, Failure):
                failed.append((shard, result.reason))
                notes.failed(shard, result.reason)
            else:
                notes.saved(shard, result)
                watch(shard, result)
            notes.hear()
            if course.complete():
                return  # what still runs does not count
    failed = [(shard, reason) for shard, reason in failed if shard.first < course.end]
    if failed:
        shard, reason = failed[0]
        raise CombsearchError(
            f"{len(failed)} of the shards could not be trained, such as ranks {shard.first} to"
            f" {shard.last - 1}: {reason}; all others are saved, so repeat the command with fewer"
            " --jobs or more memory"
        )


class _Notes:
    """What is written down of a search as it goes on, and what is heard of others."""

    def __init__(self, course: Course, marks: Marks | None) -> None:
        self._course, self._marks = course, marks
        self._marked = {mark.shard for mark in marks.failures()} if marks else set()
        self._heard = float("-inf")

    def failed(self, shard: Shard, reason: str) -> None:
        """A shard was given up."""
        if self._marks is not None:
            self._marks.fail(shard, reason)

    def saved(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved; a success that ends the search is marked for other processes."""
        before = self._course.found
        self._course.note(shard, outcome.successes)
        if self._marks is None:
            return
        if shard in self._marked:
            self._marks.clear(shard)
        if self._course.found is not None and self._course.found != before:
            for file in (self._marks.root / "shards").glob(f"{range_name(shard)}*"):
                self._marks.succeed(self._course.found, file)

    def hear(self) -> None:
        """Learn of successes of other processes; now and then, since that asks a file system."""
        now = time.monotonic()
        if self._marks is not None and now - self._heard > _HEAR_SECONDS:
            self._heard = now
            self._course.hear(self._marks.fewest())

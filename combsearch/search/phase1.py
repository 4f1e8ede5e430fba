"""Phase one: which dense shape with the fewest nonzeros learns the task.

Every shape of the grid is trained in every cell, level by level in increasing
nonzeros, until a level holds a success (paper, section 4: a grid over all widths).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pyarrow as pa

from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError
from combsearch.search.course import Course
from combsearch.search.grid import Grid
from combsearch.search.plan import NUMERICS, Plan, SettingError
from combsearch.search.results import (
    ShapeResult,
    best_network,
    first_success,
    runners_up,
    shape_results,
    successes,
    winner,
)
from combsearch.search.training import Outcome, Work
from combsearch.store import RunStore, Shard

__all__ = [
    "NUMERICS",
    "Course",
    "Engine",
    "Failure",
    "Outcome",
    "Plan",
    "SettingError",
    "ShapeResult",
    "Work",
    "begin",
    "best_network",
    "counted",
    "counted_rows",
    "first_success",
    "runners_up",
    "search",
    "shape_results",
    "successes",
    "winner",
]

T = TypeVar("T")


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


def begin(plan: Plan, store: RunStore, done: Iterable[Shard]) -> Course:
    """Where the search stands; ``done`` are the sound shards of ``store.verify``."""
    found = None
    if not plan.config.full:
        saved = store.read(["nonzeros", "accuracy", "status"])
        found = first_success(saved, plan.config.target)
    return Course(plan.grid.nonzeros, plan.work, done, found, stops=not plan.config.full)


def search(
    plan: Plan,
    store: RunStore,
    engine: Engine,
    watch: Callable[[Shard, Outcome], None],
    course: Course | None = None,
) -> None:
    """Train what is missing, up to the first level with a success (``full``: everything).

    Args:
        plan: what to train.
        store: where the rows go.
        engine: where it runs.
        watch: called after every shard; ``course`` then knows of it.
        course: from ``begin``; when absent, the store is verified first.

    Raises:
        CombsearchError: shards that count were given up; everything else is saved.
    """
    if course is None:
        course = begin(plan, store, store.verify().valid)
    if course.complete():
        return
    failed: list[tuple[Shard, str]] = []
    todo = course.todo(plan.shards())
    with closing(engine.run(Work(plan.config, store), todo)) as results:
        for shard, result in results:
            if isinstance(result, Failure):
                failed.append((shard, result.reason))
                continue
            course.note(shard, result.successes)
            watch(shard, result)
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


def counted(plan: Plan, store: RunStore) -> pa.Table:
    """The rows of the result: all levels up to the first with a success."""
    return counted_rows(store.read(), plan.config, plan.grid)


def counted_rows(rows: pa.Table, config: SearchConfig, grid: Grid) -> pa.Table:
    """Those of ``rows``, all that are saved, which ``counted`` gives."""
    level = None if config.full else first_success(rows, config.target)
    if level is None:
        return rows
    return rows.slice(0, int((rows["rank"].to_numpy() < grid.level_end(level)).sum()))

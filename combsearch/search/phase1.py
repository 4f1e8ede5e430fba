"""Phase one: which dense shape with the fewest nonzeros learns the task.

Every shape of the grid is trained in every cell, level by level in increasing
nonzeros, until a level holds a success (paper, section 4: a grid over all widths).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from combsearch.config import SearchConfig
from combsearch.search import results
from combsearch.search.course import Course
from combsearch.search.grid import Grid
from combsearch.search.plan import NUMERICS, Plan, SettingError
from combsearch.search.results import (
    ShapeResult,
    best_network,
    best_row,
    first_success,
    runners_up,
    shape_results,
    successes,
    winner,
)
from combsearch.search.running import Engine, Failure, Outcome, run_course
from combsearch.search.training import Work
from combsearch.store import RunStore, Shard, Verification

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
    "best_row",
    "counted",
    "counted_rows",
    "course_of",
    "first_success",
    "runners_up",
    "saved_success",
    "search",
    "shape_results",
    "successes",
    "winner",
]


def course_of(plan: Plan, done: Iterable[Shard], found: int | None = None) -> Course:
    """All shards of the search, of which ``done`` are saved; ``found`` as ``saved_success``."""
    cuts = plan.shard_starts
    work = np.add.reduceat(plan.work, cuts[:-1])
    levels = plan.grid.nonzeros[cuts[:-1]]
    return Course(list(plan.shards()), levels, work, done, found, stops=not plan.config.full)


def saved_success(plan: Plan, store: RunStore, sound: Verification) -> int | None:
    """The fewest nonzeros of a success in sound shards; None of none, or where none ends it."""
    if plan.config.full:
        return None
    target = plan.config.target
    return results.saved_success(store, target, sound.reaching(target))


def begin(plan: Plan, store: RunStore, sound: Verification) -> Course:
    """Where the search stands; ``sound`` is what ``store.verify`` found."""
    return course_of(plan, sound.valid, saved_success(plan, store, sound))


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
        course = begin(plan, store, store.verify())
    run_course(Work(plan.settled, store), course, engine, watch)


def counted(plan: Plan, store: RunStore) -> pa.Table:
    """The rows of the result: all levels up to the first with a success."""
    return counted_rows(store.read(), plan.config, plan.grid)


def counted_rows(rows: pa.Table, config: SearchConfig, grid: Grid) -> pa.Table:
    """Those of ``rows``, all that are saved, which ``counted`` gives."""
    level = None if config.full else first_success(rows, config.target)
    if level is None:
        return rows
    return rows.slice(0, int((rows["rank"].to_numpy() < grid.level_end(level)).sum()))

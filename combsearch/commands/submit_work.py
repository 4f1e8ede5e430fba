"""What of a run is to be submitted: the shards that are missing and not queued, in elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from combsearch.commands.running import log
from combsearch.commands.session import Search
from combsearch.commands.submit_inner import Inner
from combsearch.engines import slurm
from combsearch.engines.slurm_elements import pack
from combsearch.engines.slurm_folder import Submission, jobs_of, ranks_in
from combsearch.progress import duration
from combsearch.search import devices
from combsearch.search.course import Course
from combsearch.shards import Shard, uncovered
from combsearch.slurm_config import SIGNAL_SECONDS, SlurmConfig, walltime_seconds


@dataclass(frozen=True)
class Queue:
    """What earlier submissions have in the queue.

    Attributes:
        jobs: that are not through.
        shards: ranges of ranks that their elements will train.
    """

    jobs: list[str]
    shards: list[Shard]


@dataclass(frozen=True)
class Work:
    """What is to be submitted.

    Attributes:
        elements: the shards of each; one without any of a command that has no shards.
        seconds: that each takes, about; 0 where that is not known.
        queued: shards that are missing, and that elements in the queue will train.
        waiting: the jobs of those elements.
    """

    elements: list[list[Shard]]
    seconds: list[float]
    queued: int
    waiting: list[str]


def queue_of(earlier: Sequence[Submission]) -> Queue:
    """What of earlier submissions waits or runs; raises as ``slurm.queued``."""
    jobs = jobs_of(earlier)
    queue = slurm.queued(jobs) if jobs else {}
    ranks = [shard for _, ranks in ranks_in(earlier, queue) for shard in ranks]
    return Queue(list(dict.fromkeys(element.job for element in queue)), sorted(ranks))


def divide(inner: Inner, config: SlurmConfig, course: Course | None, queue: Queue) -> Work:
    """What is missing and not queued, divided among elements.

    Args:
        inner: what is to be trained.
        config: how long an element shall be, and what it has.
        course: where the run stands; None of a command without shards.
        queue: what will be trained without it.
    """
    if inner.search is None or course is None:
        nothing = queue.jobs or inner.finished
        return Work([], [], 0, queue.jobs) if nothing else Work([[]], [0.0], 0, [])
    missing = course.missing()
    open_shards = set(uncovered(chain.from_iterable(missing), queue.shards))
    left = [group for group in missing if not open_shards.isdisjoint(group)]
    unit = _unit_seconds(inner, inner.search, config, course) if left else 0.0

    def seconds_of(shard: Shard) -> float:
        return unit * course.work_of(shard)

    elements = pack(left, seconds_of, config.seconds)
    longest = max(map(course.work_of, chain.from_iterable(left)), default=0.0)
    _warn_of_long_shards(config, longest * unit * _processes(inner, config))
    seconds = [sum(map(seconds_of, shards)) for shards in elements]
    queued = sum(map(len, missing)) - sum(map(len, left))
    return Work(elements, seconds, queued, queue.jobs)


def _unit_seconds(inner: Inner, search: Search, config: SlurmConfig, course: Course) -> float:
    """Seconds of an element that a unit of the course's work takes, about."""
    alone = 1 / devices.RATE if inner.on_gpu else search.seconds(course, inner.folder)
    return alone / _processes(inner, config)


def _processes(inner: Inner, config: SlurmConfig) -> int:
    """Shards that an element trains at a time, about: one a GPU, or one a core."""
    if inner.on_gpu:
        return config.gpu_count
    return inner.settings.options.jobs or (1 if config.gpu_count else config.cores)


def _warn_of_long_shards(config: SlurmConfig, longest: float) -> None:
    """Say so where a shard may be longer than an element: it would be begun again and again."""
    wall = walltime_seconds(config.time)
    if wall is not None and longest > wall - SIGNAL_SECONDS:
        log(
            f"the longest shard takes about {duration(longest)}, with a walltime of {config.time}"
            " it may never end: ask for more --time"
        )

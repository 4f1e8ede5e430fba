"""``combsearch prune``: every pruning method at every width and budget, trained and saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from combsearch.commands.prune_estimate import cost_line, estimate, estimate_text
from combsearch.commands.prune_report import make_report, report_text
from combsearch.commands.running import compile_kernel, useful_jobs
from combsearch.commands.session import Found, Report, Search, standing
from combsearch.progress import Progress, Rate, duration
from combsearch.prune_config import PruneConfig
from combsearch.search import devices
from combsearch.search.course import Course
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard, Verification
from combsearch.sweep.course import SweepCourse
from combsearch.sweep.plan import SHARD_SECONDS, PrunePlan
from combsearch.sweep.training import PruneWork


def open_search(config: PruneConfig) -> Search:
    """The sweep that a configuration describes.

    Raises:
        SettingError: as ``PrunePlan.of``.
    """
    return _Sweep(PrunePlan.of(config))


def begin(plan: PrunePlan, store: RunStore, quarantine: bool = True) -> Course:
    """Where the sweep stands; with ``quarantine`` damaged shards are set aside."""
    return standing(_Sweep(plan), store, quarantine)


@dataclass(frozen=True)
class _Sweep:
    """See ``session.Search``."""

    plan: PrunePlan

    @property
    def command(self) -> str:
        return "prune"

    @property
    def config(self) -> PruneConfig:
        return self.plan.config

    @property
    def gpus(self) -> int:
        return devices.gpus(self.plan.trainer)

    def jobs(self, asked: int, course: Course | None) -> int:
        return useful_jobs(self.plan.trainer, asked, course, SHARD_SECONDS)

    def announce(self, folder: Path, jobs: int) -> list[str]:
        return [cost_line(estimate(self.plan, folder, jobs))]

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        report = estimate(self.plan, folder, jobs)
        return report, estimate_text(report)

    def course(self, done: list[Shard]) -> SweepCourse:
        return SweepCourse(self.plan, done)

    def success(self, store: RunStore, sound: Verification) -> int | None:
        return None

    def seconds(self, course: Course, folder: Path) -> float:
        return 1.0

    def prepare(self) -> None:
        compile_kernel(self.plan.trainer)

    def tidy(self, folder: Path, finished: bool) -> None:
        pass

    def work(self, store: RunStore, jobs: int) -> PruneWork:
        return PruneWork(self.plan.config, store)

    def watch(self, course: Course, progress: Progress) -> _Watch:
        return _Watch(self.plan, course, progress)

    def found(self, store: RunStore, course: Course) -> Found:
        rows = store.read()

        def draw() -> None:
            from combsearch.commands.prune_figures import draw_sweep

            draw_sweep(rows, store.root / "figures")

        return Found(make_report(self.plan, rows, store.root), report_text, draw)


class _Watch:
    """Tells how a sweep gets on.

    Attributes:
        runs: training runs so far.
    """

    def __init__(self, plan: PrunePlan, course: Course, progress: Progress) -> None:
        self._plan, self._course, self._progress = plan, course, progress
        self._all = plan.ranks * plan.runs_per_rank
        self._work_rate = Rate()
        self._begun = course.whole_work()[1]
        self.runs = 0

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        self.runs += outcome.runs
        self._work_rate.add(self._course.work_of(shard))
        whole, left = self._course.whole_work()
        self._progress.show(1 - left / (whole or 1.0), self._note(shard, left))

    def _note(self, shard: Shard, left: float) -> str:
        """As ``snip at width 16, 414 runs now, 18,954 in all, 1 h 03 min left``."""
        group = self._plan.group_of(shard.first)
        parts = [
            f"{group.method} at width {group.width}",
            f"{self.runs:,} runs now, {self._all:,} in all",
        ]
        work = self._work_rate.per_second()
        if work is not None:
            parts.append(f"{duration(left / work)} left")
        return ", ".join(parts)

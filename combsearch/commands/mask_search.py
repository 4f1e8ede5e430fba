"""``combsearch phase2`` and ``combsearch exhaust``: train masks level by level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from combsearch.commands.mask_estimate import CORE_RATES, cost_line, estimate, estimate_text
from combsearch.commands.mask_report import best_network, make_report, report_text
from combsearch.commands.running import Watch, compile_kernel, useful_jobs, work_rate
from combsearch.commands.session import Found, Report, Search, standing
from combsearch.progress import Progress
from combsearch.search import devices
from combsearch.search.course import Course
from combsearch.search.mask_plan import SHARD_WORK, MaskConfig, MaskPlan
from combsearch.search.mask_training import MaskWork
from combsearch.search.results import saved_success
from combsearch.search.tally import tally_of
from combsearch.store import RunStore, Shard, Verification


def open_search(config: MaskConfig) -> Search:
    """The search that a configuration describes.

    Raises:
        SettingError: as ``MaskPlan.of``.
    """
    return _MaskSearch(MaskPlan.of(config))


def begin(plan: MaskPlan, store: RunStore, quarantine: bool = True) -> Course:
    """Where the search stands; with ``quarantine`` damaged shards are set aside."""
    return standing(_MaskSearch(plan), store, quarantine)


@dataclass(frozen=True)
class _MaskSearch:
    """See ``session.Search``."""

    plan: MaskPlan

    @property
    def command(self) -> str:
        return self.plan.command

    @property
    def config(self) -> MaskConfig:
        return self.plan.config

    @property
    def gpus(self) -> int:
        return devices.gpus(self.plan.trainer)

    def jobs(self, asked: int, course: Course | None) -> int:
        return useful_jobs(self.plan.trainer, asked, course, SHARD_WORK)

    def announce(self, folder: Path, jobs: int) -> list[str]:
        lines = []
        if self.plan.initial is not None:
            lines.append(
                "from one initialisation the members of an orbit train differently: orbits are"
                f" not reduced, masks are those of --symmetry {self.plan.symmetry}"
            )
        return [*lines, cost_line(estimate(self.plan, folder, jobs))]

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        report = estimate(self.plan, folder, jobs)
        return report, estimate_text(report)

    def course(self, done: list[Shard]) -> Course:
        plan, config = self.plan, self.plan.config
        starts = np.array([segment.rank for segment in plan.segments])
        place = np.searchsorted(starts, [shard.first for shard in plan.shards], side="right") - 1
        nonzeros = np.array([plan.segments[p].nonzeros for p in place], np.int64)
        work = np.array([plan.work(shard) for shard in plan.shards])
        return Course(
            plan.shards, nonzeros, work, done, None, not config.every_level, config.beyond
        )

    def success(self, store: RunStore, sound: Verification) -> int | None:
        config = self.plan.config
        if config.every_level:
            return None
        return saved_success(store, config.target, sound.reaching(config.target))

    def seconds(self, course: Course, folder: Path) -> float:
        return 1 / work_rate(CORE_RATES, self.plan.trainer, 1)

    def prepare(self) -> None:
        compile_kernel(self.plan.trainer)

    def tidy(self, folder: Path, finished: bool) -> None:
        pass

    def work(self, store: RunStore, jobs: int) -> MaskWork:
        return MaskWork(self.plan.settled, store)

    def watch(self, course: Course, progress: Progress) -> Watch:
        config = self.plan.config
        return Watch(course, progress, config.target, "mask", config.every_level)

    def found(self, store: RunStore, course: Course) -> Found:
        plan, folder = self.plan, store.root
        tally = tally_of(plan, store, course.end)
        report = make_report(plan, tally, folder)

        def draw() -> None:
            if tally.rows:
                from combsearch.commands.figures import draw_masks

                nets = best_network(plan, tally)
                draw_masks(tally.best, plan.task, report, nets, folder / "figures")

        return Found(report, report_text, draw)

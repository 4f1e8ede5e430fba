"""``combsearch study dctps``: sparse networks beside a fixed transform, and without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from combsearch.commands.session import Search
from combsearch.commands.study_dctps_report import make_report, report_text
from combsearch.commands.study_dctps_runs import draw_rows
from combsearch.commands.study_run import Report, StudySearch
from combsearch.dctps_rows import SHOWN
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard, write_bytes
from combsearch.studies.course import RoundsCourse
from combsearch.studies.dctps.config import DctpsConfig, all_rows
from combsearch.studies.dctps.plan import DctpsPlan
from combsearch.studies.dctps.table import csv_table
from combsearch.studies.dctps.work import DctpsWork, dctps_course, place_of


def open_search(config: DctpsConfig) -> Search:
    """The study that a configuration describes, as a search."""
    return StudySearch(_DctpsStudy(DctpsPlan.of(config)))


@dataclass(frozen=True)
class _DctpsStudy:
    """See ``study_run.Study``."""

    plan: DctpsPlan

    @property
    def command(self) -> str:
        return "study dctps"

    @property
    def config(self) -> DctpsConfig:
        return self.plan.config

    @property
    def lanes(self) -> int:
        return all_rows(self.config)

    def course(self, done: list[Shard]) -> RoundsCourse:
        return dctps_course(self.config, done)

    def work(self, store: RunStore, threads: int) -> Callable[[Shard], Outcome]:
        return DctpsWork(self.config, store, threads)

    def where(self, shard: Shard) -> str:
        place, seed = place_of(self.config, shard)
        return f"{self.plan.settings[place].text}, seed {seed}"

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        from combsearch.commands.study_dctps_estimate import estimate, estimate_text

        report = estimate(self.plan, folder, jobs)
        return report, estimate_text(report)

    def report(self, store: RunStore) -> tuple[Report, Callable[[Report], str]]:
        rows = store.read(SHOWN)
        write_bytes(store.root / "table.csv", csv_table(rows).encode())
        return make_report(self.config, rows, store.root), report_text

    def draw(self, store: RunStore) -> None:
        draw_rows(store.read(SHOWN), store.root / "figures")

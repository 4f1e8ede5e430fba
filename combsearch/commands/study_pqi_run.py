"""``combsearch study pqi``: networks pruned round by round, and how compressible they stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from combsearch.commands.session import Search
from combsearch.commands.study_pqi_report import make_report, report_text
from combsearch.commands.study_pqi_runs import draw_rows
from combsearch.commands.study_run import Report, StudySearch
from combsearch.pqi_rows import SHOWN
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard, write_bytes
from combsearch.studies.course import RoundsCourse
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.table import csv_table
from combsearch.studies.pqi.work import PqiWork, place_of, pqi_course


def open_search(config: PqiConfig) -> Search:
    """The study that a configuration describes, as a search."""
    return StudySearch(_PqiStudy(PqiPlan.of(config)))


@dataclass(frozen=True)
class _PqiStudy:
    """See ``study_run.Study``."""

    plan: PqiPlan

    @property
    def command(self) -> str:
        return "study pqi"

    @property
    def config(self) -> PqiConfig:
        return self.plan.config

    @property
    def lanes(self) -> int:
        return self.config.seeds

    def course(self, done: list[Shard]) -> RoundsCourse:
        return pqi_course(self.plan, done)

    def work(self, store: RunStore, threads: int) -> Callable[[Shard], Outcome]:
        return PqiWork(self.config, store, threads)

    def where(self, shard: Shard) -> str:
        number, seed = place_of(self.plan, shard)
        return f"round {number} of {self.config.rounds}, seed {seed}"

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        from combsearch.commands.study_pqi_estimate import estimate, estimate_text

        report = estimate(self.plan, folder, jobs)
        return report, estimate_text(report)

    def report(self, store: RunStore) -> tuple[Report, Callable[[Report], str]]:
        rows = store.read(SHOWN)
        write_bytes(store.root / "table.csv", csv_table(rows, self.config.grid).encode())
        return make_report(self.config, rows, store.root), report_text

    def draw(self, store: RunStore) -> None:
        draw_rows(self.config, store.read(SHOWN), store.root / "figures")

"""``combsearch study dctps spiral``: supports of every budget beside a free dense offset."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from combsearch import runfile
from combsearch.commands.session import Search
from combsearch.commands.study_dctps_spiral_runs import draw_rows, make_report, report_text
from combsearch.commands.study_run import Report, StudySearch
from combsearch.dctps_spiral_rows import SHOWN
from combsearch.nets import NetBatch
from combsearch.progress import duration
from combsearch.rng import RunKeys
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard, write_bytes
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.dctps.spiral_plan import COMMAND, SpiralPlan
from combsearch.studies.dctps.spiral_table import by_parameters, csv_table
from combsearch.studies.dctps.spiral_work import LevelsCourse, SpiralWork

_TRIAL_STEPS, _TRIAL_NETS = 100, 64
_ROW_BYTES = 150  # compressed, with the support and its numbers


def open_search(config: SpiralConfig) -> Search:
    """The study that a configuration describes, as a search."""
    return StudySearch(_SpiralStudy(SpiralPlan.of(config)))


@dataclass(frozen=True)
class _SpiralStudy:
    """See ``study_run.Study``."""

    plan: SpiralPlan

    @property
    def command(self) -> str:
        return COMMAND

    @property
    def config(self) -> SpiralConfig:
        return self.plan.config

    @property
    def lanes(self) -> int:
        numbers = [self.plan.level_of(shard).number for shard in self.plan.shards()]
        if self.config.supports == "random":
            return len(numbers)
        return int(np.bincount(numbers).max())

    def course(self, done: list[Shard]) -> LevelsCourse:
        return LevelsCourse(self.plan, done)

    def work(self, store: RunStore, threads: int) -> Callable[[Shard], Outcome]:
        return SpiralWork(self.config, store, threads)

    def where(self, shard: Shard) -> str:
        level = self.plan.level_of(shard)
        return f"level {level.number + 1} of {len(self.plan.levels)}, {level.budget} places"

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        report = _estimate(self.plan, folder, jobs)
        return report, _estimate_text(report)

    def report(self, store: RunStore) -> tuple[Report, Callable[[Report], str]]:
        rows = store.read(SHOWN)
        write_bytes(store.root / "table.csv", csv_table(by_parameters(rows)).encode())
        return make_report(self.config, rows, _all_rows(self.plan), store.root), report_text

    def draw(self, store: RunStore) -> None:
        draw_rows([(self.config, store.read(SHOWN))], {}, store.root / "figures")


def _all_rows(plan: SpiralPlan) -> int:
    return sum(level.size for level in plan.levels) * plan.runs_each


def _estimate(plan: SpiralPlan, folder: Path, jobs: int) -> Report:
    """Runs, time and disk as JSON, by a short trial.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    rows = _all_rows(plan)
    return {
        "command": COMMAND,
        "dry_run": True,
        "run_folder": str(folder),
        "config": plan.config.to_json(),
        "trainer": plan.trainer,
        "places": plan.network.places,
        "levels": [[level.budget, level.size, level.origin] for level in plan.levels],
        "rows": rows,
        "jobs": jobs,
        "estimated_seconds": round(rows * _run_seconds(plan) / jobs, 3),
        "estimated_bytes": rows * _ROW_BYTES,
    }


def _run_seconds(plan: SpiralPlan) -> float:
    """Seconds of one training run, by a trial."""
    recipe, trainer = plan.config.recipes()[0], plan.get_trainer()
    count = _TRIAL_NETS
    keys = RunKeys.make(0, np.zeros(count), [recipe.cell] * count, np.zeros(count), block=1)
    nets = NetBatch.create(plan.network, keys)
    total = recipe.total_steps(plan.task.points)
    stop = min(_TRIAL_STEPS, total)
    trainer.fit(nets, plan.task, recipe, keys, slice(0, min(2, total)))  # compiles, lays out
    began = time.perf_counter()
    trainer.fit(nets, plan.task, recipe, keys, slice(0, stop))
    return (time.perf_counter() - began) * total / stop / count


def _estimate_text(report: Report) -> str:
    config = report["config"]
    return (
        f"({config['shape']}) on {config['task']}, {config['supports']} supports of"
        f" {report['places']} places: {len(report['levels'])} levels, {report['rows']:,} runs,"
        f" about {duration(report['estimated_seconds'])} with {report['jobs']} processes"
        f" (by a trial) and {report['estimated_bytes'] / 1e6:,.0f} MB in {report['run_folder']};"
        " nothing was written"
    )

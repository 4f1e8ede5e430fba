"""``combsearch study dimensionality extrinsic|intrinsic|task|spiral``: run or continue one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.commands.session import Search
from combsearch.commands.study_dimensionality_runs import draw_rows, write_tables
from combsearch.commands.study_run import Report, StudySearch
from combsearch.dimension_rows import SHOWN
from combsearch.nets import NetBatch
from combsearch.progress import duration
from combsearch.search.running import Outcome
from combsearch.store import RunStore, Shard
from combsearch.studies.course import RoundsCourse
from combsearch.studies.dimensionality.config import ImpConfig
from combsearch.studies.dimensionality.imp import dense_masks
from combsearch.studies.dimensionality.plan import ImpPlan, Setting, command_of
from combsearch.studies.dimensionality.report import make_report, report_text
from combsearch.studies.dimensionality.training import train
from combsearch.studies.dimensionality.work import ImpWork, all_rows, imp_course, place_of

_TRIAL_STEPS = 4
_ROW_BYTES = 500  # without the mask, compressed


def open_search(config: ImpConfig) -> Search:
    """The study that a configuration describes, as a search."""
    return StudySearch(_ImpStudy(ImpPlan.of(config)))


@dataclass(frozen=True)
class _ImpStudy:
    """See ``study_run.Study``."""

    plan: ImpPlan

    @property
    def command(self) -> str:
        return command_of(self.plan.config)

    @property
    def config(self) -> ImpConfig:
        return self.plan.config

    @property
    def lanes(self) -> int:
        return len(self.plan.settings)

    def course(self, done: list[Shard]) -> RoundsCourse:
        return imp_course(self.plan, done)

    def work(self, store: RunStore, threads: int) -> Callable[[Shard], Outcome]:
        return ImpWork(self.config, store, threads)

    def where(self, shard: Shard) -> str:
        place, number = place_of(self.plan, shard)
        setting = self.plan.settings[place]
        where = f"width {setting.width}, dimension {setting.dimension}"
        return f"{where}, round {number} of {self.config.rounds}"

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        report = _estimate(self.plan, folder, jobs)
        return report, _estimate_text(report)

    def report(self, store: RunStore) -> tuple[Report, Callable[[Report], str]]:
        rows = store.read(SHOWN)
        report = make_report(self.config, rows, all_rows(self.plan), store.root)
        write_tables(self.config, rows, store.root)
        return report, report_text

    def draw(self, store: RunStore) -> None:
        draw_rows(self.config, store.read(SHOWN), store.root / "figures")


def _estimate(plan: ImpPlan, folder: Path, jobs: int) -> Report:
    """Networks, steps, time and disk as JSON; a few steps of every setting are taken to see.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    config = plan.config
    trials = [_trial(plan, setting) for setting in plan.settings]
    rows = all_rows(plan)
    seconds = sum(trial["seconds"] for trial in trials) / jobs
    weights = sum(trial["weights"] for trial in trials) / len(trials)
    return {
        "command": command_of(config),
        "dry_run": True,
        "run_folder": str(folder),
        "config": config.to_json(),
        "trainer": plan.trainer,
        "rows": rows,
        "networks": len(plan.settings) * config.seeds * (1 + config.rounds * len(config.rewinds)),
        "steps_per_network": trials[0]["steps"],
        "jobs": jobs,
        "estimated_seconds": round(seconds),
        "estimated_bytes": round(rows * (_ROW_BYTES + weights / 8)),
    }


def _trial(plan: ImpPlan, setting: Setting) -> dict[str, float]:
    """Seconds that a setting takes on one process, by a trial of a few steps of all its seeds."""
    found = plan.load(setting)
    keys, recipe, trainer = plan.keys(found.network), plan.config.recipe(), plan.get_trainer()
    nets, total = NetBatch.create(found.network, keys), plan.total_steps(found.source)
    train(trainer, nets, found.source, recipe, keys, 0, 1)  # compiles, and draws the first points
    began = time.perf_counter()
    steps = min(_TRIAL_STEPS, total)
    train(trainer, nets, found.source, recipe, keys, 0, steps)
    seconds = (time.perf_counter() - began) * total / steps
    if found.source.fresh:  # an epoch's points are drawn once, not in every trial of a few steps
        seconds = min(seconds, _fresh_seconds(plan, nets, found))
    weights = sum(int(mask[0].size) for mask in dense_masks(plan, found).values())
    rounds = 1 + plan.config.rounds * len(plan.config.rewinds)
    return {"seconds": seconds * rounds, "weights": weights, "steps": total}


def _fresh_seconds(plan: ImpPlan, nets: NetBatch, found: Any) -> float:
    """Seconds of a whole training on fresh points, by one epoch."""
    keys, recipe = plan.keys(found.network), plan.config.recipe()
    steps = recipe.steps_per_epoch(found.source.points)
    began = time.perf_counter()
    train(plan.get_trainer(), nets, found.source, recipe, keys, 0, steps)
    return (time.perf_counter() - began) * recipe.epochs


def _estimate_text(report: Report) -> str:
    """The estimate for a reader."""
    return (
        f"{report['command']}: {report['networks']:,} networks, {report['steps_per_network']:,}"
        f" steps each, about {duration(report['estimated_seconds'])} with {report['jobs']}"
        f" process{'es' * (report['jobs'] != 1)} (by a trial of a few steps) and"
        f" {report['estimated_bytes'] / 1e6:,.0f} MB in {report['run_folder']}; nothing was written"
    )

"""``combsearch phase1``: what it searches, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.commands.estimate import CORE_RATES, estimate, estimate_text
from combsearch.commands.running import Watch, compile_kernel, useful_jobs, work_rate
from combsearch.commands.session import Found, Report, Search
from combsearch.commands.tables import interval_text, shape_table, shape_text
from combsearch.config import SearchConfig
from combsearch.progress import Progress
from combsearch.saved_network import save_network
from combsearch.search import devices, phase1
from combsearch.search.course import Course
from combsearch.search.phase1 import Plan, ShapeResult, Work
from combsearch.search.plan import SHARD_WORK
from combsearch.search.results import row_facts
from combsearch.store import RunStore, Shard, Verification, digest


@dataclass(frozen=True)
class _Phase1Search:
    """See ``session.Search``."""

    plan: Plan

    @property
    def command(self) -> str:
        return "phase1"

    @property
    def config(self) -> SearchConfig:
        return self.plan.config

    @property
    def gpus(self) -> int:
        return devices.gpus(self.plan.trainer)

    def jobs(self, asked: int, course: Course | None) -> int:
        return useful_jobs(self.plan.trainer, asked, course, SHARD_WORK)

    def announce(self, folder: Path, jobs: int) -> list[str]:
        return []

    def estimate(self, folder: Path, jobs: int) -> tuple[Report, str]:
        report = estimate(self.plan, folder, jobs)
        return report, estimate_text(report)

    def course(self, done: list[Shard]) -> Course:
        return phase1.course_of(self.plan, done)

    def success(self, store: RunStore, sound: Verification) -> int | None:
        return phase1.saved_success(self.plan, store, sound)

    def seconds(self, course: Course, folder: Path) -> float:
        return 1 / work_rate(CORE_RATES, self.plan.trainer, 1)

    def prepare(self) -> None:
        compile_kernel(self.plan.trainer)

    def tidy(self, folder: Path, finished: bool) -> None:
        pass

    def work(self, store: RunStore, jobs: int) -> Work:
        return Work(self.plan.settled, store)

    def watch(self, course: Course, progress: Progress) -> Watch:
        return Watch(course, progress, self.plan.config.target, "shape", self.plan.config.full)

    def found(self, store: RunStore, course: Course) -> Found:
        plan, rows = self.plan, phase1.counted(self.plan, store)

        def draw() -> None:
            from combsearch.commands.figures import draw_run

            draw_run(rows, plan.task, plan.config.target, store.root / "figures")

        return Found(_report(plan, rows, store.root), partial(_text, plan, rows), draw)


def open_search(config: SearchConfig) -> Search:
    """The search that a configuration describes.

    Raises:
        SettingError: as ``Plan.of``.
    """
    return _Phase1Search(Plan.of(config))


def _report(plan: Plan, rows: pa.Table, folder: Path) -> dict[str, Any]:
    """The result as JSON; writes best.npz of the network it names."""
    config = plan.config
    results = phase1.shape_results(rows, config.target)
    best = phase1.winner(results)
    shown = best or phase1.runners_up(results, 1)[0]
    network, row = phase1.best_network(rows, shown), phase1.best_row(rows, shown)
    if network is not None and row is not None:
        about = row_facts(row, plan.task.name, config)
        save_network(folder / "best.npz", network, about=about)
    return {
        "command": "phase1",
        "task": plan.task.name,
        "target": config.target,
        "width": config.width,
        "shape": list(best.shape) if best else None,
        "nonzeros": best.nonzeros if best else None,
        "accuracy": shown.accuracy if network is not None else None,
        "successes": shown.successes,
        "restarts": shown.restarts,
        "success_interval": list(shown.interval),
        "cells": plan.cells,
        "restarts_per_cell": config.restarts,
        "best_shape": list(shown.shape) if network is not None else None,
        "runners_up": [_json(r) for r in phase1.runners_up(results)],
        "shapes": len(results),
        "trained": len(rows),
        "diverged": sum(r.diverged for r in results),
        "core_seconds": round(float(np.sum(rows["seconds"].to_numpy())), 3),
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "seed": config.seed,
        "digest": digest(rows),
    }


def _json(result: ShapeResult) -> dict[str, Any]:
    return {
        "shape": list(result.shape),
        "nonzeros": result.nonzeros,
        "accuracy": result.accuracy,
        "successes": result.successes,
        "restarts": result.restarts,
    }


def _text(plan: Plan, rows: pa.Table, report: dict[str, Any]) -> str:
    """The result for a reader."""
    target = f"{plan.config.target:g}"
    if report["shape"]:
        head = (
            f"({shape_text(report['shape'])}) with {report['nonzeros']} nonzeros is the smallest"
            f" dense shape that reached {target}: accuracy {report['accuracy']:.5f}"
        )
    elif report["best_shape"]:
        head = (
            f"no shape reached {target}; the best was ({shape_text(report['best_shape'])})"
            f" at {report['accuracy']:.5f}"
        )
    else:
        head = f"all {report['trained']} runs diverged: lower the learning rates of --cells"
    share = (
        f"{report['successes']} of its {report['restarts']} restarts succeeded"
        f" (95% interval of the share {interval_text(*report['success_interval'])});"
        f" {report['trained']} networks of"
        f" {report['shapes']} shape{'s' * (report['shapes'] != 1)} trained"
    )
    table = shape_table(phase1.shape_results(rows, plan.config.target), plan.config.target)
    return f"{head}\n{share}\n\n{table}\n\nrun folder {report['run_folder']}"

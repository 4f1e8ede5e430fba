"""``combsearch study pqi``: networks pruned round by round, and how compressible they stay."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import sessions, sound_shards
from combsearch.commands.study_pqi_report import make_report, report_text
from combsearch.commands.study_pqi_runs import draw_rows
from combsearch.engines import cores, local_engine
from combsearch.pqi_rows import SHOWN
from combsearch.progress import Progress, Rate, duration
from combsearch.search.running import Outcome, run_course
from combsearch.store import RunStore, Shard, run_folder, write_bytes, write_json
from combsearch.studies.pqi.checkpoint import tidy
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.table import csv_table
from combsearch.studies.pqi.work import PqiCourse, PqiWork, place_of


def pqi_command(config: PqiConfig, options: Options) -> dict[str, Any]:
    """Run or continue the study; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task may print.
    with contextlib.redirect_stdout(sys.stderr):
        plan = PqiPlan.of(config)
        folder = run_folder(plan.name() if options.run is None else options.run, options.runs)
        if options.dry_run:
            from combsearch.commands.study_pqi_estimate import estimate, estimate_text

            report = estimate(plan, folder, _jobs(plan, options.jobs))
            text = estimate_text(report)
        else:
            report, text = _run(plan, folder, options)
    say(json.dumps(report) if options.json else text)
    return report


def _jobs(plan: PqiPlan, asked: int) -> int:
    """Processes: one a core, and no more than there are seeds; one where a GPU trains."""
    if asked:
        return asked
    return 1 if _on_cuda(plan) else min(cores(), plan.config.seeds)


def _on_cuda(plan: PqiPlan) -> bool:
    import torch

    return plan.trainer == "vmap" and torch.cuda.is_available()


def _run(plan: PqiPlan, folder: Path, options: Options) -> tuple[dict[str, Any], str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    course = PqiCourse(plan, sound_shards(store, quarantine=True))
    tidy(folder, course.complete())
    trained = _train(plan, store, course, _jobs(plan, options.jobs))
    tidy(folder, course.complete())
    rows = store.read(SHOWN)
    report = make_report(plan.config, rows, folder)
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    made_with = provenance("study pqi", plan.config, plan.trainer)
    report["sessions"] = sessions(folder, report, made_with)
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    write_bytes(folder / "table.csv", csv_table(rows, plan.config.grid).encode())
    if options.figures and len(rows):
        draw_rows(plan.config, rows, folder / "figures")
    return report, report_text(report)


def _train(plan: PqiPlan, store: RunStore, course: PqiCourse, jobs: int) -> int:
    """Do the rounds that are missing; how many networks that were."""
    if course.complete():
        return 0
    import torch

    jobs = min(jobs, plan.config.seeds)
    threads = max(1, torch.get_num_threads() // jobs)  # as OMP_NUM_THREADS may say
    with Progress("study pqi") as progress:
        watch = _Watch(plan, course, progress)
        engine = local_engine(jobs, progress.say)
        run_course(PqiWork(plan.config, store, threads), course, engine, watch)
    return watch.runs


class _Watch:
    """Tells how a study gets on.

    Attributes:
        runs: rows so far.
    """

    def __init__(self, plan: PqiPlan, course: PqiCourse, progress: Progress) -> None:
        self._plan, self._course, self._progress = plan, course, progress
        self._rate = Rate()
        self.runs = 0

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        self.runs += outcome.runs
        self._rate.add(1)
        whole, left = self._course.whole_work()
        self._progress.show(1 - left / whole, self._note(shard, outcome, whole, left))

    def _note(self, shard: Shard, outcome: Outcome, whole: float, left: float) -> str:
        """As ``round 7 of 30, seed 3, best 0.8812, 32 of 124 rounds done, 12 min 05 s left``."""
        number, seed = place_of(self._plan, shard)
        parts = [
            f"round {number} of {self._plan.config.rounds}, seed {seed}",
            f"best {outcome.best:.4f}",
            f"{whole - left:.0f} of {whole:.0f} done",
        ]
        rate = self._rate.per_second()
        if rate is not None:
            parts.append(f"{duration(left / rate)} left")
        return ", ".join(parts)

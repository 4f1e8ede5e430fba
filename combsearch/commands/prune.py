"""``combsearch prune``: every pruning method at every width and budget, trained and saved."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.prune_estimate import cost_line, estimate, estimate_text
from combsearch.commands.prune_report import make_report, report_text
from combsearch.commands.running import compile_kernel, log, sessions, sound_shards, workers
from combsearch.engines import local_engine
from combsearch.progress import Progress, Rate, duration
from combsearch.prune_config import PruneConfig
from combsearch.search import devices
from combsearch.search.running import Outcome, run_course
from combsearch.store import RunStore, Shard, run_folder, write_json
from combsearch.sweep.course import SweepCourse
from combsearch.sweep.plan import SHARD_SECONDS, PrunePlan
from combsearch.sweep.training import PruneWork


def prune_command(config: PruneConfig, options: Options) -> dict[str, Any]:
    """Run or continue the sweep; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task or pruner may print.
    with contextlib.redirect_stdout(sys.stderr):
        plan = PrunePlan.of(config)
        folder = run_folder(plan.name() if options.run is None else options.run, options.runs)
        report = estimate(plan, folder, options.jobs or workers(plan.trainer))
        if options.dry_run:
            text = estimate_text(report)
        else:
            log(cost_line(report))
            report, text = _run(plan, folder, options)
    say(json.dumps(report) if options.json else text)
    return report


def begin(plan: PrunePlan, store: RunStore, quarantine: bool = True) -> SweepCourse:
    """Where the sweep stands; with ``quarantine`` damaged shards are set aside."""
    return SweepCourse(plan, sound_shards(store, quarantine))


def _run(plan: PrunePlan, folder: Path, options: Options) -> tuple[dict[str, Any], str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    trained = _sweep(plan, store, begin(plan, store), options.jobs)
    rows = store.read()
    report = make_report(plan, rows, folder)
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    report["sessions"] = sessions(folder, report, provenance("prune", plan.config, plan.trainer))
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    if options.figures:
        from combsearch.commands.prune_figures import draw_sweep

        draw_sweep(rows, folder / "figures")
    return report, report_text(report)


def _sweep(plan: PrunePlan, store: RunStore, course: SweepCourse, jobs: int) -> int:
    """Train what is missing; how many runs that were."""
    if course.complete():
        return 0
    compile_kernel(plan.trainer)
    jobs = jobs or min(workers(plan.trainer), math.ceil(course.whole_work()[1] / SHARD_SECONDS))
    with Progress("prune") as progress:
        watch = _Watch(plan, course, progress)
        engine = local_engine(jobs, progress.say, devices.gpus(plan.trainer))
        run_course(PruneWork(plan.config, store), course, engine, watch)
    return watch.runs


class _Watch:
    """Tells how a sweep gets on.

    Attributes:
        runs: training runs so far.
    """

    def __init__(self, plan: PrunePlan, course: SweepCourse, progress: Progress) -> None:
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
        self._progress.show(1 - left / whole, self._note(shard, left))

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

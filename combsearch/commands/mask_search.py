"""``combsearch phase2`` and ``combsearch exhaust``: train masks level by level."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.commands.mask_estimate import cost_line, estimate, estimate_text
from combsearch.commands.mask_report import best_network, course_saved, make_report, report_text
from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import (
    Watch,
    compile_kernel,
    log,
    sessions,
    sound_shards,
    workers,
)
from combsearch.engines import local_engine
from combsearch.progress import Progress
from combsearch.search import devices
from combsearch.search.course import Course
from combsearch.search.mask_plan import SHARD_WORK, MaskConfig, MaskPlan
from combsearch.search.mask_training import MaskWork
from combsearch.search.results import first_success
from combsearch.search.running import run_course
from combsearch.store import RunStore, run_folder, write_json


def mask_search_command(config: MaskConfig, options: Options) -> dict[str, Any]:
    """Run or continue the search; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task or trainer may print.
    with contextlib.redirect_stdout(sys.stderr):
        plan = MaskPlan.of(config)
        folder = run_folder(plan.name() if options.run is None else options.run, options.runs)
        if plan.initial is not None:
            log(
                "from one initialisation the members of an orbit train differently: orbits are"
                f" not reduced, masks are those of --symmetry {plan.symmetry}"
            )
        report = estimate(plan, folder, options.jobs or workers(plan.trainer))
        if options.dry_run:
            text = estimate_text(report)
        else:
            log(cost_line(report))
            report, text = _run(plan, folder, options)
    say(json.dumps(report) if options.json else text)
    return report


def begin(plan: MaskPlan, store: RunStore, quarantine: bool = True) -> Course:
    """Where the search stands; with ``quarantine`` damaged shards are set aside."""
    valid = sound_shards(store, quarantine)
    success = None
    config = plan.config
    if not config.every_level:
        saved = store.read(["nonzeros", "accuracy", "status"])
        success = first_success(saved, config.target)
    starts = np.array([segment.rank for segment in plan.segments])
    place = np.searchsorted(starts, [shard.first for shard in plan.shards], side="right") - 1
    nonzeros = np.array([plan.segments[p].nonzeros for p in place], np.int64)
    work = np.array([plan.work(shard) for shard in plan.shards])
    return Course(
        plan.shards, nonzeros, work, valid, success, not config.every_level, config.beyond
    )


def _run(plan: MaskPlan, folder: Path, options: Options) -> tuple[dict[str, Any], str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    course = begin(plan, store)
    trained = _search(plan, store, course, options.jobs)
    rows = store.read(last=course.end)
    report = make_report(plan, rows, course_saved(plan, store, course.end), folder)
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    report["sessions"] = sessions(
        folder, report, provenance(plan.command, plan.config, plan.trainer)
    )
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    if options.figures and len(rows):
        from combsearch.commands.figures import draw_masks

        draw_masks(rows, plan.task, report, best_network(plan, rows), folder / "figures")
    return report, report_text(report)


def _search(plan: MaskPlan, store: RunStore, course: Course, jobs: int) -> int:
    """Train what is missing; how many runs that were."""
    if course.complete():
        return 0
    compile_kernel(plan.trainer)
    jobs = jobs or min(workers(plan.trainer), math.ceil(course.whole_work()[1] / SHARD_WORK))
    with Progress(plan.command) as progress:
        watch = Watch(course, progress, plan.config.target, "mask", plan.config.every_level)
        engine = local_engine(jobs, progress.say, devices.gpus(plan.trainer))
        run_course(MaskWork(plan.settled, store), course, engine, watch)
    return watch.runs

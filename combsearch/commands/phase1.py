"""``combsearch phase1``: search, draw, report."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.commands.estimate import estimate, estimate_text
from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import (
    Watch,
    compile_kernel,
    sessions,
    sound_shards,
    workers,
)
from combsearch.commands.tables import interval_text, shape_table, shape_text
from combsearch.config import SearchConfig
from combsearch.engines import local_engine
from combsearch.progress import Progress
from combsearch.saved_network import run_facts, save_network
from combsearch.search import devices, phase1
from combsearch.search.phase1 import Plan, ShapeResult
from combsearch.search.plan import SHARD_WORK
from combsearch.store import RunStore, digest, run_folder, write_json


def phase1_command(config: SearchConfig, options: Options) -> dict[str, Any]:
    """Run or continue phase one; the object that ``--json`` prints."""
    # Standard output is for the result, whatever a user's task or trainer may print.
    with contextlib.redirect_stdout(sys.stderr):
        plan = Plan.of(config)
        folder = run_folder(plan.name() if options.run is None else options.run, options.runs)
        if options.dry_run:
            report = estimate(plan, folder, options.jobs or workers(plan.trainer))
            text = estimate_text(report)
        else:
            report, text = _run(plan, folder, options)
    say(json.dumps(report) if options.json else text)
    return report


def _run(plan: Plan, folder: Path, options: Options) -> tuple[dict[str, Any], str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    trained = _search(plan, store, options.jobs)
    rows = phase1.counted(plan, store)
    report = _report(plan, rows, folder)
    report["trained_now"], report["seconds"] = trained, round(time.monotonic() - started, 3)
    report["sessions"] = sessions(folder, report, provenance("phase1", plan.config, plan.trainer))
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    if options.figures:
        from combsearch.commands.figures import draw_run

        draw_run(rows, plan.task, plan.config.target, folder / "figures")
    return report, _text(plan, rows, report)


def _search(plan: Plan, store: RunStore, jobs: int) -> int:
    """Train what is missing; how many networks that were.

    Args:
        jobs: worker processes; 0 takes all cores or GPUs, but none that would hardly start
            in time.
    """
    course = phase1.begin(plan, store, sound_shards(store, quarantine=True))
    if course.complete():
        return 0
    compile_kernel(plan.trainer)
    jobs = jobs or min(workers(plan.trainer), math.ceil(course.whole_work()[1] / SHARD_WORK))
    with Progress("phase1") as progress:
        watch = Watch(course, progress, plan.config.target, "shape", plan.config.full)
        engine = local_engine(jobs, progress.say, devices.gpus(plan.trainer))
        phase1.search(plan, store, engine, watch, course)
    return watch.runs


def _report(plan: Plan, rows: pa.Table, folder: Path) -> dict[str, Any]:
    """The result as JSON; writes best.npz of the network it names."""
    config = plan.config
    results = phase1.shape_results(rows, config.target)
    best = phase1.winner(results)
    shown = best or phase1.runners_up(results, 1)[0]
    network = phase1.best_network(rows, shown)
    if network is not None:
        about = run_facts(
            task=plan.task.name, accuracy=shown.accuracy, seed=config.seed, init_width=config.width
        )
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

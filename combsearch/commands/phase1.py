"""``combsearch phase1``: search, draw, report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.commands.figures import draw_run
from combsearch.commands.tables import shape_table
from combsearch.config import SearchConfig
from combsearch.durable import write_json
from combsearch.engines import local_engine
from combsearch.errors import InterruptedRunError
from combsearch.mask import NetShape
from combsearch.nets import save_network
from combsearch.progress import Progress, duration
from combsearch.search import phase1
from combsearch.search.phase1 import Outcome, Plan, ShapeResult
from combsearch.store import RunStore, Shard, digest, run_folder
from combsearch.trainers import get_trainer

_CORE_RATE = 3.5e10  # multiply-adds a second of a core, for the estimate before a run
_ROW_BYTES, _SHAPE_BYTES, _SHARD_BYTES = 12, 600, 4096  # of a run on disk, seen on real ones


@dataclass(frozen=True)
class Options:
    """Arguments of the command that no result depends on."""

    run: str | None = None
    runs: str = "runs"
    jobs: int = 0
    json: bool = False
    dry_run: bool = False
    figures: bool = True


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def phase1_command(config: SearchConfig, options: Options) -> dict[str, Any]:
    """Run or continue phase one; the object that ``--json`` prints."""
    started = time.monotonic()
    plan = Plan.of(config)
    folder = run_folder(options.run or plan.name(), Path(options.runs))
    jobs = options.jobs or cores()
    if options.dry_run:
        return _dry_run(plan, folder, jobs, options.json)
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    store.verify()
    _search(plan, store, jobs)
    rows = phase1.counted(plan, store)
    report = _report(plan, rows, folder)
    report["seconds"] = round(time.monotonic() - started, 3)
    write_json(folder / "summary.json", report)
    if options.figures:
        draw_run(rows, plan.task, config.target, folder / "figures")
    print(json.dumps(report) if options.json else _text(plan, rows, report))
    return report


def _search(plan: Plan, store: RunStore, jobs: int) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _interrupt)
    if plan.trainer == "fused":
        _compile(plan)
    samples, work = plan.samples(), plan.grid.multiply_adds() * plan.runs_per_shape
    missing = store.missing(plan.shards())
    left = sum(float(work[shard.first : shard.last].sum()) for shard in missing)
    total = float(work.sum())
    counts = {"runs": 0, "best": 0.0}
    with Progress("phase1", total * samples, (total - left) * samples) as progress:
        began = time.monotonic()

        def note(shard: Shard, outcome: Outcome) -> None:
            counts["runs"] += outcome.runs
            counts["best"] = max(counts["best"], outcome.best)
            rate = counts["runs"] / (time.monotonic() - began)
            text = (
                f"{plan.grid.nonzeros[shard.last - 1]} nonzeros, best {counts['best']:.4f},"
                f" {rate:.0f} runs/s"
            )
            progress.advance(float(work[shard.first : shard.last].sum()) * samples, text)

        phase1.search(plan, store, local_engine(jobs), note)


def _interrupt(number: int, _frame: object) -> None:
    raise InterruptedRunError(
        f"stopped by {signal.Signals(number).name}; repeat the command to continue"
    )


def _compile(plan: Plan) -> None:
    """Compile the kernel here once, so that workers find it on disk."""
    started = time.monotonic()
    get_trainer("fused").prepare()  # type: ignore[attr-defined]
    if time.monotonic() - started > 2:
        print(
            f"compiled the kernel in {duration(time.monotonic() - started)} (kept for next time)",
            file=sys.stderr,
        )


def _report(plan: Plan, rows: pa.Table, folder: Path) -> dict[str, Any]:
    """The result as JSON; writes best.npz of the network it names."""
    config = plan.config
    results = phase1.shape_results(rows, config.target)
    best = phase1.winner(results)
    shown = best or phase1.runners_up(results, 1)[0]
    network = phase1.best_network(rows, shown)
    _save(folder / "best.npz", network)
    return {
        "command": "phase1",
        "task": plan.task.name,
        "target": config.target,
        "width": config.width,
        "shape": list(best.shape) if best else None,
        "nonzeros": best.nonzeros if best else None,
        "accuracy": shown.accuracy,
        "successes": best.successes if best else 0,
        "restarts": shown.restarts,
        "success_interval": list(shown.interval),
        "cells": list(config.cells),
        "restarts_per_cell": config.restarts,
        "best_shape": list(shown.shape),
        "runners_up": [_json(r) for r in phase1.runners_up(results)],
        "shapes": len(results),
        "trained": len(rows),
        "diverged": int(np.sum(rows["status"].to_numpy(zero_copy_only=False) == "diverged")),
        "seconds": 0.0,
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "seed": config.seed,
        "digest": digest(rows),
    }


def _save(path: Path, network: Any) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.npz")
    save_network(beside, network)
    os.replace(beside, path)


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
    target, best = plan.config.target, report["shape"]
    head = (
        f"({NetShape(tuple(best))}) with {report['nonzeros']} nonzeros is the smallest dense shape"
        f" that reached {target:g}: accuracy {report['accuracy']:.5f}"
        if best
        else f"no shape reached {target:g}; the best was"
        f" ({NetShape(tuple(report['best_shape']))}) at {report['accuracy']:.5f}"
    )
    low, high = report["success_interval"]
    share = (
        f"{report['successes']} of its {report['restarts']} restarts succeeded"
        f" (95% interval of the share {low:.4f} to {high:.4f});"
        f" {report['trained']} networks of {report['shapes']} shapes trained"
    )
    table = shape_table(phase1.shape_results(rows, target), target)
    return f"{head}\n{share}\n\n{table}\n\nrun folder {report['run_folder']}"


def _dry_run(plan: Plan, folder: Path, jobs: int, as_json: bool) -> dict[str, Any]:
    """Runs, time and disk for several ends of the search; nothing is written."""
    grid, runs = plan.grid, plan.runs_per_shape
    seconds = np.cumsum(grid.multiply_adds() * float(plan.samples() * runs)) / _CORE_RATE / jobs
    ends = sorted({int(q) for q in np.quantile(grid.nonzeros, [0.01, 0.05, 0.1, 0.25, 0.5, 1.0])})
    steps = []
    for nonzeros in ends:
        shapes = grid.level_end(nonzeros)
        disk = shapes * (runs * _ROW_BYTES + _SHAPE_BYTES) + len(list(plan.shards())) * _SHARD_BYTES
        steps.append(
            {
                "nonzeros": nonzeros,
                "shapes": shapes,
                "runs": shapes * runs,
                "seconds": round(float(seconds[shapes - 1]), 1),
                "bytes": disk,
            }
        )
    free = shutil.disk_usage(next(p for p in [folder, *folder.absolute().parents] if p.exists())).free
    report = {
        "command": "phase1",
        "dry_run": True,
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "jobs": jobs,
        "free_bytes": free,
        "stops_at_first_success": not plan.config.full,
        "steps": steps,
    }
    print(json.dumps(report) if as_json else _dry_text(report))
    return report


def _dry_text(report: dict[str, Any]) -> str:
    lines = [
        f"would run in {report['run_folder']} with {report['jobs']} processes ({report['trainer']});",
        f"{report['free_bytes'] / 1e9:.1f} GB of disk are free",
        "",
        f"{'up to nonzeros':>14} {'shapes':>8} {'runs':>10} {'time':>12} {'disk':>9}",
    ]
    lines += [
        f"{s['nonzeros']:>14} {s['shapes']:>8} {s['runs']:>10} {duration(s['seconds']):>12}"
        f" {s['bytes'] / 1e6:>6.1f} MB"
        for s in report["steps"]
    ]
    if report["stops_at_first_success"]:
        lines.append("\nThe search ends after the first level that holds a success.")
    return "\n".join(lines)

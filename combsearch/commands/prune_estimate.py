"""``--dry-run`` of a sweep: runs, time and disk by method and width; writes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.engines import cores
from combsearch.progress import duration
from combsearch.sweep.plan import Group, PrunePlan

_ROW_BYTES, _NETWORK_BYTES = 30.0, 500.0  # of a run, and of the network kept of a rank


def estimate(plan: PrunePlan, folder: Path, jobs: int) -> dict[str, Any]:
    """Runs, time and disk of each method and width, as JSON. Writes nothing.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return {
        "command": "prune",
        "dry_run": True,
        "task": plan.task.name,
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "compat": plan.config.compat,
        "jobs": jobs,
        "cells": list(plan.config.cells),
        "restarts": plan.config.restarts,
        "runs": plan.ranks * plan.runs_per_rank,
        "shards": len(plan.shards),
        "free_bytes": shutil.disk_usage(existing).free,
        "groups": [_group_json(plan, group, min(jobs, cores())) for group in plan.groups],
    }


def _group_json(plan: PrunePlan, group: Group, jobs: int) -> dict[str, Any]:
    runs = len(group.budgets) * plan.runs_per_rank
    seconds = sum(plan.seconds(group, ranks) for ranks in plan.chunks(group))
    return {
        "method": group.method,
        "width": group.width,
        "weights": group.shape.weights,
        "budgets": list(group.budgets),
        "runs": runs,
        "seconds": round(seconds / jobs, 1),
        "bytes": round(runs * _ROW_BYTES + len(group.budgets) * _NETWORK_BYTES),
    }


def cost_line(report: dict[str, Any]) -> str:
    """What the whole sweep costs, in a line."""
    groups = report["groups"]
    methods, widths = ({g[name] for g in groups} for name in ("method", "width"))
    return (
        f"{report['runs']:,} runs: {len(methods)} methods, {len(widths)} widths,"
        f" {len(report['cells'])} cells, {report['restarts']} restarts: about"
        f" {duration(sum(g['seconds'] for g in groups))} with {report['jobs']} processes"
    )


def estimate_text(report: dict[str, Any]) -> str:
    """The estimate for a reader."""
    size = max(len(g["method"]) for g in report["groups"])
    lines = [
        f"would run in {report['run_folder']} (trainer {report['trainer']});"
        f" {report['free_bytes'] / 1e9:.1f} GB of disk are free",
        cost_line(report),
        f"\n{'method':<{size}} {'width':>6} {'weights':>9} {'budgets':>8} {'runs':>9}"
        f" {'time':>12} {'disk':>10}",
    ]
    lines += [
        f"{g['method']:<{size}} {g['width']:>6} {g['weights']:>9,} {len(g['budgets']):>8}"
        f" {g['runs']:>9,} {duration(g['seconds']):>12} {g['bytes'] / 1e6:>7.2f} MB"
        for g in report["groups"]
    ]
    return "\n".join(lines)

"""``--dry-run`` of phase two and exhaust: masks, runs, time and disk; writes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.commands.running import work_rate
from combsearch.progress import duration
from combsearch.search.mask_plan import MaskPlan

CORE_RATES = {"fused": 5e10, "vmap": 1e9, "loop": 5e7}  # multiply-adds a second, as measured
_ROW_BYTES = 4.0


def estimate(plan: MaskPlan, folder: Path, jobs: int) -> dict[str, Any]:
    """Masks, runs, time and disk, level by level and cumulated; as JSON. Writes nothing.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    rate = work_rate(CORE_RATES, plan.trainer, jobs)
    kept = 2.0**-5 + 1 / plan.config.controls if plan.config.race else 1.0
    levels = []
    for level in plan.levels():
        own = [s for s in plan.segments if s.nonzeros == level]
        runs = sum(plan.runs(s) * s.masks for s in own)
        levels.append(
            {
                "nonzeros": level,
                "masks": sum(s.masks for s in own),
                "restarts": plan.runs(own[0]),
                "runs": runs,
                "seconds": round(sum(plan.mask_work(s) * s.masks for s in own) / rate, 1),
                "bytes": round(runs * kept * _ROW_BYTES),
            }
        )
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return {
        "command": plan.command,
        "dry_run": True,
        "task": plan.task.name,
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "jobs": jobs,
        "shapes": len({s.shape for s in plan.segments}),
        "masks": plan.masks,
        "stops_at_first_success": not plan.config.every_level,
        "free_bytes": shutil.disk_usage(existing).free,
        "levels": levels,
    }


def cost_line(report: dict[str, Any]) -> str:
    """What the whole search costs at most, in a line."""
    levels = report["levels"]
    seconds, runs = sum(x["seconds"] for x in levels), sum(x["runs"] for x in levels)
    until = " unless a success ends it" if report["stops_at_first_success"] else ""
    return (
        f"{report['masks']:,} masks, {runs:,} runs, levels {levels[0]['nonzeros']} to"
        f" {levels[-1]['nonzeros']}: about {duration(seconds)} with {report['jobs']}"
        f" processes{until}"
    )


def estimate_text(report: dict[str, Any]) -> str:
    """The estimate for a reader."""
    lines = [
        f"would run in {report['run_folder']} (trainer {report['trainer']});"
        f" {report['free_bytes'] / 1e9:.1f} GB of disk are free",
        cost_line(report),
        f"\n{'nonzeros':>8} {'masks':>12} {'restarts':>9} {'runs':>14} {'time':>12} {'disk':>10}",
    ]
    lines += [
        f"{x['nonzeros']:>8} {x['masks']:>12,} {x['restarts']:>9,} {x['runs']:>14,}"
        f" {duration(x['seconds']):>12} {x['bytes'] / 1e6:>7.1f} MB"
        for x in report["levels"]
    ]
    return "\n".join(lines)

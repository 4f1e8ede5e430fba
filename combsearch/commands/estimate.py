"""``combsearch phase1 --dry-run``: runs, time and disk of a search; writes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import runfile
from combsearch.commands.running import work_rate
from combsearch.progress import duration
from combsearch.search.phase1 import Plan
from combsearch.store import RunStore, Shard

# Multiply-adds a second of a core, as measured; the torch trainers' vary with the shape.
CORE_RATES = {"fused": 4e10, "vmap": 1e9, "loop": 5e7}
_ROW_BYTES, _SHARD_BYTES = 4, 6000  # on disk, seen on real runs; a parameter takes 4 bytes
_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)  # quantiles of the shapes where the search may end


def estimate(plan: Plan, folder: Path, jobs: int) -> dict[str, Any]:
    """What the search would do from here, for several levels where it may end; as JSON.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    done = np.zeros(len(plan.grid), np.bool_)
    for shard in _saved(plan, folder):
        done[shard.first : shard.last] = True
    ends = {int(q) for q in np.quantile(plan.grid.nonzeros, _LEVELS, method="inverted_cdf")}
    columns = _cumulated(plan, done, jobs)
    steps = [
        {"nonzeros": nonzeros, **{name: column[end - 1] for name, column in columns.items()}}
        for nonzeros, end in sorted((n, plan.grid.level_end(n)) for n in ends)
    ]
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return {
        "command": "phase1",
        "dry_run": True,
        "task": plan.task.name,
        "run_folder": str(folder),
        "trainer": plan.trainer,
        "jobs": jobs,
        "shapes_done": int(done.sum()),
        "stops_at_first_success": not plan.config.full,
        "free_bytes": shutil.disk_usage(existing).free,
        "steps": [{name: _plain(value) for name, value in step.items()} for step in steps],
    }


def _cumulated(plan: Plan, done: np.ndarray[Any, Any], jobs: int) -> dict[str, Any]:
    """name -> [rank]: how much is left to do up to a rank."""
    left = ~done
    rate = work_rate(CORE_RATES, plan.trainer, jobs)
    parameters = plan.grid.nonzeros  # of a dense network
    size = plan.runs_per_shape * _ROW_BYTES + 4 * parameters
    size[plan.shard_starts[:-1]] += _SHARD_BYTES
    return {
        "shapes": np.cumsum(left),
        "runs": np.cumsum(left) * plan.runs_per_shape,
        "seconds": np.cumsum(plan.work * left) / rate,
        "bytes": np.cumsum(size * left),
    }


def _saved(plan: Plan, folder: Path) -> list[Shard]:
    found = runfile.read_identity(folder)
    if found is None:
        return []
    runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    return RunStore.attach(folder).verify(quarantine=False).valid


def _plain(value: Any) -> int | float:
    return round(float(value), 1) if isinstance(value, np.floating) else int(value)


def estimate_text(report: dict[str, Any]) -> str:
    """The estimate for a reader."""
    lines = [
        f"would run in {report['run_folder']} with {report['jobs']} processes"
        f" (trainer {report['trainer']});",
        f"{report['free_bytes'] / 1e9:.1f} GB of disk are free",
    ]
    if report["shapes_done"]:
        lines.append(f"{report['shapes_done']} shapes are done; left to do:")
    lines.append(f"\n{'up to nonzeros':>14} {'shapes':>8} {'runs':>10} {'time':>12} {'disk':>10}")
    lines += [
        f"{s['nonzeros']:>14} {s['shapes']:>8} {s['runs']:>10} {duration(s['seconds']):>12}"
        f" {_size(s['bytes']):>10}"
        for s in report["steps"]
    ]
    if report["stops_at_first_success"]:
        lines.append("\nThe search ends after the first level that holds a success.")
    if report["steps"][-1]["bytes"] > report["free_bytes"]:
        lines.append("Not all levels fit on the disk.")
    return "\n".join(lines)


def _size(size: int) -> str:
    """``"4.2 MB"``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

"""What a run of ``combsearch study pqi`` would take, for ``--dry-run``: by a short trial."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.progress import duration
from combsearch.studies.pqi.chains import all_rows
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks, networks
from combsearch.trainers.base import ALL_STEPS

_TRIAL_STEPS = 6
_ROW_BYTES = 3000  # without the mask, compressed


def estimate(plan: PqiPlan, folder: Path, jobs: int) -> dict[str, Any]:
    """Networks, steps, time and disk as JSON; all chains of a seed take a few steps to see.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    config, recipe = plan.config, plan.config.recipe()
    rows, steps = all_rows(config), recipe.total_steps(plan.task.points)
    jobs = min(jobs, config.seeds)
    rounds = -(-config.seeds // jobs) * config.rounds
    weights = sum(int(mask[0].size) for mask in dense_masks(plan).values())
    return {
        "command": "study pqi",
        "dry_run": True,
        "run_folder": str(folder),
        "config": config.to_json(),
        "trainer": plan.trainer,
        "rows": rows,
        "chains": len(plan.chains),
        "networks": config.seeds * (1 + config.rounds * len(plan.chains)),
        "steps_per_network": steps,
        "jobs": jobs,
        "estimated_seconds": round(rounds * steps * _step_seconds(plan)),
        "estimated_bytes": rows * (_ROW_BYTES + weights // 8),
    }


def _step_seconds(plan: PqiPlan) -> float:
    """Seconds that a step of all chains of a seed takes, by a trial."""
    nets = networks(plan, 0, dense_masks(plan))
    keys, recipe, trainer = plan.keys(0, len(nets)), plan.config.recipe(), plan.get_trainer()
    total = recipe.total_steps(plan.task.points)
    trainer.fit(nets, plan.task, recipe, keys, slice(0, min(2, total)))
    began = time.perf_counter()
    stop = min(_TRIAL_STEPS, total)
    trainer.fit(nets, plan.task, recipe, keys, slice(0, stop) if stop < total else ALL_STEPS)
    return (time.perf_counter() - began) / stop


def estimate_text(report: dict[str, Any]) -> str:
    """The estimate for a reader."""
    config = report["config"]
    return (
        f"{config['network']} on {config['task']}: {report['networks']:,} networks at most,"
        f" {report['steps_per_network']:,} steps each, about"
        f" {duration(report['estimated_seconds'])} with {report['jobs']} processes (by a trial of"
        f" a few steps) and {report['estimated_bytes'] / 1e6:,.0f} MB in {report['run_folder']};"
        " nothing was written"
    )

"""What a run of ``combsearch study dctps`` would take, for ``--dry-run``: by a short trial."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import runfile
from combsearch.config import Recipe
from combsearch.nets import NetBatch
from combsearch.progress import duration
from combsearch.pruning import masked
from combsearch.studies.dctps.config import Setting, all_rows
from combsearch.studies.dctps.plan import DctpsPlan, weights_of
from combsearch.studies.points import first_points, held_out

_TRIAL_STEPS = 6
_TRIAL_POINTS = 250  # that a trial validates
_LONG = 2.0  # seconds of a first step that is trial enough
_ROW_BYTES = 12_000  # a file a row


def estimate(plan: DctpsPlan, folder: Path, jobs: int) -> dict[str, Any]:
    """Networks, steps, time and disk as JSON; networks take a few steps to see.

    Raises:
        RunMismatchError: the run folder belongs to another run.
    """
    found = runfile.read_identity(folder)
    if found is not None:
        runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    config, rows = plan.config, all_rows(plan.config)
    jobs = min(jobs, rows)
    # Methods alike in what a step computes take as long.
    kinds = [(setting.density, setting.method.offset) for setting in plan.settings]
    alike = dict(zip(kinds, plan.settings, strict=True))
    known = {kind: _network_seconds(plan, setting) for kind, setting in alike.items()}
    seconds = config.seeds * sum(known[kind] for kind in kinds)
    return {
        "command": "study dctps",
        "dry_run": True,
        "run_folder": str(folder),
        "config": config.to_json(),
        "trainer": plan.trainer,
        "rows": rows,
        "networks": rows,
        "steps_per_network": _recipe(plan, plan.settings[0]).total_steps(plan.training.points),
        "jobs": jobs,
        "estimated_seconds": round(seconds / jobs),
        "estimated_bytes": rows * _ROW_BYTES,
    }


def _recipe(plan: DctpsPlan, setting: Setting) -> Recipe:
    return plan.config.recipe(setting.method)


def _network_seconds(plan: DctpsPlan, setting: Setting) -> float:
    """Seconds of training and validation of a network, by a trial; pruning comes on top."""
    recipe, trainer, keys = _recipe(plan, setting), plan.get_trainer(), plan.keys(0)
    nets = _random_nets(plan, setting)
    total = recipe.total_steps(plan.training.points)
    valid = held_out(plan.training)
    some = first_points(valid, min(_TRIAL_POINTS, valid.points))

    def fitted(steps: int) -> float:
        began = time.perf_counter()
        trainer.fit(nets, plan.training, recipe, keys, slice(0, steps))
        return (time.perf_counter() - began) / steps

    step = fitted(1)
    if step < _LONG:  # the first may have waited for what is made once
        step = fitted(min(_TRIAL_STEPS, total))
    began = time.perf_counter()
    trainer.score(nets, some)
    scored = (time.perf_counter() - began) * valid.points / some.points
    return step * total + recipe.epochs * scored


def _random_nets(plan: DctpsPlan, setting: Setting) -> NetBatch:
    """A network of the setting with as many weights, wherever they are."""
    network = plan.network(setting.method)
    weights = weights_of(network)
    kept = np.zeros((1, weights), np.bool_)
    places = np.random.default_rng(0).permutation(weights)[: setting.budget(weights)]
    kept[0, places] = True
    return masked(NetBatch.create(network, plan.keys(0)), kept)


def estimate_text(report: dict[str, Any]) -> str:
    """The estimate for a reader."""
    config = report["config"]
    return (
        f"{config['network']} on {config['task']}: {report['networks']:,} networks,"
        f" {report['steps_per_network']:,} steps each, about"
        f" {duration(report['estimated_seconds'])} with {report['jobs']} processes (by a trial of"
        f" a few steps; pruning comes on top) and {report['estimated_bytes'] / 1e6:,.1f} MB in"
        f" {report['run_folder']}; nothing was written"
    )

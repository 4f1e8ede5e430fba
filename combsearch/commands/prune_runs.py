"""``combsearch status`` and ``plot`` of a sweep."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import fields
from combsearch.commands.prune import begin
from combsearch.commands.prune_report import COLUMNS, groups_json
from combsearch.commands.running import seconds_since, state_text
from combsearch.errors import UsageError
from combsearch.progress import duration
from combsearch.prune_config import PruneConfig
from combsearch.store import RunStore
from combsearch.sweep.plan import PrunePlan


def saved_plan(store: RunStore) -> PrunePlan:
    """The plan of a saved sweep; its task must be there, pruners and initial weights need not."""
    config = fields.from_json(PruneConfig, store.identity["config"])
    return dataclasses.replace(PrunePlan.saved(config), fixed="init_digest" in store.identity)


def prune_status(store: RunStore) -> dict[str, Any]:
    """What of a sweep is done and what is left, as JSON."""
    plan = saved_plan(store)
    course = begin(plan, store, quarantine=False)
    rows = store.read(COLUMNS)
    done = len(np.unique(rows["rank"].to_numpy()))
    return {
        "command": "status",
        "run_folder": str(store.root),
        "config": plan.config.to_json(),
        "finished": course.complete(),
        "budgets_done": done,
        "budgets_left": plan.ranks - done,
        "runs_done": len(rows),
        "runs_left": (plan.ranks - done) * plan.runs_per_rank,
        "groups": groups_json(plan, rows),
        "seconds_since_last_shard": seconds_since(store),
    }


def prune_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    state = state_text(report["finished"])
    lines = [
        f"{report['run_folder']}: {state}",
        f"{report['runs_done']:,} runs done, {report['runs_left']:,} left",
    ]
    if report["seconds_since_last_shard"] is not None:
        lines.append(f"last saved {duration(report['seconds_since_last_shard'])} ago")
    for method in dict.fromkeys(g["method"] for g in report["groups"]):
        widths = [_width_text(g) for g in report["groups"] if g["method"] == method]
        lines.append(f"  {method}: {', '.join(widths)}")
    return "\n".join(lines)


def prune_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a sweep, as far as it is; their paths."""
    from combsearch.commands import prune_figures

    rows = store.read(prune_figures.COLUMNS)
    if not len(rows):
        raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to draw")
    return prune_figures.draw_sweep(rows, output, suffix)


def _width_text(group: dict[str, Any]) -> str:
    """``16 (12 of 23 budgets)``, or ``16`` when all are done."""
    done = sum(budget["runs"] > 0 for budget in group["budgets"])
    whole = len(group["budgets"])
    return f"{group['width']}" if done == whole else f"{group['width']} ({done} of {whole} budgets)"

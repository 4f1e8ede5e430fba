"""What a sweep reports: by method and width, runs, time, and the best of every budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.prune_rows import COLLAPSED, DIVERGED, LOST, OK, PRUNE_ROWS, within_budget
from combsearch.store import digest
from combsearch.sweep.plan import Group, PrunePlan

_TIMES = ("prune_seconds", "seconds")
_TEXTS = ("status", "shape")
COLUMNS = (
    "rank", "accuracy", "budget", "weight_nonzeros", "nonzeros", "effective_nonzeros", *_TEXTS,
    *_TIMES,
)  # fmt: skip

Columns = dict[str, Any]
"""Arrays [run] by name."""


def make_report(plan: PrunePlan, rows: pa.Table, folder: Path | None) -> dict[str, Any]:
    """The result as JSON.

    Args:
        plan: of the sweep.
        rows: what is saved, in canonical order.
        folder: of the run.
    """
    return {
        "command": "prune",
        "task": plan.task.name,
        "compat": plan.config.compat,
        "from": "one initialisation" if plan.fixed else "random weights",
        "cells": list(plan.config.cells),
        "restarts": plan.config.restarts,
        "runs": plan.ranks * plan.runs_per_rank,
        "trained": len(rows),
        "groups": groups_json(plan, rows),
        "core_seconds": round(sum(float(np.sum(rows[name].to_numpy())) for name in _TIMES), 3),
        "run_folder": None if folder is None else str(folder),
        "trainer": plan.trainer,
        "seed": plan.config.seed,
        "config": plan.config.to_json(),
        "digest": digest(rows, PRUNE_ROWS),
    }


def groups_json(plan: PrunePlan, rows: pa.Table) -> list[dict[str, Any]]:
    """What the rows (all or ``COLUMNS`` of them) say of each method and width, as JSON."""
    own = {name: rows[name].to_numpy() for name in COLUMNS if name not in _TEXTS}
    own["status"] = np.array(rows["status"].to_pylist(), np.str_)
    own["within"] = within_budget(rows)
    return [_group_json(group, _of(group, own)) for group in plan.groups]


def _of(group: Group, columns: Columns) -> Columns:
    """Those runs whose rank is in ``group``."""
    ends = np.searchsorted(columns["rank"], [group.ranks.start, group.ranks.stop])
    return {name: column[ends[0] : ends[1]] for name, column in columns.items()}


def _group_json(group: Group, own: Columns) -> dict[str, Any]:
    ranks = zip(group.ranks, group.budgets, strict=True)
    return {
        "method": group.method,
        "width": group.width,
        "weights": group.shape.weights,
        "runs": len(own["rank"]),
        "prune_seconds": round(float(own["prune_seconds"].sum()), 3),
        "train_seconds": round(float(own["seconds"].sum()), 3),
        **_not_counted(own, np.ones(len(own["rank"]), np.bool_)),
        "budgets": [_budget_json(budget, own, own["rank"] == rank) for rank, budget in ranks],
    }


def _not_counted(own: Columns, among: Any) -> dict[str, int]:
    """How many of the runs ``among`` (bool [run]) count for no budget, and why."""
    lost = {status: int((among & (own["status"] == status)).sum()) for status in LOST}
    return {**lost, "above_budget": int((among & ~own["within"]).sum())}


def _budget_json(budget: int, own: Columns, of_rank: Any) -> dict[str, Any]:
    """The best run of a budget, of those that keep to it and neither diverged nor collapsed."""
    runs = np.flatnonzero(of_rank & (own["status"] == OK) & own["within"])
    found: dict[str, Any] = {
        "budget": budget,
        "runs": int(of_rank.sum()),
        **_not_counted(own, of_rank),
        "accuracy": None,
    }
    if len(runs):
        best = runs[np.lexsort((own["nonzeros"][runs], -own["accuracy"][runs]))[0]]
        names = ("weight_nonzeros", "nonzeros", "effective_nonzeros")
        found["accuracy"] = float(own["accuracy"][best])
        found.update({name: int(own[name][best]) for name in names})
    return found


def report_text(report: dict[str, Any]) -> str:
    """The result for a reader."""
    size = max(len(g["method"]) for g in report["groups"])
    lines = [
        f"{report['trained']:,} of {report['runs']:,} runs, from {report['from']}"
        f" ({report['compat']} budgets), {report['core_seconds']:,.0f} s of cores",
        "",
        f"{'method':<{size}} {'width':>6} {'runs':>7} {'pruning':>9} {'training':>9}"
        f" {'collapsed':>9} {'diverged':>8} {'best':>8}  at budget",
    ]
    for g in report["groups"]:
        done = [b for b in g["budgets"] if b["accuracy"] is not None]
        best = max(done, key=lambda b: (b["accuracy"], -b["budget"]), default=None)
        shown = f"{best['accuracy']:>8.5f}  {best['budget']}" if best else f"{'-':>8}"
        lines.append(
            f"{g['method']:<{size}} {g['width']:>6} {g['runs']:>7,} {g['prune_seconds']:>7,.1f} s"
            f" {g['train_seconds']:>7,.1f} s {g[COLLAPSED]:>9,} {g[DIVERGED]:>8,} {shown}"
        )
    above = sum(g["above_budget"] for g in report["groups"])
    if above:
        lines.append(
            f"\n{above:,} runs keep more weights than their budget by more than rounding each"
            " layer, as the authors' code may; they count for no budget"
        )
    lines.append(f"\nrun folder {report['run_folder']}")
    return "\n".join(lines)

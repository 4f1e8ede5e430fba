"""What the page of a run shows, as JSON values, from what the run has saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from combsearch import fields
from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError, UsageError
from combsearch.frontier import frontier
from combsearch.prune_config import PruneConfig
from combsearch.report.made_by import command_of
from combsearch.report.points import task_json
from combsearch.report.run.descended import descend_shown
from combsearch.report.run.networks import Networks
from combsearch.report.run.pruned import prune_shown
from combsearch.report.run.rows import Best
from combsearch.report.run.searches import masks_shown, phase1_shown
from combsearch.report.run.shown import Shown, Status, run_name
from combsearch.report.run.tables import hidden
from combsearch.report.run.words import KINDS, about_run, damage, progress
from combsearch.search_config import DescendConfig, ExhaustConfig, Phase2Config
from combsearch.store import RunStore
from combsearch.tasks import Task, load_task

CONFIGS: dict[str, Any] = {
    "phase1": SearchConfig,
    "phase2": Phase2Config,
    "exhaust": ExhaustConfig,
    "descend": DescendConfig,
    "prune": PruneConfig,
}
"""By command: runs that have a page."""

_MADE: dict[str, Callable[[RunStore, Status, Any], Shown]] = {
    "phase1": phase1_shown,
    "phase2": masks_shown,
    "exhaust": masks_shown,
    "descend": descend_shown,
    "prune": prune_shown,
}


def run_data(store: RunStore, status: Status) -> dict[str, Any]:
    """What the page shows.

    Args:
        store: the run.
        status: what ``combsearch status`` says of it, as JSON.

    Raises:
        UsageError: it is a run of a study, which has figures and no page.
        CorruptDataError: something that it saved is damaged.
    """
    command = str(store.identity.get("command"))
    check_command(store)
    config = fields.from_json(CONFIGS[command], store.identity["config"])
    task, missing = _task(store, config.task)
    shown = _MADE[command](store, status, config)
    if shown.finished is not None:
        status = {**status, "finished": shown.finished}
    steps = frontier(
        np.array([best.nonzeros for best in shown.best], np.int64),
        np.array([best.accuracy for best in shown.best], np.float64),
    )
    return {
        "page": "run",
        "name": run_name(store),
        "command": command,
        "kind": KINDS[command],
        "about": about_run(store, config),
        "made_by": command_of(store.root),
        "target": getattr(config, "target", None),
        "finished": status["finished"],
        "progress": progress(command, status),
        "finding": shown.finding,
        "counts": [[what, count, then] for what, count, then in shown.counts if count],
        "runs": shown.runs,
        "drawn": "the best of a descent" if command == "descend" else "a run",
        "points": shown.points,
        "bins": shown.bins,
        "best": [_best_json(best, command, shown.networks) for best in shown.best],
        "frontier": [list(pair) for pair in zip(*(s.tolist() for s in steps), strict=True)],
        "bound": shown.bound,
        "levels": shown.levels,
        "level_of": shown.what,
        "shares": shown.shares,
        "tables": [table.to_json(shown.networks) for table in shown.tables],
        "networks": shown.networks.items,
        "task": None if task is None else task_json(task),
        "missing": missing,
        "damaged": damage(store, bool(shown.best) and command != "prune"),
    }


def check_command(store: RunStore) -> None:
    """Refuse runs that have no page.

    Raises:
        UsageError: it is one of a study, or of a command that is not known.
    """
    command = str(store.identity.get("command"))
    if command in CONFIGS:
        return
    if command.startswith("study "):
        raise UsageError(
            f"{store.root} is a run of `{command}`, which has no page; draw its figures with"
            f" `combsearch plot {store.root}`"
        )
    raise UsageError(
        f"{store.root} is a run of {command!r}; pages show runs of {', '.join(CONFIGS)}"
    )


def _task(store: RunStore, name: str) -> tuple[Task | None, str]:
    """The task of a run, or why it is not to be had: then networks are shown without it."""
    try:
        task = load_task(name)
        if task.digest() == store.identity["task_digest"]:
            return task, ""
        return None, f"Task {name} is not what it was when the run was made: it is not drawn."
    except CombsearchError as error:
        return None, f"The task is not to be had here: {error}"


def _best_json(best: Best, command: str, networks: Networks) -> dict[str, Any]:
    details = [["shape", hidden(best.shape)]]
    if command == "descend":
        details.append(["descent from", best.cell])
    else:
        details += [["recipe", best.cell], ["restart", f"{best.restart}"]]
    return {
        "nonzeros": best.nonzeros,
        "accuracy": best.accuracy,
        "details": details,
        "network": networks.place(best),
    }

"""Run folders as a comparison needs them: sweeps of pruners, and searches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.comparison.bounds import SearchRun, rising
from combsearch.comparison.tries import PruneRun
from combsearch.connectivity import biases_kept, effective_nonzeros, nonzeros
from combsearch.errors import UsageError
from combsearch.frontier import KEPT, PRUNABLE, Found
from combsearch.nets import MLP
from combsearch.saved_network import load_network
from combsearch.search.results import ok_rows
from combsearch.search.tally import best_of_levels
from combsearch.store import RunStore
from combsearch.tasks import Task, load_task
from combsearch.trainers import get_trainer

PRUNE = "prune"
SEARCHES = ("phase1", "phase2", "exhaust", "descend")
# Settings that say what was tried, not what a run is: sweeps that differ in them are pooled.
_TRIED = ("methods", "pruner", "widths", "budgets", "restarts", "cells", "seed", "trainer")
_PLACES = ("task", "init")  # their digests count, not where they lie


def check_commands(stores: Sequence[RunStore]) -> None:
    """Refuse folders that no comparison is made of.

    Raises:
        UsageError: another command's run, or no sweep of pruners among them.
    """
    known = (PRUNE, *SEARCHES)
    for store in stores:
        command = store.identity.get("command")
        if command not in known:
            raise UsageError(
                f"{store.root} is a run of {command!r}; compare takes runs of {', '.join(known)}"
            )
    if not prune_stores(stores):
        given = ", ".join(f"{one.root} ({one.identity['command']})" for one in stores)
        raise UsageError(
            f"no run of prune among {given or 'no runs at all'}: name one, made by"
            " `combsearch prune`, and then the searches to compare it with"
        )


def prune_stores(stores: Sequence[RunStore]) -> list[RunStore]:
    """Those that hold sweeps of pruners."""
    return [store for store in stores if store.identity.get("command") == PRUNE]


def common_task(stores: Sequence[RunStore]) -> Task:
    """The task that all runs are about.

    Raises:
        UsageError: two runs are about different tasks, or the task is not there any more.
    """
    first, *others = [*prune_stores(stores), *stores]
    digest = first.identity["task_digest"]
    for store in others:
        if store.identity["task_digest"] != digest:
            raise UsageError(
                f"{store.root} is a run on another task ({_task_name(store)}) than {first.root}"
                f" ({_task_name(first)}): only runs on one task can be compared"
            )
    task = load_task(_task_name(first))
    if task.digest() != digest:
        raise UsageError(
            f"task {_task_name(first)!r} is not what it was when {first.root} was made, so its"
            " networks cannot be evaluated"
        )
    return task


def _task_name(store: RunStore) -> str:
    return str(store.identity["config"].get("task", "cubist_spiral"))


def read_prune_run(store: RunStore) -> PruneRun:
    """A sweep and its rows.

    Raises:
        CorruptDataError: a shard is damaged.
        UsageError: nothing is saved yet.
    """
    config = store.identity["config"]
    rows = store.read()
    if not len(rows):
        raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to compare")
    own = {k: v for k, v in config.items() if k not in (*_TRIED, *_PLACES)}
    start = str(store.identity.get("init_digest", ""))
    return PruneRun(
        str(store.root),
        rows,
        int(config.get("seed", 0)),
        start,
        own,
        dict(store.identity.get("pruners", {})),
        str(store.identity["task_digest"]),
        str(store.identity.get("trainer", "")),
        int(store.identity["numerics"]),
    )


def read_search_run(store: RunStore, task: Task) -> SearchRun:
    """What a search found.

    Raises:
        CorruptDataError: a shard or a saved network is damaged.
        UsageError: nothing is saved yet.
    """
    command = store.identity["command"]
    if command == "descend":
        counting, steps = _existing(store, task)
    else:
        counting, steps = KEPT, _trained(store)
    start = str(store.identity.get("init_digest", ""))
    return SearchRun(str(store.root), command, start, _runs(store), counting, steps)


def _trained(store: RunStore) -> tuple[Found, ...]:
    """The frontier of trained masks; each keeps its biases and has no disconnected parameter."""
    best: list[pa.Table] = []
    for rows in store.pieces(["shape", "nonzeros", "accuracy", "status"]):
        sound = rows.filter(pa.array(ok_rows(rows)))
        best = [best_of_levels(pa.concat_tables([*best, sound]))]
    if not best or not len(best[0]):
        raise UsageError(f"{store.root} holds no finished run yet: it has no bound")
    return rising([_found(row, str(store.root)) for row in best[0].to_pylist()])


def _found(row: dict[str, Any], source: str) -> Found:
    shape = tuple(map(int, row["shape"].split(",")))
    return Found(row["nonzeros"], row["accuracy"], shape, source=source)


def _existing(store: RunStore, task: Task) -> tuple[str, tuple[Found, ...]]:
    """The frontier of the saved networks, each evaluated here.

    A run whose networks may lose biases counts as such, even where some keep them all.
    """
    files = [*sorted((store.root / "frontier").glob("*.npz")), store.root / "best.npz"]
    found = [_evaluated(path, task) for path in files if path.is_file()]
    if not found:
        raise UsageError(f"{store.root} has no saved network yet: finish the run first")
    kept = all(kept for kept, _ in found) and not store.identity["config"].get("prune_biases")
    return (KEPT if kept else PRUNABLE), rising([one for _, one in found])


def _evaluated(path: Path, task: Task) -> tuple[bool, Found]:
    nets = load_network(path)
    score = get_trainer("auto").score(nets, task)
    assert isinstance(nets.network, MLP)
    found = Found(
        int(nonzeros(nets)[0]),
        0.0 if score.diverged[0] else float(score.accuracy[0]),
        nets.network.shape.widths,
        int(effective_nonzeros(nets)[0]),
        str(path),
    )
    return bool(np.all(biases_kept(nets))), found


def _runs(store: RunStore) -> int | None:
    """Training runs that a search began, as its summary says; None where it does not."""
    try:
        summary: dict[str, Any] = json.loads((store.root / "summary.json").read_bytes())
        if store.identity["command"] == "descend":
            return int(summary["restarts"]) * sum(not d["joint"] for d in summary["by_shape"])
        return int(summary["trained"])
    except (OSError, ValueError, LookupError, TypeError):
        return None

"""``combsearch compare``: pruning methods beside the bounds of the searches."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.compare_figures import draw_comparison, group_folder
from combsearch.commands.compare_networks import save_networks
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.runs import find_run
from combsearch.comparison import (
    Group,
    Prunable,
    PruneRun,
    SearchRun,
    chosen,
    compare,
    comparison_csv,
    comparison_text,
    groups,
    prunable,
)
from combsearch.comparison.runs import (
    check_commands,
    common_task,
    prune_stores,
    read_prune_run,
    read_search_run,
)
from combsearch.comparison.saved import FILE
from combsearch.errors import UsageError
from combsearch.prune_config import PAPER_TARGETS
from combsearch.prune_rows import PRUNE_ROWS, saved_net
from combsearch.store import RunStore, digest
from combsearch.tasks import Task


@dataclass(frozen=True)
class _NoSettings:
    """A comparison has none but its runs and targets."""


def compare_command(
    runs: list[str],
    runs_folder: str,
    targets: list[float],
    output: str | None,
    as_json: bool,
    methods: Sequence[str] = (),
    restarts: int | None = None,
    suffix: str = "png",
) -> dict[str, Any]:
    """Compare sweeps of pruners with each other and with what searches found.

    Writes ``comparison.json``, ``.csv`` and ``.txt`` and the figures; what is there of an
    earlier comparison is replaced, a file at a time.

    Args:
        runs: folders, or names below ``runs_folder``: one of ``prune`` at least, and any
            number of ``phase1``, ``phase2``, ``exhaust`` and ``descend``.
        runs_folder: where runs are looked for by name.
        targets: accuracies in (0, 1]; none takes ``PAPER_TARGETS``.
        output: folder of the results; None takes ``compare`` in the first sweep's.
        as_json: print one JSON object.
        methods: whose runs are compared; none takes all that the sweeps have.
        restarts: how many of them count, the first ones; None takes all.
        suffix: of the figures: png, pdf or svg.

    Returns:
        What ``comparison.json`` holds.

    Raises:
        UsageError: a target or ``restarts`` out of range, no sweep among the runs, runs of
            different tasks, a method without a run.
        CorruptDataError: damaged shards or networks.
    """
    targets = check_targets(targets)
    stores = open_runs(runs, runs_folder)
    task, found, searches = read_runs(stores, methods, restarts)
    report = {
        "command": "compare",
        "task": task.name,
        "task_digest": task.digest(),
        **compare(found, searches, targets, _deleting(task)),
        "prune_runs": sweeps_json(found),
        "search_runs": [_search_json(one) for one in searches],
        "made_with": _made_with(runs, targets, output, methods, restarts),
    }
    folder = Path(output) if output is not None else prune_stores(stores)[0].root / "compare"
    files = write_comparison(folder, report, found, searches, task, suffix)
    shown = {**report, "folder": str(folder), "files": files}
    say(json.dumps(shown) if as_json else f"{comparison_text(report)}\n\nfiles in {folder}")
    return shown


def check_targets(targets: Sequence[float]) -> list[float]:
    """``targets`` ascending, none twice; the usual ones of none.

    Raises:
        UsageError: one is not in (0, 1].
    """
    for target in targets:
        if not 0 < target <= 1:
            raise UsageError(f"target is {target:g}, it must be an accuracy in (0, 1] such as 0.95")
    return sorted(set(targets or PAPER_TARGETS))


def open_runs(runs: Sequence[str], runs_folder: str) -> list[RunStore]:
    """The run folders, each once.

    Raises:
        UsageError: one is not there, of another command, or none is a sweep of pruners.
    """
    roots: dict[Path, Path] = {}
    for text in runs:
        root = find_run(text, runs_folder)
        roots.setdefault(root.resolve(), root)
    stores = [RunStore.attach(root) for root in roots.values()]
    check_commands(stores)
    return stores


def read_runs(
    stores: Sequence[RunStore], methods: Sequence[str], restarts: int | None
) -> tuple[Task, list[Group], list[SearchRun]]:
    """The task of all runs, the sweeps in groups with what counts of them, the searches."""
    task, sweeps = common_task(stores), prune_stores(stores)
    runs = [read_prune_run(store) for store in sweeps]
    searches = [read_search_run(store, task) for store in stores if store not in sweeps]
    return task, chosen(groups(runs), methods, restarts), searches


def _deleting(task: Task) -> Any:
    """``prunable`` of saved rows, every network once a target."""
    known: dict[tuple[str, int, float], Prunable | None] = {}

    def deleted(run: PruneRun, row: int, target: float) -> Prunable | None:
        key = (run.name, row, target)
        if key not in known:
            known[key] = prunable(saved_net(run.rows.slice(row, 1).to_pylist()[0]), task, target)
        return known[key]

    return deleted


def sweeps_json(found: Sequence[Group]) -> list[dict[str, Any]]:
    """Which sweeps there are, with digests of their rows."""
    return [
        {
            "run_folder": run.name,
            "group": group.label,
            "init_digest": run.start or None,
            "conditions": dict(run.conditions),
            "seed": run.seed,
            "trainer": run.trainer,
            "rows": len(run.rows),
            "digest": digest(run.rows, PRUNE_ROWS),
        }
        for group in found
        for run in group.runs
    ]


def _search_json(search: SearchRun) -> dict[str, Any]:
    return {
        "run_folder": search.name,
        "command": search.command,
        "gives": search.kind,
        "init_digest": search.start or None,
        "runs": search.runs,
    }


def _made_with(
    runs: Sequence[str],
    targets: Sequence[float],
    output: str | None,
    methods: Sequence[str],
    restarts: int | None,
) -> dict[str, Any]:
    words = ["combsearch", "compare", *runs]
    words += ["--methods", ",".join(methods)] if methods else []
    words += ["--restarts", str(restarts)] if restarts is not None else []
    for target in targets:
        words += ["--target", f"{target:.10g}"]
    words += ["-o", output] if output is not None else []
    return {**provenance("compare", _NoSettings()), "command": shlex.join(words)}


def write_comparison(
    folder: Path,
    report: dict[str, Any],
    found: Sequence[Group],
    searches: Sequence[SearchRun],
    task: Task,
    suffix: str,
) -> list[str]:
    """Write text, CSV, JSON, networks and figures to ``folder``; their paths."""
    durable.make_folder(folder)
    texts = {
        "comparison.txt": comparison_text(report) + "\n",
        "comparison.csv": comparison_csv(report),
    }
    for name, text in texts.items():
        durable.write_bytes(folder / name, text.encode())
    durable.write_json(folder / FILE, report)
    files = [folder / name for name in (*texts, FILE)]
    for group in found:
        own = group_folder(folder, group, found) / "networks"
        files += save_networks(own, group, report["targets"], task.name)
    print(f"combsearch: drawing figures in {folder}", file=sys.stderr)
    files += draw_comparison(folder, report, found, searches, task, suffix)
    return [str(path) for path in files]

"""``combsearch status``, ``verify`` and ``plot``: look at a run folder."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.commands.output import say
from combsearch.commands.run_failures import in_queue, job_facts, job_lines
from combsearch.commands.running import seconds_since, state_text, trained_on
from combsearch.commands.tables import shape_text
from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.numerals import count
from combsearch.progress import duration
from combsearch.search import phase1
from combsearch.search.grid import Grid, dense_grid
from combsearch.store import RunStore
from combsearch.tasks import Task, load_task

# How commands of studies begin, the longer first: module and first word of the functions on runs.
_STUDIES = {
    "study pqi": ("study_pqi_runs", "pqi"),
    "study dimensionality": ("study_dimensionality_runs", "dimensionality"),
    "study dctps spiral": ("study_dctps_spiral_runs", "spiral"),
    "study dctps": ("study_dctps_runs", "dctps"),
}


def find_run(text: str, runs: str) -> Path:
    """The run folder called ``text``: a path, or a name below ``runs``."""
    inside = os.path.join(runs, text)
    # os.path: unlike Path it takes any text, such as one that is too long.
    for path in (text, inside):
        if os.path.exists(os.path.join(path, "run.json")):
            return Path(path)
    return Path(text if os.path.isdir(text) else inside)


def _phase1_config(store: RunStore) -> SearchConfig:
    if store.identity.get("command") != "phase1":
        known = "phase1, phase2, exhaust, descend, prune or a study"
        raise UsageError(f"{store.root} is a run of {store.identity.get('command')!r}, not {known}")
    return SearchConfig.from_json(store.identity["config"])


def status_command(text: str, runs: str, as_json: bool) -> dict[str, Any]:
    """What of a run is done and what is left; needs the run folder alone."""
    store = RunStore.attach(find_run(text, runs))
    report, lines = run_status(store)
    machines = trained_on(store.root)
    report["trained_on"] = machines
    report |= (facts := job_facts(store, report["finished"]))
    if in_queue(facts):  # who repeats the command now would do the same work
        lines = lines.replace(state_text(False), "not finished: its jobs are in the queue")
    lines = "\n".join([lines, *job_lines(facts)])
    if machines:
        lines += f"\ntrained on {', '.join(machines)}"
    say(json.dumps(report) if as_json else lines)
    return report


def run_status(store: RunStore) -> tuple[dict[str, Any], str]:
    """The status of a run of any command, as JSON and for a reader."""
    command = store.identity.get("command")
    if command in ("phase2", "exhaust"):
        from combsearch.commands.mask_runs import mask_status, mask_status_text

        report = mask_status(store)
        return report, mask_status_text(report)
    if command == "descend":
        from combsearch.commands.descend_runs import descend_status, descend_status_text

        report = descend_status(store)
        return report, descend_status_text(report)
    if command == "prune":
        from combsearch.commands.prune_runs import prune_status, prune_status_text

        report = prune_status(store)
        return report, prune_status_text(report)
    if (study := _study(store)) is not None:
        report = study("status")(store)
        return report, study("status_text")(report)
    report = _phase1_status(store)
    return report, _status_text(report)


def _study(store: RunStore) -> Callable[[str], Any] | None:
    """The functions on runs of a study by what they do, such as ``status``; None of no study."""
    command = f"{store.identity.get('command')} "
    known = [names for start, names in _STUDIES.items() if command.startswith(f"{start} ")]
    if not known:
        return None
    name, word = known[0]
    module = importlib.import_module(f"combsearch.commands.{name}")
    return lambda what: getattr(module, f"{word}_{what}")


def _phase1_status(store: RunStore) -> dict[str, Any]:
    config = _phase1_config(store)
    rows = store.read(["rank", "shape", "nonzeros", "accuracy", "status"])
    results = phase1.shape_results(rows, config.target)
    best = phase1.winner(results)
    needed = _needed(config, rows, best.nonzeros if best else None)
    done = int((np.unique(rows["rank"].to_numpy()) < needed).sum())
    return {
        "command": "status",
        "run_folder": str(store.root),
        "config": config.to_json(),
        "finished": done == needed,
        "shapes_done": done,
        "shapes_left": needed - done,
        "runs_done": len(rows),
        "runs_counted": int((rows["rank"].to_numpy() < needed).sum()),
        "nonzeros_reached": int(rows["nonzeros"].to_numpy().max()) if len(rows) else None,
        "shape": list(best.shape) if best else None,
        "nonzeros": best.nonzeros if best else None,
        "best_accuracy": max((r.accuracy for r in results), default=None),
        "seconds_since_last_shard": seconds_since(store),
    }


def _needed(config: SearchConfig, rows: pa.Table, found: int | None) -> int:
    """Shapes that the search trains at most; exact once it has found a success."""
    if found is None or config.full:
        return int(config.width**config.depth)
    return _grid(config, rows).level_end(found)


def _grid(config: SearchConfig, rows: pa.Table) -> Grid:
    widths = rows["shape"][0].as_py().split(",")
    return dense_grid(config.width, config.depth, int(widths[0]), int(widths[-1]))


def _status_text(report: dict[str, Any]) -> str:
    left = report["shapes_left"]
    open_end = left and not report["shape"] and not report["config"]["full"]
    at_most = " at most" if open_end else ""
    more = report["runs_done"] - report["runs_counted"]
    state = state_text(report["finished"])
    lines = [
        f"{report['run_folder']}: {state}",
        f"{report['shapes_done']} shapes done, {left} left{at_most};"
        f" {report['runs_counted']} networks saved"
        + (f", {more} more do not count" if more else ""),
    ]
    if report["seconds_since_last_shard"] is not None:
        lines.append(f"last saved {duration(report['seconds_since_last_shard'])} ago")
    if report["shape"]:
        lines.append(
            f"smallest successful shape so far ({shape_text(report['shape'])}),"
            f" {report['nonzeros']} nonzeros"
        )
    elif report["best_accuracy"] is not None:
        lines.append(f"no success up to {report['nonzeros_reached']} nonzeros")
    if report["best_accuracy"]:
        lines.append(f"best accuracy {report['best_accuracy']:.5f}")
    return "\n".join(lines)


def verify_command(text: str, runs: str, as_json: bool) -> dict[str, Any]:
    """Check every shard; damaged ones go to quarantine (exit code 4)."""
    store = RunStore.attach(find_run(text, runs))
    if store.identity.get("command") == "descend":
        return _verify_descend(store, as_json)
    found = store.verify()
    report = {
        "command": "verify",
        "run_folder": str(store.root),
        "valid": len(found.valid),
        "rows": found.rows,
        "quarantined": [list(q) for q in found.quarantined],
        "foreign": found.foreign,
    }
    if as_json:
        say(json.dumps(report))
    else:
        say(f"{store.root}: {count(len(found.valid), 'sound shard')} with {found.rows} networks")
        for name in found.foreign:
            say(f"not ours, left alone: {name}")
    _refuse_damaged(store, found.quarantined)
    return report


def _verify_descend(store: RunStore, as_json: bool) -> dict[str, Any]:
    from combsearch.commands.descend_runs import descend_verify

    sound, damaged = descend_verify(store)
    report = {
        "command": "verify",
        "run_folder": str(store.root),
        "valid": sound,
        "quarantined": [list(one) for one in damaged],
    }
    say(json.dumps(report) if as_json else f"{store.root}: {sound} sound files of descents")
    _refuse_damaged(store, damaged)
    return report


def _refuse_damaged(store: RunStore, found: list[tuple[str, str]]) -> None:
    if found:
        damaged = "; ".join(f"{name}: {reason}" for name, reason in found)
        raise CorruptDataError(
            f"{count(len(found), 'damaged file')} set aside in {store.root / 'quarantine'}"
            f" ({damaged}); repeat the command of the run to compute them again"
        )


def plot_command(
    text: str, runs: str, output: str | None, suffix: str, as_json: bool
) -> dict[str, Any]:
    """Draw the figures of a run, or of a saved report, from its saved rows."""
    from combsearch.commands.figures import draw_run
    from combsearch.commands.reports import draw_report, find_report

    if (saved := find_report(text, runs)) is not None:
        files = draw_report(saved, runs, Path(output or saved.parent), suffix)
        report = {"command": "plot", "report": str(saved), "files": [str(f) for f in files]}
        say(json.dumps(report) if as_json else "\n".join(map(str, files)))
        return report
    store = RunStore.attach(find_run(text, runs))
    folder = store.root / "figures" if output is None else Path(output)
    if store.identity.get("command") in ("phase2", "exhaust"):
        from combsearch.commands.mask_runs import mask_plot

        files = mask_plot(store, folder, suffix)
    elif store.identity.get("command") == "descend":
        from combsearch.commands.descend_runs import descend_plot

        files = descend_plot(store, folder, suffix)
    elif store.identity.get("command") == "prune":
        from combsearch.commands.prune_runs import prune_plot

        files = prune_plot(store, folder, suffix)
    elif (study := _study(store)) is not None:
        files = study("plot")(store, folder, suffix)
    else:
        config = _phase1_config(store)
        rows = store.read()
        if not len(rows):
            raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to draw")
        rows = phase1.counted_rows(rows, config, _grid(config, rows))
        files = draw_run(rows, _task(store, config), config.target, folder, suffix)
    report = {"command": "plot", "run_folder": str(store.root), "files": [str(f) for f in files]}
    say(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report


def _task(store: RunStore, config: SearchConfig) -> Task | None:
    """The task of the run, to draw; None, with a word on why, where it is no longer that."""
    try:
        task = load_task(config.task)
        if task.digest() == store.identity["task_digest"]:
            return task
        reason = f"task {config.task!r} is not what it was when the run was made"
    except CombsearchError as error:
        reason = str(error)
    print(f"combsearch: no pictures of the task: {reason}", file=sys.stderr)
    return None

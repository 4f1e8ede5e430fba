"""``combsearch status``, ``verify`` and ``plot``: look at a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from combsearch.commands.figures import draw_run
from combsearch.config import SearchConfig
from combsearch.errors import CorruptDataError, UsageError
from combsearch.search import phase1
from combsearch.search.phase1 import Plan
from combsearch.store import RunStore


def find_run(text: str, runs: str = "runs") -> Path:
    """The run folder called ``text``: a path, or a name below ``runs``."""
    for path in (Path(text), Path(runs) / text):
        if (path / "run.json").exists():
            return path
    return Path(text) if Path(text).is_dir() else Path(runs) / text


def _attach(text: str, runs: str) -> tuple[RunStore, SearchConfig]:
    store = RunStore.attach(find_run(text, runs))
    if store.identity.get("command") != "phase1":
        raise UsageError(f"{store.root} is a run of {store.identity.get('command')!r}, not phase1")
    return store, SearchConfig.from_json(store.identity["config"])


def status_command(text: str, runs: str, as_json: bool) -> dict[str, Any]:
    """What of a run is done and what is left."""
    store, config = _attach(text, runs)
    plan = Plan.of(config)
    all_shards = list(plan.shards())
    missing = store.missing(all_shards)
    rows = store.read()
    level = phase1.first_success(rows, config.target)
    end = len(plan.grid) if config.full or level is None else plan.grid.level_end(level)
    left = [shard for shard in missing if shard.first < end]
    results = phase1.shape_results(phase1.counted(plan, store), config.target)
    best = phase1.winner(results)
    report = {
        "command": "status",
        "run_folder": str(store.root),
        "config": config.to_json(),
        "finished": not left,
        "shards_done": sum(1 for shard in all_shards if shard.first < end) - len(left),
        "shards_left": len(left),
        "runs_done": len(rows),
        "shape": list(best.shape) if best else None,
        "nonzeros": best.nonzeros if best else None,
        "best_accuracy": max((r.accuracy for r in results), default=None),
    }
    print(json.dumps(report) if as_json else _status_text(report))
    return report


def _status_text(report: dict[str, Any]) -> str:
    state = "finished" if report["finished"] else "not finished: repeat its command to continue"
    best = report["best_accuracy"]
    found = (
        f"smallest successful shape so far {report['shape'][1:-1]}, {report['nonzeros']} nonzeros"
        if report["shape"]
        else "no success yet"
    )
    return (
        f"{report['run_folder']}: {state}\n"
        f"shards done {report['shards_done']}, left {report['shards_left']} at most;"
        f" {report['runs_done']} runs saved\n"
        f"{found}" + (f"; best accuracy {best:.5f}" if best is not None else "")
    )


def verify_command(text: str, runs: str, as_json: bool) -> dict[str, Any]:
    """Check every shard; damaged ones go to quarantine (exit code 4)."""
    store = RunStore.attach(find_run(text, runs))
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
        print(json.dumps(report))
    else:
        print(f"{store.root}: {len(found.valid)} sound shards with {found.rows} runs")
        for name in found.foreign:
            print(f"not ours, left alone: {name}")
    if found.quarantined:
        damaged = "; ".join(f"{name}: {reason}" for name, reason in found.quarantined)
        raise CorruptDataError(
            f"{len(found.quarantined)} damaged shards moved to {store.root / 'quarantine'}"
            f" ({damaged}); repeat the command of the run to compute them again"
        )
    return report


def plot_command(text: str, runs: str, output: str | None, suffix: str, as_json: bool) -> dict[str, Any]:
    """Draw the figures of a run from its saved rows."""
    store, config = _attach(text, runs)
    plan = Plan.of(config)
    rows = phase1.counted(plan, store)
    if not len(rows):
        raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to draw")
    folder = Path(output) if output else store.root / "figures"
    files = draw_run(rows, plan.task, config.target, folder, suffix)
    report = {"command": "plot", "run_folder": str(store.root), "files": [str(f) for f in files]}
    print(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report

"""What a run is and how far it is, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from combsearch.errors import CombsearchError
from combsearch.numerals import plain_percent
from combsearch.saved_network import load_network
from combsearch.store import RunStore

KINDS = {
    "phase1": "Phase one: every dense shape, by rising nonzeros",
    "phase2": "Phase two: every mask of one shape, level by level",
    "exhaust": "Exhaust: every mask of every shape, level by level",
    "descend": "Descend: deletion from trained dense networks",
    "prune": "Prune: a sweep over pruning methods",
}


def about_run(store: RunStore, config: Any) -> list[list[str]]:
    """(name, text) pairs of what a run is."""
    own = config.to_json()
    facts = {"task": own["task"]}
    if "target" in own:
        facts["target"] = plain_percent(own["target"])
    for name, text in (("methods", "methods"), ("widths", "widths"), ("shapes", "starting shapes")):
        if name in own:
            facts[text] = ", ".join(map(str, own[name]))
    if own.get("shape"):
        facts["shape"] = f"({own['shape']})"
    elif "depth" in own and "width" in own:
        facts["space"] = f"{own['depth']} hidden layers of up to {own['width']} neurons"
    if "cells" in own:
        facts["recipes"] = ", ".join(own["cells"])
        facts["training"] = (
            f"{own['epochs']} epochs, batches of {own['batch_size']}, momentum"
            f" {own['momentum']:g}, weight decay {own['weight_decay']:g}"
        )
    most = "at most " if "level_runs" in own else ""
    facts["restarts"] = f"{most}{own['restarts']:,} of each"
    if own.get("race"):
        facts["races"] = f"the worse half drops out five times; 1 in {own['controls']} in full"
    facts["seed"] = f"{own['seed']}"
    if machines := _machines(store):
        facts["trained on"] = ", ".join(machines)
    return [[name, text] for name, text in facts.items()]


def progress(command: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """What is done of how much.

    Returns:
        ``done``, ``whole``, ``unit``; ``at_most``: whether the search ends with a success.
    """
    at_most = False
    if command == "phase1":
        done, left, unit = status["shapes_done"], status["shapes_left"], "shapes"
        at_most = not status["config"]["full"] and not status["shape"]
    elif command == "prune":
        done, left, unit = status["runs_done"], status["runs_left"], "runs"
    elif command == "descend":
        every = status["descents"]
        done = len(every) if status["finished"] else sum(one["finished"] for one in every)
        left, unit = len(every) - done, "descents"
    else:
        done, left, unit = status["masks_done"], status["masks_left"], "masks"
        at_most = not status["config"]["every_level"] and status["bound"] is None
    return {"done": done, "whole": done + left, "unit": unit, "at_most": at_most and left > 0}


def damage(store: RunStore, has_best: bool) -> list[str]:
    """Sentences on what lies beside the rows of a run and cannot be read.

    Args:
        store: the run.
        has_best: whether it names a network, which its last step then saves as best.npz.
    """
    again = "repeat the command that made the run to write it anew."
    summary, best = store.root / "summary.json", store.root / "best.npz"
    found = []
    if summary.is_file() and not _is_object(summary):
        found.append(f"summary.json is damaged, this page is drawn from the rows alone: {again}")
    if best.is_file() and not _is_network(best):
        found.append(f"best.npz is damaged, this page is drawn without it: {again}")
    if has_best and summary.is_file() and not best.is_file():
        found.append(f"best.npz is missing, this page is drawn without it: {again}")
    return found


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _is_network(path: Path) -> bool:
    try:
        load_network(path)
    except (CombsearchError, OSError):
        return False
    return True


def _machines(store: RunStore) -> list[str]:
    """The GPUs or processors that the run was trained on, as its summary says."""
    try:
        found = json.loads((store.root / "summary.json").read_bytes())["sessions"]
        machines = [one["made_with"]["machine"] for one in found if one["trained"]]
        named = [name for one in machines for name in one.get("gpus") or [one["processor"]]]
        return [str(name) for name in dict.fromkeys(named)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []

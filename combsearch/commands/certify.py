"""``combsearch certify``: does a saved network do what it is said to do?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.commands.output import say
from combsearch.commands.runs import find_run
from combsearch.commands.tables import shape_text
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.saved_network import SUFFIXES, SavedNetwork, read_network
from combsearch.search.certify import Certificate, certify_saved
from combsearch.tasks import TASKS, Task, load_task
from combsearch.tasks.embedded_spiral import named_spiral

BEST = "best.npz"  # in a run folder
_TASK = "cubist_spiral"


def certify_command(
    network: str, task: str | None, target: float | None, as_json: bool, runs: str = "runs"
) -> dict[str, Any]:
    """Re-evaluate a saved network in plain PyTorch; the object that ``--json`` prints.

    Args:
        network: a .npz or .safetensors file, a run folder, or a run's name below ``runs``.
        task: any that ``load_task`` knows; None takes the built-in one that the file
            names, and the Cubist Spiral where it names none.
        target: accuracy that it must reach.
        as_json: print one JSON object.
        runs: folder that holds the runs.

    Raises:
        CorruptDataError: the file is damaged, or states what does not hold.
        CombsearchError: the network misses ``target``.
        UsageError: there is no such network or task, or they do not fit.
    """
    if target is not None and not 0 < target <= 1:
        raise UsageError(f"--target {target:g} is no accuracy; it must be above 0 and at most 1")
    path = find_network(network, runs)
    saved = read_network(path)
    found = certify_saved(str(path), saved, load_task(task) if task else stated_task(path, saved))
    reached = None if target is None else found.accuracy >= target
    report = {
        "command": "certify",
        **found.to_json(),
        "target": target,
        "reached": reached,
        "agrees": not found.disagreements,
    }
    say(json.dumps(report) if as_json else _text(found, target))
    if found.disagreements:
        raise CorruptDataError(f"{path}: {'; '.join(found.disagreements)}")
    if reached is False:
        raise CombsearchError(f"{path}: accuracy {found.accuracy:.6f} is below {target:g}")
    return report


def find_network(text: str, runs: str) -> Path:
    """The file that ``text`` names: itself, or best.npz of a run folder."""
    if text.lower().endswith(SUFFIXES) and not os.path.isdir(text):
        return Path(text)
    folder = find_run(text, runs)
    best = folder / BEST
    if not os.path.isdir(folder):
        raise UsageError(
            f"{text} is neither a saved network ({' or '.join(SUFFIXES)}) nor a run folder"
        )
    if not os.path.isfile(best):
        if (runfile.read_identity(folder) or {}).get("command") == "prune":
            raise UsageError(
                f"{folder} is a sweep of pruners, which has no single best network: `combsearch"
                " compare` writes those that reach a target to its folder networks/"
            )
        raise UsageError(f"{folder} holds no {BEST}: no run of it has been finished")
    return best


def stated_task(path: Path, saved: SavedNetwork) -> Task:
    """The task that a saved network names, by default the Cubist Spiral.

    Built-in tasks only: a file must not choose what code or which other file is read.

    Raises:
        UsageError: it names another.
    """
    stated = saved.about.get("task", _TASK)
    if stated in TASKS:
        return load_task(str(stated))
    if (spiral := named_spiral(str(stated))) is not None:
        return spiral
    raise UsageError(f"{path} is a network for task {stated!r}, which is not built in: give --task")


def _text(found: Certificate, target: float | None) -> str:
    """The certificate for a reader."""
    biases = found.nonzeros - found.weight_nonzeros
    rows = [
        ("network", f"{found.path}: ({shape_text(found.shape)})"),
        ("nonzeros", f"{found.nonzeros} ({found.weight_nonzeros} weights, {biases} biases)"),
        ("effective nonzeros", f"{found.effective_nonzeros}"),
        ("counting", f"{found.counting}{_eligibility(found)}"),
        ("task", f"{found.task}, {found.points} points"),
        ("accuracy, float32", _share(found.correct_float32, found.points)),
        ("accuracy, float64", _share(found.correct_float64, found.points)),
        ("decided by rounding", f"{found.undecided} points at most"),
    ]
    if target is not None:
        rows.append((f"reaches {target:g}", "yes" if found.accuracy >= target else "no"))
    if found.stated:
        other = found.stated.get("task", found.task)
        holds = (
            "holds"
            if other == found.task
            else f"holds; its accuracy is for task {other} and was not compared"
        )
        rows.append(("what it states", "; ".join(found.disagreements) or holds))
    return "\n".join(f"{name:<20} {value}" for name, value in rows)


def _eligibility(found: Certificate) -> str:
    """What a reader should know of the mask; nothing where every neuron is used."""
    if found.eligible:
        return ""
    if found.eligible_unused_inputs:
        return "; some inputs are not used"
    return "; the mask is not eligible: a neuron has no weight in or none out"


def _share(correct: int, points: int) -> str:
    return f"{correct / points:.6f} ({correct} of {points})"

"""The page of one network: its neurons as pictures, to be switched off and moved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from combsearch.nets import NetBatch
from combsearch.report.made_by import command_of, run_of, seed_of
from combsearch.report.network.data import network_json
from combsearch.report.page import page
from combsearch.report.points import task_json
from combsearch.saved_network import SavedNetwork, network_facts
from combsearch.search.certify import Certificate, certify_saved
from combsearch.tasks import TASKS, Task
from combsearch.tasks.embedded_spiral import named_spiral

NETWORK_SCRIPTS = (
    "network/forward.js",
    "network/connectivity.js",
    "network/npz.js",
    "network/editing.js",
    "network/layout.js",
    "network/pictures.js",
    "network/drawing.js",
    "network/panel.js",
    "network/parts.js",
    "network/network.js",
)
"""Scripts of a page on which networks can be opened, in this order."""

NETWORK_STYLES = ("network/network.css",)
"""Its styles."""

_DEFAULT = "cubist_spiral"  # what certify takes for a file that names no task

_WORDS = {
    "cell": "recipe (learning rate, schedule)",
    "init_width": "initialised as width",
    "width": "width before pruning",
    "budget": "budget (weights)",
    "nonzeros_before_compaction": "nonzeros before compaction",
}
"""Facts whose names say too little to a reader; of others the underscores go."""

Facts = Mapping[str, str | int | float]


def network_item(
    name: str, nets: NetBatch, index: int, facts: Facts, command: str = ""
) -> dict[str, Any]:
    """One network as ``Network.open`` takes it.

    Args:
        name: for its heading and the file to download.
        nets: MLPs.
        index: which of them.
        facts: what is known about it, in the words of ``saved_network.about``; what the
            network says itself (nonzeros, shape) the page finds again after every change.
        command: that made it; empty where it is not known.

    Raises:
        UsageError: it is wider than a page draws.
    """
    own = network_facts(nets[index : index + 1])
    told = {name: _exact(value) for name, value in facts.items() if name not in own}
    item = {
        "name": name,
        "network": network_json(nets, index),
        "about": [
            [_WORDS.get(name, name.replace("_", " ")), _text(name, told[name])] for name in told
        ],
        "file": told,
    }
    return {**item, "command": command} if command else item


def _text(name: str, value: str | int | float) -> str:
    return percent(value) if name == "accuracy" and not isinstance(value, str) else str(value)


def _exact(value: str | int | float) -> str | int | float:
    """A whole number that JavaScript would round becomes a text."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def percent(share: float) -> str:
    """``96.36%``: cut and not rounded, so that 99.996% never reads 100%."""
    return f"{int(round(share * 1e10) // 10**6) / 100:.2f}%"


def network_page(path: Path, saved: SavedNetwork, task: Task) -> bytes:
    """The page of the network in ``path``, re-evaluated on ``task``.

    Raises:
        UsageError: it does not fit the task, or is wider than a page draws.
    """
    found = certify_saved(str(path), saved, task)
    run = run_of(path)
    name = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    made = (run and command_of(run)) or ""
    seed = None if run is None else seed_of(run)  # older files do not state it
    facts = saved.about if seed is None else {"seed": seed, **saved.about}
    item = network_item(name, saved.nets, 0, facts, made)
    item["about"] = certified_facts(found) + [
        pair for pair in item["about"] if pair[0] not in ("task", "accuracy")
    ]
    data = {
        "item": item,
        "task": task_json(task),
        "disagreements": list(found.disagreements),
        "certify": _again(path, saved, task),
    }
    return page(
        f"{name}: {found.nonzeros} nonzeros, {percent(found.accuracy)} of {task.name}",
        data,
        (*NETWORK_SCRIPTS, "network/main.js"),
        NETWORK_STYLES,
    )


def _again(path: Path, saved: SavedNetwork, task: Task) -> str:
    """The command that evaluates the file again; of a file elsewhere only its name.

    A task that is not built in stands there as TASK: a page is not told where it lies.
    """
    words = ["combsearch", "certify", path.name if path.is_absolute() else str(path)]
    if saved.about.get("task", _DEFAULT) != task.name:
        built_in = task.name in TASKS or named_spiral(task.name) is not None
        words += ["--task", task.name if built_in else "TASK"]
    return shlex.join(words)


def certified_facts(found: Certificate) -> list[list[str]]:
    """What a certificate says, as the page's pairs of a name and a text."""
    hidden = ",".join(map(str, found.shape[1:-1]))
    inputs, outputs = _counted(found.shape[0], "input"), _counted(found.shape[-1], "output")
    biases = found.nonzeros - found.weight_nonzeros
    correct = min(found.correct_float32, found.correct_float64)
    return [
        ["shape", f"({hidden}), {inputs}, {outputs}"],
        ["task", f"{found.task}, {found.points:,} points"],
        ["accuracy, certified", f"{percent(found.accuracy)} ({correct:,} right)"],
        ["decided by rounding", f"{_counted(found.undecided, 'point')} at most"],
        ["nonzeros", f"{found.nonzeros:,} ({found.weight_nonzeros:,} weights, {biases:,} biases)"],
        ["effective nonzeros", f"{found.effective_nonzeros:,}"],
        ["counting", found.counting],
    ]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"

"""The page of one network: its neurons as pictures, to be switched off and moved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from combsearch.nets import NetBatch
from combsearch.numerals import count, percent
from combsearch.report.made_by import command_of, run_of, seed_of
from combsearch.report.network.data import network_json
from combsearch.report.page import page
from combsearch.report.points import task_json
from combsearch.saved_network import NETWORK_FACTS, SavedNetwork
from combsearch.search.certify import Certificate, certify_saved
from combsearch.tasks import Task

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
    told = {name: _exact(value) for name, value in facts.items() if name not in NETWORK_FACTS}
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
    share = name == "accuracy" and not isinstance(value, str) and 0 <= value <= 1
    return percent(float(value)) if share else str(value)


def _exact(value: str | int | float) -> str | int | float:
    """A whole number that JavaScript would round becomes a text."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def network_page(path: Path, saved: SavedNetwork, task: Task, given: str | None = None) -> bytes:
    """The page of the network in ``path``, re-evaluated on ``task``.

    Args:
        path: of the file.
        saved: what it holds.
        task: to evaluate it on.
        given: the text that named the task; None: the file itself names it.

    Raises:
        UsageError: it does not fit the task, or is wider than a page draws.
    """
    run = run_of(path)
    name = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    made = (run and command_of(run)) or ""
    seed = None if run is None else seed_of(run)  # older files do not state it
    facts = saved.about if seed is None else {"seed": seed, **saved.about}
    item = network_item(name, saved.nets, 0, facts, made)  # first: what is too wide ends here
    found = certify_saved(str(path), saved, task)
    item["about"] = certified_facts(found) + [
        pair for pair in item["about"] if pair[0] not in ("task", "accuracy")
    ]
    title = f"{count(found.nonzeros, 'nonzero')}, {percent(found.accuracy)} of {task.name}"
    data = {
        "title": title,
        "item": item,
        "task": task_json(task),
        "disagreements": list(found.disagreements),
        "certify": _again(path, given),
    }
    return page(
        f"{name}: {title}",
        data,
        (*NETWORK_SCRIPTS, "network/main.js"),
        NETWORK_STYLES,
    )


def _again(path: Path, given: str | None) -> str:
    """The command that evaluates the file again; of files elsewhere only their names."""
    task = ["--task", _here(given)] if given else []
    return shlex.join(["combsearch", "certify", _here(str(path)), *task])


def _here(text: str) -> str:
    """A path as it is, but of an absolute one the name: a page is not told where things lie."""
    return Path(text).name if Path(text).is_absolute() else text


def certified_facts(found: Certificate) -> list[list[str]]:
    """What a certificate says, as the page's pairs of a name and a text."""
    hidden = ",".join(map(str, found.shape[1:-1]))
    inputs, outputs = count(found.shape[0], "input"), count(found.shape[-1], "output")
    biases = found.nonzeros - found.weight_nonzeros
    correct = min(found.correct_float32, found.correct_float64)
    return [
        ["shape", f"({hidden}), {inputs}, {outputs}"],
        ["task", f"{found.task}, {found.points:,} points"],
        ["accuracy, certified", f"{percent(found.accuracy)} ({correct:,} right)"],
        ["decided by rounding", f"{count(found.undecided, 'point')} at most"],
        ["nonzeros", f"{found.nonzeros:,} ({found.weight_nonzeros:,} weights, {biases:,} biases)"],
        ["effective nonzeros", f"{found.effective_nonzeros:,}"],
        ["counting", found.counting],
    ]

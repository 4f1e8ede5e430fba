"""``combsearch export``: a saved network in another format, with what is known about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from combsearch.commands.certify import BEST, find_network
from combsearch.commands.output import say
from combsearch.config import SearchConfig
from combsearch.durable import write_bytes
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.nets import NetBatch
from combsearch.runfile import read_identity
from combsearch.saved_network import (
    SUFFIXES,
    About,
    network_bytes,
    network_facts,
    onnx_bytes,
    read_network,
)
from combsearch.search.certify import evaluate
from combsearch.tasks import TASKS, load_task

ONNX = ".onnx"
FORMATS = (*SUFFIXES, ONNX)


def export_command(network: str, output: str, as_json: bool, runs: str = "runs") -> dict[str, Any]:
    """Write a saved network to ``output``; the object that ``--json`` prints.

    Args:
        network: a .npz or .safetensors file, a run folder, or a run's name below ``runs``.
        output: ends in .npz, .safetensors or .onnx; a file that exists is replaced.
        as_json: print one JSON object.
        runs: folder that holds the runs.

    Raises:
        UsageError: there is no such network, or ``output`` cannot be written.
        CorruptDataError: the file is damaged, or states another shape, mask or count than
            its network has. (Whether a stated accuracy holds is for certify to say.)
    """
    suffix = Path(output).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"--output {output} must end in one of {', '.join(FORMATS)}")
    path = find_network(network, runs)
    saved = read_network(path)
    about = {**_run_about(path), **saved.about}
    for name, value in network_facts(saved.nets).items():
        if about.setdefault(name, value) != value:
            raise CorruptDataError(f"{path} states {name} {about[name]!r}, but it is {value!r}")
    if "accuracy" not in about and about.get("task") in TASKS:
        about["accuracy"] = _accuracy(saved.nets, str(about["task"]))
    write_bytes(output, _bytes(saved.nets, about, suffix))
    report = {"command": "export", "network": str(path), "output": output, "about": about}
    say(json.dumps(report) if as_json else f"{path} -> {output}")
    return report


def _bytes(nets: NetBatch, about: About, suffix: str) -> bytes:
    if suffix == ONNX:
        return onnx_bytes(nets, about=about)
    return network_bytes(nets, about=about, suffix=suffix)


def _accuracy(nets: NetBatch, name: str) -> float:
    task = load_task(name)
    return evaluate(nets, task).correct_float32 / task.points


def _run_about(path: Path) -> About:
    """What the run folder of a best.npz tells that the file may not; empty for other files."""
    if path.name != BEST:
        return {}
    try:
        identity = read_identity(path.parent) or {}
        config = SearchConfig.from_json(identity["config"])
    except (CombsearchError, LookupError, TypeError):
        return {}  # of another command, or no run folder
    return {
        "task": config.task,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "momentum": config.momentum,
        "weight_decay": config.weight_decay,
        "init_width": config.width,
        "seed": config.seed,
    }

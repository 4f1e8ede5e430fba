"""Parts of a committed comparison, and what a page made of one holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from combsearch.tasks import Task

Json = dict[str, Any]
METHODS = ("gmp", "snip")
FACTS = ("nonzeros", "effective_nonzeros", "accuracy", "width", "budget", "cell", "restart", "run")


def folder_of(root: Path, folder: Path, methods: tuple[str, ...] = METHODS) -> Path:
    """The file of a part of a committed comparison, beside the runs that it names."""
    report = json.loads((root / "results/compare/comparison.json").read_bytes())
    (folder / "results").symlink_to(root / "results")
    (folder / "part").mkdir()
    path = folder / "part" / "comparison.json"
    path.write_text(json.dumps(part_of(report, methods)))
    return path


def part_of(report: Json, methods: tuple[str, ...] = METHODS) -> Json:
    """The comparison as ``--methods`` would have made it, without the initialisations."""
    groups = [one["group"] for one in report["bounds"] if one["init_digest"] is None]
    part = dict(report)
    for name in ("bounds", "entries", "by_budget", "flops", "prune_runs"):
        part[name] = [
            one
            for one in report[name]
            if one["group"] in groups and one.get("method", methods[0]) in methods
        ]
    command = report["made_with"]["command"] + f" --methods {','.join(methods)}"
    return {**part, "made_with": {**report["made_with"], "command": command}}


def data_of(page: bytes) -> Json:
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    result: Json = json.loads(found[1])
    return result


def run_of(data: Json, number: int | None) -> Json | None:
    """What the page says about a run by its number."""
    if number is None:
        return None
    points = data["points"]
    texts = points["texts"]
    found = {name: points[name][number] for name in ("method", *FACTS)}
    for name in ("method", "cell", "run"):
        found[name] = texts[found[name]]
    return found


@torch.no_grad()
def accuracy_of(network: Json, task: Task) -> float:
    """Share of the task's points that a network of a page classifies right, in PyTorch."""
    widths = network["widths"]
    x = torch.tensor(task.x)
    for layer in range(len(widths) - 1):
        weight, bias = torch.zeros(widths[layer + 1], widths[layer]), torch.zeros(widths[layer + 1])
        rows, columns, values = network["weights"][layer]
        weight[rows, columns] = torch.tensor(values)
        rows, values = network["biases"][layer]
        bias[rows] = torch.tensor(values)
        x = torch.nn.functional.linear(x, weight, bias)
        if layer < len(widths) - 2:
            x = torch.relu(x)
    return float(((x[:, 0] > 0).numpy() == (task.y == 1)).mean())

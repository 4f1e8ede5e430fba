"""The best networks of published rows again, in plain PyTorch and scipy's transform.

    python results/dctps/spiral_check.py results/dctps/spiral-search-3-fixed.parquet ...

Prints, by trained parameters: the accuracy that the row holds, that of the network made from its
support, trained numbers and scales in float32 and in float64, and how many points lie within
rounding of the border (a logit below 1e-5). Those may count otherwise, as where a network that is
as good as chance gives 0 to a whole region; a larger difference ends with exit code 1.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import torch

from combsearch.studies.dctps.spiral_table import published
from combsearch.tasks import Task, load_task

BORDER = 1e-5  # logits


def main(files: list[str]) -> int:
    """Check all files; the exit code."""
    worst = 0
    for file in files:
        config, rows = published(Path(file))
        task = load_task(config.task)
        widths = [task.inputs, *map(int, config.shape.split(",")), 1]
        print(f"{file}: ({config.shape}), alpha {config.alpha}, {config.supports}")
        best = [row for row in rows.to_pylist() if row["support"]]
        for row in sorted(best, key=lambda row: row["parameters"]):
            logits = [logits_of(row, widths, task, kind) for kind in (torch.float32, torch.float64)]
            counts = [int(((one > 0).numpy() == task.y).sum()) for one in logits]
            saved = round(row["accuracy"] * task.points)
            near = int((logits[1].abs() < BORDER).sum())
            worst = max([worst, *(abs(count - saved) - near for count in counts)])
            shown = "  ".join(f"{100 * count / task.points:.4f}%" for count in (saved, *counts))
            print(f"{row['parameters']:>4}  {shown}  {near}")
    print(f"at most {worst} points differ besides those at the border")
    return int(worst > 0)


def logits_of(
    row: dict[str, Any], widths: list[int], task: Task, kind: torch.dtype
) -> torch.Tensor:
    """Logits [point] of the network of a row."""
    values = torch.zeros(sum((a + 1) * b for a, b in itertools.pairwise(widths)), dtype=kind)
    values[torch.tensor(row["support"])] = torch.tensor(row["values"], dtype=kind)
    h, at = torch.tensor(task.x, dtype=kind), 0
    for layer, (fan, out) in enumerate(itertools.pairwise(widths)):
        size = max(fan, out)
        matrix = scipy.fft.dct(np.eye(size), type=2, norm="ortho", axis=0)[:out, :fan]
        sparse = values[at : at + fan * out].view(out, fan)
        bias = values[at + fan * out : at + (fan + 1) * out]
        h = torch.relu(h) if layer else h
        h = h @ (row["alphas"][layer] * torch.tensor(matrix, dtype=kind) + sparse).T + bias
        at += (fan + 1) * out
    return h[:, 0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Does the fused kernel train as PyTorch does? 512 whole runs by each, from the same weights.

Training is chaotic in float rounding, so single runs part; their distributions must not.
(7,3,3), rate 0.05, cosine, 50 epochs. The 512 runs are restarts 0 to 15 under 32 mask keys,
so that they share one order of the points and vmap can train them side by side.

    python results/distribution/distribution.py          # about five minutes on a core
    python results/distribution/distribution.py --draw   # the figure again, from the JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import fisher_exact, ks_2samp

from combsearch.commands.bench import machine
from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.plots.style import BLUE, COLUMN, ORANGE, new_figure, save, styled
from combsearch.rng import RunKeys
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

RUNS, HERE = 512, Path(__file__).parent


def accuracies(name: str) -> np.ndarray:
    """Final accuracy [run] by one trainer."""
    task, shape, recipe = cubist_spiral(), NetShape.parse("7,3,3"), Recipe()
    mask = MaskBatch.dense_of(shape)
    number = np.arange(RUNS)
    mask_keys = mask.keys() + (number // 16).astype(np.uint64)
    keys = RunKeys.make(0, mask_keys, [recipe.cell] * RUNS, number % 16)
    nets = NetBatch.create(MLP(shape), keys, mask)
    trainer = get_trainer(name)
    return trainer.score(trainer.fit(nets, task, recipe, keys), task).accuracy


def main() -> None:
    """Train, compare, write distribution.json and distribution.png beside this file."""
    torch.set_num_threads(1)
    fused, vmap = accuracies("fused"), accuracies("vmap")
    test = ks_2samp(fused, vmap)
    report = {
        "shape": [2, 7, 3, 3, 1],
        "cell": Recipe().cell,
        "runs": RUNS,
        "kolmogorov_smirnov": round(float(test.statistic), 4),
        "p_value": round(float(test.pvalue), 4),
        "mean": {"fused": round(fused.mean(), 5), "vmap": round(vmap.mean(), 5)},
        "machine": machine(),
    }
    for target in (0.95, 0.995):
        good = [int((a >= target).sum()) for a in (fused, vmap)]
        table = [[g, RUNS - g] for g in good]
        report[f"reached_{target}"] = {
            "fused": good[0],
            "vmap": good[1],
            "fisher_p": round(float(fisher_exact(table).pvalue), 4),
        }
    print(json.dumps(report))
    sorted_runs = {"fused": np.sort(fused), "vmap": np.sort(vmap)}
    report["accuracies"] = {name: found.round(5).tolist() for name, found in sorted_runs.items()}
    (HERE / "distribution.json").write_text(json.dumps(report) + "\n")
    draw(report, HERE / "distribution.png")


@styled()
def draw(report: dict[str, Any], path: Path) -> None:
    """Both empirical distributions."""
    figure = new_figure(COLUMN, 2.6)
    axes = figure.add_axes((0.15, 0.16, 0.82, 0.81))
    share = np.arange(1, report["runs"] + 1) / report["runs"]
    lines = {"vmap": (ORANGE, 2.2, "torch.func vmap"), "fused": (BLUE, 1.0, "fused kernel")}
    for name, (colour, width, label) in lines.items():
        axes.step(report["accuracies"][name], share, color=colour, lw=width, label=label)
    axes.set_xlabel("accuracy after 50 epochs")
    axes.set_ylabel(f"share of {report['runs']} runs below")
    axes.legend()
    save(figure, path)


if __name__ == "__main__":
    if sys.argv[1:] == ["--draw"]:
        draw(json.loads((HERE / "distribution.json").read_text()), HERE / "distribution.png")
    else:
        main()

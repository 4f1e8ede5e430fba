"""Does the fused kernel train as PyTorch does? 512 whole runs by each, from the same weights.

Training is chaotic in float rounding, so single runs part; their distributions must not.
(7,3,3), rate 0.05, cosine, 50 epochs. The 512 runs are restarts 0 to 15 under 32 mask keys,
so that they share one order of the points and vmap can train them side by side.

    python results/distribution/distribution.py          # about five minutes on a core
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import fisher_exact, ks_2samp

from combsearch.commands.bench import machine
from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

RUNS, HERE = 512, Path(__file__).parent


def accuracies(name: str) -> tuple[np.ndarray, float]:
    """Final accuracy [run] by one trainer, and the seconds it took."""
    task, shape, recipe = cubist_spiral(), NetShape.parse("7,3,3"), Recipe()
    mask = MaskBatch.dense_of(shape)
    number = np.arange(RUNS)
    mask_keys = mask.keys() + (number // 16).astype(np.uint64)
    keys = RunKeys.make(0, mask_keys, [recipe.cell] * RUNS, number % 16)
    nets = NetBatch.create(MLP(shape), keys, mask)
    trainer, started = get_trainer(name), time.perf_counter()
    nets = trainer.fit(nets, task, recipe, keys)
    return trainer.score(nets, task).accuracy, time.perf_counter() - started


def main() -> None:
    """Train, compare, write distribution.json and distribution.png beside this file."""
    torch.set_num_threads(1)
    (fused, fused_seconds), (vmap, vmap_seconds) = accuracies("fused"), accuracies("vmap")
    test = ks_2samp(fused, vmap)
    report = {
        "shape": [2, 7, 3, 3, 1],
        "cell": Recipe().cell,
        "runs": RUNS,
        "kolmogorov_smirnov": round(float(test.statistic), 4),
        "p_value": round(float(test.pvalue), 4),
        "mean": {"fused": round(fused.mean(), 5), "vmap": round(vmap.mean(), 5)},
        "seconds": {"fused": round(fused_seconds, 1), "vmap": round(vmap_seconds, 1)},
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
    (HERE / "distribution.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(fused, vmap, HERE / "distribution.png")
    print(json.dumps(report))


def draw(fused: np.ndarray, vmap: np.ndarray, path: Path) -> None:
    """Both empirical distributions."""
    figure = Figure(figsize=(3.5, 2.6), layout="constrained")
    axes = figure.add_subplot()
    share = np.arange(1, RUNS + 1) / RUNS
    axes.step(np.sort(vmap), share, color="#b5541c", lw=2.2, label="torch.func vmap")
    axes.step(np.sort(fused), share, color="#1f6fb4", lw=1.0, label="fused kernel")
    axes.set_xlabel("accuracy after 50 epochs")
    axes.set_ylabel("share of 512 runs below")
    axes.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=200)


if __name__ == "__main__":
    main()

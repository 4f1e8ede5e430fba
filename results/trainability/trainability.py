"""Do the masks that descend found train from random weights, and how often?

For the network of each level of a run of ``combsearch descend``: its mask, its live neurons
only, is trained from fresh random weights, thousands of restarts in full, and the share that
reaches each target is written down. Networks exist far below the level at which they train.

    python results/trainability/trainability.py FRONTIER [FRONTIER ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.canonical import canonical_form
from combsearch.config import Recipe
from combsearch.connectivity import compact
from combsearch.frontier import success_interval
from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network, save_network
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

FOLDER = Path(__file__).resolve().parent
TARGETS = (0.95, 0.995, 1.0)
SEED, POOL = 2, 256
CELL = "0.05:cosine"


def mask_of(path: Path) -> MaskBatch | None:
    """The mask of a saved network without its dead neurons; None where it is not eligible."""
    nets = compact(load_network(path))
    assert isinstance(nets.network, MLP)
    layers = range(len(nets.network.shape.layers))
    dense = [nets.masks[f"weight{layer}"].astype(np.uint8) for layer in layers]
    masks = MaskBatch.from_dense(nets.network.shape, dense)
    return canonical_form(masks) if masks.eligible().all() else None


def train(masks: MaskBatch, restarts: int) -> tuple[NetBatch, Any]:
    """``restarts`` networks of one mask, and their scores."""
    number = np.arange(restarts)
    keys = RunKeys.make(SEED, np.repeat(masks.keys(), restarts), [CELL] * restarts, number, POOL)
    trainer, task = get_trainer("fused"), cubist_spiral()
    nets = NetBatch.create(MLP(masks.shape), keys, masks)
    nets = trainer.fit(nets, task, Recipe().with_cell(CELL), keys)
    return nets, trainer.score(nets, task)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frontier", nargs="+", type=Path, help="folder of NONZEROS.npz")
    parser.add_argument("--restarts", type=int, default=4096)
    parser.add_argument("--least", type=float, default=0.95, help="accuracy worth training")
    parser.add_argument("--most", type=int, default=40, help="nonzeros of the largest")
    given = parser.parse_args()
    found, seen = [], set()
    for path in sorted(p for folder in given.frontier for p in folder.glob("*.npz")):
        masks = mask_of(path)
        stated = get_trainer("fused").score(load_network(path), cubist_spiral()).accuracy[0]
        if masks is None or stated < given.least or int(masks.keys()[0]) in seen:
            continue
        if masks.nonzeros()[0] > given.most:
            continue
        seen.add(int(masks.keys()[0]))
        started = time.perf_counter()
        nets, scores = train(masks, given.restarts)
        accuracy = np.where(scores.diverged, 0, scores.accuracy)
        best = int(np.argmax(accuracy))
        row: dict[str, Any] = {
            "nonzeros": int(masks.nonzeros()[0]),
            "shape": masks.shape.to_json(),
            "exists": float(stated),
            "trained_best": float(accuracy[best]),
            "restarts": given.restarts,
            "restart_of_best": best,
        }
        for target in TARGETS:
            good = int((accuracy >= target).sum())
            row[f"successes_{target:g}"] = good
            row[f"interval_{target:g}"] = success_interval(good, given.restarts)
        found.append(row)
        name = f"trained-{row['nonzeros']}-{masks.shape}".replace(",", "x")
        if accuracy[best] >= TARGETS[0]:
            save_network(FOLDER / f"{name}.npz", nets, best)
        say = (
            f"{row['nonzeros']} ({masks.shape}) exists {stated:.4f}, trained {accuracy[best]:.4f},"
            f" {row['successes_0.95']} {row['successes_0.995']} of {given.restarts};"
            f" {time.perf_counter() - started:.0f} s"
        )
        print(say, file=sys.stderr, flush=True)
    found.sort(key=lambda row: (row["nonzeros"], row["shape"]))
    result = {"cell": CELL, "seed": SEED, "block": POOL, "masks": found}
    (FOLDER / "trainability.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How often do the two published shapes succeed? Fresh restarts, none of them from the searches.

A search stops on the shape that had luck, so its share of successes there is too high. Here
the shapes are fixed beforehand and the restarts are others: 9,600 a shape, all six cells.

    python results/shares/shares.py          # about two minutes on a core
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from combsearch.commands.bench import machine
from combsearch.config import SearchConfig
from combsearch.frontier import success_interval
from combsearch.mask import NetShape
from combsearch.search.plan import dense_nets
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

RESTARTS = range(1000, 2600)  # a cell; the searches used 0 to 31
SHAPES = {"3,2,2": 0.95, "5,2,2": 0.995}


def share(text: str, target: float) -> dict[str, object]:
    """Successes of one shape, and the best accuracy there was."""
    config, task, trainer = SearchConfig(), cubist_spiral(), get_trainer("fused")
    nets, keys = dense_nets(NetShape.parse(text), config, RESTARTS)
    recipes = [recipe for recipe in config.recipes() for _ in RESTARTS]
    scores = trainer.score(trainer.fit(nets, task, recipes, keys), task)
    good = int(((scores.accuracy >= target) & ~scores.diverged).sum())
    low, high = success_interval(good, len(nets))
    return {
        "shape": text,
        "target": target,
        "runs": len(nets),
        "successes": good,
        "share": good / len(nets),
        "interval": [low, high],
        "best_accuracy": float(np.max(scores.accuracy)),
    }


def main() -> None:
    """Train, and write shares.json beside this file."""
    report = {"shares": [share(*item) for item in SHAPES.items()], "machine": machine()}
    text = json.dumps(report, indent=1)
    Path(__file__).with_name("shares.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

"""Rows such as a run of the study of DCT plus sparse saves, made without training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.dctps_rows import COLUMNS

Row = dict[str, Any]

METHODS = ("dctps+epl", "epl", "erk", "uniform", "force", "synflow", "rigl", "dctps+rigl")
DENSITIES = (5.0, 1.0, 0.5, 0.2, 0.1)
SIZES = (235_200, 30_000, 1000)
_FALL = {"uniform": 0.55, "force": 0.45, "synflow": 0.28, "rigl": 0.24, "epl": 0.33, "erk": 0.3,
         "epf": 0.36, "snip": 0.5, "iter_snip": 0.42}  # fmt: skip


def table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=COLUMNS)


def some_rows(
    methods: Sequence[str] = METHODS,
    densities: Sequence[float] = DENSITIES,
    seeds: int = 5,
    dense: bool = True,
    cell: str = "0.001:constant",
    layers: int = 3,
    seed: int = 0,
) -> list[Row]:
    """Accuracies that fall with the density, faster without a transform; FORCE collapses."""
    random = np.random.default_rng(seed)
    settings = [(m, d) for m in methods for d in densities] + [("dense", 100.0)] * dense
    found = []
    for rank, ((method, density), restart) in enumerate(itertools.product(settings, range(seeds))):
        offset, _, support = method.rpartition("+")
        lost = method == "force" and density < 0.3
        weights = sum(SIZES)
        kept = max(1, round(density / 100 * weights))
        alphas = 1 + 0.3 * random.normal(size=layers) - 0.1 * math.log10(density)
        found.append({
            "rank": rank, "method": method, "density": density, "cell": cell, "restart": restart,
            "accuracy": 0.1 if lost else _accuracy(offset, support, density, random),
            "valid_accuracy": 0.8, "best_epoch": 3, "last_accuracy": 0.8,
            "status": "collapsed" if lost else "ok", "weights": weights, "budget": kept,
            "kept": kept, "other": 410, "layer_kept": [kept // layers] * layers,
            "alphas": alphas.tolist() if offset == "dctps" else [1.0] * layers if offset else [],
            "seconds": 1.0,
        })  # fmt: skip
    return found


def _accuracy(offset: str, support: str, density: float, random: np.random.Generator) -> float:
    fall = _FALL.get(support, 0.0) * (0.3 if offset else 1) + (0.02 if offset else 0)
    loss = fall * max(math.log10(100 / density) - 1, 0) ** 1.5 / 2
    return float(np.clip(0.885 - loss + random.normal(0, 0.006 + 0.02 * loss), 0.1, 1))

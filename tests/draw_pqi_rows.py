"""Rows such as a run of the PQ-index study saves, made without training, for its figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.plots.pqi_curves import PAPER, Variant
from combsearch.pqi_rows import COLUMNS

Row = dict[str, Any]

GRID = ("0.5:1", "1:2")
LAYERS = ("hidden 1", "hidden 2", "output")
SIZES = (100_352, 32_768, 1280)
SETTINGS = ("p", "q", "eta", "gamma", "share")


def table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=COLUMNS)


def some_rows(
    variants: Sequence[Variant] = PAPER,
    scopes: Sequence[str] = ("global", "layer", "neuron"),
    seeds: int = 4,
    rounds: int = 30,
    grid: Sequence[str] = GRID,
    sizes: Sequence[int] = SIZES,
    biases: int = 0,
    cell: str = "0.1:cosine",
    seed: int = 0,
) -> list[Row]:
    """SAP prunes by an index that dips and rises again, the others a fifth a round."""
    random = np.random.default_rng(seed)
    pairs = [(float(p), float(q)) for p, _, q in (pair.partition(":") for pair in grid)]
    rows: list[Row] = []
    for variant, scope, restart in itertools.product(variants, scopes, range(seeds)):
        kept = sum(sizes)
        for turn in range(rounds + 1):
            row = _row(variant, kept, pairs, sizes, random)
            rows.append({**row, "round": turn, "scope": scope, "restart": restart, "cell": cell,
                         "rank": len(rows), "nonzeros": kept + biases})  # fmt: skip
            kept = row["left"]
    return rows


def _row(
    variant: Variant,
    kept: int,
    pairs: Sequence[tuple[float, float]],
    sizes: Sequence[int],
    random: np.random.Generator,
) -> Row:
    share = kept / sum(sizes)
    level = _level(variant, share) + random.normal(0, 0.006)
    index = [_at(level, p, q) for p, q in pairs]
    left = max(kept - int(kept * _pruned(variant, level)), 1)
    accuracy = _accuracy(variant, kept) + float(random.normal(0, 0.004))
    by_layer = [max(1, round(n * share ** (0.6 + 0.4 * i))) for i, n in enumerate(sizes)]
    own = {key: getattr(variant, key) for key in SETTINGS}
    return {
        "method": variant.method,
        **{key: math.nan if value is None else value for key, value in own.items()},
        "accuracy": accuracy,
        "best_accuracy": accuracy + abs(float(random.normal(0, 0.002))),
        "best_epoch": 3,
        "pruned_accuracy": 0.1 + (accuracy - 0.1) * (left / kept) ** (2.2 - 2 * share),
        "status": "ok",
        "weights": sum(sizes),
        "kept": kept,
        "left": left,
        "effective": max(1, int(kept * 0.95)),
        "pqi": index,
        "retain": [kept * _stay(i, p, q) for i, (p, q) in zip(index, pairs, strict=True)],
        "gini": 0.3 + level,
        "layer_kept": by_layer,
        "layer_pqi": [i * (0.7 + 0.3 * n) for n in range(len(sizes)) for i in index],
        "layer_gini": [0.5] * len(sizes),
        "mask": [0],
        "seconds": 1.0,
    }


def _level(variant: Variant, share: float) -> float:
    """The index at p = 0.5, q = 1."""
    depth = -math.log10(share)
    dip = 0.16 if variant.method == "one_shot" else 0.1
    return 0.28 - dip * math.exp(-(((depth - 0.8) / 0.5) ** 2)) + 0.05 * max(depth - 1.5, 0)


def _at(level: float, p: float, q: float) -> float:
    return float(1 - math.exp(-level * (1 / p - 1 / q)))


def _stay(index: float, p: float, q: float) -> float:
    return float((1 - index) ** (p * q / (q - p)))


def _pruned(variant: Variant, level: float) -> float:
    p, q = variant.p, variant.q
    if p is None or q is None:
        return variant.share or 0.2
    stay = _stay(_at(level, p, q), p, q) * (1 + (variant.eta or 0)) ** (-q / (q - p))
    return float(min(max((variant.gamma or 1.0) * (1 - stay), 0.0), 0.9))


def _accuracy(variant: Variant, kept: int) -> float:
    fall = 0.18 if variant.method == "one_shot" else 0.12
    return max(0.88 - fall * math.exp(3 - 1.4 * math.log10(max(kept, 1))), 0.1)

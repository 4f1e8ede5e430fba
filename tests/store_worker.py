"""Rows for the tests of the store, and processes that write them while they are killed.

Run as a program: ``store_worker.py ROOT SHARDS LOG [ORDER]`` writes the shards in turn
and appends the name of each committed file to LOG before it goes on.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.store import RunStore, Shard, rows_table

IDENTITY: dict[str, Any] = {
    "command": "phase1",
    "config": {"task": "cubist_spiral", "width": 16, "cells": ["0.05:cosine", "0.1:step"]},
    "task_digest": "0f" * 32,
    "numerics": 3,
}
CELLS = ("0.05:cosine", "0.1:step")
RANKS = 10  # of a shard of `shards`


def shards(count: int) -> list[Shard]:
    return [Shard(k * RANKS, (k + 1) * RANKS) for k in range(count)]


def make_rows(first: int, last: int, seconds: float | None = None) -> pa.Table:
    """Rows of first <= rank < last, 2 cells x 3 restarts each: a function of the rank alone."""
    columns: dict[str, list[Any]] = {name: [] for name in ("rank", "cell", "restart", "accuracy")}
    columns |= {name: [] for name in ("mask", "nonzeros", "status", "parameters")}
    for rank in range(first, last):
        rng = np.random.default_rng(rank)
        mask, nonzeros = rng.integers(2**63), rng.integers(10, 60)
        for cell in CELLS:
            for restart in range(3):
                columns["rank"].append(rank)
                columns["cell"].append(cell)
                columns["restart"].append(restart)
                columns["mask"].append(mask)
                columns["nonzeros"].append(nonzeros)
                columns["accuracy"].append(rng.integers(25_000, 49_983) / 49_982)
                columns["status"].append("diverged" if rng.integers(9) == 0 else "ok")
                best = cell == CELLS[0] and restart == 1
                columns["parameters"].append(
                    rng.standard_normal(21).astype(np.float32) if best else None
                )
    return rows_table(shape="2,3,2,1", seconds=seconds, **columns)


def main(root: str, count: str, log: str, order: str = "0") -> None:
    store = RunStore.open(root, IDENTITY)
    todo = shards(int(count))
    random.Random(order).shuffle(todo)
    for shard in store.missing(todo):
        path = store.write(shard, make_rows(shard.first, shard.last, seconds=os.getpid() / 7))
        with Path(log).open("a") as file:
            file.write(f"{path.name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

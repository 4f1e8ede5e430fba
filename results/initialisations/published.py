"""The two published initialisations, and training from them: what the three experiments share.

``bench-95-init.npz`` and ``bench-995-init.npz`` hold weight0..3 and bias0..3 of a network
of width 16; a narrower one takes the leading block. Only the order of the minibatches, named
by its number, and the cell tell two runs from one initialisation apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from combsearch.commands.bench import machine
from combsearch.config import CELLS, Recipe
from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch, Scores
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network
from combsearch.search.racing import alive
from combsearch.tasks import Task, cubist_spiral
from combsearch.trainers import get_trainer

HERE = Path(__file__).parent
TARGETS = {"bench-95": 0.95, "bench-995": 0.995}
WIDTH = 16
RECIPES = {cell: Recipe().with_cell(cell) for cell in CELLS}

Bools = npt.NDArray[np.bool_]


@lru_cache(maxsize=1)
def spiral() -> Task:
    """The task of all runs, made once."""
    return cubist_spiral()


@lru_cache(maxsize=2)
def published(name: str) -> NetBatch:
    """The published network of width 16."""
    return load_network(HERE / f"{name}-init.npz", WIDTH)


def from_published(name: str, masks: MaskBatch) -> NetBatch:
    """Masked networks that start from the leading block, one a mask."""
    keys = RunKeys.make(0, masks.keys(), [CELLS[0]] * len(masks), np.zeros(len(masks)))
    return with_params(NetBatch.create(MLP(masks.shape, WIDTH), keys, masks), block(name, masks))


def block(name: str, masks: MaskBatch) -> dict[str, npt.NDArray[np.float32]]:
    """The leading block that fits a shape: name -> float32 [1, ...]."""
    sizes = {f"weight{layer}": size for layer, size in enumerate(masks.shape.layers)}
    sizes |= {f"bias{layer}": size[:1] for layer, size in enumerate(masks.shape.layers)}
    whole = published(name).params
    return {key: whole[key][(slice(None), *map(slice, size))] for key, size in sizes.items()}


def with_params(nets: NetBatch, params: dict[str, npt.NDArray[np.float32]]) -> NetBatch:
    """``nets`` with other parameters, masked."""
    masked = {key: params[key] * nets.masks[key] for key in nets.params}
    return NetBatch(nets.network, masked, nets.masks, nets.momenta)


def alive_masks(name: str, masks: MaskBatch) -> Bools:
    """bool [mask]: the published network, masked, does not answer the same for all points.

    One that does has no path that is on: its weights get no gradient, so no order trains it.
    """
    return alive(from_published(name, masks), spiral())


def train(
    nets: NetBatch, cells: Sequence[str], seed: int, order: int
) -> tuple[NetBatch, Scores, Bools]:
    """Whole runs, all with the minibatches of this order: networks, scores, bool [net] sound."""
    keys = RunKeys.make(seed, np.zeros(len(nets)), cells, np.full(len(nets), order), 1)
    trainer = get_trainer("fused")
    trained = trainer.fit(nets, spiral(), [RECIPES[cell] for cell in cells], keys)
    scores = trainer.score(trained, spiral())
    return trained, scores, ~scores.diverged


def write(name: str, report: dict[str, object]) -> None:
    """The JSON of an experiment beside this file, with the machine."""
    text = json.dumps(report | {"machine": machine()}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")


def matrices(masks: MaskBatch, index: int) -> list[list[list[int]]]:
    """One mask, a 0/1 matrix a layer."""
    return [layer[index].tolist() for layer in masks.dense()]

"""The page of all masks of a small shape: a map to walk on, coloured by best accuracy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.mask import MaskBatch
from combsearch.report.atlas.data import Atlas, read_atlas
from combsearch.report.atlas.neighbours import one_weight_fewer
from combsearch.report.made_by import command_of
from combsearch.report.network.page import NETWORK_SCRIPTS, NETWORK_STYLES, network_item
from combsearch.report.page import page
from combsearch.report.points import encoded, task_json
from combsearch.report.run.shown import run_name
from combsearch.search.level_results import row_network
from combsearch.search.results import row_facts
from combsearch.store import RunStore

ATLAS_SCRIPTS = (
    "atlas/masks.js",
    "atlas/layout.js",
    "atlas/scale.js",
    "atlas/cells.js",
    "atlas/map.js",
    "atlas/panel.js",
    "atlas/main.js",
)
ATLAS_STYLES = ("atlas/atlas.css",)

_MOST_NETWORK_BYTES = 1_200_000  # of all networks together
_MOST_STEPS = 500_000  # weights of all masks together whose deletion leads somewhere: 1.3 MB


def atlas_page(store: RunStore, shape: str) -> bytes:
    """The page of all masks of ``shape`` that a run trains.

    Args:
        store: a run of phase two or exhaust.
        shape: hidden widths; empty for the run's, or for that of its best network.

    Raises:
        UsageError: it is another run, does not train that shape, holds no mask of it yet, or
            there are too many for a page.
        CorruptDataError: a shard is damaged.
    """
    atlas = read_atlas(store, shape)
    return page(
        f"{run_name(store)}: all masks of ({atlas.shape})",
        atlas_json(atlas, store),
        (*NETWORK_SCRIPTS, *ATLAS_SCRIPTS),
        (*NETWORK_STYLES, *ATLAS_STYLES),
    )


def atlas_json(atlas: Atlas, store: RunStore) -> dict[str, Any]:
    """What the page shows, as JSON values.

    Arrays are base64 of little-endian numbers, one a mask in the order of ranks: ``masks``
    (the bytes of a mask, weight p is bit ``p % 8`` of byte ``p // 8``), ``trained`` (uint8),
    ``runs`` and ``successes`` (uint32), ``accuracy`` and ``sizes`` (float64); ``fewer`` is as
    ``one_weight_fewer`` (uint16). ``networks`` are pairs of a mask's place and what
    ``Network.open`` takes.
    """
    plan, results = atlas.plan, atlas.results
    task = plan.task if plan.task.digest() == store.identity["task_digest"] else None
    sizes = atlas.sizes()
    steps = one_weight_fewer(atlas, _MOST_STEPS)
    return {
        "run": run_name(store),
        "runCommand": command_of(store.root),
        "shape": atlas.shape.to_json(),
        "symmetry": plan.symmetry,
        "unusedInputs": plan.config.unused_inputs,
        "oneStart": plan.fixed,
        "raced": plan.config.race,
        "target": plan.config.target,
        "cells": list(plan.config.cells),
        "taskName": plan.task.name,
        "task": None if task is None else task_json(task),
        "levels": [
            {
                "nonzeros": segment.nonzeros,
                "masks": segment.masks,
                "rank": segment.local,
                "runRank": segment.rank,
                "started": plan.runs(segment),
            }
            for segment in atlas.segments
        ],
        "below": list(plan.untried),
        "beyond": [[segment.nonzeros, segment.masks] for segment in atlas.beyond],
        "masks": encoded(mask_bytes(atlas.masks)),
        "trained": _numbers(results.trained, "u1"),
        "runs": _numbers(results.runs, "<u4"),
        "successes": _numbers(results.successes, "<u4"),
        "accuracy": _numbers(results.best, "<f8"),
        "sizes": None if sizes is None else _numbers(np.array(sizes, np.float64), "<f8"),
        "fewer": None if steps is None else _numbers(steps, "<u2"),
        "networks": _networks(atlas, store),
    }


def mask_bytes(masks: MaskBatch) -> npt.NDArray[np.uint8]:
    """uint8 [mask, byte]: the words of each, lowest byte first, without the bytes never used."""
    words = np.ascontiguousarray(masks.words, "<u8")
    return np.ascontiguousarray(words.view(np.uint8)[:, : -(-masks.shape.weights // 8)])


def _numbers(values: npt.NDArray[Any], kind: str) -> str:
    return encoded(np.ascontiguousarray(values, kind))


def _networks(atlas: Atlas, store: RunStore) -> list[list[Any]]:
    """As many saved networks as a page carries, by place."""
    found: list[list[Any]] = []
    used = 0
    for row in atlas.networks.to_pylist():
        item = _item(atlas, store, row)
        used += len(json.dumps(item))
        if used > _MOST_NETWORK_BYTES:
            break
        found.append([atlas.place(row["rank"]), item])
    return sorted(found, key=lambda pair: pair[0])


def _item(atlas: Atlas, store: RunStore, row: dict[str, Any]) -> dict[str, Any]:
    """The network of a row, as ``Network.open`` takes it."""
    plan, place = atlas.plan, atlas.place(row["rank"])
    nets = row_network(row, plan.config.width, atlas.masks[place : place + 1])
    facts = row_facts(row, plan.task.name, plan.config)
    name = f"{run_name(store)} rank {row['rank']}"
    return network_item(name, nets, 0, facts, command_of(store.root) or "")

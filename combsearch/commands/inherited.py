"""``--from RUN``: what a search takes over from a finished run of phase one."""

from __future__ import annotations

import json
from typing import Any

from combsearch.commands.runs import find_run
from combsearch.commands.tables import shape_text
from combsearch.errors import UsageError
from combsearch.store import RunStore

_TAKEN = ("task", "target", "width", "epochs", "batch_size", "momentum", "weight_decay")


def inherited(source: str, runs: str) -> dict[str, tuple[str, Any]]:
    """Task, target, shape and recipe of a finished run of phase one: field -> (source, value).

    The shape is there as ``shape`` and, for searches that start from several, ``shapes``.
    """
    store = RunStore.attach(find_run(source, runs))
    try:
        summary = json.loads((store.root / "summary.json").read_bytes())
    except (OSError, ValueError):
        summary = {}
    if store.identity.get("command") != "phase1" or not summary.get("shape"):
        raise UsageError(
            f"--from {source}: {store.root} is no run of phase one that found a shape;"
            " finish it first, or name a shape with --shape"
        )
    config = store.identity["config"]
    taken = {name: config[name] for name in _TAKEN if name in config}
    taken["shape"] = shape_text(summary["shape"])
    taken["shapes"] = (taken["shape"].replace(",", "x"),)
    return {name: (f"--from {source}, {name}", value) for name, value in taken.items()}

"""``combsearch status`` and ``plot`` of a run of descend."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from combsearch import fields
from combsearch.commands.running import state_text
from combsearch.commands.tables import shape_text
from combsearch.errors import CorruptDataError, UsageError
from combsearch.saved_network import load_network
from combsearch.search.descend import DescendPlan, read_state
from combsearch.search.descent import lowest_at
from combsearch.search_config import DescendConfig
from combsearch.store import RunStore


def _saved_plan(store: RunStore) -> DescendPlan:
    """The plan of a saved run; where nothing is trained no GPU is looked for."""
    config = fields.from_json(DescendConfig, store.identity["config"])
    plan = DescendPlan.of(dataclasses.replace(config, trainer="fused"))
    return dataclasses.replace(plan, config=config)


def descend_status(store: RunStore) -> dict[str, Any]:
    """Which descents of a run are finished, and the lowest nonzeros so far, as JSON."""
    plan = _saved_plan(store)
    descents: list[dict[str, Any]] = []
    for path, shape in plan.paths(store.root):
        state = read_state(path, shape)
        descents.append(
            {
                "shape": shape.to_json(),
                "joint": path.name.startswith("joint-"),
                "started": state is not None,
                "finished": state is not None and state.finished,
                "lowest": state and lowest_at(state, plan.config.target, plan.task.points),
            }
        )
    lowest = [d["lowest"] for d in descents if d["lowest"] is not None]
    return {
        "command": "status",
        "run_folder": str(store.root),
        "config": plan.config.to_json(),
        "finished": all(d["finished"] for d in descents),
        "lowest": min(lowest, default=None),
        "descents": descents,
    }


def descend_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    state = state_text(report["finished"])
    descents, target = report["descents"], report["config"]["target"]
    done = sum(d["finished"] for d in descents)
    lines = [f"{report['run_folder']}: {state}", f"{done} of {len(descents)} descents done"]
    for d in descents:
        if d["started"]:
            name = f"{'joint ' * d['joint']}({shape_text(d['shape'])})"
            going = "" if d["finished"] else ", going on"
            reached = f"{target:g} at {d['lowest']} nonzeros" if d["lowest"] else "no success"
            lines.append(f"  {name}: {reached}{going}")
    return "\n".join(lines)


def descend_verify(store: RunStore) -> tuple[int, list[tuple[str, str]]]:
    """(sound files, (name, reason) of the damaged ones); those move to ``quarantine/``."""
    plan = _saved_plan(store)
    sound = 0
    damaged: list[tuple[Path, str]] = []
    for path, shape in plan.paths(store.root):
        if not path.exists():
            continue
        if read_state(path, shape) is None:
            damaged.append((path, "it is not a whole state of a descent"))
        else:
            sound += 1
    for path in [*sorted((store.root / "frontier").glob("*.npz")), store.root / "best.npz"]:
        if path.exists():
            try:
                load_network(path)
                sound += 1
            except CorruptDataError as error:
                damaged.append((path, str(error)))
    for path, _ in damaged:
        (store.root / "quarantine").mkdir(exist_ok=True)
        path.rename(store.root / "quarantine" / path.name)
    return sound, [(path.name, reason) for path, reason in damaged]


def descend_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a finished run; their paths."""
    from combsearch.commands.figures import draw_descent

    try:
        report = json.loads((store.root / "summary.json").read_bytes())
    except (OSError, ValueError):
        raise UsageError(
            f"{store.root} has no summary.json yet: finish the run, then draw it"
        ) from None
    plan = _saved_plan(store)
    nets = load_network(store.root / "best.npz")
    return draw_descent(plan.task, report, nets, output, suffix)

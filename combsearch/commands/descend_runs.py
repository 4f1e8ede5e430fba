"""``combsearch status`` and ``plot`` of a run of descend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from combsearch import fields
from combsearch.commands.tables import shape_text
from combsearch.errors import UsageError
from combsearch.saved_network import load_network
from combsearch.search.descend import DescendPlan, read_state
from combsearch.search.descent import lowest_at
from combsearch.search_config import DescendConfig
from combsearch.store import RunStore


def descend_status(store: RunStore) -> dict[str, Any]:
    """Which descents of a run are finished, and the lowest nonzeros so far, as JSON."""
    config = fields.from_json(DescendConfig, store.identity["config"])
    plan = DescendPlan.of(config)
    descents: list[dict[str, Any]] = []
    for path, shape in plan.paths(store.root):
        state = read_state(path, shape)
        descents.append(
            {
                "shape": shape.to_json(),
                "joint": path.name.startswith("joint-"),
                "started": state is not None,
                "finished": state is not None and state.finished,
                "lowest": state and lowest_at(state, config.target, plan.task.points),
            }
        )
    lowest = [d["lowest"] for d in descents if d["lowest"] is not None]
    return {
        "command": "status",
        "run_folder": str(store.root),
        "config": config.to_json(),
        "finished": all(d["finished"] for d in descents),
        "lowest": min(lowest, default=None),
        "descents": descents,
    }


def descend_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    state = "finished" if report["finished"] else "not finished: repeat its command to continue"
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


def descend_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a finished run; their paths."""
    from combsearch.commands.figures import draw_descent

    try:
        report = json.loads((store.root / "summary.json").read_bytes())
    except (OSError, ValueError):
        raise UsageError(
            f"{store.root} has no summary.json yet: finish the run, then draw it"
        ) from None
    plan = DescendPlan.of(fields.from_json(DescendConfig, store.identity["config"]))
    nets = load_network(store.root / "best.npz")
    return draw_descent(plan.task, report, nets, output, suffix)

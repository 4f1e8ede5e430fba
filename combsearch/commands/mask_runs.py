"""``combsearch status`` and ``plot`` of a run of phase two or exhaust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from combsearch.commands.mask_report import best_network, levels_report
from combsearch.commands.mask_search import begin
from combsearch.commands.running import seconds_since, state_text
from combsearch.commands.tables import shape_text
from combsearch.errors import UsageError
from combsearch.progress import duration
from combsearch.search.saved_plan import saved_plan
from combsearch.search.tally import tally_of
from combsearch.store import RunStore


def mask_status(store: RunStore) -> dict[str, Any]:
    """What of a run is done and what is left, as JSON."""
    plan = saved_plan(store)
    course = begin(plan, store, quarantine=False)
    tally = tally_of(plan, store, course.end, digested=False)
    report = levels_report(plan, tally)
    done = tally.trained(0, course.end)
    return {
        "command": "status",
        "run_folder": str(store.root),
        "config": plan.config.to_json(),
        "finished": course.complete(),
        "masks_done": done,
        "masks_left": course.end - done,
        "runs_done": report["trained"],
        "level": course.nonzeros,
        "bound": report["bound"],
        "best_accuracy": max((x["best_accuracy"] for x in report["levels"]), default=None),
        "best": report["best"],
        "levels": report["levels"],
        "seconds_since_last_shard": seconds_since(store),
    }


def mask_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    state = state_text(report["finished"])
    stops = not report["config"]["every_level"] and report["bound"] is None
    at_most = " at most" if stops and report["masks_left"] else ""
    lines = [
        f"{report['run_folder']}: {state}",
        f"{report['masks_done']:,} masks done, {report['masks_left']:,} left{at_most};"
        f" {report['runs_done']:,} runs",
    ]
    if report["seconds_since_last_shard"] is not None:
        lines.append(f"last saved {duration(report['seconds_since_last_shard'])} ago")
    if report["bound"] is not None:
        best = report["best"]
        lines.append(
            f"smallest success so far {report['bound']} nonzeros,"
            f" ({shape_text(best['shape'])}) at {best['accuracy']:.5f}"
        )
    elif report["best_accuracy"] is not None:
        lines.append(f"no success yet, at level {report['level']}")
        lines.append(f"best accuracy {report['best_accuracy']:.5f}")
    return "\n".join(lines)


def mask_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a run; their paths."""
    from combsearch.commands.figures import draw_masks

    plan = saved_plan(store)
    course = begin(plan, store, quarantine=False)
    tally = tally_of(plan, store, course.end, digested=False)
    if not tally.rows:
        raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to draw")
    report = levels_report(plan, tally)
    nets = best_network(plan, tally)
    return draw_masks(tally.best, plan.task, report, nets, output, suffix)

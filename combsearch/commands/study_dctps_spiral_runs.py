"""Runs of ``combsearch study dctps spiral`` and files of their rows: report, export, figure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from combsearch import fields
from combsearch.commands.output import say
from combsearch.commands.study_status import some_rows, status, status_text
from combsearch.dctps_spiral_rows import COLUMNS, SHOWN
from combsearch.errors import UsageError
from combsearch.runfile import identity_digest
from combsearch.store import RunStore
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.dctps.spiral_plan import COMMAND, SpiralPlan
from combsearch.studies.dctps.spiral_table import (
    TARGETS,
    by_parameters,
    fewest,
    publish,
    published,
)

Bounds = Mapping[float, tuple[float, float]]


def saved_config(store: RunStore) -> SpiralConfig:
    """The configuration of a run.

    Raises:
        UsageError: it is a run of another command.
    """
    if store.identity.get("command") != COMMAND:
        found = store.identity.get("command")
        raise UsageError(f"{store.root} is a run of {found!r}, not of {COMMAND!r}")
    return fields.from_json(SpiralConfig, store.identity["config"])


def make_report(
    config: SpiralConfig, rows: pa.Table, whole: int, folder: Path | str
) -> dict[str, Any]:
    """The report of a run, finished or not; ``whole`` is the number of rows of a finished one."""
    lines = by_parameters(rows)
    return {
        "command": COMMAND,
        "run_folder": str(folder),
        "config": config.to_json(),
        "finished": len(rows) == whole,
        "rows": len(rows),
        "rows_left": whole - len(rows),
        "fewest": {f"{target:g}": fewest(lines, target) for target in TARGETS},
        "budgets": lines,
    }


def report_text(report: dict[str, Any]) -> str:
    """The report for a reader."""
    config = report["config"]
    left = "" if report["finished"] else f", {report['rows_left']} left"
    texts = [
        f"({config['shape']}) on {config['task']}, {config['supports']} supports, alpha"
        f" {config['alpha']}: {report['rows']} rows{left}, in {report['run_folder']}",
        f"{'trained':>8}{'places':>8}{'supports':>10}{'runs':>8}{'best':>9}{'median':>9}",
    ]
    for line in report["budgets"]:
        texts.append(
            f"{line['parameters']:>8}{line['budget']:>8}{line['supports']:>10}{line['runs']:>8}"
            f"{100 * line['best']:>8.2f}%{100 * line['median']:>8.2f}%"
            f"{'  all supports' if line['complete'] else ''}"
        )
    for target, found in report["fewest"].items():
        few = "not reached" if found is None else f"reached with {found} trained parameters"
        texts.append(f"{100 * float(target):g}%: {few}")
    return "\n".join(texts)


def spiral_status(store: RunStore) -> dict[str, Any]:
    """What of a run is done and what is left, as JSON."""
    plan = SpiralPlan.of(saved_config(store))
    whole = sum(level.size for level in plan.levels) * plan.runs_each
    return status(store, make_report(plan.config, store.read(SHOWN), whole, store.root))


def spiral_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    return status_text(report, report_text)


def spiral_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figure of a run, as far as it is; its path."""
    rows = some_rows(store, SHOWN, "draw")
    return draw_rows([(saved_config(store), rows)], {}, output, suffix)


def export_rows(store: RunStore, output: str) -> dict[str, Any]:
    """Write the rows of a run, and the best network of each budget, to one file."""
    config = saved_config(store)
    rows = some_rows(store, tuple(COLUMNS.names), "export")
    facts = {"identity": identity_digest(store.identity), "trainer": store.identity["trainer"]}
    publish(rows, config, facts, Path(output))
    return {"command": f"{COMMAND} export", "rows": len(rows), "file": output}


def draw_rows(
    found: Sequence[tuple[SpiralConfig, pa.Table]],
    bounds: Bounds,
    folder: Path,
    suffix: str = "png",
) -> list[Path]:
    """Draw the figure of several runs; its path."""
    from combsearch.plots.draw_dctps_spiral import Series, spiral_figure
    from combsearch.plots.style import save

    series = [Series(**_series(config), lines=by_parameters(rows)) for config, rows in found]
    path = folder / f"spiral.{suffix}"
    save(spiral_figure(series, bounds, TARGETS), path)
    return [path]


def _series(config: SpiralConfig) -> dict[str, Any]:
    return {
        "shape": config.shape,
        "search": config.supports == "search",
        "trained": config.alpha == "trained",
    }


def draw_files(
    files: Sequence[str], output: str, suffix: str, bounds: Sequence[str], as_json: bool
) -> dict[str, Any]:
    """Draw the figure of published rows.

    Args:
        files: that ``study dctps spiral export`` wrote.
        output: folder of the figure.
        suffix: png, pdf or svg.
        bounds: ``TARGET:TRAINED:EXISTS``, fewest nonzeros of the plain search at a target.
        as_json: print one JSON object.

    Raises:
        UsageError: a file or a bound that is none.
        CorruptDataError: a file is damaged.
    """
    limits = dict(map(parse_bound, bounds))
    found = [published(Path(file)) for file in files]
    drawn = draw_rows(found, limits, Path(output), suffix)
    report = {"command": f"{COMMAND} plot", "files": [str(path) for path in drawn]}
    say(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report


def parse_bound(text: str) -> tuple[float, tuple[float, float]]:
    """``"0.95:25:22"`` as (0.95, (25, 22)).

    Raises:
        UsageError: it is none.
    """
    try:
        target, trained, exists = (float(part) for part in text.split(":"))
    except ValueError:
        target = trained = exists = math.nan
    if not (0 < target <= 1 and 0 < exists <= trained < math.inf):
        raise UsageError(
            f"--bound {text!r} is not TARGET:TRAINED:EXISTS, such as 0.95:25:22: an accuracy and"
            " the fewest nonzeros trained under a fixed mask and known to exist"
        )
    return target, (trained, exists)

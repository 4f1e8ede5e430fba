"""Runs of ``combsearch study dctps`` and files of their rows: status, export and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from combsearch import fields
from combsearch.commands.output import say
from combsearch.commands.study_dctps_report import make_report, report_text
from combsearch.commands.study_status import some_rows, status, status_text
from combsearch.dctps_rows import SHOWN
from combsearch.errors import UsageError
from combsearch.runfile import identity_digest
from combsearch.store import RunStore
from combsearch.studies.dctps.config import DctpsConfig
from combsearch.studies.dctps.published import publish, published
from combsearch.studies.published import joined

_WHO = ("method", "density", "restart")
_JOINED = ("methods", "densities", "seeds", "trainer")


def saved_config(store: RunStore) -> DctpsConfig:
    """The configuration of a run.

    Raises:
        UsageError: it is a run of another command.
    """
    if store.identity.get("command") != "study dctps":
        found = store.identity.get("command")
        raise UsageError(f"{store.root} is a run of {found!r}, not of 'study dctps'")
    return fields.from_json(DctpsConfig, store.identity["config"])


def dctps_status(store: RunStore) -> dict[str, Any]:
    """What of a study is done and what is left, as JSON."""
    return status(store, make_report(saved_config(store), store.read(SHOWN), store.root))


def dctps_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    return status_text(report, report_text)


def dctps_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a run, as far as it is; their paths."""
    saved_config(store)
    return draw_rows(some_rows(store, SHOWN, "draw"), output, suffix)


def draw_rows(rows: pa.Table, folder: Path, suffix: str = "png") -> list[Path]:
    """Draw all figures that rows allow; their paths."""
    from combsearch.plots.draw_dctps import draw_dctps

    return draw_dctps(rows, folder, suffix)


def export_rows(store: RunStore, output: str) -> dict[str, Any]:
    """Write the rows of a run to one file."""
    config, rows = saved_config(store), some_rows(store, SHOWN, "export")
    facts = {"identity": identity_digest(store.identity), "trainer": store.identity["trainer"]}
    publish(rows, config, facts, Path(output))
    return {"command": "study dctps export", "rows": len(rows), "file": output}


def draw_files(files: Sequence[str], output: str, suffix: str, as_json: bool) -> dict[str, Any]:
    """Draw the figures of published rows.

    Args:
        files: that ``study dctps export`` wrote, of one network in the same training; their
            methods, densities and seeds are joined.
        output: folder of the figures.
        suffix: png, pdf or svg.
        as_json: print one JSON object.

    Raises:
        UsageError: a file that is none, or files that do not go together.
        CorruptDataError: a file is damaged.
    """
    found = [published(Path(file)) for file in files]
    _, rows = joined(found, files, _JOINED, _WHO)
    drawn = draw_rows(rows, Path(output), suffix)
    report = {"command": "study dctps plot", "files": [str(path) for path in drawn]}
    say(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report

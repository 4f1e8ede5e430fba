"""Runs of ``combsearch study pqi`` and files of their rows: status, export and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch import fields
from combsearch.commands.output import say
from combsearch.commands.study_pqi_report import make_report, report_text
from combsearch.commands.study_status import some_rows, status, status_text
from combsearch.errors import UsageError
from combsearch.pqi_rows import SHOWN
from combsearch.runfile import identity_digest
from combsearch.store import RunStore
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import layer_names
from combsearch.studies.pqi.published import publish, published
from combsearch.studies.pqi.table import WHO
from combsearch.studies.published import joined

CHAIN = (*WHO, "restart")
JOINED = (
    "methods", "scopes", "powers", "etas", "gammas", "beta", "share", "rounds", "seeds", "trainer",
)  # fmt: skip


def saved_config(store: RunStore) -> PqiConfig:
    """The configuration of a run.

    Raises:
        UsageError: it is a run of another command.
    """
    if store.identity.get("command") != "study pqi":
        found = store.identity.get("command")
        raise UsageError(f"{store.root} is a run of {found!r}, not of 'study pqi'")
    return fields.from_json(PqiConfig, store.identity["config"])


def pqi_status(store: RunStore) -> dict[str, Any]:
    """What of a study is done and what is left, as JSON."""
    return status(store, make_report(saved_config(store), store.read(SHOWN), store.root))


def pqi_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    return status_text(report, report_text)


def pqi_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a run, as far as it is; their paths."""
    rows = some_rows(store, SHOWN, "draw")
    return _some(draw_rows(saved_config(store), rows, output, suffix), str(store.root))


def _some(files: list[Path], name: str) -> list[Path]:
    if not files:
        raise UsageError(f"{name}: the training of every row diverged: there is nothing to draw")
    return files


def draw_rows(config: PqiConfig, rows: pa.Table, folder: Path, suffix: str = "png") -> list[Path]:
    """Draw all figures that rows of a configuration allow; their paths."""
    from combsearch.plots.draw_pqi import draw_pqi

    return draw_pqi(rows, folder, config.grid, layer_names(config), suffix)


def export_rows(store: RunStore, output: str) -> dict[str, Any]:
    """Write the rows of a run, without masks, to one file."""
    config, rows = saved_config(store), some_rows(store, SHOWN, "export")
    facts = {"identity": identity_digest(store.identity), "trainer": store.identity["trainer"]}
    publish(rows, config, facts, Path(output))
    return {"command": "study pqi export", "rows": len(rows), "file": output}


def draw_files(
    files: Sequence[str], output: str, suffix: str, bounds: Sequence[str], as_json: bool
) -> dict[str, Any]:
    """Draw the figures of published rows.

    Args:
        files: that ``study pqi export`` wrote: of one network in the same training, whose chains
            are joined; with ``bounds`` a file a network.
        output: folder of the figures.
        suffix: png, pdf or svg.
        bounds: ``TARGET:TRAINED:EXISTS``, the fewest nonzeros that the search found at a target
            accuracy; with any, the figure of all files beside these is drawn instead.
        as_json: print one JSON object.

    Raises:
        UsageError: a file or a bound that is none.
        CorruptDataError: a file is damaged.
    """
    found = [published(Path(file)) for file in files]
    if bounds:
        drawn = _against(found, bounds, Path(output), suffix)
    else:
        drawn = draw_rows(*joined(found, files, JOINED, CHAIN), Path(output), suffix)
    _some(drawn, files[0])
    report = {"command": "study pqi plot", "files": [str(path) for path in drawn]}
    say(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report


def _against(
    found: Sequence[tuple[PqiConfig, pa.Table]], bounds: Sequence[str], folder: Path, suffix: str
) -> list[Path]:
    from combsearch.plots.draw_pqi import draw_against_bound

    grid = found[0][0].grid
    if any(config.grid != grid for config, _ in found):
        raise UsageError("the files measure the PQ index at other pairs: draw them one by one")
    runs = {f"({config.network})": rows for config, rows in found}
    if len(runs) < len(found):
        raise UsageError("two files are of the same network: give one of each")
    return draw_against_bound(runs, dict(map(_bound, bounds)), folder, grid, suffix=suffix)


def _bound(text: str) -> tuple[str, tuple[float, float]]:
    """``"0.95:25:22"`` as ``("95%", (25, 22))``."""
    parts = text.split(":")
    try:
        target, trained, exists = (float(part) for part in parts)
    except ValueError:
        target = trained = exists = np.nan
    if not (0 < target <= 1 and 0 < exists <= trained < np.inf):
        raise UsageError(
            f"--bound {text!r} is not TARGET:TRAINED:EXISTS, such as 0.95:25:22: an accuracy and"
            " the fewest nonzeros trained under a fixed mask and known to exist"
        )
    return f"{100 * target:g}%", (trained, exists)

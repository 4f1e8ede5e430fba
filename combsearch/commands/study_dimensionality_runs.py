"""Runs of ``combsearch study dimensionality`` and files of their rows: status, export, figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from combsearch import fields
from combsearch.commands.output import say
from combsearch.commands.study_status import some_rows, status, status_text
from combsearch.dimension_rows import SHOWN
from combsearch.durable import make_folder
from combsearch.errors import UsageError
from combsearch.runfile import identity_digest
from combsearch.store import RunStore, write_bytes
from combsearch.studies.dimensionality.config import CONFIGS, ImpConfig
from combsearch.studies.dimensionality.matching import table_records
from combsearch.studies.dimensionality.report import chain_tables, make_report, report_text
from combsearch.studies.dimensionality.rows_file import publish, published
from combsearch.studies.dimensionality.tables import TableRow, csv_table, read_table

_COMMAND = "study dimensionality "


def saved_config(store: RunStore) -> ImpConfig:
    """The configuration of a run; tolerances and targets are those of its last report.

    Raises:
        UsageError: it is a run of another command.
    """
    command = str(store.identity.get("command"))
    experiment = command.removeprefix(_COMMAND)
    if experiment == command or experiment not in CONFIGS:
        raise UsageError(f"{store.root} is a run of {command!r}, not of 'study dimensionality'")
    config: ImpConfig = fields.from_json(CONFIGS[experiment], store.identity["config"])
    return _as_reported(config, store.root)


def _as_reported(config: ImpConfig, folder: Path) -> ImpConfig:
    """``config`` with what no row depends on as the run's summary has it, if there is one."""
    names = [name for name in ("tolerances", "targets") if hasattr(config, name)]
    try:
        found = json.loads((folder / "summary.json").read_bytes())["config"]
        known: dict[str, Any] = {name: tuple(found[name]) for name in names}
        return dataclasses.replace(config, **known)
    except (OSError, ValueError, LookupError, TypeError, UsageError):
        return config


def whole_rows(config: ImpConfig) -> int:
    """Rows of a finished run."""
    settings = len(config.widths) * len(config.dimensions)
    return settings * (config.rounds + 1) * len(config.rewinds) * config.seeds


def dimensionality_status(store: RunStore) -> dict[str, Any]:
    """What of a study is done and what is left, as JSON."""
    config = saved_config(store)
    report = make_report(config, store.read(SHOWN), whole_rows(config), store.root)
    return status(store, report)


def dimensionality_status_text(report: dict[str, Any]) -> str:
    """The status for a reader."""
    return status_text(report, report_text)


def dimensionality_plot(store: RunStore, output: Path, suffix: str) -> list[Path]:
    """Draw the figures of a run, as far as it is; their paths."""
    rows = some_rows(store, SHOWN, "draw")
    return _some(draw_rows(saved_config(store), rows, output, suffix), str(store.root))


def _some(files: list[Path], name: str) -> list[Path]:
    if not files:
        raise UsageError(f"{name}: the training of every row diverged: there is nothing to draw")
    return files


def write_tables(
    config: ImpConfig, rows: pa.Table, folder: Path, paper: Sequence[TableRow] = ()
) -> list[Path]:
    """A CSV a criterion of matching, for ``correlate`` and for papers; their paths."""
    files = []
    for rewind in config.rewinds:
        for name, table in chain_tables(config, rows, rewind).items():
            more = f"-rewind-{rewind}" if len(config.rewinds) > 1 else ""
            path = folder / f"table-{name.replace(' ', '-').replace('%', '')}{more}.csv"
            write_bytes(path, csv_table(table, paper).encode())
            files.append(path)
    return files


def export_rows(store: RunStore, output: str) -> dict[str, Any]:
    """Write the rows of a run, without masks, to one file."""
    config, rows = saved_config(store), some_rows(store, SHOWN, "export")
    facts = {"identity": identity_digest(store.identity), "trainer": store.identity["trainer"]}
    publish(rows, config, facts, Path(output))
    return {"command": "study dimensionality export", "rows": len(rows), "file": output}


def table_of_file(
    file: str, paper: str | None, output: str | None, as_json: bool
) -> dict[str, Any]:
    """Show the tables of published rows, strict and by tolerance, the paper's values beside.

    Args:
        file: that ``study dimensionality export`` wrote.
        paper: CSV of the paper's table, or None.
        output: folder that the tables are written to as CSV, or None.
        as_json: print one JSON object.

    Raises:
        UsageError: a file that is none, or a table that cannot be read.
        CorruptDataError: the file is damaged.
    """
    beside = read_table(paper) if paper else []
    config, rows = published(Path(file))
    report = make_report(config, rows, whole_rows(config), file)
    report |= {"command": "study dimensionality table", "paper": [vars(row) for row in beside]}
    if output:
        make_folder(Path(output))
        report["files"] = [str(p) for p in write_tables(config, rows, Path(output), beside)]
    say(json.dumps(report) if as_json else report_text(report, beside))
    return report


def draw_files(
    files: Sequence[str], output: str, suffix: str, papers: Sequence[str], as_json: bool
) -> dict[str, Any]:
    """Draw the figures of published rows: those of each experiment, and all together.

    Args:
        files: that ``study dimensionality export`` wrote.
        output: folder of the figures.
        suffix: png, pdf or svg.
        papers: ``EXPERIMENT:TABLE.csv``, tables whose values are drawn beside.
        as_json: print one JSON object.

    Raises:
        UsageError: a file that is none, two of one experiment, a table of an experiment that
            no file is of, or nothing to draw.
        CorruptDataError: a file is damaged.
    """
    beside = dict(map(_paper, papers))
    found = [published(Path(file)) for file in files]
    names = [config.experiment for config, _ in found]
    if len(set(names)) < len(names):
        raise UsageError("two files are of the same experiment: give one of each")
    for name in beside:
        if name not in names:
            raise UsageError(f"--paper {name}: no file is of this experiment ({', '.join(names)})")
    drawn: list[Path] = []
    for config, rows in found:
        drawn += draw_rows(config, rows, Path(output), suffix, beside)
    if len(found) > 1:
        drawn += _together(found, Path(output), suffix, beside)
    _some(drawn, files[0])
    report = {"command": "study dimensionality plot", "files": [str(path) for path in drawn]}
    say(json.dumps(report) if as_json else "\n".join(report["files"]))
    return report


def _paper(text: str) -> tuple[str, list[TableRow]]:
    """``"task:table.csv"`` as ("task", its rows)."""
    experiment, colon, path = text.partition(":")
    if not colon or experiment not in CONFIGS:
        raise UsageError(
            f"--paper {text!r} is not EXPERIMENT:TABLE.csv, such as task:table3.csv (experiments:"
            f" {', '.join(CONFIGS)})"
        )
    return experiment, read_table(path)


def draw_rows(
    config: ImpConfig,
    rows: pa.Table,
    folder: Path,
    suffix: str = "png",
    papers: Mapping[str, Sequence[TableRow]] = MappingProxyType({}),
) -> list[Path]:
    """Draw the figures of one experiment: curves, and weights left by dimension; their paths.

    Where every row diverged there are no curves, where every dense network did nothing matches.
    """
    from combsearch.plots.draw_dimension import draw_curves, draw_prunability

    paper = {name: [vars(row) for row in table] for name, table in papers.items()}
    drawn = []
    sound = rows.filter(pc.equal(rows["status"], "ok"))
    for rewind in pc.unique(sound["rewind"]).to_pylist():
        more = f"-rewind-{rewind}" if len(config.rewinds) > 1 else ""
        path = folder / f"curves-{config.experiment}{more}.{suffix}"
        widest = max(config.tolerances)
        drawn.append(draw_curves(rows, config.experiment, widest, path, rewind=rewind))
        path = folder / f"prunability-{config.experiment}{more}.{suffix}"
        records = _records(config, rows, rewind)
        if any(records.values()):
            drawn.append(draw_prunability({config.experiment: records}, paper, path))
    return drawn


def _together(
    found: Sequence[tuple[ImpConfig, pa.Table]],
    folder: Path,
    suffix: str,
    papers: Mapping[str, Sequence[TableRow]],
) -> list[Path]:
    """The figure of all experiments, each at the first of its rewinding steps."""
    from combsearch.plots.draw_dimension import draw_prunability

    records = {
        config.experiment: _records(config, rows, config.rewinds[0]) for config, rows in found
    }
    paper = {name: [vars(row) for row in table] for name, table in papers.items()}
    if not any(table for tables in records.values() for table in tables.values()):
        return []
    return [draw_prunability(records, paper, folder / f"prunability.{suffix}")]


def _records(config: ImpConfig, rows: pa.Table, rewind: int) -> dict[float, list[dict[str, Any]]]:
    tolerances = dict.fromkeys((0.0, *config.tolerances))
    return {tolerance: table_records(rows, tolerance, rewind=rewind) for tolerance in tolerances}

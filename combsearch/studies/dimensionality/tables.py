"""Tables of the study: weights left by network and dimension, written, shown and read.

A row of the CSV is a trial: the columns ``group`` (the network), ``dimension``, ``mean`` and
``spread`` (standard deviation over seeds), in any order; more columns may stand beside them
and are not read. What ``csv_table`` writes, ``read_table`` reads.
"""

from __future__ import annotations

import csv
import io
import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.errors import UsageError
from combsearch.registry import nearest
from combsearch.studies.dimensionality.correlation import Trials
from combsearch.studies.dimensionality.matching import width_order

COLUMNS = ("group", "dimension", "mean", "spread")
"""What a table to read must have."""

_SHOWN = 40  # characters of a bad field that an error repeats


@dataclass(frozen=True)
class TableRow:
    """A trial: a network on data of one dimension.

    Attributes:
        group: the network, as ``"16"`` or ``"256x128"``.
        dimension: of the data.
        mean: weights left in percent, over seeds.
        spread: standard deviation over seeds, in percent; NaN of a single one.
        seeds: how many; 0 where it is not known.
    """

    group: str
    dimension: float
    mean: float
    spread: float
    seeds: int = 0


def table_rows(records: Iterable[Mapping[str, Any]]) -> list[TableRow]:
    """Rows of what ``matching.table_records`` gives."""
    return [
        TableRow(
            str(record["group"]),
            float(record["dimension"]),
            float(record["mean"]),
            float(record["spread"]),
            int(record["seeds"]),
        )
        for record in records
    ]


def trials_of(rows: Sequence[TableRow]) -> Trials:
    """The trials of a table, networks pooled, for ``monte_carlo_spearman``.

    Raises:
        UsageError: a network lacks a dimension that another has, or has one twice; a row has
            no spread; or no correlation is defined.
    """
    if not rows:
        raise UsageError("no rows: a correlation needs trials of at least two dimensions")
    _check_grid(rows)
    for row in rows:
        if math.isnan(row.spread):
            raise UsageError(f"{_name(row)} has no spread: a correlation needs two seeds or more")
    columns = np.array([[row.dimension, row.mean, row.spread] for row in rows]).T
    return Trials(*columns)


# ------------------------------------------------------------------ writing


def csv_table(rows: Sequence[TableRow], paper: Sequence[TableRow] = ()) -> str:
    """The table as CSV, the paper's mean and spread beside each row that it has."""
    beside = {_key(row): row for row in paper}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, "seeds", "paper_mean", "paper_spread"])
    for row in _ordered(rows):
        known = beside.get(_key(row))
        theirs = _numbers(known) if known else ["", ""]
        writer.writerow([row.group, _dimension(row), *_numbers(row), row.seeds, *theirs])
    return file.getvalue()


def table_text(tables: Mapping[str, Sequence[TableRow]], paper: Sequence[TableRow] = ()) -> str:
    """Percent of weights left, mean ± standard deviation, for a reader.

    A line a network and criterion, a column a dimension; ``-`` where there is nothing.

    Args:
        tables: rows by the criterion of matching, such as ``"strict"``.
        paper: the paper's rows, if there are any; they get lines of their own.
    """
    shown = {**tables, **({"paper": paper} if paper else {})}
    rows = [row for own in tables.values() for row in own]
    dimensions = sorted({row.dimension for row in rows})
    groups = dict.fromkeys(row.group for row in _ordered(rows))
    lines = [["width", "matching", *(f"{dimension:.15g}" for dimension in dimensions)]]
    for group in groups:
        for name, own in shown.items():
            cells = {row.dimension: _cell(row) for row in own if row.group == group}
            lines.append([group, name, *(cells.get(dimension, "-") for dimension in dimensions)])
    return _aligned(lines)


def _ordered(rows: Iterable[TableRow]) -> list[TableRow]:
    return sorted(rows, key=lambda row: (width_order(row.group), row.dimension))


def _key(row: TableRow) -> tuple[str, float]:
    return row.group, row.dimension


def _name(row: TableRow) -> str:
    return f"group {_quoted(row.group)}, dimension {_dimension(row)}"


def _dimension(row: TableRow) -> str:
    return f"{row.dimension:.15g}"


def _numbers(row: TableRow) -> list[str]:
    """Mean and spread; nothing for NaN."""
    return ["" if math.isnan(value) else f"{value:.6g}" for value in (row.mean, row.spread)]


def _cell(row: TableRow) -> str:
    spread = "-" if math.isnan(row.spread) else f"{row.spread:.2f}"
    return f"{row.mean:.2f} ± {spread}"


def _aligned(lines: list[list[str]]) -> str:
    """Columns of a text: the first two to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


# ------------------------------------------------------------------ reading


def read_table(path: str | os.PathLike[str]) -> list[TableRow]:
    """The rows of a CSV, in its order: every network with every dimension, once.

    UTF-8 with or without a byte order mark; blank lines are skipped.

    Raises:
        UsageError: one line that names the file, the line and column that is wrong, what was
            expected there and what was found.
    """
    try:
        return _rows(_decoded(_content(Path(path))))
    except UsageError as error:
        raise UsageError(f"table {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"table {str(path)!r}: cannot be read ({reason})") from error


def _content(path: Path) -> bytes:
    """The bytes of a regular file; anything else (a folder, a pipe that would block) is refused."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError("found a folder, expected a CSV file")
    if not stat.S_ISREG(mode):
        raise UsageError("found a pipe or device, expected a regular file")
    return path.read_bytes()


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = len(data) - len(error.object) + error.start  # it counts from behind a mark
        line = 1 + data.count(b"\n", 0, at)
        raise UsageError(
            f"line {line}: found the byte 0x{data[at]:02x}, expected UTF-8 text"
        ) from error
    if "\0" in text:
        line = 1 + text.count("\n", 0, text.index("\0"))
        raise UsageError(f"line {line}: found a NUL byte, expected text")
    return text


def _rows(text: str) -> list[TableRow]:
    lines = _lines(text)
    if not lines:
        raise UsageError(f"the file is empty, expected a header with {', '.join(COLUMNS)}")
    number, header = lines[0]
    places = _places(number, header)
    if len(lines) == 1:
        raise UsageError(f"line {number}: found only a header, expected a row a trial below it")
    rows = [_row(number, line, header, places) for number, line in lines[1:]]
    _check_grid(rows, [number for number, _ in lines[1:]])
    if len({row.dimension for row in rows}) < 2:
        raise UsageError(
            f"column 'dimension': every row has {rows[0].dimension:.15g}, a correlation needs at"
            " least two dimensions"
        )
    return rows


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        return [
            (reader.line_num, [field.strip() for field in line])
            for line in reader
            if any(field.strip() for field in line)
        ]
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num}: found no CSV ({error})") from error


def _places(number: int, header: list[str]) -> dict[str, int]:
    """Where each column that is read stands."""
    names = [name.lower() for name in header]
    for name in COLUMNS:
        if names.count(name) != 1:
            what = "no column" if name not in names else "more than one column"
            hint = nearest(name, names) if name not in names else ""
            found = ", ".join(map(_quoted, header[:8]))
            raise UsageError(
                f"line {number}: {what} {name!r}{hint}, expected {', '.join(COLUMNS)}, separated"
                f" by commas (found: {found})"
            )
    return {name: names.index(name) for name in COLUMNS}


def _row(number: int, line: list[str], header: list[str], places: dict[str, int]) -> TableRow:
    if len(line) != len(header):
        raise UsageError(
            f"line {number}: found {len(line)} columns, expected {len(header)} as in the header"
        )
    group = line[places["group"]]
    if not group:
        raise UsageError(f"line {number}, column 'group': found an empty field, expected a name")
    dimension, mean, spread = (_number(number, name, line[places[name]]) for name in COLUMNS[1:])
    if spread < 0:
        raise UsageError(
            f"line {number}, column 'spread': found {spread:g}, expected a standard deviation,"
            " 0 or more"
        )
    return TableRow(group, dimension, mean, spread)


def _number(number: int, name: str, field: str) -> float:
    try:
        value = math.nan if "_" in field else float(field)  # 1_000 is Python's alone
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = _quoted(field) if field else "an empty field"
        raise UsageError(f"line {number}, column {name!r}: found {found}, expected a finite number")
    return value


def _check_grid(rows: Sequence[TableRow], numbers: Sequence[int] = ()) -> None:
    """Raise unless each group has each dimension once.

    Pooled trials of networks that saw other dimensions would mix the effect of the two.
    """
    seen: dict[tuple[str, float], int] = {}
    for place, row in enumerate(rows):
        if _key(row) in seen:
            where, there = ("", "") if not numbers else (
                f"line {numbers[place]}: ", f", first in line {numbers[seen[_key(row)]]}"
            )  # fmt: skip
            raise UsageError(f"{where}{_name(row)} is there twice{there}; expected one row")
        seen[_key(row)] = place
    dimensions = list(dict.fromkeys(row.dimension for row in rows))
    for group in dict.fromkeys(row.group for row in rows):
        lacking = [dimension for dimension in dimensions if (group, dimension) not in seen]
        if lacking:
            raise UsageError(
                f"group {_quoted(group)} has no row of dimension {lacking[0]:.15g}, expected one"
                f" for each of {', '.join(f'{one:.15g}' for one in dimensions)} in every group"
            )


def _quoted(field: str) -> str:
    return repr(field if len(field) <= _SHOWN else field[: _SHOWN - 3] + "...")

"""Read points from comma-separated text.

One point a line, at least one input and the label; a decimal point, UTF-8 with
or without a byte order mark, any line ending, blank lines skipped. The first
line may be a header: a line whose fields are all text, or one that names a
label column. The label is the column named ``y`` or ``label`` (in any case), or
else the last one; all others are inputs, in their order.

The quick way is numpy's own reader (a million lines in about a second). When it
refuses, the careful way goes line by line, to name the line that is wrong.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.tasks.raw_points import RawPoints

LABELS = ("y", "label")
# Without a second way to read any text, so that no field can make it backtrack for long.
NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)")
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class _Layout:
    """Where the points start (index of a line), their columns, and which is the label."""

    start: int
    width: int
    names: list[str] | None
    label: int


def read_csv(data: bytes) -> RawPoints:
    """The points of a CSV file with content ``data``.

    Raises:
        UsageError: naming the line (counted from 1) and column that is wrong,
            what was expected there and what was found.
    """
    lines = _decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    layout = _layout(lines)
    values = _quick(lines, layout)
    if values is None:
        values = _careful(lines, layout)
    inputs = [i for i in range(layout.width) if i != layout.label]

    def place(row: int, column: int) -> str:
        filled = (i for i in range(layout.start, len(lines)) if lines[i].strip())
        return _place(next(islice(filled, row, None)), column, layout.names)

    return RawPoints(
        values[:, inputs],
        values[:, layout.label],
        lambda row, column: place(row, inputs[column]),
        lambda row: place(row, layout.label),
    )


def _layout(lines: list[str]) -> _Layout:
    """What the first line that is not blank says about the others."""
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise UsageError("the file is empty, expected one point a line")
    _check_separator(lines[first], first)
    fields = _fields(lines[first], first)
    if len(fields) < 2:
        raise UsageError(
            f"line {first + 1}: found 1 column ({_shown(fields[0])}), "
            "expected at least 2 separated by commas, the inputs and the label"
        )
    if not _is_header(fields, first):
        return _Layout(first, len(fields), None, len(fields) - 1)
    return _Layout(first + 1, len(fields), fields, _label_column(fields, first))


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError("line 1: found a UTF-16 byte order mark, expected UTF-8 text")
    nul = data.find(b"\0")
    if nul >= 0:
        raise UsageError(f"line {_line_at(data, nul)}: found a NUL byte, expected text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from behind a byte order mark that it has skipped.
        at = len(data) - len(error.object) + error.start
        raise UsageError(
            f"line {_line_at(data, at)}: found the byte 0x{data[at]:02x}, expected UTF-8 text"
        ) from error


def _line_at(data: bytes, offset: int) -> int:
    """Number of the line, from 1, that byte ``offset`` stands in."""
    before = data[:offset]
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def _check_separator(line: str, number: int) -> None:
    for separator, word in OTHER_SEPARATORS.items():
        if separator in line and (separator == ";" or "," not in line):
            raise UsageError(
                f"line {number + 1}: found {word} between the columns, expected commas "
                "(and a point in decimal numbers)"
            )


def _fields(line: str, number: int) -> list[str]:
    """The fields of a line, without quotes and the blanks around them."""
    if '"' not in line:
        return [field.strip() for field in line.split(",")]
    try:
        row = next(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise UsageError(f"line {number + 1}: found bad quotes ({error})") from error
    return [field.strip() for field in row]


def _is_number(field: str) -> bool:
    return NUMBER.fullmatch(field.lower()) is not None


def _is_header(fields: list[str], number: int) -> bool:
    """Whether the first line names the columns; UsageError when it is half of each."""
    text = [i for i, field in enumerate(fields) if not _is_number(field)]
    if not text:
        return False
    if len(text) < len(fields) and not any(name.lower() in LABELS for name in fields):
        raise UsageError(
            f"{_place(number, text[0], None)}: found {_shown(fields[text[0]])}, expected a number "
            "(or a header without numbers)"
        )
    if "" in fields:
        raise UsageError(
            f"{_place(number, fields.index(''), None)}: found a column without a name, expected "
            "a name (a column of row numbers? save the file without it)"
        )
    return True


def _label_column(names: list[str], number: int) -> int:
    """Index of the label's column."""
    # numpy.savetxt puts "# " before its header.
    plain = [name.lstrip("# ").lower() for name in names]
    found = [i for i, name in enumerate(plain) if name in LABELS]
    if len(found) > 1:
        raise UsageError(
            f"line {number + 1}: found two label columns, {found[0] + 1} and {found[1] + 1}, "
            "expected one named y or label"
        )
    return found[0] if found else len(names) - 1


def _quick(lines: list[str], layout: _Layout) -> npt.NDArray[np.float64] | None:
    """Values [n, width] by numpy's reader, or None when it finds anything wrong."""
    filled = [line for line in lines[layout.start :] if line.strip()]
    if not filled:
        raise UsageError(f"line {layout.start}: found only a header, expected points below it")
    try:
        values = np.loadtxt(filled, np.float64, comments=None, delimiter=",", ndmin=2)
    except ValueError:
        return None
    return values if values.shape[1] == layout.width else None


def _careful(lines: list[str], layout: _Layout) -> npt.NDArray[np.float64]:
    """Values [n, width], line by line; knows quotes and names what is wrong."""
    rows = []
    for number in range(layout.start, len(lines)):
        if not lines[number].strip():
            continue
        fields = _fields(lines[number], number)
        if len(fields) != layout.width:
            raise UsageError(
                f"line {number + 1}: found {len(fields)} columns, expected {layout.width} as in "
                "the first line"
            )
        wrong = next((i for i, field in enumerate(fields) if not _is_number(field)), None)
        if wrong is not None:
            place = _place(number, wrong, layout.names)
            raise UsageError(f"{place}: found {_shown(fields[wrong])}, expected a number")
        rows.append([float(field) for field in fields])
    return np.array(rows)


def _place(number: int, column: int, names: list[str] | None) -> str:
    name = f" ({_shown(names[column])})" if names else ""
    return f"line {number + 1}, column {column + 1}{name}"


def _shown(field: str) -> str:
    """A field for an error: quoted, on one line, cut when it is long."""
    if not field:
        return "an empty field"
    return repr(field if len(field) <= 40 else field[:37] + "...")

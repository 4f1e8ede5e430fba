"""Arguments of ``combsearch submit``, and where its settings come from. Standard library only."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import math
import os
from collections.abc import Mapping
from typing import Any

from combsearch.commands.settings import flag, toml_table
from combsearch.errors import UsageError
from combsearch.slurm_config import SlurmConfig

_TABLE = "slurm"
_PREFIX = "COMBSEARCH_SLURM"
# Options that may be repeated: the flag of one item, by field.
_ITEMS = {"lines": "--line", "setup": "--setup"}


def submit_options(command: argparse.ArgumentParser) -> None:
    """An option for each field of ``SlurmConfig``, and those of the command itself."""
    command.usage = f"{command.prog} slurm [OPTIONS] -- COMMAND ARGS..."
    command.add_argument("scheduler", choices=("slurm",), metavar="slurm", help="the scheduler")
    for field in dataclasses.fields(SlurmConfig):
        text, default = field.metadata["help"], field.default
        if field.name in _ITEMS:
            command.add_argument(
                _ITEMS[field.name], dest=field.name, action="append", metavar="TEXT",
                help=f"{text}; may be repeated",
            )  # fmt: skip
            continue
        number = not isinstance(default, str)
        shown = text if default == "" else f"{text} (default {default:{'g' if number else ''}})"
        metavar = "N" if number else "TEXT"
        command.add_argument(flag(field.name), metavar=metavar, help=shown)
    command.add_argument("--slurm", metavar="FILE", help=f"TOML file with a table [{_TABLE}]")
    command.add_argument(
        "--dry-run", action="store_true", help="show what would be submitted, and write nothing"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.epilog = (
        "COMMAND is any that trains, as it would run here: phase1, phase2, exhaust, prune, descend"
        f" or a study. Each option can also be set in the environment ({_PREFIX}_PARTITION=gpu) and"
        " in the TOML file (partition = 'gpu'); a flag wins over the environment, that over the"
        " file. The same command again submits what is missing and not in the queue."
    )


def slurm_settings(flags: Mapping[str, Any]) -> SlurmConfig:
    """What is asked of SLURM.

    Raises:
        UsageError: naming the source of a bad value, the value, and what is valid.
    """
    path = flags.get("slurm") or os.environ.get(_PREFIX) or None
    table = toml_table(path, _TABLE, (SlurmConfig,)) if path else {}
    values, sources = {}, {}
    for field in dataclasses.fields(SlurmConfig):
        found = _first(field.name, flags, table, path)
        if found is not None:
            sources[field.name] = found[0]
            values[field.name] = _read(field, *found)
    for name, value in values.items():  # alone first, so that an error can name its source
        _made({name: value}, sources[name])
    return _made(values, "submit")


def _first(
    name: str, flags: Mapping[str, Any], table: Mapping[str, Any], path: str | None
) -> tuple[str, Any] | None:
    """(source, value) of a field, by precedence; an empty variable counts as not set."""
    named = f"{_PREFIX}_{name.upper()}"
    variable: Any = os.environ.get(named) or None
    if variable is not None and name in _ITEMS:
        variable = [line for line in variable.splitlines() if line.strip()]
    candidates = (
        (_ITEMS.get(name, flag(name)), flags.get(name)),
        (named, variable),
        (f"{path}, key {name}", table.get(name)),
    )
    return next(((source, value) for source, value in candidates if value is not None), None)


def _read(field: dataclasses.Field[Any], source: str, value: Any) -> Any:
    """``value`` as the field takes it."""
    if field.name in _ITEMS:
        return _items(field.name, source, value)
    if isinstance(field.default, int):
        return _count(source, value)
    if isinstance(field.default, float):
        return _number(source, value)
    if isinstance(value, datetime.time):  # TOML's own kind of 02:30:00
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UsageError(f"{source}: {value!r} is not text")
    return str(value).strip()


def _items(name: str, source: str, value: Any) -> tuple[str, ...]:
    """A list of lines, without what a script has before an option."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UsageError(f"{source}: {value!r} is not a list of texts")
    if name == "lines":
        return tuple(line.strip().removeprefix("#SBATCH").strip() for line in lines)
    return tuple(lines)


def _count(source: str, value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"{source}: {value!r} is not a whole number")
    return int(text)


def _number(source: str, value: Any) -> float:
    try:
        number = float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{source}: {value!r} is not a number")
    return number


def _made(values: Mapping[str, Any], source: str) -> SlurmConfig:
    try:
        return SlurmConfig(**values)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None

"""Where the value of a setting comes from: flag, environment, TOML file, default.

Errors name the flag, the variable or the file's key that holds the bad value. Standard
library only (before Python 3.11 also tomli), so that the command line stays quick.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from combsearch.commands.options import Options
from combsearch.config import SearchConfig
from combsearch.errors import UsageError
from combsearch.registry import nearest

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
# Who speaks in an error.
_SPEAKER = re.compile(r"^(search|prune|pqi|dctps|dimensionality|recipe|\w+Config|Options): ")
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list",
}


@dataclass(frozen=True)
class Settings:
    """What a command is to do.

    Attributes:
        config: what results depend on.
        options: the rest.
        sources: field -> the flag, variable or key that its value comes from, if any.
    """

    config: Any
    options: Options
    sources: dict[str, str]


def flag(name: str) -> str:
    """The flag of a field: ``batch_size`` -> ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """The environment variable of a field: ``batch_size`` -> ``COMBSEARCH_BATCH_SIZE``."""
    return f"COMBSEARCH_{name.upper()}"


def command_settings(
    command: str,
    kind: type,
    flags: Mapping[str, Any],
    inherited: Mapping[str, tuple[str, Any]] | None = None,
) -> Settings:
    """The settings of a command.

    Args:
        command: its name, which is the table's in the TOML file.
        kind: the dataclass of its configuration.
        flags: field -> value; None for what was not given.
        inherited: field -> (source, value) that only the default gives way to.

    Raises:
        UsageError: naming the source of the bad value, the value, and what is valid.
    """
    path = flags.get("config") or os.environ.get(variable("config")) or None
    owners: tuple[Any, ...] = (kind, Options)
    table = toml_table(path, command, owners) if path else {}
    values: dict[Any, dict[str, Any]] = {owner: {} for owner in owners}
    sources = {}
    for owner, own in values.items():
        for field in dataclasses.fields(owner):
            found = _first(field.name, flags, table, path) or (inherited or {}).get(field.name)
            if found is not None:
                sources[field.name] = found[0]
                own[field.name] = _read(field, *found)
    config, options = (_made(owner, values[owner], sources) for owner in owners)
    return Settings(config, options, sources)


def _first(
    name: str, flags: Mapping[str, Any], table: Mapping[str, Any], path: str | None
) -> tuple[str, Any] | None:
    """(source, value) of a field, by precedence; an empty variable counts as not set."""
    candidates = (
        (flag(name), flags.get(name)),
        (variable(name), os.environ.get(variable(name)) or None),
        (f"{path}, key {name}", table.get(name)),
    )
    return next(((source, value) for source, value in candidates if value is not None), None)


def _read(field: dataclasses.Field[Any], source: str, value: Any) -> Any:
    """``value``, text from a flag or a variable, as the field takes it."""
    try:
        value = _typed(value, field.default)
        return _canonical_cells(value) if field.name == "cells" else value
    except UsageError as error:
        raise _named(source, error) from None


def _made(owner: type, values: Mapping[str, Any], sources: Mapping[str, str]) -> Any:
    """``owner(**values)``; an error names the source of a value that is bad by itself.

    A value that only the defaults of others forbid, such as momentum 0 beside Nesterov's, is
    good where those are given too; it is named if the error is another one without it.
    """
    try:
        return owner(**values)
    except UsageError as error:
        alone = {name: _fault(owner, {name: value}) for name, value in values.items()}
        bad = [name for name, fault in alone.items() if fault is not None]
        same = [name for name in bad if str(alone[name]) == str(error)]
        for name in same or bad:
            others = {other: value for other, value in values.items() if other != name}
            if same or str(_fault(owner, others)) != str(error):
                raise _named(sources[name], error) from None
        raise


def _fault(owner: type, values: Mapping[str, Any]) -> UsageError | None:
    """Why ``owner`` takes no such values, or None."""
    try:
        owner(**values)
    except UsageError as error:
        return error
    return None


def _named(source: str, error: UsageError) -> UsageError:
    return UsageError(f"{source}: {_SPEAKER.sub('', str(error))}")


def _typed(value: Any, default: Any) -> Any:
    kind = str if default is None else type(default)
    if isinstance(value, str):
        value = _from_text(value, kind)
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, tuple) and kind is tuple:
        value = tuple(_item(item, type(default[0])) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise UsageError(f"{value!r} is not {_KINDS[kind]}")
    return value


def _item(item: Any, kind: type) -> Any:
    """An item of a list, text from a flag or a variable, as a ``kind`` of number."""
    if kind in (int, float) and isinstance(item, str):
        found = _from_text(item, kind)
        if not isinstance(found, kind):
            raise UsageError(f"{item!r} is not {_KINDS[kind]}")
        return found
    return item


def _from_text(text: str, kind: type) -> Any:
    """``text`` as a ``kind``; as it is where that cannot be."""
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is bool:
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(
            text.strip().lower(), text
        )
    try:
        return kind(text)
    except ValueError:
        return text


def _canonical_cells(cells: tuple[Any, ...]) -> tuple[str, ...]:
    """The cells as ``SearchConfig`` spells and orders them."""
    for cell in cells:
        if not isinstance(cell, str):
            raise UsageError(f"cell {cell!r} is not text such as '0.05:cosine'")
    return SearchConfig(cells=cells).cells


def toml_table(path: str, name: str, owners: Sequence[Any]) -> dict[str, Any]:
    """The table [``name``] of a TOML file, whose keys are fields of ``owners``.

    Raises:
        UsageError: the file cannot be read, has no such table, or the table another key.
    """
    tables = _read_toml(path)
    table = tables.get(name)
    if not isinstance(table, dict):
        if name in tables:
            raise UsageError(f"{path}: {name} is {table!r}, it must be a table [{name}]")
        found = ", ".join(tables) or "nothing"
        raise UsageError(f"{path} has no table [{name}]{nearest(name, tables)} (it holds: {found})")
    known = [field.name for owner in owners for field in dataclasses.fields(owner)]
    for key in table:
        if key not in known:
            raise UsageError(
                f"{path}: unknown key {key!r}{nearest(key, known)} (known: {', '.join(known)})"
            )
    loose = [key for key, value in tables.items() if key in known and not isinstance(value, dict)]
    if loose:
        raise UsageError(f"{path}: key {loose[0]!r} stands outside of [{name}]: move it below")
    return table


def _read_toml(path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError) as error:
        if isinstance(error, (tomllib.TOMLDecodeError, UnicodeDecodeError)):
            raise UsageError(f"{path} is not TOML: {error}") from None
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the configuration {path!r}: {reason}") from None

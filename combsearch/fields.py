"""What frozen configuration dataclasses share: options, checks, JSON, digest.

A digest leaves out every field that equals its default, so a field added later never
changes an old digest. Standard library only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeVar

from combsearch.errors import UsageError
from combsearch.registry import nearest

MAX_SEED = 2**64 - 1

T = TypeVar("T")


def require(ok: bool, message: str) -> None:
    """Raise ``UsageError(message)`` unless ``ok``."""
    if not ok:
        raise UsageError(message)


def check_positive(owner: str, name: str, value: int) -> None:
    """Refuse a count below 1."""
    require(value >= 1, f"{owner}: {name} is {value!r}, it must be a whole number from 1 up")


def check_optimiser(owner: str, momentum: float, weight_decay: float) -> None:
    """Refuse a momentum outside of [0, 1) and a weight decay that is negative or infinite."""
    require(0 <= momentum < 1, f"{owner}: momentum is {momentum!r}, it must be in [0, 1)")
    require(
        0 <= weight_decay < math.inf,
        f"{owner}: weight_decay is {weight_decay!r}, it must be 0 or positive",
    )


def check_types(config: Any) -> None:
    """Refuse a value of another type than the field's default (an int passes for a float)."""
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if not _same_type(value, spec.default):
            raise UsageError(
                f"{type(config).__name__}: {spec.name} is {value!r}, it must be"
                f" {_kind(spec.default)}"
            )


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "tuple": "a list",
    "Schedule": "a Schedule",
}
_ITEMS = {int: "whole numbers", float: "numbers", str: "texts"}


def _kind(default: Any) -> str:
    """What a value must be, such as ``"a list of whole numbers"``."""
    items = ""
    if isinstance(default, tuple):
        items = f" of {_ITEMS.get(type(default[0]), 'such items')}"
    return _KINDS[type(default).__name__] + items


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(_same_type(v, default[0]) for v in value)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, type(default))


def option(default: T, text: str) -> T:
    """A field of a configuration; the command line makes its option from ``help``."""
    return field(default=default, metadata={"help": text})


def same_option(owner: Any, name: str, default: Any = None, text: str = "") -> Any:
    """The option ``name`` of the dataclass ``owner``, with another default or help where given."""
    spec = next(f for f in dataclasses.fields(owner) if f.name == name)
    return option(spec.default if default is None else default, text or spec.metadata["help"])


def to_json(config: Any) -> dict[str, Any]:
    """A dict of JSON values, every field written."""
    return {f.name: _plain(getattr(config, f.name), f.default) for f in dataclasses.fields(config)}


def _plain(value: Any, default: Any) -> Any:
    """``value`` as JSON knows it; 1 and 1.0 in a float field are written alike."""
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, tuple):
        return list(value)
    return float(value) if isinstance(default, float) else value


def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
    """The inverse of ``to_json``; absent fields take their default."""
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UsageError(
                f"unknown {cls.__name__} field {name!r}{nearest(name, known)}"
                f" (known: {', '.join(known)})"
            )
    return cls(**{name: _revive(value, known[name].default) for name, value in values.items()})


def _revive(value: Any, default: Any) -> Any:
    if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
        return from_json(type(default), value)
    return tuple(value) if isinstance(value, list) else value


def digest(config: Any) -> str:
    """16 hex characters that name the fields which differ from their default."""
    text = json.dumps(changed(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed(config: Any) -> dict[str, Any]:
    """The fields that differ from their default, nested configurations likewise."""
    different: dict[str, Any] = {}
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if value != spec.default:
            nested = dataclasses.is_dataclass(value)
            different[spec.name] = changed(value) if nested else _plain(value, spec.default)
    return different

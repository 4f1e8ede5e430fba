"""Look things up by name: a registered name, or a user's own ``pkg.module:Name``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from combsearch.errors import UsageError

T = TypeVar("T")

# What a user's own code may raise. An exit that it asks for is not one of the command.
USERS_FAULT = (Exception, SystemExit)


def nearest(name: str, valid: Iterable[str]) -> str:
    """``", did you mean 'x'?"`` for the valid name closest to ``name``, or ``""``."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def fault_text(error: BaseException) -> str:
    """What a user's own code raised, on one line: ``"ValueError: no such mode"``."""
    return ": ".join([type(error).__name__, *filter(None, [" ".join(str(error).split())])])


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of ``table`` called ``name``.

    Raises:
        UsageError: naming the unknown ``name``, the nearest and all known ones.
    """
    if name in table:
        return table[name]
    known = ", ".join(sorted(table))
    raise UsageError(f"unknown {kind} {name!r}{nearest(name, table)} (known: {known})")


def import_object(kind: str, spec: str) -> object:
    """The object that ``pkg.module:Name`` names; the current folder is searched too.

    Raises:
        UsageError: when the module cannot be imported or has no such name.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{kind} {spec!r} is not of the form pkg.module:Name")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except USERS_FAULT as error:  # a user's module may fail in any way while it is imported
        raise UsageError(f"cannot import {kind} {spec!r}: {fault_text(error)}") from error
    if not hasattr(module, attribute):
        names = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(
            f"{kind} {spec!r}: module {module_name!r} has no {attribute!r}"
            f"{nearest(attribute, names)}"
        )
    found: object = getattr(module, attribute)
    return found

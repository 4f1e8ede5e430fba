"""Which command made a file, as far as the run folder or comparison that it lies in tells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from combsearch.comparison.saved import FILE
from combsearch.errors import CombsearchError
from combsearch.runfile import NAME, read_identity

_DEEP = 2  # folders above a file that are looked into: RUN/best.npz, RUN/frontier/22.npz


def run_of(path: Path) -> Path | None:
    """The folder of the run or the comparison that ``path`` lies in, if it does."""
    for folder in list(path.absolute().parents)[:_DEEP]:
        if any((folder / name).is_file() for name in (NAME, FILE)):
            return folder
    return None


def command_of(folder: Path) -> str | None:
    """The command that made what is in ``folder``; None where it does not tell.

    What trained it is asked first (its summary, the notes of its parts), then what it is of
    (run.json), from which the same command follows, but for options that change no outcome.
    """
    for made_with in _made_with(folder):
        command = made_with.get("command")
        if isinstance(command, str) and command:
            return command
    try:
        identity = read_identity(folder) or {}
    except CombsearchError:
        return None
    return _repeated(identity)


def seed_of(folder: Path) -> int | None:
    """The seed of the run in ``folder``; None where its summary does not tell."""
    try:
        seed = json.loads((folder / "summary.json").read_bytes())["seed"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return seed if type(seed) is int else None


def _made_with(folder: Path) -> Iterator[dict[str, Any]]:
    notes = sorted((folder / "sessions").glob("*.json"))
    for path in (folder / "summary.json", *notes, folder / FILE):
        try:
            found = json.loads(path.read_bytes())["made_with"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def _repeated(identity: dict[str, Any]) -> str | None:
    """The command with a flag for every setting that an identity names.

    None where it does not tell all: of a network to start from it has a digest and no name.
    """
    command, config = identity.get("command"), identity.get("config")
    if not isinstance(command, str) or not isinstance(config, dict) or "init_digest" in identity:
        return None
    words = ["combsearch", *command.split()]
    for name, value in sorted(config.items()):
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            return None  # of a study: nested settings are no flags
        else:
            items = value if isinstance(value, list) else [value]
            words += [f"--{flag}", ",".join(map(str, items))]
    return shlex.join(words)

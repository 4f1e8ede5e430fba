"""Which run a folder belongs to: ``run.json``, its checksum, and names of run folders.

An identity is a JSON object of everything that changes outcomes: command, config,
task_digest, numerics. Two commands with one identity continue one run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from combsearch import durable
from combsearch.errors import CorruptDataError, RunMismatchError, UsageError
from combsearch.registry import nearest

FORMAT = 1  # of run.json; raised when older code could not read it
NAME = "run.json"


def normal_identity(identity: dict[str, Any]) -> dict[str, Any]:
    """``identity`` as it comes back from JSON (tuples become lists).

    Raises:
        UsageError: it is not JSON, or has no key ``numerics``.
    """
    if "numerics" not in identity:
        raise UsageError("a run's identity needs its numerics version: key 'numerics'")
    try:
        normal: dict[str, Any] = json.loads(_canonical_json(identity))
    except (TypeError, ValueError) as error:
        raise UsageError(f"a run's identity must be plain JSON: {error}") from error
    return normal


def identity_digest(identity: dict[str, Any]) -> str:
    """sha256 (64 hex characters) of an identity, whatever the order of its keys."""
    return hashlib.sha256(_canonical_json(identity).encode()).hexdigest()


def read_identity(root: Path) -> dict[str, Any] | None:
    """The identity of the run in ``root``; None where there is no run.json.

    Raises:
        CorruptDataError: run.json is damaged or was edited.
        RunMismatchError: run.json has another format.
        UsageError: it cannot be opened.
    """
    path = root / NAME
    with durable.translated_errors(path):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        facts = json.loads(text)
        form, identity, sha256 = facts["format"], facts["identity"], facts["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _corrupt(path, f"it cannot be parsed ({type(error).__name__}: {error})") from error
    if not isinstance(identity, dict) or identity_digest(identity) != sha256:
        raise _corrupt(path, "it does not match its own checksum, so it was damaged or edited")
    if form != FORMAT:
        raise RunMismatchError(
            f"{path} has format {form!r}, this combsearch reads {FORMAT}: "
            "use the version that made the run, or choose another run folder"
        )
    return identity


def create_identity(root: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Make the folder and its run.json; the identity there, maybe of a process that was quicker.

    Raises:
        NoSpaceError, UsageError: as :func:`combsearch.durable.write_bytes`.
    """
    durable.make_folder(root)
    facts = {"format": FORMAT, "identity": identity, "sha256": identity_digest(identity)}
    durable.commit_new(root / NAME, durable.json_bytes(facts))
    found = read_identity(root)
    return identity if found is None else found


def check_same(root: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Nothing when both identities agree.

    Raises:
        RunMismatchError: naming every field that differs, with both values.
    """
    new, old = dict(_leaves(wanted)), dict(_leaves(found))
    differing = [
        f"{field}: {_changed_file(field, new, old)}this command"
        f" {new.get(field, _absent(field))}, run folder {old.get(field, _absent(field))}"
        for field in sorted(new.keys() | old.keys())
        if new.get(field) != old.get(field)
    ]
    if differing:
        raise RunMismatchError(
            f"{root} belongs to another run; {'; '.join(differing)}; "
            "repeat the command that made it, or choose another run folder"
        )


def _absent(field: str) -> str:
    """An identity leaves out the settings that are at their default."""
    return "its default" if field.startswith("config.") else "nothing"


def _changed_file(field: str, new: dict[str, str], old: dict[str, str]) -> str:
    """Digests alone tell a reader little: what it means that those of a pruner differ."""
    same_pruner = field.startswith("pruners.") and field in new and field in old
    return "the pruner's file has changed, sha256 " if same_pruner else ""


def near_runs(root: Path) -> str:
    """The end of a sentence on ``root`` having no run: which runs are in it or beside it."""
    inside, beside = _runs_in(root), _runs_in(root.absolute().parent)
    if not inside and not beside:
        return ": a run folder is made by the command that computes it, such as phase1"
    runs, where = (inside, "in") if inside else (beside, "beside")
    more = f" and {len(runs) - 8} more" if len(runs) > 8 else ""
    return f"{nearest(root.name, runs)}; runs {where} it: {', '.join(runs[:8])}{more}"


def run_folder(name: str, base: str | Path) -> Path:
    """The folder of the run called ``name`` inside ``base`` (neither need exist).

    Raises:
        UsageError: the name is empty, absolute, has ``..``, a backslash or a character
            that cannot be printed, or leads out of ``base`` through a link.
    """
    base = plain_path(base)
    wrong = _wrong_name(name)
    if wrong is None:
        folder = base / name
        if _leads_inside(folder, base):
            return folder
        wrong = "it leads out of its folder through a link"
    raise UsageError(
        f"run name {name!r}: {wrong}; give a plain name such as 'phase1-95' for a folder in {base}"
    )


def plain_path(path: str | Path) -> Path:
    """``path`` as a Path, refused when no file system could have it.

    Raises:
        UsageError: it is empty or holds a NUL.
    """
    if "\0" in str(path) or not str(path).strip():
        raise UsageError(f"{str(path)!r} is no path of a folder: it is empty or has a NUL")
    return Path(path)


def _wrong_name(name: str) -> str | None:
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "it is absolute"
    if not name.isprintable() or "\\" in name:
        return "it has a backslash or a character that cannot be printed"
    if any(part.strip(". ") == "" for part in parts):
        return "it is empty, or a part of it is, or is only dots"
    if any(len(part.encode()) > 255 for part in parts):
        return "it is longer than 255 bytes"
    return None


def _leads_inside(folder: Path, base: Path) -> bool:
    try:
        real = folder.resolve()
        if any(path.is_symlink() for path in (real, *real.parents)):
            return False  # a loop of links, which newer Pythons leave unresolved
        return real.is_relative_to(base.resolve())
    except (OSError, RuntimeError):  # a loop of links, in older ones
        return False


def _runs_in(folder: Path) -> list[str]:
    try:
        return sorted(path.parent.name for path in folder.glob(f"*/{NAME}"))
    except OSError:
        return []


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _corrupt(path: Path, reason: str) -> CorruptDataError:
    return CorruptDataError(
        f"{path}: {reason}; delete that file and repeat the command that made the run: "
        "its shards prove themselves and are kept"
    )


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted field, JSON text) of everything that is not an object with fields."""
    if isinstance(value, dict) and (value or not prefix):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, json.dumps(value)

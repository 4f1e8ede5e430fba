"""``combsearch data``: which image data sets are there, are they whole, and get them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from combsearch.commands.output import say
from combsearch.errors import CorruptDataError
from combsearch.fetching import PUBLIC, Finding, check, fetch
from combsearch.progress import Progress
from combsearch.registry import lookup
from combsearch.tasks.images.catalogue import DATA_SETS
from combsearch.tasks.images.content import find_file
from combsearch.tasks.images.data_set import DataSet
from combsearch.tasks.images.places import Found, candidates, find, locate


def list_command(folder: str | None, as_json: bool) -> dict[str, Any]:
    """Print every data set, where it is or is looked for, and whether its files look whole.

    Args:
        folder: the root to look in; None takes the usual ones.
        as_json: print one JSON object.

    Returns:
        What ``as_json`` prints.
    """
    rows = [_listed(data_set, folder) for data_set in DATA_SETS.values()]
    report = {"command": "data list", "data_sets": rows}
    say(json.dumps(report) if as_json else "\n".join(_list_line(row) for row in rows))
    return report


def check_command(name: str, folder: str | None, as_json: bool) -> dict[str, Any]:
    """Compare every file of a data set with its size and checksum, and print the findings.

    Args:
        name: of the data set.
        folder: the data set's, or a root; None looks in the usual places.
        as_json: print one JSON object.

    Raises:
        UsageError: an unknown name, or the data set is not there.
        CorruptDataError: a file is missing, truncated or damaged; the first one is named.
    """
    data_set = lookup("image data set", name, DATA_SETS)
    found = locate(data_set, folder)
    with Progress(f"check {name}") as progress:
        findings = check(data_set, found, progress.show)
    report = {
        "command": "data check",
        "data_set": name,
        "folder": str(found.folder),
        "format": found.layout.format,
        "files": [_finding_row(finding) for finding in findings],
        "whole": all(finding.good for finding in findings),
    }
    say(json.dumps(report) if as_json else _check_text(data_set, found, findings))
    wrong = [finding for finding in findings if not finding.good]
    if wrong:
        raise CorruptDataError(
            f"{len(wrong)} of {len(findings)} files of {name} are not as they must be: "
            f"{wrong[0].path}: {wrong[0].fault}; remove them and get them again: "
            f"combsearch data fetch {name}"
        )
    return report


def fetch_command(
    name: str, folder: str | None, source: str | None, package: str | None, as_json: bool
) -> dict[str, Any]:
    """Get a data set; what is there already stays, what was begun goes on.

    Args:
        name: of the data set.
        folder: the root that it goes below; None takes the usual one.
        source: the publisher (``public``, the default) or a registry of packages.
        package: an archive that is there already, of whichever source.
        as_json: print one JSON object.

    Raises:
        UsageError: an unknown name or source.
        CombsearchError: as :func:`combsearch.fetching.fetch`.
    """
    data_set = lookup("image data set", name, DATA_SETS)
    with Progress(f"fetch {name}") as progress:
        target = fetch(data_set, progress.show, folder, source or PUBLIC, package)
    report = {"command": "data fetch", "data_set": name, "folder": str(target)}
    say(json.dumps(report) if as_json else f"{data_set.title} is in {target}")
    return report


def _listed(data_set: DataSet, folder: str | None) -> dict[str, Any]:
    found = find(data_set, folder)
    return {
        "name": data_set.name,
        "title": data_set.title,
        "images": list(data_set.sizes),
        "classes": data_set.classes,
        "shape": [data_set.channels, data_set.side, data_set.side],
        "folder": str(found.folder if found else candidates(data_set, folder)[0]),
        "state": _state(found),
        "sources": list(data_set.downloads),
    }


def _state(found: Found | None) -> str:
    """``absent``, ``part`` or ``present``, by names and sizes only."""
    if found is None:
        return "absent"
    for file in found.layout.files:
        path = find_file(found.folder, file.name)
        if path is None or (path.name == file.name and not _size_fits(path, file.size)):
            return "part"
    return "present"


def _size_fits(path: Path, size: int | None) -> bool:
    return size is None or path.stat().st_size == size


_STATES: Mapping[str, str] = MappingProxyType(
    {"absent": "not there, goes to", "part": "a piece, in", "present": "in"}
)


def _list_line(row: dict[str, Any]) -> str:
    train, test = row["images"]
    shape = " x ".join(map(str, row["shape"]))
    size = f"{train:,} + {test:,}"
    return (
        f"{row['name']:<14} {size:>16}  {shape:<11}  {row['classes']:>3} classes  "
        f"{_STATES[row['state']]} {row['folder']}"
    )


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {"file": str(finding.path), "whole": finding.good, "fault": finding.fault or None}


def _check_text(data_set: DataSet, found: Found, findings: list[Finding]) -> str:
    lines = [f"{data_set.title} in {found.folder} ({found.layout.format})"]
    for finding in findings:
        lines.append(f"  {finding.path.name:<28} {finding.fault or 'whole'}")
    return "\n".join(lines)

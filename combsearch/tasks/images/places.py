"""Where a data set lies on this machine.

A root holds data sets, each in a folder of its own. Roots are the folder that the user
names, or else ``$COMBSEARCH_DATA`` (``~/.cache/combsearch/data`` when it is not set) and
``/usr/share/datasets``, where Debian's packages put theirs. A folder that the user names may
also be that of the data set itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from combsearch.errors import UsageError
from combsearch.tasks.images.content import find_file
from combsearch.tasks.images.data_set import DataSet, Layout

VARIABLE = "COMBSEARCH_DATA"
SYSTEM_ROOT = Path("/usr/share/datasets")


@dataclass(frozen=True)
class Found:
    """A data set that is there: its folder and the format of its files."""

    folder: Path
    layout: Layout


def data_root(folder: str | os.PathLike[str] | None = None) -> Path:
    """The root that data sets are fetched to.

    Args:
        folder: what the user names; None takes the environment's or the default.
    """
    if folder is not None:
        return Path(folder).expanduser()
    return Path(os.environ.get(VARIABLE) or "~/.cache/combsearch/data").expanduser()


def candidates(data_set: DataSet, folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders in which ``data_set`` is looked for, in order."""
    root = data_root(folder)
    roots = [root] if folder is not None else [root, SYSTEM_ROOT]
    found = [root / place for root in roots for place in data_set.places]
    return [*found, root] if folder is not None else found


def find(data_set: DataSet, folder: str | os.PathLike[str] | None = None) -> Found | None:
    """Where ``data_set`` is, None when it is nowhere."""
    for place in candidates(data_set, folder):
        for layout in data_set.layouts:
            if _has(place, layout):
                return Found(place, layout)
    return None


def locate(data_set: DataSet, folder: str | os.PathLike[str] | None = None) -> Found:
    """As :func:`find`.

    Raises:
        UsageError: it is nowhere; the line says how to get it.
    """
    found = find(data_set, folder)
    if found is None:
        keys = " or ".join(layout.key for layout in data_set.layouts)
        places = [str(place) for place in candidates(data_set, folder)]
        raise UsageError(
            f"data set {data_set.name!r} is not there: no {keys} in {places[0]} or "
            f"{len(places) - 1} other usual places; get it by combsearch data fetch "
            f"{data_set.name}, or name the folder that holds it (by the environment variable "
            f"{VARIABLE}, or --folder of combsearch data)"
        )
    return found


def _has(folder: Path, layout: Layout) -> bool:
    if layout.format == "folders":
        return (folder / layout.key).is_dir()
    path = find_file(folder, layout.key)
    return path is not None and path.is_file()

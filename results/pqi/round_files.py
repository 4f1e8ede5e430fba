"""Finished rounds in files that travel, and what it takes to go on from them.

    seed-0.rounds-003-007.npz    the rows of rounds 3 to 7; the masks of the last one to go on with
    seed-0.one-shot.npz          in which round one-shot pruning takes each weight (one_shot.py)

A file of rounds holds ``about`` (JSON) and the columns of ``pqi_rows`` as ``7/accuracy``, an array
[chain, ...] each. It is written again under another name while it grows, until it is large. Those
of the dimensionality study (results/dimensionality) are called ``setting-3.rounds-...`` and hold
the columns of ``dimension_rows``; those of DCT plus sparse (results/dctps) ``network-3.rounds-...``
and hold one round, with the columns of ``dctps_rows``. PyTorch and numpy only.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch import durable
from combsearch.errors import CorruptDataError, RunMismatchError
from combsearch.runfile import identity_digest

FORMAT = 2
MOST = 15 * 2**20
"""Bytes of a file, at most."""

Columns = dict[str, npt.NDArray[Any]]
_STUDIES = {"setting": "dimensionality", "network": "dctps"}  # whose scripts write which unit
_NAME = re.compile(r"([a-z]+)-(\d+)\.rounds-(\d+)-(\d+)\.npz")
_BROKEN = (
    ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class About:
    """Whose rows they are.

    Attributes:
        identity: of the run (the plan's).
        number: of the seed or setting, whose rounds go one after the other, or of the network.
        tf32: whether a GPU may have rounded to TF32.
        made_with: machine, versions, command and script.
        unit: what has the number, ``seed``, ``setting`` or ``network``.
    """

    identity: dict[str, Any]
    number: int
    tf32: bool
    made_with: dict[str, Any]
    unit: str = "seed"

    @property
    def name(self) -> str:
        """``seed-0``: names of files begin with it."""
        return f"{self.unit}-{self.number}"

    @property
    def digest(self) -> str:
        """Names the run in a folder of rounds halfway, which do not say themselves whose."""
        return f"{identity_digest(self.identity)[:16]}{'-tf32' * self.tf32}"

    def check_same(self, other: About, path: Path) -> None:
        """RunMismatchError unless ``other``, of the file ``path``, is of the same run."""
        for name in ("unit", "identity", "number", "tf32"):
            mine, its = _plain(getattr(self, name)), _plain(getattr(other, name))
            if mine != its:
                shown = self.unit if name == "number" else name
                raise RunMismatchError(
                    f"{path} is of another run: its {_difference(shown, its, mine)}; repeat the"
                    " command with the settings, data and version that made it, or leave it away"
                )


@dataclass(frozen=True, eq=False)
class Rounds:
    """What a file of rounds holds.

    Attributes:
        path: of the file.
        about: whose they are.
        columns: by number of the round, ascending.
    """

    path: Path
    about: About
    columns: dict[int, Columns]


def arrays_of(columns: Mapping[str, Any], chains: int) -> Columns:
    """The columns of ``run_round`` as arrays [chain, ...]."""
    found = {name: np.asarray(value) for name, value in columns.items()}
    return {
        name: np.broadcast_to(a, chains) if a.ndim == 0 else a for name, a in found.items()
    }  # fmt: skip


def rounds_files(folder: Path, unit: str, number: int | None = None) -> list[Path]:
    """The files of rounds in a folder, of one seed or setting or all, by it and last round."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and match[1] == unit and number in (None, int(match[2])):
            found.append(((int(match[2]), int(match[4]), int(match[3])), path))
    return [path for _, path in sorted(found)]


def read_rounds(path: Path) -> Rounds:
    """What a file of rounds holds.

    Raises:
        CorruptDataError: it is damaged, or no such file.
        UsageError: it cannot be read.
    """
    arrays, about = _read(path)
    columns: dict[int, Columns] = {}
    try:
        for name, a in arrays.items():
            number, _, column = name.partition("/")
            columns.setdefault(int(number), {})[column] = a
        if not columns:
            raise ValueError("no rounds")
    except ValueError as error:
        raise _damaged(path, error) from error
    return Rounds(path, about, dict(sorted(columns.items())))


def one_shot_path(folder: Path, seed: int) -> Path:
    """Of the file for one-shot pruning."""
    return folder / f"seed-{seed}.one-shot.npz"


def read_one_shot(path: Path) -> tuple[Columns, About]:
    """scope -> the round that takes each weight, and whose; raises as ``read_rounds``."""
    return _read(path)


def write_one_shot(path: Path, about: About, goes: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    """Write what ``read_one_shot`` reads."""
    durable.write_bytes(path, _encoded(about, goes))


@dataclass(eq=False)
class Folder:
    """The folder that a process writes to, the only one that writes rounds of this seed.

    Attributes:
        path: the folder.
        about: whose rounds they are.
    """

    path: Path
    about: About
    _last: Path | None = None
    _held: dict[int, Columns] = field(default_factory=dict)  # what the last file holds

    def __post_init__(self) -> None:
        durable.make_folder(self.path)
        durable.remove_leftovers(self.path)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(path.stat().st_size for path in self.path.iterdir() if path.is_file())

    def add(self, number: int, columns: Columns) -> None:
        """Save a round, with those before it if their file is still open."""
        held = {**self._held, number: columns}
        data = self._encoded(held)
        replaced = self._last
        if self._held and len(data) > MOST:
            held, replaced = {number: columns}, None
            data = self._encoded(held)
        name = f"{self.about.name}.rounds-{min(held):03d}-{number:03d}.npz"
        durable.write_bytes(self.path / name, data)
        if replaced is not None:
            replaced.unlink()
        self._last, self._held = self.path / name, held

    def _encoded(self, rounds: Mapping[int, Columns]) -> bytes:
        named = {f"{n}/{name}": a for n, columns in rounds.items() for name, a in columns.items()}
        return _encoded(self.about, named)


def _encoded(about: About, arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    text = np.array(json.dumps({"format": FORMAT, **vars(about)}))
    np.savez_compressed(file, about=text, **arrays)
    return file.getvalue()


def _read(path: Path) -> tuple[Columns, About]:
    with durable.translated_errors(path):
        content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        if about.pop("format") != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        return arrays, About(**about)
    except (*_BROKEN, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorruptDataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    study = _STUDIES.get(path.name.partition("-")[0], "pqi")
    script = f"results/{study}/gpu.py"
    return CorruptDataError(
        f"{path} is damaged or no file of {script} ({reason}); fetch it again, or remove it:"
        " gpu.py then goes on from what is left"
    )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _difference(name: str, its: Any, mine: Any) -> str:
    """The first thing that differs, as ``config epochs is 3, here 2``."""
    if isinstance(its, dict) and isinstance(mine, dict):
        keys: Iterable[str] = sorted({*its, *mine})
        key = next(key for key in keys if its.get(key) != mine.get(key))
        return _difference(
            key if name == "identity" else f"{name} {key}", its.get(key), mine.get(key)
        )
    shown = ["its default" if value is None else json.dumps(value) for value in (its, mine)]
    return f"{name} is {shown[0]}, here {shown[1]}"

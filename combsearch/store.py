"""A run folder: shards of rows that are either whole and proved, or not there.

    <root>/
      run.json                                   identity of the run, with its own checksum
      shards/<first>-<last>.<sha256>.parquet     rows of the ranks first <= rank < last
      quarantine/                                damaged shards, kept for a look

Done means that the file exists. A run's outcome depends on its key alone, so two
processes on one shard are harmless and nothing here locks: the first commit wins,
and when two land at once, readers take one of them. Layout of the rows: ``rows.py``, of a
sweep's ``prune_rows.py``; of a file: ``shards.py``; of run.json: ``runfile.py``; how a file is
committed: ``durable.py``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from combsearch import durable, runfile
from combsearch.dctps_rows import DCTPS_ROWS
from combsearch.dctps_spiral_rows import DCTPS_SPIRAL_ROWS
from combsearch.dimension_rows import DIMENSION_ROWS, EXPERIMENTS
from combsearch.durable import write_bytes, write_json
from combsearch.errors import CorruptDataError, RunMismatchError, UsageError
from combsearch.pieces import READERS, Pieces
from combsearch.pqi_rows import PQI_ROWS
from combsearch.prune_rows import PRUNE_ROWS
from combsearch.registry import nearest
from combsearch.rows import ROWS, SEARCH_ROWS, RowKind, canonical, conform, digest, rows_table
from combsearch.runfile import run_folder
from combsearch.shards import (
    DamagedShardError,
    Facts,
    Ownership,
    Shard,
    ShardFile,
    encode_shard,
    highest,
    is_of_other_run,
    list_shards,
    merged,
    open_shard,
    owned,
    parse_name,
    range_name,
    read_owned,
    touches,
    uncovered,
)

__all__ = [
    "ROWS",
    "RunStore",
    "Shard",
    "Verification",
    "digest",
    "rows_table",
    "run_folder",
    "write_bytes",
    "write_json",
]

T = TypeVar("T")
R = TypeVar("R")

_COMBINED_ROWS = 1 << 22  # below it, many little chunks are worth copying into one
_KINDS = {
    "prune": PRUNE_ROWS,
    "study pqi": PQI_ROWS,
    "study dctps spiral": DCTPS_SPIRAL_ROWS,
    "study dctps": DCTPS_ROWS,
    **{f"study dimensionality {name}": DIMENSION_ROWS for name in EXPERIMENTS},
}  # by command; all others save SEARCH_ROWS


@dataclass(frozen=True)
class Verification:
    """What :meth:`RunStore.verify` found.

    ``valid``: ranges of the sound shards, ascending. ``files``: their files, those
    left out that others cover wholly: the list to query with SQL, never a glob
    (where shard sizes changed during a run, two may still share ranks;
    :meth:`RunStore.read` takes each rank once). ``rows``: rows in ``files``.
    ``best``: the highest accuracy in each of ``files``, infinity where that is not known.
    ``quarantined``: (file name, reason) of the damaged ones. ``foreign``: names in
    the shard folder that are none of ours; they are left alone.
    """

    valid: list[Shard]
    files: list[Path]
    rows: int
    best: list[float]
    quarantined: list[tuple[str, str]]
    foreign: list[str]

    def reaching(self, accuracy: float) -> list[Path]:
        """Those of ``files`` that may hold a row of at least this accuracy."""
        return [path for path, best in zip(self.files, self.best, strict=True) if best >= accuracy]


@dataclass(frozen=True, eq=False)
class RunStore:
    """The rows of one run. Make one with :meth:`open` or :meth:`attach`.

    Holds nothing but the folder's name and identity: safe to pickle, to share
    between threads, and to have many of on one folder.
    """

    root: Path
    identity: dict[str, Any]
    writable: bool

    @classmethod
    def open(cls, root: str | Path, identity: dict[str, Any]) -> RunStore:
        """Create the run folder ``root``, or continue it when its identity is the same.

        ``identity`` is JSON: command, config, task_digest, numerics, and whatever else
        changes outcomes. Leave out fields at their default, so that one added later
        does not disown old runs.

        Raises:
            RunMismatchError: the folder belongs to another identity; nothing written.
            CorruptDataError: run.json is damaged; nothing written.
            UsageError: ``root`` cannot be created or read, or numerics is missing.
            NoSpaceError: the disk is full.
        """
        root, wanted = runfile.plain_path(root), runfile.normal_identity(identity)
        found = runfile.read_identity(root)
        if found is None:
            _refuse_orphans(root, wanted)
            found = runfile.create_identity(root, wanted)
        runfile.check_same(root, wanted, found)
        durable.make_folder(root / "shards")
        for folder in (root, root / "shards"):
            durable.remove_leftovers(folder)
        return cls(root, found, writable=True)

    @classmethod
    def attach(cls, root: str | Path) -> RunStore:
        """The existing run in ``root``, whatever its identity, to read and verify.

        Raises:
            UsageError: there is no run; the message names those nearby.
            CorruptDataError: run.json is damaged.
        """
        root = runfile.plain_path(root)
        found = runfile.read_identity(root)
        if found is None:
            raise UsageError(f"no run in {root} (it has no run.json){runfile.near_runs(root)}")
        return cls(root, found, writable=False)

    @property
    def kind(self) -> RowKind:
        """Of what kind the rows are, by the command of the identity."""
        return row_kind(self.identity)

    def check_writable(self) -> None:
        """Fail now rather than after the training.

        Raises:
            UsageError: the folder cannot be written, or was attached only to read.
            NoSpaceError: the disk is full.
        """
        self._refuse_attached()
        for folder in (self.root, self.root / "shards"):
            durable.check_folder_writable(folder)

    def missing(self, shards: Iterable[Shard]) -> list[Shard]:
        """Those of ``shards`` whose ranks the files present do not wholly cover.

        Goes by names alone: :meth:`verify` first moves damaged files away.
        """
        return uncovered(shards, (file.shard for file in self._files()))

    def write(self, shard: Shard, table: pa.Table) -> Path:
        """Commit the rows of ``shard``; the file that now holds them.

        A sound file of this range that is already there stays, and is returned.

        Raises:
            UsageError: ``table`` is not of the run's kind of rows, has ranks outside of
                ``shard``, an unknown status or one run twice; or the folder is read-only.
            NoSpaceError: the disk is full; nothing half-written remains.
        """
        self._refuse_attached()
        data = encode_shard(shard, _checked(shard, table, self.kind), self._facts())
        present = self._sound_file(shard)
        if present is not None:
            return present
        name = f"{range_name(shard)}{hashlib.sha256(data).hexdigest()}.parquet"
        path = self.root / "shards" / name
        durable.commit_new(path, data)
        return path

    def saved(self) -> list[Shard]:
        """The ranges of all shard files, ascending, by their names alone."""
        return sorted({file.shard for file in self._files()})

    def verify(
        self, quarantine: bool = True, within: Sequence[Shard] | None = None
    ) -> Verification:
        """Check every shard against its checksum, range, row count and this run's identity.

        With ``within`` only those that have a rank in one of these ranges.

        Damaged files move to ``quarantine/`` (numbered when the name is taken there, never
        deleted), so that :meth:`missing` lists their ranges. Where the folder
        cannot be written, or with ``quarantine=False``, they stay and are only named.

        Raises:
            UsageError: the shard folder cannot be read.
        """
        files, foreign = list_shards(self.root / "shards")
        if within is not None:
            ranges = merged(sorted(within))
            files = [file for file in files if touches(file.shard, ranges)]
        facts = self._facts()
        checks = _in_threads(lambda file: _sound_or_reason(file, facts), files)
        found = list(zip(files, checks, strict=True))
        sound = {file: check for file, check in found if isinstance(check, _Sound)}
        used = [piece.file for piece in owned(list(sound))]
        return Verification(
            valid=sorted({file.shard for file in sound}),
            files=[file.path for file in used],
            rows=sum(sound[file].rows for file in used),
            best=[sound[file].best for file in used],
            quarantined=[
                (file.path.name, self._set_aside(file, check) if quarantine else check)
                for file, check in found
                if isinstance(check, str)
            ],
            foreign=foreign,
        )

    def read(
        self,
        columns: Sequence[str] | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> pa.Table:
        """Rows with ``first <= rank < last`` in canonical order, each rank from one file.

        Every file is checked as :meth:`verify` does, and what is decoded is what was
        checked. ``columns`` of None means all of ``kind.columns``; the table has their types.

        Raises:
            CorruptDataError: a file is damaged (it is never left out silently).
            UsageError: an unknown column.
        """
        names = _known_columns(columns, self.kind.columns)
        parts = self._owned(first, last)
        alone = len(parts) < READERS  # columns of one file share the cores only where files do not
        tables = _in_threads(lambda part: self._read_part(part, names, alone), parts)
        table = pa.concat_tables([self._empty(names), *tables])
        return table.combine_chunks() if len(table) < _COMBINED_ROWS else table

    def pieces(
        self,
        columns: Sequence[str] | None = None,
        first: int | None = None,
        last: int | None = None,
        files: Iterable[Path] | None = None,
    ) -> Pieces:
        """The rows of :meth:`read`, one table after the other; with ``files`` of these alone.

        Raises:
            CorruptDataError: as :meth:`read`, when the turn of that file comes.
            UsageError: an unknown column.
        """
        names = _known_columns(columns, self.kind.columns)
        read = partial(self._read_part, names=names, threads=False)
        return Pieces(self._owned(first, last, files), read)

    def _owned(
        self, first: int | None, last: int | None, files: Iterable[Path] | None = None
    ) -> list[Ownership]:
        present = self._files()
        if files is not None:
            wanted = {path.name for path in files}
            present = [file for file in present if file.path.name in wanted]
        return owned(present, first or 0, 10**18 if last is None else last)

    def _read_part(self, part: Ownership, names: list[str], threads: bool) -> pa.Table:
        try:
            return read_owned(part, names, self._facts(), threads)
        except DamagedShardError as damage:
            raise CorruptDataError(
                f"shard {part.file.path}: {damage}; `combsearch verify {self.root}` moves it to"
                " quarantine, then the command that made the run computes it again"
            ) from damage

    def _empty(self, names: list[str]) -> pa.Table:
        return pa.schema([self.kind.columns.field(name) for name in names]).empty_table()

    def _facts(self) -> Facts:
        return _facts_of(self.identity)

    def _files(self) -> list[ShardFile]:
        return list_shards(self.root / "shards")[0]

    def _refuse_attached(self) -> None:
        if not self.writable:
            raise UsageError(
                f"{self.root} was attached to be read: "
                "repeat the command that made the run to continue it"
            )

    def _sound_file(self, shard: Shard) -> Path | None:
        """A whole file of exactly this range; damaged ones make room for a new one."""
        folder = self.root / "shards"
        with durable.translated_errors(folder):
            start = range_name(shard)
            names = sorted(name for name in os.listdir(folder) if name.startswith(start))
        facts = self._facts()
        for file in filter(None, (parse_name(folder / name) for name in names)):
            reason = _sound_or_reason(file, facts)
            if not isinstance(reason, str):
                return file.path
            self._set_aside(file, reason)
        return None

    def _set_aside(self, file: ShardFile, reason: str) -> str:
        """Move a damaged file to quarantine; the reason, with a note where it had to stay."""
        # Another process may have moved it and computed it again, under the same name.
        if not isinstance(_sound_or_reason(file, self._facts()), str):
            return reason
        folder = self.root / "quarantine"
        try:
            folder.mkdir(exist_ok=True)
            target, number = folder / file.path.name, 1
            while os.path.lexists(target):
                target, number = folder / f"{file.path.name}.{number}", number + 1
            os.rename(file.path, target)
        except FileNotFoundError:  # another process has moved it
            return reason
        except OSError as error:
            return f"{reason}; left in place ({error.strerror or error})"
        return reason


def row_kind(identity: dict[str, Any]) -> RowKind:
    """Of what kind the rows of a run with this identity are."""
    return _KINDS.get(str(identity.get("command")), SEARCH_ROWS)


def _facts_of(identity: dict[str, Any]) -> Facts:
    return Facts(runfile.identity_digest(identity), identity["numerics"], row_kind(identity))


def _in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``function`` of every item, in order; whole blocks a thread, since shards may be tiny."""
    size = -(-len(items) // (4 * READERS)) or 1
    blocks = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(READERS) as pool:
        return [one for done in pool.map(lambda b: list(map(function, b)), blocks) for one in done]


class _Sound(NamedTuple):
    """Of a sound shard: its rows, and the highest accuracy of one."""

    rows: int
    best: float


def _sound_or_reason(file: ShardFile, facts: Facts) -> _Sound | str:
    """What is known of a sound shard, or what is wrong with it."""
    try:
        opened = open_shard(file, facts)
    except DamagedShardError as damage:
        return str(damage)
    return _Sound(opened.metadata.num_rows, highest(opened, "accuracy"))


def _checked(shard: Shard, table: pa.Table, kind: RowKind) -> pa.Table:
    """``table`` as it is to be saved: of its kind, in canonical order, inside ``shard``."""
    table = canonical(conform(table, kind.columns))
    rank = table["rank"].to_numpy()
    outside = rank[(rank < shard.first) | (rank >= shard.last)]
    if outside.size:
        raise UsageError(
            f"rank {outside[0]} is outside of the shard {shard.first} <= rank < {shard.last}"
        )
    unknown = set(table["status"].unique().to_pylist()) - set(kind.statuses)
    if unknown:
        raise UsageError(f"unknown status {unknown.pop()!r} (known: {', '.join(kind.statuses)})")
    return table


def _known_columns(columns: Sequence[str] | None, schema: pa.Schema) -> list[str]:
    known: list[str] = schema.names
    names = known if columns is None else list(columns)
    for name in names:
        if name not in known:
            listed = ", ".join(known)
            raise UsageError(f"unknown column {name!r}{nearest(name, known)} (known: {listed})")
    return names


def _refuse_orphans(root: Path, identity: dict[str, Any]) -> None:
    """Shards whose run.json was lost must not be disowned by a different command."""
    if not (root / "shards").is_dir():
        return
    facts = _facts_of(identity)
    for file in list_shards(root / "shards")[0]:
        if is_of_other_run(file, facts):
            raise RunMismatchError(
                f"{root} has no run.json, and its shards (as {file.path.name}) are of another "
                "configuration: repeat the command that made them, or choose another run folder"
            )

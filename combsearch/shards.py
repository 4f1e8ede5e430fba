"""Shards: ranges of canonical ranks, and the Parquet files that hold their rows.

A file is called ``<first>-<last>.<sha256>.parquet``: the range with 12 digits a number
(more when needed) and the sha256 of the file's bytes, so that no shard exists
without its checksum. Range, row count, identity and numerics version stand in the
Parquet metadata, under the same checksum: a renamed file gives itself away.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from combsearch import durable
from combsearch.errors import UsageError
from combsearch.rows import FORMAT, SEARCH_ROWS, RowKind

_NAME = re.compile(r"(\d{12,18})-(\d{12,18})\.([0-9a-f]{64})\.parquet")
_META = b"combsearch."
# Dictionaries halve large shards and read faster; small shards they only slow down.
_SMALL_ROWS = 4096


@dataclass(frozen=True, order=True)
class Shard:
    """The half-open range of canonical ranks ``first <= rank < last``.

    Raises:
        UsageError: not 0 <= first < last < 10**18.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last < 10**18:
            raise UsageError(f"shard {self.first}..{self.last}: needs 0 <= first < last < 10**18")

    def __len__(self) -> int:
        return self.last - self.first


class ShardFile(NamedTuple):
    """A file of the shard folder, as its name describes it."""

    shard: Shard
    sha256: str
    path: Path


class Ownership(NamedTuple):
    """Take the rows ``first <= rank < last`` from ``file``."""

    file: ShardFile
    first: int
    last: int


class Facts:
    """What every shard of one run says of itself, beside its own range and row count.

    ``identity``: sha256 of the run's identity; ``numerics``: its numerics version (JSON);
    ``kind``: of what kind its rows are.
    """

    def __init__(self, identity: str, numerics: object, kind: RowKind = SEARCH_ROWS) -> None:
        self.kind = kind
        facts = {"format": FORMAT, "numerics": numerics, "identity": identity}
        self._common = {_key(name): json.dumps(value).encode() for name, value in facts.items()}

    def metadata(self, shard: Shard, rows: int) -> dict[bytes, bytes]:
        """The Parquet key-value metadata of ``shard``: JSON values."""
        own = {"range": f"[{shard.first}, {shard.last}]", "rows": f"{rows}"}
        return self._common | {_key(name): value.encode() for name, value in own.items()}

    def of_other_run(self, metadata: dict[bytes, bytes]) -> bool:
        """Whether ``metadata`` names another identity, or none."""
        return metadata.get(_key("identity")) != self._common[_key("identity")]


class DamagedShardError(Exception):
    """A shard file fails its check; the text says how."""


def range_name(shard: Shard) -> str:
    """What the names of all files of ``shard`` start with."""
    return f"{shard.first:012d}-{shard.last:012d}."


def parse_name(path: Path) -> ShardFile | None:
    """What a file's name says, or None when it is not the name of a shard."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    if first >= last or match[1] != f"{first:012d}" or match[2] != f"{last:012d}":
        return None
    return ShardFile(Shard(first, last), match[3], path)


def list_shards(folder: Path) -> tuple[list[ShardFile], list[str]]:
    """(shard files by first rank, the widest first; names that are none of ours).

    Raises:
        UsageError: the folder cannot be read.
    """
    files, foreign = [], []
    with durable.translated_errors(folder):
        try:
            found = list(os.scandir(folder))
        except FileNotFoundError:  # killed before it was made, or left out of a copy: no shards
            found = []
    for item in found:
        file = parse_name(folder / item.name) if item.is_file() else None
        if file is not None:
            files.append(file)
        elif not durable.is_temporary(item.name):
            foreign.append(item.name)
    files.sort(key=lambda file: (file.shard.first, -file.shard.last, file.path.name))
    return files, sorted(foreign)


def encode_shard(shard: Shard, table: pa.Table, facts: Facts) -> memoryview:
    """The Parquet bytes (zstd, page checksums) of the rows of ``shard``."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(facts.metadata(shard, len(table))),
        sink,
        compression="zstd",
        use_dictionary=facts.kind.repetitive if len(table) >= _SMALL_ROWS else False,
        write_page_checksum=True,
    )
    return memoryview(sink.getvalue())


def open_shard(file: ShardFile, facts: Facts) -> pq.ParquetFile:
    """The checked file, over the very bytes that were checked.

    Raises:
        DamagedShardError: it cannot be read, or its checksum, range, row count, identity,
            numerics version or format are not as they should be.
    """
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise DamagedShardError(f"cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DamagedShardError(f"its sha256 is not the one in its name ({len(data)} bytes)")
    try:
        opened = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedShardError(f"it is not a Parquet file: {error}") from error
    found = opened.metadata.metadata or {}
    for key, wanted in facts.metadata(file.shard, opened.metadata.num_rows).items():
        if found.get(key) != wanted:
            fact, value = key.removeprefix(_META), found.get(key, b"not there")
            raise DamagedShardError(f"its {_text(fact)} is {_text(value)}, not {_text(wanted)}")
    return opened


def highest(opened: pq.ParquetFile, column: str) -> float:
    """The highest number of a column, by the file's own statistics; infinity where it has none.

    NaN is left out; minus infinity when there are no rows.
    """
    metadata, best = opened.metadata, float("-inf")
    place = opened.schema.names.index(column)
    for group in range(metadata.num_row_groups):
        values = metadata.row_group(group).column(place)
        if not values.num_values:
            continue
        if not values.is_stats_set or not values.statistics.has_min_max:
            return float("inf")
        best = max(best, values.statistics.max)
    return best


def is_of_other_run(file: ShardFile, facts: Facts) -> bool:
    """Whether a file can be read and says that it has another identity than ``facts``."""
    try:
        return facts.of_other_run(pq.read_metadata(file.path).metadata or {})
    except (pa.ArrowException, ValueError, OSError):
        return False  # its checksum will name it


def read_owned(piece: Ownership, columns: Sequence[str], facts: Facts, threads: bool) -> pa.Table:
    """The columns of the rows that ``piece`` names, in canonical order, without metadata.

    Raises:
        DamagedShardError: as :func:`open_shard`, or a page fails its checksum.
    """
    whole = (piece.first, piece.last) == (piece.file.shard.first, piece.file.shard.last)
    opened = open_shard(piece.file, facts)
    try:
        table = opened.read(_in_file(columns, whole, facts.kind), use_threads=threads)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedShardError(f"its pages cannot be read: {error}") from error
    if not whole:
        start, stop = np.searchsorted(table["rank"].to_numpy(), [piece.first, piece.last])
        table = table.slice(int(start), int(stop - start))
    return table.replace_schema_metadata(None).select(columns)


def owned(files: list[ShardFile], first: int = 0, last: int = 10**18) -> list[Ownership]:
    """Which ranks to take from which file, so that each of first <= rank < last is taken once.

    ``files`` as :func:`list_shards` sorts them; a rank that several hold is the first one's.
    """
    pieces, covered = [], first
    for file in files:
        start, stop = max(file.shard.first, covered), min(file.shard.last, last)
        if start < stop:
            pieces.append(Ownership(file, start, stop))
        covered = max(covered, file.shard.last)
    return pieces


def uncovered(shards: Iterable[Shard], present: Iterable[Shard]) -> list[Shard]:
    """Those of ``shards`` that the union of ``present`` (ascending) does not wholly cover."""
    union = merged(present)
    starts = [span.first for span in union]
    return [shard for shard in shards if not _inside(shard, union, starts)]


def merged(shards: Iterable[Shard]) -> list[Shard]:
    """The union of ``shards`` (ascending by first) as ranges that do not touch."""
    union: list[Shard] = []
    for shard in shards:
        if union and shard.first <= union[-1].last:
            union[-1] = Shard(union[-1].first, max(union[-1].last, shard.last))
        else:
            union.append(shard)
    return union


def touches(shard: Shard, ranges: Sequence[Shard]) -> bool:
    """Whether ``shard`` has a rank in common with one of ``ranges``, which are as ``merged``."""
    place = bisect.bisect_right(ranges, shard.first, key=lambda one: one.last)
    return place < len(ranges) and ranges[place].first < shard.last


def _in_file(columns: Sequence[str], whole: bool, kind: RowKind) -> list[str] | None:
    """The columns to decode: rank too where rows are cut; None, which is quicker, for all."""
    wanted = {*columns} if whole else {*columns, "rank"}
    return None if wanted == {*kind.columns.names} else sorted(wanted)


def _key(name: str) -> bytes:
    return _META + name.encode()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _inside(shard: Shard, union: list[Shard], starts: list[int]) -> bool:
    place = bisect.bisect_right(starts, shard.first) - 1
    return place >= 0 and shard.last <= union[place].last

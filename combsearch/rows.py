"""The rows that a run saves, as Arrow tables, and the digest that names their content.

What columns there are, and which of them are digested, is a ``RowKind``; those of a sweep
over pruners are in ``prune_rows``. Here are those of a search, where one row is one training
of one mask (or dense shape) under one cell of the recipe grid from one seed:

    column      type            meaning
    rank        int64           canonical rank of the mask or shape
    shape       string          widths with input and output, "2,7,3,3,1"
    mask        uint64          key of the mask (``MaskBatch.keys``)
    nonzeros    int32           nonzero weights plus live biases
    cell        string          learning rate and schedule, "0.05:cosine"
    restart     int32           number of the restart, from 0
    accuracy    float64         share of points classified correctly, 0 to 1
    status      string          "ok", "diverged", or "spared": a race would have given it up
    parameters  list<float32>   weight0 row-major, bias0, weight1, ...; null except for the
                                best run of a rank (phase one) or what the search keeps
    seconds     float64         share of the training time; null when not measured

The canonical order is (rank, cell, restart), cells by their UTF-8 bytes; no two
rows of a run agree in all three.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.errors import UsageError

FORMAT = 1  # of these columns and of the digest: raised when either changes
STATUSES = ("ok", "diverged", "spared")

ROWS: pa.Schema = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("shape", pa.string(), nullable=False),
        pa.field("mask", pa.uint64(), nullable=False),
        pa.field("nonzeros", pa.int32(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("restart", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("parameters", pa.list_(pa.float32())),
        pa.field("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True, eq=False)
class RowKind:
    """What the rows of one kind of run are; all have rank, cell, restart, accuracy and status.

    Attributes:
        title: first line of what the digest hashes; other kinds have others.
        columns: names and types.
        measured: columns that are no outcome, such as times: two computations of one run
            must have one digest.
        statuses: what ``status`` may be.
    """

    title: str
    columns: pa.Schema
    measured: tuple[str, ...]
    statuses: tuple[str, ...]

    @property
    def digested(self) -> pa.Schema:
        """The columns that the digest goes over."""
        return pa.schema([field for field in self.columns if field.name not in self.measured])

    @property
    def repetitive(self) -> list[str]:
        """Columns in which few values come again and again."""
        lists = [field.name for field in self.columns if pa.types.is_list(field.type)]
        return [name for name in self.columns.names if name not in (*lists, *self.measured)]


SEARCH_ROWS = RowKind(f"combsearch rows {FORMAT}", ROWS, ("seconds",), STATUSES)

_BLOCK = 1 << 20  # rows handled at once: bounds the memory of sorting and hashing


def rows_table(
    *,
    rank: npt.ArrayLike,
    shape: Sequence[str] | npt.NDArray[np.str_] | str,
    mask: npt.ArrayLike,
    nonzeros: npt.ArrayLike,
    cell: Sequence[str] | npt.NDArray[np.str_] | str,
    restart: npt.ArrayLike,
    accuracy: npt.ArrayLike,
    status: Sequence[str] | npt.NDArray[np.str_] | str = "ok",
    parameters: Sequence[npt.NDArray[np.float32] | None] | None = None,
    seconds: npt.ArrayLike | None = None,
) -> pa.Table:
    """A table of :data:`ROWS` from columns of equal length ``n``.

    A single value stands for all rows. ``parameters`` holds one float32 array (any
    axes, flattened row-major) or None a row; ``seconds`` of None means not measured.

    Raises:
        UsageError: lengths differ, a value does not fit its column, or parameters
            are not float32 (rounding them here would change the saved network).
    """
    given: dict[str, Any] = {
        "rank": rank,
        "shape": shape,
        "mask": mask,
        "nonzeros": nonzeros,
        "cell": cell,
        "restart": restart,
        "accuracy": accuracy,
        "status": status,
        "seconds": seconds,
    }
    return table_of(ROWS, given, {"parameters": parameters})


def table_of(
    schema: pa.Schema,
    values: Mapping[str, Any],
    lists: Mapping[str, Sequence[npt.NDArray[Any] | None] | None],
) -> pa.Table:
    """A table of ``schema`` from columns of equal length ``n``; see :func:`rows_table`.

    Args:
        schema: all columns.
        values: those that hold one value a row, or one for all rows; None is all null.
        lists: those that hold an array of the column's type, or None, a row.

    Raises:
        UsageError: as :func:`rows_table`.
    """
    sized = [len(value) for value in values.values() if np.ndim(value) == 1]
    sized += [len(given) for given in lists.values() if given is not None]
    rows = sized[0] if sized else 1
    columns = {name: _column(schema.field(name), value, rows) for name, value in values.items()}
    for name, arrays in lists.items():
        columns[name] = _list_column(schema.field(name), arrays, rows)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def conform(table: pa.Table, schema: pa.Schema = ROWS) -> pa.Table:
    """``table`` with exactly the columns and types of ``schema``; other columns dropped.

    Dictionary-encoded and large columns are decoded, integers cast when they fit.
    Floats are never rounded: their type must match.

    Raises:
        UsageError: a column is absent, cannot be cast, or holds a null it may not hold.
    """
    absent = [name for name in schema.names if name not in table.column_names]
    if absent:
        raise UsageError(f"the table lacks column {absent[0]!r} (needed: {schema.names})")
    table = table.select(schema.names)
    _refuse_holes(table, schema)
    if table.schema.equals(schema):
        return table
    for field in schema:
        found, wanted = _value_type(table.schema.field(field.name).type), _value_type(field.type)
        if pa.types.is_floating(wanted) and found != wanted and not pa.types.is_null(found):
            raise UsageError(f"column {field.name!r} holds {found}, not {wanted}")
    try:
        return table.cast(schema)
    except (ValueError, pa.ArrowException) as error:
        raise UsageError(f"the table does not fit the columns of a run: {error}") from error


def canonical(table: pa.Table) -> pa.Table:
    """``table`` (with columns rank, cell, restart) in canonical order; no copy if it is.

    Raises:
        UsageError: two rows have the same rank, cell and restart.
    """
    order = _canonical_order(table)
    return table if order is None else pa.concat_tables(_taken(table, order))


def digest(table: pa.Table, kind: RowKind = SEARCH_ROWS) -> str:
    """sha256 (64 hex characters) of all columns but the measured, in canonical order.

    It depends on the values alone: not on row order, chunks, encodings, or further
    columns. Parameters count bit for bit, and null differs from empty; all NaN of
    ``accuracy`` are one value. Columns are hashed apart, strings and lists as their
    lengths and their values, little-endian.

    Args:
        table: rows of one run.
        kind: of what kind they are.

    Raises:
        UsageError: a column is absent or of another type, or a run is there twice.
    """
    whole = Digest(kind)
    whole.update(table)
    return whole.hexdigest()


class Digest:
    """``digest`` of a run whose rows come table by table, each after all those before it.

    Args:
        kind: of what kind they are.
    """

    def __init__(self, kind: RowKind = SEARCH_ROWS) -> None:
        self._kind, self._schema = kind, kind.digested
        self._hashes = {name: (hashlib.sha256(), hashlib.sha256()) for name in self._schema.names}
        self._rows = 0
        self._last: tuple[int, bytes, int] | None = None

    def update(self, table: pa.Table) -> None:
        """More rows, in any order among themselves.

        Raises:
            UsageError: as ``digest``, or they do not come after those before.
        """
        for batch in _canonical_batches(conform(table, self._schema)):
            if not len(batch):
                continue
            self._follow(batch)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                for part, data in zip(self._hashes[name], _parts(name, column), strict=False):
                    part.update(data)
            self._rows += len(batch)

    def hexdigest(self) -> str:
        """Of all rows so far."""
        total = hashlib.sha256(f"{self._kind.title}\n{self._rows}\n".encode())
        for name, parts in self._hashes.items():
            total.update(name.encode() + b"\n" + b"".join(part.digest() for part in parts))
        return total.hexdigest()

    def _follow(self, batch: pa.RecordBatch) -> None:
        """Refuse rows that are not all after the last one."""
        first, last = (_place(batch.slice(row, 1)) for row in (0, len(batch) - 1))
        if self._last is not None and first <= self._last:
            rank, cell, restart = first[0], first[1].decode(), first[2]
            run = {"rank": rank, "cell": cell, "restart": restart}
            if first == self._last:
                raise UsageError(f"the table holds one run twice: {run}")
            raise UsageError(f"the rows of {run} come after rows that they stand before")
        self._last = last


def _column(field: pa.Field, value: Any, rows: int) -> pa.Array:
    name = field.name
    if value is None and field.nullable:
        return pa.nulls(rows, field.type)
    values = np.broadcast_to(value, (rows,)) if np.ndim(value) == 0 else np.asarray(value)
    if values.shape != (rows,):
        raise UsageError(f"column {name!r} has shape {values.shape}, the first one {rows} rows")
    try:
        return pa.array(values).cast(field.type)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UsageError(f"column {name!r} does not fit {field.type}: {error}") from error


def _list_column(
    field: pa.Field, lists: Sequence[npt.NDArray[Any] | None] | None, rows: int
) -> pa.Array:
    name, kind = field.name, field.type
    if lists is None:
        return pa.nulls(rows, kind)
    if len(lists) != rows:
        raise UsageError(f"column {name!r} has {len(lists)} entries, not {rows}")
    dtype = np.dtype(kind.value_type.to_pandas_dtype())
    wrong = [a.dtype for a in lists if a is not None and a.dtype != dtype]
    if wrong:
        raise UsageError(f"{name} are {wrong[0]}, not {dtype}: convert them before saving")
    sizes = np.array([0 if a is None else a.size for a in lists], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    flat = [np.ravel(a) for a in lists if a is not None]
    values = np.concatenate(flat) if flat else np.empty(0, dtype)
    absent = pa.array([a is None for a in lists], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=kind, mask=absent)


def _refuse_holes(table: pa.Table, schema: pa.Schema) -> None:
    for field in schema:
        column = table[field.name]
        if not field.nullable and column.null_count:
            may = " and ".join(f.name for f in schema if f.nullable) or "none"
            raise UsageError(f"column {field.name!r} holds a null: only {may} may")
        if pa.types.is_nested(column.type) and pc.list_flatten(column).null_count:
            raise UsageError(f"column {field.name!r} holds a null inside a list, not a number")


def _value_type(kind: pa.DataType) -> pa.DataType:
    while pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return kind


def _canonical_order(table: pa.Table) -> npt.NDArray[np.int64] | None:
    """The permutation int64[row] into canonical order; None when already in it."""
    rank, restart = table["rank"].to_numpy(), table["restart"].to_numpy()
    # Python sorts text by code point, which is the order of its UTF-8 bytes.
    cells = pa.array(sorted(pc.unique(table["cell"]).to_pylist()), pa.string())
    cell = pc.index_in(table["cell"], value_set=cells).to_numpy()
    if _first_not_above(rank, cell, restart) is None:
        return None
    order: npt.NDArray[np.int64] = np.lexsort((restart, cell, rank))
    twice = _first_not_above(rank[order], cell[order], restart[order])
    if twice is not None:
        row = table.slice(int(order[twice]), 1).select(["rank", "cell", "restart"])
        raise UsageError(f"the table holds one run twice: {row.to_pylist()[0]}")
    return order


def _first_not_above(*keys: npt.NDArray[Any]) -> int | None:
    """The first row not strictly above the one before it, lexicographically."""
    above = np.zeros(max(len(keys[0]) - 1, 0), bool)
    for key in reversed(keys):
        above = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & above)
    return None if above.all() else int(np.argmin(above)) + 1


def _place(row: pa.RecordBatch) -> tuple[int, bytes, int]:
    """Where the one row of a batch stands in canonical order."""
    rank, cell, restart = (row[name][0].as_py() for name in ("rank", "cell", "restart"))
    return rank, cell.encode(), restart


def _taken(table: pa.Table, order: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    for start in range(0, len(order), _BLOCK):
        yield table.take(pa.array(order[start : start + _BLOCK]))


def _canonical_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    order = _canonical_order(table)
    for piece in [table] if order is None else _taken(table, order):
        yield from piece.to_batches(max_chunksize=_BLOCK)


def _parts(name: str, column: pa.Array) -> list[Any]:
    """What the digest hashes of a column: its values, or its lengths and its values."""
    if pa.types.is_string(column.type):
        return [_little(pc.binary_length(column).to_numpy()), _text(column)]
    if pa.types.is_list(column.type):
        sizes = pc.fill_null(pc.list_value_length(column), -1)  # null is not an empty list
        return [_little(sizes.to_numpy()), _little(column.flatten().to_numpy())]
    values = column.to_numpy()
    if name == "accuracy":
        values = np.where(np.isnan(values), np.nan, values)
    return [_little(values)]


def _text(column: pa.Array) -> memoryview:
    """The UTF-8 bytes of a string column without nulls, end to end."""
    _, offsets, data = column.buffers()
    if len(column) == 0 or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _little(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))

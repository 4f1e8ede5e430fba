"""The rows of ``study dctps spiral``: one row is one training of one support.

    column      type           meaning
    rank        int64          number of the support in the run, level after level
    level       int32          of the run, from 0; levels of one budget may come twice
    budget      int32          places that the support keeps: entries of S and biases
    parameters  int32          trained: the budget, and an alpha a layer where they are trained
    weights     int32          entries of S that the support keeps
    biases      int32          biases that it keeps
    origin      string         "all" (every support of the budget is tried), "drawn", "grown" or
                               "shrunk" (from one of the level before, by one place)
    cell        string         learning rate and schedule, "0.1:cosine"
    restart     int32          number of the restart, from 0
    accuracy    float64        after the last epoch, on all points of the task
    status      string         "ok" or "diverged": a parameter or a logit was not finite
    support     list<int32>    the places that are kept, ascending; see ``networks.dct_mlp``
    values      list<float32>  the trained numbers at these places
    alphas      list<float32>  a layer each, 1 where they are not trained
    seconds     float64        share of the time of the shard

The canonical order is (rank, cell, restart), as of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from combsearch.rows import RowKind, table_of

FORMAT = 1  # of these columns: raised when they change
ORIGINS = ("all", "drawn", "grown", "shrunk")
_COLUMNS = {
    "rank": pa.int64(),
    "level": pa.int32(),
    "budget": pa.int32(),
    "parameters": pa.int32(),
    "weights": pa.int32(),
    "biases": pa.int32(),
    "origin": pa.string(),
    "cell": pa.string(),
    "restart": pa.int32(),
    "accuracy": pa.float64(),
    "status": pa.string(),
    "support": pa.list_(pa.int32()),
    "values": pa.list_(pa.float32()),
    "alphas": pa.list_(pa.float32()),
    "seconds": pa.float64(),
}
COLUMNS: pa.Schema = pa.schema(
    [pa.field(name, kind, nullable=name == "seconds") for name, kind in _COLUMNS.items()]
)
DCTPS_SPIRAL_ROWS = RowKind(
    f"combsearch dctps spiral rows {FORMAT}", COLUMNS, ("seconds",), ("ok", "diverged")
)
LISTS = tuple(name for name, kind in _COLUMNS.items() if pa.types.is_list(kind))
SHOWN = tuple(name for name in _COLUMNS if name not in (*LISTS, "seconds"))
"""What tables and figures read."""


def dctps_spiral_table(columns: Mapping[str, Any]) -> pa.Table:
    """A table of ``DCTPS_SPIRAL_ROWS``.

    Args:
        columns: every column; a single value stands for all rows, and a list column is a
            sequence of one array a row.

    Raises:
        UsageError: as ``rows.rows_table``.
    """
    plain = {name: value for name, value in columns.items() if name not in LISTS}
    return table_of(COLUMNS, plain, {name: columns[name] for name in LISTS})

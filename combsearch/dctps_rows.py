"""The rows that the study of DCT plus sparse saves: one row is one network, trained once.

A network has a method (how its mask is made, and whether its layers add a fixed transform to
their sparse weights), a density and a seed.

    column           type           meaning
    rank             int64          setting x seeds + seed; settings are methods x densities
    method           string         "dctps+epl", "epl", "rigl", "dctps_fixed+epl", "dense", ...
    density          float64        share of the weights that was asked for, in percent
    cell             string         learning rate and schedule, "0.001:constant"
    restart          int32          number of the seed, from 0
    accuracy         float64        share of test points, after the epoch with the best validation
    valid_accuracy   float64        share of validation points, after that epoch
    best_epoch       int32          from 0, which that was
    last_accuracy    float64        share of test points, after the last epoch
    status           string         "ok"; "diverged": after the last epoch it was not finite;
                                    "collapsed": all scores of the method were 0, or no path of
                                    kept weights leads from an input to an output, and there is
                                    no transform (``layer_kept`` tells of empty layers)
    weights          int64          prunable weights of the dense network
    budget           int64          how many of them were to stay
    kept             int64          how many did
    other            int64          trainable parameters that are no weights: biases, those of
                                    batch norm, scales, factors of the transforms
    layer_kept       list<int32>    weights kept by layer
    alphas           list<float64>  factor of the transform by layer; empty without
    seconds          float64        time of the network, after an interruption that of the rest

``kept``, ``layer_kept`` and ``alphas`` are of the epoch with the best validation accuracy. The
canonical order is (rank, cell, restart), as of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from combsearch.rows import RowKind, table_of

FORMAT = 1  # of these columns: raised when they change
STATUSES = ("ok", "diverged", "collapsed")
_COLUMNS = {
    "rank": pa.int64(),
    "method": pa.string(),
    "density": pa.float64(),
    "cell": pa.string(),
    "restart": pa.int32(),
    "accuracy": pa.float64(),
    "valid_accuracy": pa.float64(),
    "best_epoch": pa.int32(),
    "last_accuracy": pa.float64(),
    "status": pa.string(),
    "weights": pa.int64(),
    "budget": pa.int64(),
    "kept": pa.int64(),
    "other": pa.int64(),
    "layer_kept": pa.list_(pa.int32()),
    "alphas": pa.list_(pa.float64()),
    "seconds": pa.float64(),
}
COLUMNS: pa.Schema = pa.schema(
    [pa.field(name, kind, nullable=name == "seconds") for name, kind in _COLUMNS.items()]
)
DCTPS_ROWS = RowKind(f"combsearch dctps rows {FORMAT}", COLUMNS, ("seconds",), STATUSES)
LISTS = tuple(name for name, kind in _COLUMNS.items() if pa.types.is_list(kind))
SHOWN = tuple(name for name in _COLUMNS if name != "seconds")
"""What tables and figures read."""


def dctps_table(columns: Mapping[str, Any]) -> pa.Table:
    """A table of ``DCTPS_ROWS``.

    Args:
        columns: every column; a single value stands for all rows, and a list column is a
            sequence of one array a row.

    Raises:
        UsageError: as ``rows.rows_table``.
    """
    plain = {name: value for name, value in columns.items() if name not in LISTS}
    return table_of(COLUMNS, plain, {name: columns[name] for name in LISTS})

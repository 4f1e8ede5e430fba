"""The rows that the dimensionality study saves: one row is one chain after one round of pruning.

A chain is a network of one width and seed, on data of one dimension, pruned by iterative
magnitude pruning (IMP): a round trains what is left from the weights that the dense network had
after ``rewind`` steps, and prunes the smallest weights of the result.

    column           type           meaning
    rank             int64          (setting x rounds + round) x chains of a setting + chain; a
                                    setting is a width and a dimension, widths first
    round            int32          0 is the dense network
    width            string         "16" of ResNets, "256x128" of MLPs
    dimension        int32          of the data
    rewind           int32          the step that weights are rewound to
    cell             string         learning rate and schedule, "0.1:cosine"
    restart          int32          number of the seed, from 0
    accuracy         float64        on test points, after the last step of the round
    status           string         "ok" or "diverged": after the last step it was not finite; then
                                    nothing is pruned, and further rounds repeat it
    weights          int64          weights that rounds may prune, of the dense network; those of
                                    layers that are kept whole count nowhere but in effective
                                    and nonzeros
    kept             int64          of them in this round's training
    left             int64          of them after its pruning
    nonzeros         int64          weights and biases kept, as the search counts them; -1 for
                                    other networks than its MLPs
    effective        int64          those of them that count (``connectivity``), or -1
    layer_kept       list<int32>    weights kept by layer
    mask             list<uint64>   what is left: bits, lowest first, of all prunable weights in
                                    order; the next round trains it
    seconds          float64        share of the time of the round

Tasks without held-out points (the spirals) measure accuracy on the training points. The
canonical order is (rank, cell, restart), as of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from combsearch.rows import RowKind, table_of

EXPERIMENTS = ("extrinsic", "intrinsic", "task", "spiral")
"""What a run may be of: ``combsearch study dimensionality`` and one of these."""

FORMAT = 1  # of these columns: raised when they change
_COLUMNS = {
    "rank": pa.int64(),
    "round": pa.int32(),
    "width": pa.string(),
    "dimension": pa.int32(),
    "rewind": pa.int32(),
    "cell": pa.string(),
    "restart": pa.int32(),
    "accuracy": pa.float64(),
    "status": pa.string(),
    "weights": pa.int64(),
    "kept": pa.int64(),
    "left": pa.int64(),
    "nonzeros": pa.int64(),
    "effective": pa.int64(),
    "layer_kept": pa.list_(pa.int32()),
    "mask": pa.list_(pa.uint64()),
    "seconds": pa.float64(),
}
COLUMNS: pa.Schema = pa.schema(
    [pa.field(name, kind, nullable=name == "seconds") for name, kind in _COLUMNS.items()]
)
DIMENSION_ROWS = RowKind(
    f"combsearch dimensionality rows {FORMAT}", COLUMNS, ("seconds",), ("ok", "diverged")
)
LISTS = tuple(name for name, kind in _COLUMNS.items() if pa.types.is_list(kind))
SHOWN = tuple(name for name in _COLUMNS if name not in ("mask", "seconds"))
"""What tables and figures read."""


def dimension_table(columns: Mapping[str, Any]) -> pa.Table:
    """A table of ``DIMENSION_ROWS``.

    Args:
        columns: every column; a single value stands for all rows, and a list column is a
            sequence of one array a row.

    Raises:
        UsageError: as ``rows.rows_table``.
    """
    plain = {name: value for name, value in columns.items() if name not in LISTS}
    return table_of(COLUMNS, plain, {name: columns[name] for name in LISTS})

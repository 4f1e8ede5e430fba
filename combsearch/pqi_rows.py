"""The rows that the PQ-index study saves: one row is one chain after one round.

A chain is a method with its settings, a scope and a seed: its masks shrink from round to round.
A round trains what the last mask left from its initial weights, takes the checkpoint with the
best test accuracy, measures and prunes it.

    column           type           meaning
    rank             int64          (round x seeds + seed) x chains of a seed + chain
    round            int32          0 is the dense network
    method           string         "sap", "lt" or "one_shot"
    scope            string         what a vector is: "global", "layer" or "neuron"
    p, q             float64        powers of SAP's index; NaN for other methods
    eta, gamma       float64        SAP's factors; NaN for other methods
    share            float64        what a round takes of what is left; NaN for SAP
    cell             string         learning rate and schedule, "0.1:cosine"
    restart          int32          number of the seed, from 0
    accuracy         float64        retrained: after the last epoch of the round, on test points
    best_accuracy    float64        of the checkpoint, which is what is measured and pruned
    best_epoch       int32          from 0, when it was taken
    pruned_accuracy  float64        pruned: the checkpoint under the next mask, not trained again
    status           string         "ok" or "diverged": after the last epoch it was not finite
    weights          int64          prunable weights of the dense network
    kept             int64          of them in this round's training
    left             int64          of them after its pruning
    nonzeros         int64          weights and biases kept, as the search counts them; -1 for
                                    other networks than its MLPs
    effective        int64          those of them that count (``connectivity``), or -1
    pqi              list<float64>  PQ index of the kept weights by pair (p, q) of the grid
    retain           list<float64>  SAP's bound of how many must stay, by pair, eta 0
    gini             float64        Gini index of the kept weights
    layer_kept       list<int32>    weights kept by layer
    layer_pqi        list<float64>  PQ index by layer, then pair
    layer_gini       list<float64>  Gini index by layer
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

FORMAT = 1  # of these columns: raised when they change
_COLUMNS = {
    "rank": pa.int64(),
    "round": pa.int32(),
    "method": pa.string(),
    "scope": pa.string(),
    "p": pa.float64(),
    "q": pa.float64(),
    "eta": pa.float64(),
    "gamma": pa.float64(),
    "share": pa.float64(),
    "cell": pa.string(),
    "restart": pa.int32(),
    "accuracy": pa.float64(),
    "best_accuracy": pa.float64(),
    "best_epoch": pa.int32(),
    "pruned_accuracy": pa.float64(),
    "status": pa.string(),
    "weights": pa.int64(),
    "kept": pa.int64(),
    "left": pa.int64(),
    "nonzeros": pa.int64(),
    "effective": pa.int64(),
    "pqi": pa.list_(pa.float64()),
    "retain": pa.list_(pa.float64()),
    "gini": pa.float64(),
    "layer_kept": pa.list_(pa.int32()),
    "layer_pqi": pa.list_(pa.float64()),
    "layer_gini": pa.list_(pa.float64()),
    "mask": pa.list_(pa.uint64()),
    "seconds": pa.float64(),
}
COLUMNS: pa.Schema = pa.schema(
    [pa.field(name, kind, nullable=name == "seconds") for name, kind in _COLUMNS.items()]
)
PQI_ROWS = RowKind(f"combsearch pqi rows {FORMAT}", COLUMNS, ("seconds",), ("ok", "diverged"))
LISTS = tuple(name for name, kind in _COLUMNS.items() if pa.types.is_list(kind))
SHOWN = tuple(name for name in _COLUMNS if name not in ("mask", "seconds"))
"""What tables and figures read."""


def pqi_table(columns: Mapping[str, Any]) -> pa.Table:
    """A table of ``PQI_ROWS``.

    Args:
        columns: every column; a single value stands for all rows, and a list column is a
            sequence of one array a row.

    Raises:
        UsageError: as ``rows.rows_table``.
    """
    plain = {name: value for name, value in columns.items() if name not in LISTS}
    return table_of(COLUMNS, plain, {name: columns[name] for name in LISTS})

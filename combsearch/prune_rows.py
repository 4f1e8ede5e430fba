"""The rows that a sweep over pruners saves, and the networks in them.

One row is one run: one dense network of one cell and restart, pruned by one method to one
budget and trained:

    column              type            meaning
    rank                int64           place of (method, width, budget) in the sweep's plan
    method              string          "snip", or pkg.module:Name of a user's own
    width               int32           neurons of each hidden layer before pruning
    budget              int32           weights asked for
    shape               string          widths with input and output, "2,16,16,16,1"
    cell                string          learning rate and schedule, "0.05:cosine"
    restart             int32           number of the restart, from 0
    accuracy            float64         share of points classified correctly, 0 to 1
    status              string          "ok", "diverged" or "collapsed"
    weight_nonzeros     int32           weights that the masks keep
    nonzeros            int32           weights and biases that the masks keep
    effective_nonzeros  int32           those of them that count (``connectivity``)
    flops               float64         operations of pruning and training (``pruning.Spent``)
    index               list<int32>     places of the kept parameters among weight0 row-major,
                                        bias0, weight1, ...; null except for a rank's best run
    parameters          list<float32>   their values; null where ``index`` is
    prune_seconds       float64         share of the time that the method took, training included
    seconds             float64         share of the time of training and scoring afterwards

The order is canonical (``rows``): rank, cell, restart. A run has collapsed when its method
says that it had nothing to choose by, or when no path of kept weights leads from an input to
an output. The best run of a rank is the most accurate that did not diverge, then the one with
the fewest nonzeros, then the first by cell and restart.

The authors' code rounds what it keeps of each layer by itself, and keeps a dense network where
ties at zero leave it no threshold. A run of it counts for its budget as ``within_budget`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, flat_arrays
from combsearch.rows import RowKind, table_of

FORMAT = 1  # of these columns: raised when they change
COLUMNS: pa.Schema = pa.schema(
    [
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("budget", pa.int32(), nullable=False),
        pa.field("shape", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("restart", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("weight_nonzeros", pa.int32(), nullable=False),
        pa.field("nonzeros", pa.int32(), nullable=False),
        pa.field("effective_nonzeros", pa.int32(), nullable=False),
        pa.field("flops", pa.float64(), nullable=False),
        pa.field("index", pa.list_(pa.int32())),
        pa.field("parameters", pa.list_(pa.float32())),
        pa.field("prune_seconds", pa.float64()),
        pa.field("seconds", pa.float64()),
    ]
)
OK, DIVERGED, COLLAPSED = "ok", "diverged", "collapsed"
LOST = (COLLAPSED, DIVERGED)
"""Statuses of runs that never count."""
PRUNE_ROWS = RowKind(
    f"combsearch prune rows {FORMAT}",
    COLUMNS,
    ("prune_seconds", "seconds"),
    (OK, DIVERGED, COLLAPSED),
)
_LISTS = ("index", "parameters")
BUDGET_COLUMNS = ("budget", "weight_nonzeros", "shape")
"""What ``within_budget`` reads."""

Kept = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""Places and values of the kept parameters of one network."""


def prune_table(columns: Mapping[str, Any], networks: Sequence[Kept | None]) -> pa.Table:
    """A table of ``PRUNE_ROWS``.

    Args:
        columns: every column but ``index`` and ``parameters``; a single value stands for all.
        networks: what ``kept_parameters`` gives, or None, a row.

    Raises:
        UsageError: as ``rows.rows_table``.
    """
    lists = {
        name: [None if net is None else net[place] for net in networks]
        for place, name in enumerate(_LISTS)
    }
    return table_of(COLUMNS, columns, lists)


def within_budget(columns: Mapping[str, Any] | pa.Table) -> npt.NDArray[np.bool_]:
    """Which runs keep no more weights than they may, by their budget: bool [run].

    A layer may have one weight too many, which is what rounding each by itself comes to.
    Views by budget leave the others out and say how many there are; views by nonzeros need
    not ask.

    Args:
        columns: with ``BUDGET_COLUMNS``, [run] each, as arrays or a table.
    """
    budget, kept, shape = (np.asarray(columns[name]) for name in BUDGET_COLUMNS)
    if not len(budget):
        return np.zeros(0, np.bool_)
    shapes, which = np.unique(shape.astype(np.str_), return_inverse=True)
    layers = np.char.count(shapes, ",")[which.reshape(-1)]
    return np.asarray(kept.astype(np.int64) <= budget.astype(np.int64) + layers)


def kept_parameters(nets: NetBatch, index: int) -> Kept:
    """(places int32, values float32) of what the masks of one MLP keep."""
    one = nets[index : index + 1].numpy()
    places = np.flatnonzero(flat_arrays(one.masks)[0]).astype(np.int32)
    return places, flat_arrays(one.params)[0][places]


def saved_net(row: Mapping[str, Any]) -> NetBatch:
    """The network that a row holds, as large as before pruning, with masks: a batch of one.

    Args:
        row: with ``shape``, ``index`` and ``parameters``.

    Raises:
        UsageError: the row holds none, or places that its shape does not have.
    """
    if row["index"] is None or row["parameters"] is None:
        raise UsageError("this row holds no network: only the best run of a rank does")
    shape = NetShape(tuple(map(int, row["shape"].split(","))))
    places = np.asarray(row["index"], np.int64)
    values = np.asarray(row["parameters"], np.float32)
    if len(places) != len(values) or ((places < 0) | (places >= shape.parameters)).any():
        raise UsageError(f"the network of this row does not fit its shape {row['shape']}")
    kept, flat = np.zeros((2, shape.parameters), np.float32)
    kept[places], flat[places] = 1, values
    masks, params = _named(shape, kept), _named(shape, flat)
    momenta = {name: np.zeros_like(p) for name, p in params.items()}
    return NetBatch(MLP(shape, shape.hidden[0]), params, masks, momenta)


def _named(shape: NetShape, flat: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """The inverse of ``flat_arrays``, of one network."""
    named, start = {}, 0
    for layer, (out, fan) in enumerate(shape.layers):
        for name, size in ((f"weight{layer}", (out, fan)), (f"bias{layer}", (out,))):
            end = start + int(np.prod(size))
            named[name], start = flat[start:end].reshape(1, *size).copy(), end
    return named

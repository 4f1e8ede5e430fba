"""``combsearch study pqi index``: the PQ index of a vector."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from combsearch.commands.output import say
from combsearch.commands.vector_file import read_vector
from combsearch.sparsity.pq_index import gini, pq_index, pq_limit
from combsearch.sparsity.sap import check_retained, retain_at_least, retain_bound, sap_prune_count


def pqi_index_command(
    path: str, p: float = 0.5, q: float = 1.0, eta: float = 0.0, as_json: bool = False
) -> dict[str, Any]:
    """Print how compressible the vector in an .npy file is.

    Args:
        path: the file; its array may have any shape and any real dtype.
        p: the smaller power.
        q: the larger power.
        eta: p-th powers that may be given up, over those that stay.
        as_json: print one JSON object instead of lines of text.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: bad powers, or a file that holds no vector of finite numbers, not all 0.
    """
    check_retained(p, q, eta)
    w = read_vector(path)
    staying = int(retain_at_least(w, p, q, eta))
    report = {
        "vector": path,
        "entries": w.size,
        "not_zero": int(np.count_nonzero(w)),
        "p": p,
        "q": q,
        "eta": eta,
        "pqi": float(pq_index(w, p, q)),
        "pqi_limit": float(pq_limit(w.size, p, q)),
        "gini": float(gini(w)),
        "retain_at_least": staying,
        "retain_bound": float(retain_bound(w, p, q, eta)),
        "sap_prunes": int(sap_prune_count(w.size, staying)),
    }
    say(json.dumps(report) if as_json else _text(report))
    return report


def _text(report: dict[str, Any]) -> str:
    """A line a number, with what it means."""
    d = report["entries"]
    powers = f"p {report['p']:g}, q {report['q']:g}"
    return "\n".join(
        [
            f"{report['vector']}: {_entries(d)}, {report['not_zero']:,} not 0",
            f"PQ index         {report['pqi']:.6g}  ({powers}; 0 if all are alike, at most"
            f" {report['pqi_limit']:.6g})",
            f"Gini             {report['gini']:.6g}",
            f"retain at least  {report['retain_at_least']:,} of {d:,}"
            f"  (eta {report['eta']:g}; SAP prunes {report['sap_prunes']:,} in a round)",
        ]
    )


def _entries(count: int) -> str:
    return f"{count:,} entr{'ies' if count != 1 else 'y'}"

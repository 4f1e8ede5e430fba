"""The networks behind a comparison as files: the sparsest saved success of every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.output import file_name
from combsearch.comparison import Group, sparsest_saved
from combsearch.comparison.tries import methods_of
from combsearch.connectivity import compact
from combsearch.prune_rows import saved_net
from combsearch.saved_network import save_network

Row = dict[str, Any]


def saved_successes(group: Group, target: float) -> Iterator[tuple[Row, int]]:
    """(row of the sparsest saved network that reaches ``target``, seed) of every method."""
    for method in methods_of(group.tries):
        saved = sparsest_saved(group.tries.of_method(method), target)
        if saved is not None:
            run = group.runs[int(saved.source[0])]
            yield run.rows.slice(int(saved.row[0]), 1).to_pylist()[0], run.seed


def save_networks(folder: Path, group: Group, targets: Sequence[float], task: str) -> list[Path]:
    """Write them to ``folder`` as METHOD-TARGET.npz, on their live neurons only; their paths.

    ``combsearch certify FILE`` evaluates one again. What is disconnected is left out: the
    function is the same, the nonzeros are those on its neurons.
    """
    files = []
    for target in targets:
        for row, seed in saved_successes(group, target):
            durable.make_folder(folder)
            name = file_name(row["method"])
            files.append(folder / f"{name}-{target:.10g}.npz")
            about = {
                "task": task,
                "accuracy": row["accuracy"],
                "method": row["method"],
                "width": row["width"],
                "budget": row["budget"],
                "cell": row["cell"],
                "restart": row["restart"],
                "seed": seed,
                "nonzeros_before_compaction": row["nonzeros"],
            }
            save_network(files[-1], compact(saved_net(row)), 0, about)
    return files

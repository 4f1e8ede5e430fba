"""``combsearch plot`` of a comparison: its figures again, from the rows of the runs it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from combsearch.commands.compare import read_runs, sweeps_json
from combsearch.commands.compare_figures import draw_comparison
from combsearch.comparison import Group
from combsearch.comparison.saved import find_compared, gives_bounds, narrowed
from combsearch.errors import UsageError
from combsearch.store import RunStore


def draw_again(
    file: Path, report: Mapping[str, Any], runs_folder: str, output: Path, suffix: str
) -> list[Path]:
    """Write the figures of the comparison in ``file`` to ``output``; their paths.

    Raises:
        UsageError: a run that it names is not there, or holds other rows than then, or the
            searches have other bounds.
        CorruptDataError: damaged shards or networks.
    """
    told = {
        _where(one["run_folder"], runs_folder, file): one.get("digest")
        for one in (*report["prune_runs"], *report["search_runs"])
    }
    stores = [RunStore.attach(root) for root in told]
    task, found, searches = read_runs(stores, *narrowed(report))
    _check_rows(file, told, found)
    if not gives_bounds(searches, report):
        raise UsageError(
            f"the searches have other bounds now than {file} states: repeat `combsearch compare`,"
            " which draws as well"
        )
    return draw_comparison(output, report, found, searches, task, suffix)


def _where(name: str, runs_folder: str, file: Path) -> Path:
    found = find_compared(file, name, runs_folder)
    if found is None:
        raise UsageError(
            f"{file} compares the run {name}, which is not there: give the folder that holds the"
            " runs with --runs, or run the command where `combsearch compare` was run"
        )
    return found


def _check_rows(file: Path, told: Mapping[Path, str | None], found: Sequence[Group]) -> None:
    """Refuse to draw what the comparison's table does not say: ``told`` are digests of rows."""
    for run in sweeps_json(found):
        if run["digest"] != told.get(Path(run["run_folder"])):
            raise UsageError(
                f"{run['run_folder']} holds other rows than {file} compares: repeat"
                " `combsearch compare`, which draws as well"
            )

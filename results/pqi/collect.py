"""Make a run folder of what ``gpu.py`` trained.

    python results/pqi/collect.py pieces/* --run resnet18 --runs runs

The run folder is that of ``combsearch study pqi`` with the same settings: ``combsearch status``,
``verify``, ``plot`` and ``study pqi export`` take it, and ``combsearch study pqi`` goes on with
it. Pieces are folders that were --out, or files of rounds; they may be given again with more.
Needs what combsearch needs, and the data set, by which pieces are known to be of this run.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from collecting import differing, plain_columns, sessions_of
from one_shot import is_needed, stand_in
from round_files import (
    About,
    Columns,
    Rounds,
    one_shot_path,
    read_one_shot,
    read_rounds,
    rounds_files,
)

from combsearch import fields
from combsearch.commands.study_pqi_report import make_report, report_text
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.pqi_rows import LISTS, PQI_ROWS, pqi_table
from combsearch.store import RunStore, run_folder, write_bytes, write_json
from combsearch.studies.checkpoint import keep_dense, kept_dense
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.table import csv_table
from combsearch.studies.pqi.work import shard_of

Found = dict[tuple[int, int], tuple[Rounds, Columns]]
"""(seed, round) -> its file and its columns."""


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = collect(given.pieces, given.run, given.runs)
    except CombsearchError as error:
        print(f"collect: {error}", file=sys.stderr)
        return error.exit_code
    print(report_text(report))
    return 0


def collect(pieces: Sequence[Path], run: str | None, runs: str) -> dict[str, Any]:
    """Check the pieces, write the run folder and its summary; the report.

    Raises:
        CorruptDataError: a piece is damaged, or two do not fit each other.
        RunMismatchError: they are of several runs, or of another version or data set.
        UsageError: there are none.
    """
    files = [read_rounds(path) for path in _files(pieces)]
    for other in files[1:]:
        same_seed = dataclasses.replace(files[0].about, number=other.about.number)
        same_seed.check_same(other.about, other.path)
    plan = _plan(files[0])
    found = _found(plan, files)
    _check_chains(found)
    folder = run_folder(plan.name() if run is None else run, runs)
    store = RunStore.open(folder, plan.identity())
    for (seed, number), (_, columns) in sorted(found.items()):
        store.write(shard_of(plan, number, seed), pqi_table(plain_columns(columns, LISTS)))
    rows = store.read()
    report = make_report(plan.config, rows, folder)
    if not report["finished"]:
        _keep_dense(plan, store, pieces)
    report |= sessions_of(folder, files, [pair for _, pair in sorted(found.items())])
    write_json(folder / "summary.json", report)
    write_bytes(folder / "table.csv", csv_table(rows, plan.config.grid).encode())
    return report


def _files(pieces: Sequence[Path]) -> list[Path]:
    found = []
    for piece in pieces:
        own = rounds_files(piece, "seed") if piece.is_dir() else [piece]
        if not own:
            raise UsageError(f"{piece} has no rounds of gpu.py; name folders that were --out")
        found += [path for path in own if not path.name.endswith("one-shot.npz")]
    if not found:
        raise UsageError("there are no files of rounds; name folders that were --out of gpu.py")
    return found


def _plan(first: Rounds) -> PqiPlan:
    """The plan that the pieces were made by, as it is here."""
    identity = first.about.identity
    settings = {**identity["config"], "trainer": identity["trainer"]}
    plan = PqiPlan.of(fields.from_json(PqiConfig, settings))
    here = dataclasses.replace(first.about, identity=plan.identity())
    here.check_same(first.about, first.path)
    return plan


def _found(plan: PqiPlan, files: Iterable[Rounds]) -> Found:
    """All rounds, each once."""
    found: Found = {}
    for file in files:
        for number, columns in file.columns.items():
            place = file.about.number, number
            ranks = np.arange(*dataclasses.astuple(shard_of(plan, number, file.about.number)))
            if columns.keys() != set(PQI_ROWS.columns.names) or not np.array_equal(
                columns["rank"], ranks
            ):
                raise CorruptDataError(f"{file.path}: round {number} is not of this run")
            before = found.setdefault(place, (file, columns))
            if differing(before[1], columns):
                raise CorruptDataError(
                    f"{before[0].path} and {file.path} both have round {number} of seed"
                    f" {file.about.number}, and not the same: leave one of them away, and what was"
                    " trained from it"
                )
    return found


def _check_chains(found: Found) -> None:
    """Each round must have trained what the one before it left."""
    for (seed, number), (file, columns) in found.items():
        masks = columns["mask"]
        fits = np.array_equal(np.bitwise_count(masks).sum(axis=1), columns["left"])
        if (seed, number - 1) in found:
            before = found[seed, number - 1][1]
            fits &= np.array_equal(before["left"], columns["kept"])
            fits &= not (masks & ~before["mask"]).any()
        if not fits:
            raise CorruptDataError(
                f"{file.path}: round {number} of seed {seed} did not train what round"
                f" {number - 1} left: leave away one of the two and what was trained from it"
            )


def _keep_dense(plan: PqiPlan, store: RunStore, pieces: Sequence[Path]) -> None:
    """What one-shot pruning goes by, so that the run can go on here as it began."""
    if not is_needed(plan):
        return
    for seed in range(plan.config.seeds):
        path = next((p for f in pieces if (p := one_shot_path(f, seed)).exists()), None)
        if path is None:
            continue
        goes, about = read_one_shot(path)
        _same(plan, about, path)
        nets = stand_in(plan, seed, goes)
        if kept_dense(store.root, seed, nets) is None:
            keep_dense(store.root, seed, nets)


def _same(plan: PqiPlan, about: About, path: Path) -> None:
    dataclasses.replace(about, identity=plan.identity()).check_same(about, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "pieces", type=Path, nargs="+", help="folders of gpu.py, or files of rounds"
    )
    parser.add_argument(
        "--run", metavar="NAME", help="name of the run folder (default: as study pqi)"
    )
    parser.add_argument("--runs", default="runs", help="folder that holds the runs (default runs)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Make a run folder of what ``gpu.py`` trained.

    python results/dctps/collect.py pieces/* --run lenet5 --runs runs

The run folder is that of ``combsearch study dctps`` with the same settings: ``combsearch status``,
``verify``, ``plot`` and ``study dctps export`` take it, and the command goes on with it. Pieces are
folders that were --out; they may be given again with more. Needs what combsearch needs, and the
data, by which pieces are known to be of this run.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The other study's scripts, of which those imported here serve both; this folder comes first.
sys.path.append(str(Path(__file__).resolve().parents[1] / "pqi"))
from collecting import differing, plain_columns, sessions_of
from round_files import Columns, Rounds, read_rounds, rounds_files

from combsearch import fields
from combsearch.commands.study_dctps_report import make_report, report_text
from combsearch.dctps_rows import COLUMNS, LISTS, SHOWN, dctps_table
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.store import RunStore, Shard, run_folder, write_json
from combsearch.studies.dctps.config import DctpsConfig, all_rows
from combsearch.studies.dctps.plan import DctpsPlan

_OF_NAMES = "name folders that were --out of results/dctps/gpu.py"


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pieces", type=Path, nargs="+", help="folders of gpu.py")
    parser.add_argument("--run", metavar="NAME", help="name of the run folder")
    parser.add_argument("--runs", default="runs", help="folder that holds the runs (default runs)")
    given = parser.parse_args(arguments)
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
        CorruptDataError: a piece is damaged, or two say different things of one network.
        RunMismatchError: they are of several runs, or of another version or other data.
        UsageError: there are none.
    """
    files = [read_rounds(path) for piece in pieces for path in rounds_files(piece, "network")]
    if not files:
        raise UsageError(f"{pieces[0]} has no rows of networks; {_OF_NAMES}")
    plan = _plan(files[0])
    found = _found(plan, files)
    folder = run_folder(plan.name() if run is None else run, runs)
    store = RunStore.open(folder, plan.identity())
    for rank, (_, columns) in sorted(found.items()):
        store.write(Shard(rank, rank + 1), dctps_table(plain_columns(columns, LISTS)))
    report = make_report(plan.config, store.read(SHOWN), store.root)
    report |= sessions_of(folder, files, [pair for _, pair in sorted(found.items())])
    write_json(folder / "summary.json", report)
    return report


def _plan(first: Rounds) -> DctpsPlan:
    """The plan that the pieces were made by, as it is here."""
    identity = first.about.identity
    settings = {**identity["config"], "trainer": identity["trainer"]}
    plan = DctpsPlan.of(fields.from_json(DctpsConfig, settings))
    dataclasses.replace(first.about, identity=plan.identity()).check_same(first.about, first.path)
    return plan


def _found(plan: DctpsPlan, files: Sequence[Rounds]) -> dict[int, tuple[Rounds, Columns]]:
    """rank -> its file and its columns; every file must be of this run."""
    found: dict[int, tuple[Rounds, Columns]] = {}
    names = set(COLUMNS.names)
    for file in files:
        rank, columns = file.about.number, file.columns.get(0, {})
        dataclasses.replace(files[0].about, number=rank).check_same(file.about, file.path)
        if set(columns) != names or not 0 <= rank < all_rows(plan.config):
            raise CorruptDataError(f"{file.path} is no row of this run; fetch it again")
        if rank in found and (other := differing(found[rank][1], columns)):
            raise CorruptDataError(
                f"{file.path} and {found[rank][0].path} differ in {', '.join(other)} of network"
                f" {rank}: leave one of them away"
            )
        found.setdefault(rank, (file, columns))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

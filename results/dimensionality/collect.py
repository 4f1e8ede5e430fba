"""Make a run folder of what ``gpu.py`` trained.

    python results/dimensionality/collect.py pieces/* --run extrinsic-gpu --runs runs

The run folder is that of ``combsearch study dimensionality`` with the same experiment and
settings: ``combsearch status``, ``verify``, ``plot`` and ``study dimensionality export`` take it,
and the command goes on with it. Pieces are folders that were --out, or files of rounds; they may
be given again with more. Needs what combsearch needs, and the data, by which pieces are known to
be of this run.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# The other study's scripts, of which those imported here serve both; this folder comes first.
sys.path.append(str(Path(__file__).resolve().parents[1] / "pqi"))
from collecting import differing, plain_columns, sessions_of
from round_files import Columns, Rounds, read_rounds, rounds_files

from combsearch import fields
from combsearch.commands.study_dimensionality_runs import write_tables
from combsearch.dimension_rows import DIMENSION_ROWS, LISTS, SHOWN, dimension_table
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.store import RunStore, Shard, run_folder, write_json
from combsearch.studies.dimensionality.config import CONFIGS
from combsearch.studies.dimensionality.plan import ImpPlan
from combsearch.studies.dimensionality.report import make_report, report_text
from combsearch.studies.dimensionality.work import all_rows

Found = dict[tuple[int, int], tuple[Rounds, Columns]]
"""(setting, round) -> its file and its columns."""

_OF_NAMES = "name folders that were --out of results/dimensionality/gpu.py"


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code."""
    given = _parser().parse_args(arguments)
    try:
        report = collect(given.pieces, given.run, given.runs, given.generator)
    except CombsearchError as error:
        print(f"collect: {error}", file=sys.stderr)
        return error.exit_code
    print(report_text(report))
    return 0


def collect(
    pieces: Sequence[Path], run: str | None, runs: str, generator: str = ""
) -> dict[str, Any]:
    """Check the pieces, write the run folder and its summary; the report.

    Raises:
        CorruptDataError: a piece is damaged, or two do not fit each other.
        RunMismatchError: they are of several runs, or of another version or other data.
        UsageError: there are none, or they need another ``generator``.
    """
    files = [read_rounds(path) for path in _files(pieces)]
    for other in files[1:]:
        same_setting = dataclasses.replace(files[0].about, number=other.about.number)
        same_setting.check_same(other.about, other.path)
    plan = _plan(files[0], generator)
    found = _found(plan, files)
    _check_chains(plan, found)
    folder = run_folder(plan.name() if run is None else run, runs)
    store = RunStore.open(folder, plan.identity())
    for place, (_, columns) in sorted(found.items()):
        store.write(_shard(plan, *place), dimension_table(plain_columns(columns, LISTS)))
    rows = store.read(SHOWN)
    report = make_report(plan.config, rows, all_rows(plan), folder)
    report |= sessions_of(folder, files, [pair for _, pair in sorted(found.items())])
    write_json(folder / "summary.json", report)
    write_tables(plan.config, rows, folder)
    return report


def _files(pieces: Sequence[Path]) -> list[Path]:
    found = []
    for piece in pieces:
        own = rounds_files(piece, "setting") if piece.is_dir() else [piece]
        if not own:
            raise UsageError(f"{piece} has no rounds of a setting; {_OF_NAMES}")
        found += own
    return found


def _plan(first: Rounds, generator: str) -> ImpPlan:
    """The plan that the pieces were made by, as it is here."""
    identity, made = first.about.identity, first.about.made_with
    kind = CONFIGS.get(str(identity.get("command")).rpartition(" ")[2])
    if kind is None or first.about.unit != "setting":
        raise UsageError(f"{first.path} holds no rounds of a setting; {_OF_NAMES}")
    more = {"generator": generator} if generator else {}
    settings = {**identity["config"], "trainer": identity["trainer"], **more}
    plan = ImpPlan.of(
        fields.from_json(kind, {**settings, "tolerances": made.get("tolerances", [0.005])})
    )
    here = dataclasses.replace(first.about, identity=plan.identity())
    here.check_same(first.about, first.path)
    return plan


def _shard(plan: ImpPlan, place: int, number: int) -> Shard:
    """The ranks of a round of a setting."""
    first = (place * (plan.config.rounds + 1) + number) * plan.chains
    return Shard(first, first + plan.chains)


def _found(plan: ImpPlan, files: Iterable[Rounds]) -> Found:
    """All rounds, each once."""
    found: Found = {}
    for file in files:
        for number, columns in file.columns.items():
            place = file.about.number, number
            _check_own(plan, file, number, columns)
            before = found.setdefault(place, (file, columns))
            if differing(before[1], columns):
                raise CorruptDataError(
                    f"{before[0].path} and {file.path} both have round {number} of setting"
                    f" {place[0]}, and not the same: leave one of them away, and what was trained"
                    " from it"
                )
    return found


def _check_own(plan: ImpPlan, file: Rounds, number: int, columns: Columns) -> None:
    """A round must be one that the plan has."""
    place = file.about.number
    there = 0 <= place < len(plan.settings) and 0 <= number <= plan.config.rounds
    there = there and columns.keys() == set(DIMENSION_ROWS.columns.names)
    if not there or not np.array_equal(
        columns["rank"], np.arange(*dataclasses.astuple(_shard(plan, place, number)))
    ):
        raise CorruptDataError(f"{file.path}: round {number} is not of this run")


def _check_chains(plan: ImpPlan, found: Found) -> None:
    """Each round must have trained what the one before it left, and pruned its share of it."""
    for (place, number), (file, columns) in found.items():
        masks, kept, left = (columns[name] for name in ("mask", "kept", "left"))
        fits = np.array_equal(np.bitwise_count(masks).sum(axis=1), left)
        fits = fits and np.array_equal(kept, columns["layer_kept"].sum(axis=1))
        if not number:
            fits = fits and np.array_equal(kept, columns["weights"])
        elif (place, number - 1) in found:
            before = found[place, number - 1][1]
            fits = fits and np.array_equal(before["left"], kept)
            fits = fits and not (masks & ~before["mask"]).any()
        if not fits:
            raise CorruptDataError(
                f"{file.path}: round {number} of setting {place} did not train what round"
                f" {number - 1} left: leave away one of the two and what was trained from it"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "pieces", type=Path, nargs="+", help="folders of gpu.py, or files of rounds"
    )
    parser.add_argument(
        "--run", metavar="NAME", help="name of the run folder (default: as the command's)"
    )
    parser.add_argument("--runs", default="runs", help="folder that holds the runs (default runs)")
    parser.add_argument(
        "--generator", default="", metavar="FILE", help="weights of the generator, of intrinsic"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

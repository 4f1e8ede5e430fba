"""Make a run folder of what ``search.py`` trained, after training a sample of it again here.

    python results/gpu/collect.py runs/7x3x3.masks runs/7x3x3 --run runs/gpu-7x3x3

The run folder is that of ``combsearch phase2`` or ``exhaust`` with the same settings: ``combsearch
status``, ``verify``, ``plot`` and ``certify`` work on it. Of every file the sample is trained by
the ``fused`` trainer on this machine's CPU and must agree in every bit. Rounds of further
restarts are summed up in ``rounds.npz``, mask by mask, and ``rounds.json``, their best network is
``best-rounds.npz``. Needs what combsearch needs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from job import Job, open_job
from launches import DIVERGED, STATUSES, Rows, at_start
from pieces import Done, decode, files, of_job
from tally import write_tally

from combsearch.commands.mask_report import make_report, report_text
from combsearch.commands.mask_search import begin
from combsearch.errors import CombsearchError, CorruptDataError, RunMismatchError, UsageError
from combsearch.nets import flat_arrays
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.tally import tally_of
from combsearch.store import RunStore, Shard, rows_table, write_json
from combsearch.trainers import get_trainer

_SHARD = 2**20  # ranks of a shard, at most


@dataclass(frozen=True, eq=False)
class Piece:
    """A file of rows, of a search or a round."""

    path: Path
    done: Done
    rows: Rows


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code."""
    given = _parser().parse_args(arguments)
    try:
        job = open_job(given.masks)
        report = collect(job, given.folders, given.run, given.check)
    except CombsearchError as error:
        print(f"collect: {error}", file=sys.stderr)
        return error.exit_code
    print(report_text(report))
    return 0


def collect(job: Job, folders: Sequence[Path], run: Path, check: int) -> dict[str, Any]:
    """Check the rows, write the run folder and its summary; the report.

    Raises:
        CorruptDataError: a run that was trained again came out otherwise.
        UsageError: there are no rows.
        RunMismatchError: the rows are of another search, or of another numerics version.
    """
    plan = MaskPlan.of(job.config)
    if plan.identity() != job.masks.facts["identity"]:
        raise RunMismatchError(
            f"{job.masks.path} was made by another version of combsearch: its identity is"
            f" {job.masks.facts['identity']}, here it is {plan.identity()}"
        )
    pieces = [Piece(path, *decode(path)) for folder in folders for path in files(folder)]
    absent = next((folder for folder in folders if not folder.is_dir()), None)
    if absent is not None or not pieces:
        raise UsageError(f"there are no rows of search.py in {absent or folders[0]}")
    own = of_job([piece.done for piece in pieces], job)
    store = RunStore.open(run, plan.identity())
    checked, began = 0, time.monotonic()
    for piece in pieces:
        checked += check_rows(job, piece, check)
    for piece in pieces:
        if piece.done in own:
            for shard in _shards(piece.done):
                store.write(shard, _table(job, piece, shard))
    course = begin(plan, store)
    report = make_report(plan, tally_of(plan, store, course.end), run)
    report |= _summary(own, checked, round(time.monotonic() - began, 1))
    write_json(run / "summary.json", report)
    write_tally(job, plan, [(piece.done, piece.rows) for piece in pieces], run)
    return report


def check_rows(job: Job, piece: Piece, count: int) -> int:
    """Train ``count`` runs of a file again; how many there were.

    Raises:
        CorruptDataError: naming the first that comes out otherwise.
    """
    rows = piece.rows
    rng = np.random.default_rng(0)
    some = rng.choice(len(rows), min(count, len(rows)), replace=False)
    kept = rows.kept[rng.choice(len(rows.kept), min(count // 4, len(rows.kept)), replace=False)]
    chosen = np.union1d(some, kept)
    held = dict(zip(rows.kept.tolist(), rows.parameters, strict=True))
    trainer = get_trainer("fused")
    for index, masks in _by_stretch(job, rows, chosen):
        cell, restart = rows.cell[index].astype(np.int64), rows.restart[index].astype(np.int64)
        nets, recipes, keys = at_start(job, masks, cell, restart)
        nets = trainer.fit(nets, job.task, recipes, keys)
        scores, flat = trainer.score(nets, job.task), flat_arrays(nets.params)
        same = (scores.correct == rows.correct[index]) & (
            scores.diverged == (rows.status[index] == DIVERGED)
        )
        for place, row in enumerate(index.tolist()):
            if row in held:
                same[place] &= held[row].tobytes() == flat[place].tobytes()
        if not same.all():
            row = index[int(np.argmin(same))]
            raise CorruptDataError(
                f"{piece.path}: the run of rank {rows.rank[row]}, cell {rows.cell[row]}, restart"
                f" {rows.restart[row]} comes out otherwise on this machine's CPU; nothing was kept"
            )
    return len(chosen)


def _by_stretch(job: Job, rows: Rows, chosen: npt.NDArray[np.int64]) -> Any:
    """(rows, their masks) of each stretch."""
    for stretch in job.masks.stretches:
        ranks = rows.rank[chosen]
        own = chosen[(ranks >= stretch.rank) & (ranks < stretch.last)]
        if len(own):
            different, where = np.unique(rows.rank[own], return_inverse=True)
            yield own, job.some(different)[where]


def _shards(done: Done) -> list[Shard]:
    starts = range(done.first, done.last, _SHARD)
    return [Shard(first, min(first + _SHARD, done.last)) for first in starts]


def _table(job: Job, piece: Piece, shard: Shard) -> pa.Table:
    """The rows of a shard, as the store takes them."""
    rows = piece.rows
    low, high = np.searchsorted(rows.rank, [shard.first, shard.last])
    rank = rows.rank[low:high]
    parts = [(masks, ranks) for _, ranks, masks in job.read(shard.first, shard.last)]
    place = rank - shard.first
    names = [",".join(map(str, masks.shape.widths)) for masks, _ in parts]
    kind = np.repeat(np.arange(len(parts)), [len(ranks) for _, ranks in parts])
    parameters: list[Any] = [None] * len(rank)
    first, last = np.searchsorted(rows.kept, [low, high])
    for number in range(first, last):
        parameters[rows.kept[number] - low] = rows.parameters[number]
    return rows_table(
        rank=rank,
        shape=np.array(names)[kind[place]],
        mask=np.concatenate([masks.keys() for masks, _ in parts])[place],
        nonzeros=job.levels(rank),
        cell=np.array(job.config.cells)[rows.cell[low:high]],
        restart=rows.restart[low:high],
        accuracy=rows.correct[low:high] / job.task.points,
        status=np.array(STATUSES)[rows.status[low:high]],
        parameters=parameters,
        seconds=piece.done.seconds / max(1, len(rows)),
    )


def _summary(own: list[Done], checked: int, seconds: float) -> dict[str, Any]:
    """What the report of a search has beside its rows."""
    made = own[-1].made_with if own else {}
    sessions = [
        {"trained": done.runs, "seconds": done.seconds, "made_with": done.made_with} for done in own
    ]
    return {
        "trained_now": sum(done.runs for done in own),
        "seconds": round(sum(done.seconds for done in own), 3),
        "sessions": sessions,
        "made_with": made,
        "trained_again": {"runs": checked, "trainer": "fused", "differ": 0, "seconds": seconds},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("masks", type=Path, help="file of masks.py")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of search.py")
    parser.add_argument("--run", type=Path, required=True, help="run folder to write")
    parser.add_argument("--check", type=int, default=256, help="runs of a file to train again")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

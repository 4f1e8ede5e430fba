"""What ``combsearch status`` adds of jobs: what failed and where its log is, and the queue."""

from __future__ import annotations

import dataclasses
from typing import Any

from combsearch.engines import slurm
from combsearch.engines.slurm_folder import (
    Failed,
    Submission,
    jobs_of,
    ranks_in,
    ranks_text,
    submissions,
)
from combsearch.errors import CombsearchError
from combsearch.marks import FailedShard, Marks
from combsearch.shards import Shard, uncovered
from combsearch.store import RunStore

_SHOWN = 10
_PATIENCE_SECONDS = 10.0  # for the queue: the rest of a status needs the run folder alone
_CODES = {
    2: "refused",
    3: "the run folder belongs to another run",
    4: "damaged data",
    5: "the disk is full",
    134: "aborted",
    137: "killed, maybe for memory",
    139: "crashed",
}


def job_facts(store: RunStore, finished: bool) -> dict[str, Any]:
    """What failed and is not made up for, and what is in SLURM's queue; as JSON.

    Args:
        store: of the run.
        finished: whether all that counts is saved: then no failure matters any more.

    Returns:
        ``{"finished", "failed": [{"ranks", "reason", "host", "log"}], "queue": {"running",
        "waiting", "reasons"}}``; the queue is None where nothing was submitted or SLURM does not
        answer, its reasons are those that no time mends.
    """
    earlier = submissions(store.root)
    queue = _queue(earlier)
    if finished:
        return {"finished": True, "failed": [], "queue": _counts(queue)}
    # What an element in the queue will do is no failure any more.
    again = [shard for _, ranks in ranks_in(earlier, queue or {}) for shard in ranks]
    covered = sorted([*store.saved(), *again], key=lambda s: (s.first, -s.last))
    marks = Marks(store.root).failures(covered)
    failed = [_mark_json(mark) for mark in marks]
    named = sorted([*covered, *(mark.shard for mark in marks)], key=lambda s: (s.first, -s.last))
    elements = _latest(earlier)
    still = set(uncovered([ranks for one in elements for ranks in one.ranks], named))
    for one in elements:
        left = tuple(ranks for ranks in one.ranks if ranks in still)
        if left or (not one.ranks and not queue):
            failed.append(_as_json(dataclasses.replace(one, ranks=left)))
    return {"finished": False, "failed": failed, "queue": _counts(queue)}


def in_queue(facts: dict[str, Any]) -> bool:
    """Whether something of the run waits or runs in SLURM's queue."""
    queue = facts["queue"]
    return queue is not None and queue["running"] + queue["waiting"] > 0


def job_lines(facts: dict[str, Any]) -> list[str]:
    """The facts for a reader; none where there is nothing to tell."""
    queue, failed = facts["queue"], facts["failed"]
    lines = []
    if in_queue(facts):
        why = f" ({', '.join(queue['reasons'])})" if queue["reasons"] else ""
        lines.append(
            f"in the queue: {queue['running']:,} running, {queue['waiting']:,} waiting{why}"
        )
    elif queue is not None and not facts["finished"]:
        lines.append("nothing of it is queued any more: submit it again to send what is missing")
    if failed:
        lines.append(f"{len(failed):,} failed; submit or repeat the command to try them again:")
    for one in failed[:_SHOWN]:
        where = f" on {one['host']}" if one["host"] else ""
        ranks = f"ranks {one['ranks']}" if one["ranks"] else "the run"
        lines.append(f"  {ranks}{where}: {one['reason']}")
        if one["log"]:
            lines.append(f"    log {one['log']}")
    if len(failed) > _SHOWN:
        lines.append(f"  and {len(failed) - _SHOWN:,} more, all with --json")
    return lines


def _queue(earlier: list[Submission]) -> dict[slurm.Element, str] | None:
    """The elements in the queue; None where none can be, or SLURM does not answer."""
    jobs = jobs_of(earlier)
    if not jobs:
        return None
    try:
        return slurm.queued(jobs, _PATIENCE_SECONDS)
    except CombsearchError:
        return None


def _counts(queue: dict[slurm.Element, str] | None) -> dict[str, Any] | None:
    if queue is None:
        return None
    waiting = [state for state in queue.values() if slurm.waits(state)]
    reasons = {state.partition(" ")[2] for state in waiting} - {""}
    return {
        "running": len(queue) - len(waiting),
        "waiting": len(waiting),
        "reasons": sorted(reasons),
    }


def _latest(earlier: list[Submission]) -> list[Failed]:
    """The elements that failed, of the same ranks the latest alone."""
    found: dict[tuple[Shard, ...], Failed] = {}
    for submission in earlier:
        found.update((one.ranks, one) for one in submission.failed())
    return list(found.values())


def _mark_json(mark: FailedShard) -> dict[str, Any]:
    ranks = ranks_text([mark.shard])
    return {"ranks": ranks, "reason": mark.reason, "host": mark.host, "log": mark.log}


def _as_json(failed: Failed) -> dict[str, Any]:
    meaning = failed.why or _CODES.get(failed.code, "see its log")
    return {
        "ranks": ranks_text(failed.ranks),
        "reason": f"exit code {failed.code}: {meaning}",
        "host": failed.node,
        "log": failed.log,
    }

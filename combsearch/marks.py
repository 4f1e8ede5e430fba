"""Hints about shards, beside them in a run folder: what failed and why, where a success is.

    <root>/
      failed/<first>-<last>.json                  a shard that was given up, with the reason
      success/<nonzeros>.<name of shard file>     empty: that file holds a success

Nothing depends on them but what people are told and how early a process hears that another
has ended the search. So they need not be complete, none that cannot be written stops a run,
and damaged ones are passed over. A success counts for as long as its file is in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from combsearch import durable
from combsearch.errors import CombsearchError
from combsearch.shards import Shard, parse_name, range_name, uncovered

LOG = "COMBSEARCH_LOG"
"""Environment variable: the file that holds what this process says, where a job has one."""

_FAILED = re.compile(r"(\d{12,18})-(\d{12,18})\.json", re.ASCII)
_SUCCESS = re.compile(r"(\d{1,18})\.(.+)", re.ASCII)


@dataclass(frozen=True)
class FailedShard:
    """A shard that an engine gave up.

    Attributes:
        shard: which.
        reason: why, in a line.
        host: where.
        time: when, UTC, as ``2026-01-31T12:00:00+00:00``.
        log: the file with all that was said there, if it is known.
    """

    shard: Shard
    reason: str
    host: str
    time: str
    log: str | None


@dataclass(frozen=True)
class Marks:
    """The marks of one run.

    Attributes:
        root: the run folder.
    """

    root: Path

    def fail(self, shard: Shard, reason: str) -> None:
        """Mark a shard as given up here and now; an earlier mark of it is replaced."""
        mark = {
            "first": shard.first,
            "last": shard.last,
            "reason": reason,
            "host": socket.gethostname(),
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "log": os.environ.get(LOG) or None,
        }
        with contextlib.suppress(CombsearchError):
            durable.make_folder(self._failed)
            durable.write_json(self._mark_of(shard), mark)

    def failures(self, saved: Iterable[Shard] = ()) -> list[FailedShard]:
        """The shards that are marked as given up, ascending; not those that ``saved`` cover."""
        found = [_failed(path) for path in _entries(self._failed)]
        marks = sorted((mark for mark in found if mark is not None), key=lambda mark: mark.shard)
        present = sorted(saved, key=lambda shard: (shard.first, -shard.last))
        left = set(uncovered([mark.shard for mark in marks], present))
        return [mark for mark in marks if mark.shard in left]

    def clear(self, shard: Shard) -> None:
        """Remove the mark of a shard, if it has one."""
        with contextlib.suppress(OSError):
            os.unlink(self._mark_of(shard))

    def succeed(self, nonzeros: int, file: Path) -> None:
        """Mark a file of the shard folder as one that holds a success of this level."""
        with contextlib.suppress(CombsearchError, OSError):
            durable.make_folder(self._successes)
            (self._successes / f"{nonzeros}.{file.name}").touch()

    def fewest(self) -> int | None:
        """The fewest nonzeros of a success that is marked, and whose shard is in its place."""
        found = [_SUCCESS.fullmatch(path.name) for path in _entries(self._successes)]
        named = [(int(match[1]), Path(match[2])) for match in found if match is not None]
        for nonzeros, name in sorted(named):
            if parse_name(name) is not None and (self.root / "shards" / name).is_file():
                return nonzeros
        return None

    @property
    def _failed(self) -> Path:
        return self.root / "failed"

    @property
    def _successes(self) -> Path:
        return self.root / "success"

    def _mark_of(self, shard: Shard) -> Path:
        return self._failed / f"{range_name(shard)}json"


def _entries(folder: Path) -> list[Path]:
    """The files of a folder; none where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _failed(path: Path) -> FailedShard | None:
    """What a mark says; None where that cannot be read or is not about its own range."""
    match = _FAILED.fullmatch(path.name)
    if match is None:
        return None
    try:
        shard = Shard(int(match[1]), int(match[2]))
        found = json.loads(path.read_bytes())
        if (found["first"], found["last"]) != (shard.first, shard.last):
            return None
        reason, host, time = (str(found[name]) for name in ("reason", "host", "time"))
        log = found["log"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError, CombsearchError):
        return None
    return FailedShard(shard, reason, host, time, None if log is None else str(log))

"""Arguments of the commands that train, on which no result depends. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeVar

from combsearch.errors import UsageError

ENGINES = ("local", "dask")

_MOST_JOBS = 1024
_PART = re.compile(r"(\d{1,18}):(\d{1,18})", re.ASCII)

T = TypeVar("T")


def _option(default: T, text: str) -> T:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Options:
    """How and where to run; the command line makes its options from these fields."""

    run: str | None = _option(None, "name of the run; by default made from the configuration")
    runs: str = _option("runs", "folder that holds the runs")
    jobs: int = _option(0, "worker processes; 0 takes one a core, or as many as fill the GPUs")
    engine: str = _option("local", "where shards run: local, or dask with --scheduler")
    scheduler: str | None = _option(None, "address of a Dask scheduler, such as tcp://node1:8786")
    ranks: str | None = _option(None, "train the shards of these ranks alone, as A:B or A:B,C:D")
    train: bool = _option(True, "train what is missing; without, report a run that is complete")
    figures: bool = _option(True, "draw the figures")
    dry_run: bool = _option(False, "show runs, time and disk, and write nothing")
    json: bool = _option(False, "print one JSON object")

    def __post_init__(self) -> None:
        if not 0 <= self.jobs <= _MOST_JOBS:
            raise UsageError(
                f"jobs is {self.jobs}, it must be a whole number from 0 to {_MOST_JOBS}"
            )
        if self.engine not in ENGINES:
            raise UsageError(f"engine {self.engine!r} is not known (known: {', '.join(ENGINES)})")
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise UsageError(
                f"engine is {self.engine!r} and scheduler {self.scheduler!r}:"
                " --engine dask and --scheduler tcp://NODE:PORT go together"
            )
        if self.ranks is not None and not self.train:
            raise UsageError("ranks: they say what to train, and --no-train trains nothing")
        self.parts()  # refuses what is no range of ranks

    def parts(self) -> list[tuple[int, int]]:
        """The half-open ranges of ``ranks``; none where these are all.

        Raises:
            UsageError: they are no such ranges.
        """
        return [_part(text) for text in (self.ranks or "").split(",") if self.ranks is not None]


def _part(text: str) -> tuple[int, int]:
    match = _PART.fullmatch(text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(
            f"ranks has {text!r}, it must be FIRST:LAST with FIRST < LAST, such as 0:1200 for the"
            " ranks 0 to 1199; more than one with commas between"
        )
    return int(match[1]), int(match[2])

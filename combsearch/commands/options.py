"""Arguments of ``combsearch phase1`` that no result depends on. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from combsearch.errors import UsageError

_MOST_JOBS = 1024

T = TypeVar("T")


def _option(default: T, text: str) -> T:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Options:
    """How and where to run; the command line makes its options from these fields."""

    run: str | None = _option(None, "name of the run; by default made from the configuration")
    runs: str = _option("runs", "folder that holds the runs")
    jobs: int = _option(0, "worker processes; 0 takes one a core, or as many as fill the GPUs")
    figures: bool = _option(True, "draw the figures")
    dry_run: bool = _option(False, "show runs, time and disk, and write nothing")
    json: bool = _option(False, "print one JSON object")

    def __post_init__(self) -> None:
        if not 0 <= self.jobs <= _MOST_JOBS:
            raise UsageError(
                f"jobs is {self.jobs}, it must be a whole number from 0 to {_MOST_JOBS}"
            )

"""Work for the tests of engines; a module of its own, so that worker processes can import it.

Run as a program: ``engine_work.py NAME`` does the work called NAME in two processes and
prints each result as a line of JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from combsearch.engines import LocalEngine
from combsearch.search.phase1 import Outcome, Work
from combsearch.search.sharing import halvings
from combsearch.store import Shard

SHARDS = [Shard(k, k + 2) for k in range(0, 24, 2)]


@dataclasses.dataclass(frozen=True)
class Told:
    """Does what it is told at the shards with these first ranks; notes every call in a folder."""

    folder: Path
    kill: tuple[int, ...] = ()
    kill_once: tuple[int, ...] = ()
    no_memory: tuple[int, ...] = ()
    error: Exception | None = None

    def __call__(self, shard: Shard) -> dict[str, Any]:
        with (self.folder / f"calls-{shard.first}").open("a") as file:
            file.write(".")
        first = self.calls(shard) == 1
        if shard.first in self.kill or (first and shard.first in self.kill_once):
            time.sleep(0.05)  # let others begin
            os.kill(os.getpid(), signal.SIGKILL)
        if shard.first in self.no_memory:
            raise MemoryError
        if self.error is not None and shard.first == 6:
            raise self.error
        return facts(shard)

    def calls(self, shard: Shard) -> int:
        """How often it was called for a shard."""
        path = self.folder / f"calls-{shard.first}"
        return path.stat().st_size if path.exists() else 0


@dataclasses.dataclass(frozen=True)
class Halving:
    """Runs out of memory, or is killed, until it is halved as often as the shard needs."""

    folder: Path
    needs: dict[int, int]
    kill: bool = False

    def __call__(self, shard: Shard) -> int:
        """How often it was halved."""
        with (self.folder / "tried").open("a") as file:
            file.write(f"{shard.first}:{halvings()}\n")
        if halvings() < self.needs.get(shard.first, 0):
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError(f"needs {self.needs[shard.first]} halvings")
        return halvings()


class Store:
    """Where a run is, as work knows it."""

    def __init__(self, root: Path) -> None:
        self.root = root


class Stored:
    """Work with a run folder; tells the current one."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)

    def __call__(self, shard: Shard) -> str:
        return str(Path.cwd())


def one_run(shard: Shard) -> Outcome:
    """A run that found nothing."""
    return Outcome(1, 0, 0.5)


def facts(shard: Shard) -> dict[str, Any]:
    """What a worker finds around itself."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "threads": os.environ.get("NUMBA_NUM_THREADS"),
        "blocked": sorted(int(number) for number in blocked),
        "output_is_error": os.path.sameopenfile(1, 2),
    }


def slow(shard: Shard) -> dict[str, Any]:
    """Minutes for all shards but the first two."""
    if shard.first > 2:
        time.sleep(60)
    return facts(shard)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Work, and then (bytes that the process holds, modules that it has imported)."""

    work: Work

    def __call__(self, shard: Shard) -> tuple[int, list[str]]:
        self.work(shard)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), sorted(sys.modules)


if __name__ == "__main__":
    import engine_work  # by its own name, as workers import it

    for _, result in LocalEngine(2).run(getattr(engine_work, sys.argv[1]), SHARDS):
        print(json.dumps(result), flush=True)

"""Where shards run. An engine is existing software; which shards are missing is ours."""

from __future__ import annotations

from collections.abc import Callable

from combsearch.engines.dask import DaskEngine
from combsearch.engines.inline import InlineEngine
from combsearch.engines.local import LocalEngine, cores
from combsearch.engines.threads import ThreadEngine
from combsearch.errors import UsageError

__all__ = [
    "SHARING",
    "DaskEngine",
    "InlineEngine",
    "LocalEngine",
    "ThreadEngine",
    "cores",
    "get_engine",
    "local_engine",
]

SHARING = 3
"""Threads or processes that share a GPU: one trains, one prepares, one saves."""


def get_engine(
    name: str, jobs: int, say: Callable[[str], None], gpus: int = 0, scheduler: str | None = None
) -> InlineEngine | LocalEngine | ThreadEngine | DaskEngine:
    """The engine called ``local`` or ``dask``.

    Args:
        name: of the engine.
        jobs: processes of this machine; a Dask cluster has its own.
        say: told in a line what went wrong and is being mended.
        gpus: of this machine.
        scheduler: address of the Dask scheduler.

    Raises:
        UsageError: there is no such engine, or Dask without an address.
    """
    if name == "local":
        return local_engine(jobs, say, gpus)
    if name != "dask":
        raise UsageError(f"engine {name!r} is not known (known: local, dask)")
    if not scheduler:
        raise UsageError("engine 'dask' needs the address of a scheduler: --scheduler tcp://...")
    return DaskEngine(scheduler, say)


def local_engine(
    jobs: int, say: Callable[[str], None], gpus: int = 0
) -> InlineEngine | LocalEngine | ThreadEngine:
    """``jobs`` processes of this machine, or this process alone.

    Args:
        jobs: processes; 1 is this one.
        say: told in a line what went wrong and is being mended.
        gpus: to spread the processes over; 0 where cores do the work.
    """
    if jobs > 1:
        return LocalEngine(jobs, say, gpus)
    return ThreadEngine(SHARING) if gpus else InlineEngine()

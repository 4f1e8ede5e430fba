"""Where shards run. An engine is existing software; which shards are missing is ours."""

from __future__ import annotations

from collections.abc import Callable

from combsearch.engines.inline import InlineEngine
from combsearch.engines.local import LocalEngine, cores
from combsearch.engines.threads import ThreadEngine

__all__ = ["SHARING", "InlineEngine", "LocalEngine", "ThreadEngine", "cores", "local_engine"]

SHARING = 3
"""Threads or processes that share a GPU: one trains, one prepares, one saves."""


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

"""Where shards run. An engine is existing software; which shards are missing is ours."""

from __future__ import annotations

from collections.abc import Callable

from combsearch.engines.inline import InlineEngine
from combsearch.engines.local import LocalEngine, cores

__all__ = ["InlineEngine", "LocalEngine", "cores", "local_engine"]


def local_engine(jobs: int, say: Callable[[str], None]) -> InlineEngine | LocalEngine:
    """``jobs`` processes of this machine, or this process alone."""
    return InlineEngine() if jobs == 1 else LocalEngine(jobs, say)

"""Where shards run. An engine is existing software; which shards are missing is ours."""

from __future__ import annotations

from combsearch.engines.inline import InlineEngine
from combsearch.engines.local import LocalEngine

__all__ = ["InlineEngine", "LocalEngine", "local_engine"]


def local_engine(jobs: int) -> InlineEngine | LocalEngine:
    """``jobs`` processes of this machine, or this process alone."""
    return InlineEngine() if jobs == 1 else LocalEngine(jobs)

"""Where compiled kernels are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_base() -> Path:
    """``$COMBSEARCH_CACHE`` (default ``~/.cache/combsearch``).

    Raises:
        RuntimeError: this user has no home folder.
    """
    return Path(os.environ.get("COMBSEARCH_CACHE") or Path.home() / ".cache" / "combsearch")

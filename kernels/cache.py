"""Compiled code is kept on disk, in a folder whose name says what it was compiled from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from .vector import LANES

_FOLDER = Path(__file__).parent


def cache_folder() -> Path:
    """``$COMBSEARCH_CACHE`` (default ``~/.cache/combsearch``) / a digest of the kernels' source."""
    base = os.environ.get("COMBSEARCH_CACHE") or str(Path.home() / ".cache" / "combsearch")
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {LANES}".encode())
    for source in sorted(_FOLDER.glob("*.py")):
        digest.update(source.read_bytes())
    return Path(base) / f"kernels-{digest.hexdigest()[:16]}"


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """``numba.njit`` of ``function``, cached on disk where a cache folder can be written.

    numba itself looks only at the file of ``function``; a change of the files that it
    calls would go unnoticed. Hence a folder for each state of all sources.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return numba.njit(error_model="numpy", inline=inline)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # read once, while the decorator runs
    try:
        return numba.njit(error_model="numpy", cache=True, inline=inline)(function)
    finally:
        numba.config.CACHE_DIR = before

"""Compiled code is kept on disk, in a folder whose name says what it was compiled from."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from .folder import cache_base
from .vector import LANES

_FOLDER = Path(__file__).parent
_ROOM = 2**23  # bytes that must be free on the disk; the kernels take a tenth


def cache_folder() -> Path:
    """The folder of all caches / a digest of the kernels' source."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {LANES}".encode())
    for source in sorted(_FOLDER.glob("*.py")):
        digest.update(source.read_bytes())
    return cache_base() / f"kernels-{digest.hexdigest()[:16]}"


def _writable_folder() -> Path | None:
    """The cache folder, made if need be; None where it cannot be had.

    Without it nothing is kept: numba would fall back to a folder beside the source,
    which a change of another file does not clear, and would fail on a full disk.
    """
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder if shutil.disk_usage(folder).free >= _ROOM else None
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        return None


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """``numba.njit`` of ``function``, cached on disk where a cache folder can be written.

    numba itself looks only at the file of ``function``; a change of the files that it
    calls would go unnoticed. Hence a folder for each state of all sources.
    """
    folder = _writable_folder()
    if folder is None:
        return numba.njit(error_model="numpy", inline=inline)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # read once, while the decorator runs
    try:
        return numba.njit(error_model="numpy", cache=True, inline=inline)(function)
    finally:
        numba.config.CACHE_DIR = before

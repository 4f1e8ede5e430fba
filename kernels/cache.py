"""Compiled code is kept on disk, in a folder whose name says what it was compiled from."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
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
        found = numba.njit(error_model="numpy", cache=True, inline=inline)(function)
    finally:
        numba.config.CACHE_DIR = before
    _save_in_turn(found)
    return found


def _save_in_turn(function: Any) -> None:
    """Let one process at a time add to what is kept of ``function``.

    numba reads the index, takes the next number for a file of code, writes the index and then
    the file. Two processes that had compiled for different types at once could give both codes
    one number: a third process would then run one for the other's types, unnoticed.
    """
    files = getattr(getattr(function, "_cache", None), "_cache_file", None)
    if files is None:  # another numba may keep code in another way
        return
    save = files.save

    def save_alone(key: Any, data: Any) -> None:
        with _alone_in(files._cache_path):
            save(key, data)

    files.save = save_alone


@contextlib.contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """No other process is in here for ``folder``, if its disk can lock; a killed one is not."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""Small files that are either wholly there or not there, whatever dies in between.

Every commit takes the same path: write a hidden temporary file in the folder of
the final one, flush it to the disk, give it its final name in one step, flush
the folder. Standard library only, so that any module can use it.

A temporary file is called ``.combsearch-<machine>-<process>-<random>.tmp``; its
name tells a later run whether the process that left it behind is dead.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from combsearch.errors import CombsearchError, NoSpaceError, UsageError

# A leftover of another machine cannot be asked whether its process lives: by then it is dead.
LEFTOVER_AGE_S = 24 * 3600.0

_TEMPORARY = re.compile(r"\.combsearch-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_USER_CAUSES = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path``, replacing an earlier file in one step.

    A reader sees the old file or the new one, never a part of either.

    Raises:
        NoSpaceError: the disk or the quota is full; the old file is untouched.
        UsageError: the folder is absent or cannot be written.
    """
    path = Path(path)
    with translated_errors(path):
        with _staged(path, data) as temporary:
            os.replace(temporary, path)
        _sync_folder(path.parent)


def write_json(path: str | Path, obj: object) -> None:
    """Write ``obj`` as indented JSON; as :func:`write_bytes`.

    Raises:
        ValueError: ``obj`` holds NaN or infinity, which JSON does not have.
    """
    write_bytes(path, json_bytes(obj))


def json_bytes(obj: object) -> bytes:
    """The bytes that :func:`write_json` writes for ``obj``."""
    text = json.dumps(obj, indent=2, allow_nan=False)
    return (text + "\n").encode()


def commit_new(path: Path, data: bytes | memoryview) -> bool:
    """Write ``data`` to ``path`` unless a file is already there; True when this call made it.

    Of several processes that commit at once, the first one wins (``os.link`` refuses
    to overwrite). Where the file system has no links, the last of those that start
    within the same instant wins instead: give such files equal content.

    Raises:
        NoSpaceError, UsageError: as :func:`write_bytes`.
    """
    with translated_errors(path):
        with _staged(path, data) as temporary:
            made = _link_or_rename(temporary, path)
        _sync_folder(path.parent)
    return made


def move_into_place(temporary: Path, path: Path) -> None:
    """Flush the file or folder ``temporary`` and call it ``path``, on the same file system.

    For what is too large for :func:`write_bytes`. A file that is there is replaced; of a
    folder, the caller flushes the content.

    Raises:
        NoSpaceError, UsageError: as :func:`write_bytes`.
    """
    with translated_errors(path):
        if temporary.is_dir():
            _sync_folder(temporary)
        else:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create ``path`` and its parents where absent, and flush the entry to the disk."""
    with translated_errors(path):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent)


def check_folder_writable(folder: Path) -> None:
    """Prove that files can be made in ``folder`` by making and removing one.

    Permission bits do not answer this (read-only mounts, quotas, root).

    Raises:
        NoSpaceError, UsageError: as :func:`write_bytes`.
    """
    with translated_errors(folder), _staged(folder / "probe", b"probe"):
        pass


def remove_leftovers(folder: Path) -> list[str]:
    """Remove temporary files that no live process can still be writing; their names.

    Those of this machine go when their process is dead, all others after a day.
    A folder that cannot be read or written keeps them: they are hidden and harmless.
    """
    removed = []
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            with contextlib.suppress(OSError):
                if _is_leftover(entry):
                    os.unlink(entry.path)
                    removed.append(entry.name)
    return removed


def is_temporary(name: str) -> bool:
    """Whether ``name`` is that of a temporary file of this module."""
    return _TEMPORARY.fullmatch(name) is not None


@contextlib.contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into the error that tells the user what to do.

    Raises:
        NoSpaceError: no space, or over quota.
        UsageError: no permission, a read-only file system, a bad or absent path.
        CombsearchError: any other failure of the file system.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _NO_SPACE:
            raise NoSpaceError(
                f"cannot write {path}: {reason}; everything committed so far is valid, "
                "so free some space and repeat the command"
            ) from error
        kind = UsageError if error.errno in _USER_CAUSES else CombsearchError
        raise kind(
            f"cannot use {path}: {reason}; choose a folder that exists and can be written"
        ) from error


@contextlib.contextmanager
def _staged(path: Path, data: bytes | memoryview) -> Iterator[Path]:
    """A flushed temporary file beside ``path`` that holds ``data``; gone afterwards."""
    name = f".combsearch-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    temporary = path.parent / name
    try:
        _write_and_sync(temporary, data)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _write_and_sync(path: Path, data: bytes | memoryview) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    try:
        left = memoryview(data)
        while left:  # a write may take only a part, on a nearly full disk for one
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _link_or_rename(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        os.rename(temporary, path)
    return True


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and keeps names in its own journal
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no such call
            raise
    finally:
        os.close(handle)


def _machine() -> str:
    """8 hex characters that differ wherever process numbers mean other processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # containers may share a host name
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def _is_leftover(entry: os.DirEntry[str]) -> bool:
    match = _TEMPORARY.fullmatch(entry.name)
    if match is None or not entry.is_file(follow_symlinks=False):
        return False
    if match[1] == _machine() and not _alive(int(match[2])):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_AGE_S


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True

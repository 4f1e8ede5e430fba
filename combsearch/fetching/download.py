"""Download a file over HTTP: continued where an earlier try stopped, verified at the end.

A file grows as ``.<name>.part``. A later try asks for what is missing (``Range``); where a
server does not know that, it begins again. The checksum decides: nothing else is trusted.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from combsearch import __version__
from combsearch.durable import make_folder, translated_errors
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.tasks.images.data_set import Download

Show = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be when that is known."""

TIMEOUT_SECONDS = 60.0
_CHUNK = 2**18
_TRIES = 5  # of one address, as long as each brings something
_NETWORK = (urllib.error.URLError, http.client.HTTPException, OSError)
_BEGIN_AGAIN = http.client.REQUESTED_RANGE_NOT_SATISFIABLE


def partial_path(folder: Path, name: str) -> Path:
    """Where a file called ``name`` grows."""
    return folder / f".{name}.part"


def download(item: Download, folder: Path, show: Show) -> Path:
    """Get ``item`` from the first of its addresses that gives it; the path of the whole file.

    Args:
        item: what to get.
        folder: where its partial file is and stays; made when it is absent.
        show: told how far it is.

    Raises:
        CorruptDataError: what came has another checksum.
        CombsearchError: no address gave it.
        UsageError: the folder cannot be written, or another process is at it.
        NoSpaceError: the disk is full; what came is kept.
    """
    make_folder(folder)
    path = partial_path(folder, item.name)
    with _growing(path) as file:
        if _checksum(file, item.algorithm) != item.checksum:
            _get(item, file, show)
    return path


def _get(item: Download, file: IO[bytes], show: Show) -> None:
    faults, damaged = [], False
    for url in item.urls:
        began = file.seek(0, os.SEEK_END)
        while True:
            try:
                _transfer(url, file, show)
            except _NETWORK as error:
                faults.append(f"{url}: {_reason(error)}")
                break
            found = _checksum(file, item.algorithm)
            if found == item.checksum:
                return
            file.truncate(0)
            if began == 0:
                damaged = True
                faults.append(f"{url}: expected {item.algorithm} {item.checksum}, found {found}")
                break
            began = 0  # what was there before may be of another file: once more, from the start
    kind = CorruptDataError if damaged else CombsearchError
    raise kind(f"cannot download {item.name}: {'; '.join(faults)}")


def _transfer(url: str, file: IO[bytes], show: Show) -> None:
    """Append what is missing, in several connections where one breaks off.

    Raises:
        OSError, HTTPException: the server does not give it, or breaks off again and again.
    """
    for _ in range(_TRIES):
        before = file.seek(0, os.SEEK_END)
        try:
            if _one_connection(url, file, show):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != _BEGIN_AGAIN or before == 0:
                raise
            file.truncate(0)
            continue
        if file.seek(0, os.SEEK_END) <= before:
            break
    raise ConnectionError(f"broken off after {file.seek(0, os.SEEK_END):,} bytes")


def _one_connection(url: str, file: IO[bytes], show: Show) -> bool:
    """Append what one connection brings; whether that was all."""
    have = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": f"combsearch/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        if have and not _continues(answer, have):
            have = 0
            file.truncate(0)
            file.seek(0)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        show(have, total)
        while data := _read(answer):
            with translated_errors(Path(file.name)):
                file.write(data)
                file.flush()
            have += len(data)
            show(have, total)
    return total is None or have >= total


def _read(answer: Any) -> bytes:
    """The next piece; nothing at the end, and where the connection breaks off."""
    try:
        data: bytes = answer.read(_CHUNK)
    except (http.client.IncompleteRead, ConnectionError, TimeoutError):
        return b""
    return data


def _continues(answer: Any, have: int) -> bool:
    """Whether the answer begins where the file ends."""
    begins = str(answer.headers.get("Content-Range", ""))
    return answer.status == http.client.PARTIAL_CONTENT and begins.startswith(f"bytes {have}-")


def _checksum(file: IO[bytes], algorithm: str) -> str:
    file.seek(0)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    if isinstance(reason, OSError):
        reason = reason.strerror or reason
    code = getattr(error, "code", None)
    text = " ".join(str(reason).split()) or type(error).__name__
    return f"{code} {text}" if code else text


@contextmanager
def _growing(path: Path) -> Iterator[IO[bytes]]:
    """The partial file, for this process alone."""
    with translated_errors(path):
        file = path.open("a+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another process is downloading {path}; wait for it") from error
        except OSError:
            pass  # this file system has no locks
        yield file

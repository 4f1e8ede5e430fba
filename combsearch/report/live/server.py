"""A page served on this machine alone, with data that are read anew when they have changed.

    GET /            the page
    GET /data.json   its data, to be shown in place of those it came with

Nothing else exists: no path becomes the name of a file, and nothing is written. What comes in is
judged by ``protocol``; a connection is one request and has a thread, of which there are few.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from combsearch.report.live.protocol import (
    BODY_BYTES,
    HEAD_BYTES,
    LINE_BYTES,
    Answer,
    RefusedError,
    Request,
    check,
    is_known,
    parse,
    refusal,
    tag,
)
from combsearch.report.page import policy_of, script_json

ADDRESS = "127.0.0.1"
_LONGEST_REASON = 500
_PIECE_BYTES = 8192


@dataclass(frozen=True)
class Source:
    """What is served.

    ``read``: the data, JSON values; it may raise anything. ``page``: the page that begins with
    these data. ``state``: a value that is another one when the data may be others; quick.
    """

    read: Callable[[], Any]
    page: Callable[[Any], bytes]
    state: Callable[[], Hashable]


@dataclass(frozen=True)
class Limits:
    """What clients and the server itself may cost.

    ``connections``: at once. ``head_seconds``: for a request to arrive. ``send_seconds``: for an
    answer to leave. ``end_seconds``: for a client to end its side then. ``pause_seconds``:
    between two reads of the data, and at least ``rest`` times as long as the last one took.
    """

    connections: int = 16
    head_seconds: float = 5.0
    send_seconds: float = 30.0
    end_seconds: float = 1.0
    pause_seconds: float = 2.0
    rest: float = 4.0


@dataclass(frozen=True)
class Reading:
    """The data as they were read last, or why they could not be."""

    data: Any = None
    body: bytes = b""
    error: str = ""


class Fresh:
    """Data that are read again when they have changed, by one thread at a time."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self._lock = threading.Lock()
        self._last: Reading | None = None
        self._good: Reading | None = None
        self._state: Hashable = None
        self._due = 0.0

    def get(self) -> Reading:
        """The last reading; where another thread is at a new one, the one before."""
        if not self._lock.acquire(blocking=self._last is None):
            assert self._last is not None
            return self._last
        try:
            if self._last is None or time.monotonic() >= self._due:
                self._renew()
            assert self._last is not None
            return self._last
        finally:
            self._lock.release()

    def good(self) -> Reading:
        """The last reading that has data; where there is none, why."""
        last = self.get()
        return self._good or last

    def _renew(self) -> None:
        began = time.monotonic()
        try:
            state = self._source.state()
            if self._last is None or self._last.error or state != self._state:
                data = self._source.read()
                self._good = self._last = Reading(data, script_json(data).encode())
                self._state = state
        except Exception as error:  # whatever ails the run, the server goes on
            self._last = Reading(error=_reason(error))
        now = time.monotonic()
        self._due = now + max(self._limits.pause_seconds, self._limits.rest * (now - began))


def _reason(error: Exception) -> str:
    line = " ".join(str(error).split()) or type(error).__name__
    return line[:_LONGEST_REASON].encode("utf-8", "replace").decode()


class LiveServer(socketserver.ThreadingTCPServer):
    """Answers at a port of 127.0.0.1 while ``serve_forever`` runs.

    Raises:
        OSError: the port is taken or not to be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, source: Source, port: int = 0, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.fresh = Fresh(source, self.limits)
        self._source = source
        self._free = threading.BoundedSemaphore(self.limits.connections)
        super().__init__((ADDRESS, port), _Connection)

    @property
    def port(self) -> int:
        """The port, also where a free one was asked for."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread for a connection; while all are busy, it and later ones wait."""
        self._free.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was begun
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no news."""

    def answer(self, head: bytes) -> tuple[Answer, bool]:
        """The answer to a request, and whether its body is asked for."""
        try:
            request = parse(head)
            check(request, self.port)
        except RefusedError as error:
            return refusal(error.status), not head.startswith(b"HEAD ")
        try:
            return self._content(request), request.method != "HEAD"
        except Exception:
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR), True

    def _content(self, request: Request) -> Answer:
        if request.target == "/":
            return self._page()
        if request.target == "/data.json":
            return self._data(request)
        return refusal(HTTPStatus.NOT_FOUND)

    def _page(self) -> Answer:
        reading = self.fresh.good()
        if reading.error:
            text = f"This cannot be read just now: {reading.error}\n"
            again = {"Refresh": "3"}
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, text.encode(), headers=again)
        content = self._source.page(reading.data)
        return Answer(HTTPStatus.OK, content, "text/html; charset=utf-8", policy_of(content))

    def _data(self, request: Request) -> Answer:
        reading, kind = self.fresh.get(), "application/json"
        if reading.error:
            body = json.dumps({"error": reading.error}).encode()
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, body, kind)
        headers = {"ETag": tag(reading.body)}
        if is_known(request, headers["ETag"]):
            return Answer(HTTPStatus.NOT_MODIFIED, headers=headers)
        return Answer(HTTPStatus.OK, reading.body, kind, headers=headers)


class _Connection(socketserver.BaseRequestHandler):
    """One request and its answer; whoever is slow is left."""

    server: LiveServer
    request: socket.socket

    def handle(self) -> None:
        limits = self.server.limits
        try:
            head = self._head(time.monotonic() + limits.head_seconds)
        except RefusedError as error:
            answer, with_body = refusal(error.status), True
        else:
            if not head:
                return
            answer, with_body = self.server.answer(head)
        self.request.settimeout(limits.send_seconds)
        self.request.sendall(answer.encode(with_body))
        self._let_go()

    def _head(self, end: float) -> bytes:
        """All up to the empty line; nothing where the client has nothing to say."""
        head, searched = bytearray(), 0
        while (place := head.find(b"\r\n\r\n", searched)) < 0:
            searched = max(0, len(head) - 3)
            if len(head) > LINE_BYTES and b"\r\n" not in head[: LINE_BYTES + 2]:
                raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG)
            if len(head) > HEAD_BYTES:
                raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            piece = self._piece(end)
            if piece is None and head:
                raise RefusedError(HTTPStatus.REQUEST_TIMEOUT)
            if not piece:
                return b""
            head += piece
        return bytes(head[: place + 4])

    def _piece(self, end: float) -> bytes | None:
        """What has come; nothing where the client is gone, None where the time is over."""
        left = end - time.monotonic()
        if left <= 0:
            return None
        self.request.settimeout(left)
        try:
            return self.request.recv(_PIECE_BYTES)
        except TimeoutError:
            return None

    def _let_go(self) -> None:
        """End so that the answer arrives although a body may still be coming."""
        end, read = time.monotonic() + self.server.limits.end_seconds, 0
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            while read <= BODY_BYTES and (piece := self._piece(end)):
                read += len(piece)

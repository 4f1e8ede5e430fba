"""What a server of one page hears and says: bytes of a request in, bytes of an answer out.

Strict where HTTP leaves room: one request a connection, no body, and only for a browser that shows
the page itself. Other sites cannot read through it: not by a name of theirs that leads
here (Host), not by a script (Origin), not by an image or a frame (Sec-Fetch-Site).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

LINE_BYTES = 8192
"""Longest first line of a request."""

HEAD_BYTES = 65536
"""Longest head: browsers send the cookies of all servers on this machine."""

HEADERS = 100
"""Most headers."""

BODY_BYTES = 4096
"""Largest body that is let pass; nothing reads it."""

METHODS = ("GET", "HEAD")

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_ONCE = {"host", "origin", "content-length", "sec-fetch-site"}


class RefusedError(Exception):
    """A request that gets no page; ``status`` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True)
class Request:
    """The head of a request; names of ``headers`` in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """``kind`` is the type of ``body``; ``headers`` come after those that all answers have."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    policy: str = "default-src 'none'"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, with_body: bool = True) -> bytes:
        """As it goes to the browser."""
        headers = {
            "Content-Type": self.kind,
            "Content-Length": str(len(self.body)),
            "Content-Security-Policy": f"{self.policy}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        if self.status == HTTPStatus.NOT_MODIFIED:
            del headers["Content-Type"], headers["Content-Length"]
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head + self.body if with_body else head


def refusal(status: int) -> Answer:
    """A line of text."""
    allow = {"Allow": ", ".join(METHODS)} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return Answer(status, f"{status} {HTTPStatus(status).phrase}\n".encode(), headers=allow)


def parse(head: bytes) -> Request:
    """The request whose head, with the empty line at its end, is ``head``.

    Raises:
        RefusedError: it is none, or too long.
    """
    first, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if len(first) > LINE_BYTES:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG)
    if len(head) > HEAD_BYTES or len(rest) > HEADERS:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    line = _LINE.fullmatch(first)
    if line is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    if line[3] != b"1":
        raise RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    return Request(line[1].decode(), line[2].decode(), _headers(rest))


def _headers(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        name = header[1].decode().lower() if header else ""
        if header is None or (name in _ONCE and name in found):
            raise RefusedError(HTTPStatus.BAD_REQUEST)
        value = header[2].decode("latin-1").strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def check(request: Request, port: int) -> None:
    """Whether a request may be answered by the server at this port of 127.0.0.1.

    Raises:
        RefusedError: it may not.
    """
    headers = request.headers
    if "host" not in headers:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    host = headers["host"].lower()
    if host not in _own_hosts(port):
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST)
    if headers.get("origin", f"http://{host}").lower() != f"http://{host}":
        raise RefusedError(HTTPStatus.FORBIDDEN)
    if "transfer-encoding" in headers:
        raise RefusedError(HTTPStatus.NOT_IMPLEMENTED)
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]+", length):
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    if len(length) > len(str(BODY_BYTES)) or int(length) > BODY_BYTES:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if request.method not in METHODS:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED)
    if not _from_here(request):
        raise RefusedError(HTTPStatus.FORBIDDEN)


def _own_hosts(port: int) -> list[str]:
    names = ("127.0.0.1", "localhost")
    return [f"{name}:{port}" for name in names] + (list(names) if port == 80 else [])


def _from_here(request: Request) -> bool:
    """Whether the page itself asks, or the reader does; browsers say so, other clients need not.

    A link on another site may lead to the page, in a window of its own.
    """
    headers = request.headers
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    asked = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return request.target == "/" and asked == ("navigate", "document")


def tag(body: bytes) -> str:
    """The ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_known(request: Request, own: str) -> bool:
    """Whether the client says that it has the body with this tag."""
    return own in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]

"""A web server in a thread that does what a test asks of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from combsearch.tasks.images.data_set import Download

CONTENT = bytes(range(256)) * 2000  # two pieces of what a connection is read in
NAME = "some.bin"


@dataclass
class Site:
    """What the server does, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut: list[int] = field(default_factory=list)  # bytes after which answers break off, in turn
    wrong_range: bool = False
    no_length: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append((request.path, asked))
        content = self.files.get(request.path.lstrip("/"))
        if content is None:
            request.send_error(404, "Not Found")
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if asked and self.ranges and first >= len(content):
            request.send_error(416, "Range Not Satisfiable")
            return
        self._send(request, content, first)

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, first: int) -> None:
        request.send_response(206 if first else 200)
        if first:
            shown = 0 if self.wrong_range else first
            span = f"bytes {shown}-{len(content) - 1}/{len(content)}"
            request.send_header("Content-Range", span)
        if not self.no_length:
            request.send_header("Content-Length", str(len(content) - first))
        request.end_headers()
        body = content[first:]
        request.wfile.write(body[: self.cut.pop(0)] if self.cut else body)


@contextmanager
def serving() -> Iterator[Site]:
    """A server in a thread."""
    found = Site(files={NAME: CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def item(site: Site, *names: str, content: bytes = CONTENT) -> Download:
    """The file called NAME with this content, at these addresses in turn."""
    urls = tuple(f"{site.address}/{name}" for name in names or (NAME,))
    return Download(NAME, urls, "sha256", hashlib.sha256(content).hexdigest())

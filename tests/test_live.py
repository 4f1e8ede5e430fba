"""The server of a run's page: what it answers, what it refuses, and that it stays alive."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from combsearch.errors import CorruptDataError
from combsearch.report.live import protocol
from combsearch.report.live.server import Fresh, Limits, LiveServer, Source
from combsearch.report.page import page, policy_of

QUICK = Limits(4, head_seconds=0.3, send_seconds=0.5, end_seconds=0.2, pause_seconds=0.0, rest=0.0)


@dataclass
class Run:
    """What the source reads: a test changes it."""

    data: Any = field(default_factory=lambda: {"rows": 1})
    state: int = 0
    error: Exception | None = None
    reads: int = 0
    wait: Callable[[], object] = int

    def read(self) -> Any:
        self.reads += 1
        self.wait()
        if self.error:
            raise self.error
        return self.data

    def source(self) -> Source:
        return Source(self.read, lambda data: page("r", data, (), live=True), lambda: self.state)

    def change(self, data: Any) -> None:
        self.data, self.state = data, self.state + 1


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@contextlib.contextmanager
def serving(run: Run, limits: Limits = QUICK) -> Iterator[LiveServer]:
    with LiveServer(run.source(), limits=limits) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[LiveServer]:
    with serving(run) as found:
        yield found


def exchange(server: LiveServer, sent: bytes) -> bytes:
    """All that comes back, until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    return received


def parsed(received: bytes) -> Reply:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return Reply(int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body)


def ask(
    server: LiveServer, target: str = "/", method: str = "GET", body: bytes = b"", **headers: str
) -> Reply:
    """A request as a browser makes it; ``sec_fetch_site="none"`` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"host": f"127.0.0.1:{server.port}", **named}
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in named.items()), "", ""]
    return parsed(exchange(server, "\r\n".join(lines).encode("latin-1") + body))


# ---- what it gives --------------------------------------------------------------------


def test_the_page_and_its_data(server: LiveServer, run: Run) -> None:
    found = ask(server)
    assert found.status == 200 and found.body == run.source().page(run.data)
    data = ask(server, "/data.json")
    assert data.status == 200 and json.loads(data.body) == run.data
    assert data.headers["Content-Type"] == "application/json"
    assert ask(server, host=f"LocalHost:{server.port}").status == 200


def test_head_is_get_without_a_body(server: LiveServer) -> None:
    for target in ("/", "/data.json"):
        full, head = ask(server, target), ask(server, target, "HEAD")
        assert (head.status, head.headers, head.body) == (200, full.headers, b"")
        assert int(head.headers["Content-Length"]) == len(full.body)
    assert ask(server, "/x", "HEAD").body == b""


@pytest.mark.parametrize("target", ["/", "/data.json", "/nothing"])
def test_every_answer_is_shut_to_other_sites(server: LiveServer, target: str) -> None:
    found = ask(server, target)
    policy = found.headers["Content-Security-Policy"].split("; ")
    assert policy[-1] == "frame-ancestors 'none'" and policy[0] == "default-src 'none'"
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Referrer-Policy"] == "no-referrer"
    assert found.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert found.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert found.headers["Cache-Control"] == "no-store"
    assert "Server" not in found.headers
    assert not [name for name in found.headers if name.startswith("Access-Control")]


def test_the_policy_of_the_page_is_sent_as_a_header_too(server: LiveServer) -> None:
    found = ask(server)
    own = policy_of(found.body)
    assert found.headers["Content-Security-Policy"] == f"{own}; frame-ancestors 'none'"
    assert "connect-src 'self'" in own and "script-src 'sha256-" in own


def test_nothing_is_sent_while_nothing_changes() -> None:
    run = Run()
    with serving(run) as server:
        first = ask(server, "/data.json")
        tag = first.headers["ETag"]
        for known in (tag, f'"other", {tag}'):
            again = ask(server, "/data.json", if_none_match=known)
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
        assert run.reads == 1
        assert ask(server, "/data.json", if_none_match='"other"').status == 200
        run.change({"rows": 2})
        other = ask(server, "/data.json", if_none_match=tag)
        assert other.status == 200 and json.loads(other.body) == {"rows": 2}
        assert other.headers["ETag"] != tag
        assert b'{"rows":2}' in ask(server).body


# ---- what it refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/data.json/", "/data.json?x", "/?x", "//", "/index.html", "/run.json", "/shards",
        "/../run.json", "/%2e%2e/run.json", "/%2E%2E%2f%2e%2e%2fetc/passwd", "//etc/passwd",
        "/..\\..\\etc\\passwd", "/./data.json", "/data.json%00", "/DATA.JSON", "etc/passwd",
        "http://127.0.0.1/", "http://evil.example/", "file:///etc/passwd", "*",
        "evil.example:443", "/data.json#x", "/<script>alert(1)</script>",
    ],
)  # fmt: skip
def test_nothing_else_exists(server: LiveServer, target: str) -> None:
    found = ask(server, target)
    assert (found.status, found.body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize(
    "line",
    [
        "GET /\0 HTTP/1.1", "GET /\xe9 HTTP/1.1", "GET /a b HTTP/1.1", "GET  / HTTP/1.1",
        "GET /", "GET", "", "/ HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET / HTTP/x",
        "GET / http/1.1", "G@T / HTTP/1.1", "GET\t/ HTTP/1.1", f"{'A' * 33} / HTTP/1.1",
        "GET / HTTP/1.1\nX: y", "GET / HTTP/1.1\rX: y",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(server: LiveServer, line: str) -> None:
    sent = f"{line}\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode("latin-1")
    assert parsed(exchange(server, sent)).status == 400


@pytest.mark.parametrize("version", ["0.9", "2.0", "3.0"])
def test_other_versions_are_refused(server: LiveServer, version: str) -> None:
    sent = f"GET / HTTP/{version}\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    assert parsed(exchange(server, sent)).status == 505


@pytest.mark.parametrize(
    "headers",
    [
        "", "Host", "Host 127.0.0.1:PORT", "Host : 127.0.0.1:PORT", ": x",
        "Host: 127.0.0.1:PORT\r\nHost: 127.0.0.1:PORT",
        "Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\nOrigin: http://evil.example",
        "Host: 127.0.0.1:PORT\r\nX: a\r\n b", "Host: 127.0.0.1:PORT\r\nX: a\0b",
        "Host: 127.0.0.1:PORT\r\nContent-Length: 1\r\nContent-Length: 1",
        "Host: 127.0.0.1:PORT\r\nContent-Length: -1", "Host: 127.0.0.1:PORT\r\nContent-Length: +1",
        "Host: 127.0.0.1:PORT\r\nContent-Length: ",
        "Host: 127.0.0.1:PORT\r\nContent-Length: 1_0",
        "Host: 127.0.0.1:PORT\r\nContent-Length: \xb2",
    ],
)  # fmt: skip
def test_bad_headers_are_refused(server: LiveServer, headers: str) -> None:
    text = "GET / HTTP/1.1\r\n" + (f"{headers}\r\n" if headers else "") + "\r\n"
    sent = text.replace("PORT", str(server.port)).encode("latin-1")
    assert parsed(exchange(server, sent)).status == 400


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:PORT", "127.0.0.1", "localhost", "127.0.0.1:1",
        "0.0.0.0:PORT", "[::1]:PORT", "127.0.0.1:PORT.evil.example", "127.1:PORT",
        "localhost.evil.example:PORT",
        "user@127.0.0.1:PORT", "", "127.0.0.1:PORT, evil.example",
    ],
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_refused(server: LiveServer, host: str) -> None:
    found = ask(server, "/data.json", host=host.replace("PORT", str(server.port)))
    assert (found.status, found.body) == (421, b"421 Misdirected Request\n")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:PORT", 200), ("http://localhost:PORT", 403), ("null", 403), ("", 403),
        ("https://127.0.0.1:PORT", 403), ("http://127.0.0.1", 403), ("http://127.0.0.1:1", 403),
        ("http://evil.example", 403), ("http://127.0.0.1:PORT.evil.example", 403),
    ],
)  # fmt: skip
def test_scripts_of_other_sites_are_refused(server: LiveServer, origin: str, status: int) -> None:
    origin = origin.replace("PORT", str(server.port))
    assert ask(server, "/data.json", origin=origin).status == status
    assert ask(server, "/", origin=origin).status == status


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_other_sites_may_link_to_the_page_and_no_more(server: LiveServer, site: str) -> None:
    link: dict[str, Any] = {
        "sec_fetch_site": site,
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert ask(server, "/", **link).status == 200
    assert ask(server, "/data.json", **link).status == 403
    assert ask(server, "/", **link | {"sec_fetch_dest": "iframe"}).status == 403
    assert ask(server, "/", **link | {"sec_fetch_mode": "no-cors"}).status == 403
    assert ask(server, "/", sec_fetch_site=site).status == 403
    for own in ("same-origin", "none"):
        assert ask(server, "/data.json", sec_fetch_site=own).status == 200


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"]
)
def test_other_methods_are_refused(server: LiveServer, method: str) -> None:
    for target in ("/", "/data.json", "/nothing", "*"):
        found = ask(server, target, method, body=b"a=1", content_length="3")
        assert found.status == 405 and found.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("length", ["4097", "9999999999", "0" * 30, "9" * 5000])
def test_large_bodies_are_refused_before_they_come(server: LiveServer, length: str) -> None:
    for method in ("GET", "POST"):
        assert ask(server, "/", method, content_length=length).status == 413


def test_a_body_is_never_read_beyond_the_cap() -> None:
    """Who sends more is cut off: what the buffers of both ends cannot hold does not leave."""
    with serving(Run(), Limits(end_seconds=10.0)) as server:
        head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 9\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection,
            pytest.raises((BrokenPipeError, ConnectionResetError)),
        ):
            connection.sendall(head.encode() + bytes(64 << 20))
        assert ask(server, body=b"123456789", content_length="9").status == 200


@pytest.mark.parametrize("coding", ["chunked", "identity", "gzip, chunked", ""])
def test_transfer_codings_are_refused(server: LiveServer, coding: str) -> None:
    found = ask(server, "/", "POST", body=b"0\r\n\r\n", transfer_encoding=coding)
    assert found.status == 501


def test_a_second_request_on_a_connection_is_not_answered(server: LiveServer) -> None:
    one = f"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    received = exchange(server, one + one)
    assert received.count(b"HTTP/1.1") == 1 and b"Connection: close\r\n" in received


def test_long_heads_are_refused(server: LiveServer) -> None:
    host = f"Host: 127.0.0.1:{server.port}\r\n"
    long = "/" + "x" * protocol.LINE_BYTES
    assert parsed(exchange(server, f"GET {long} HTTP/1.1\r\n{host}\r\n".encode())).status == 414
    assert parsed(exchange(server, b"G" * (protocol.LINE_BYTES + 99))).status == 414
    many = "".join(f"X{i}: y\r\n" for i in range(protocol.HEADERS - 1))
    assert parsed(exchange(server, f"GET / HTTP/1.1\r\n{host}{many}\r\n".encode())).status == 200
    more = f"GET / HTTP/1.1\r\n{host}{many}X: y\r\n\r\n"
    assert parsed(exchange(server, more.encode())).status == 431
    wide = f"Cookie: {'x' * protocol.HEAD_BYTES}\r\n"
    assert parsed(exchange(server, f"GET / HTTP/1.1\r\n{host}{wide}\r\n".encode())).status == 431
    endless = f"GET / HTTP/1.1\r\n{host}{wide}"
    assert parsed(exchange(server, endless.encode())).status == 431


def test_a_head_of_blanks_is_judged_quickly() -> None:
    head = b"GET / HTTP/1.1\r\nX:" + b" \t" * 30_000 + b"\0\r\n\r\n"
    began = time.monotonic()
    with pytest.raises(protocol.RefusedError):
        protocol.parse(head)
    assert time.monotonic() - began < 0.5


def test_garbage_never_breaks_it(server: LiveServer) -> None:
    chance = random.Random(3)
    good = f"GET /data.json HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    for _ in range(60):
        sent = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            sent[chance.randrange(len(good) - 4)] = chance.randrange(256)
        received = exchange(server, bytes(sent))
        assert received.startswith(b"HTTP/1.1 ")
    assert ask(server).status == 200


# ---- who is slow ----------------------------------------------------------------------


def test_a_slow_head_is_cut_off(server: LiveServer) -> None:
    assert exchange(server, b"") == b""  # browsers open connections that they may not need
    assert parsed(exchange(server, b"GET / HT")).status == 408


def test_a_byte_now_and_then_gives_no_more_time(server: LiveServer) -> None:
    """Neither to a head nor, once the answer is there, to a body."""
    ended = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 99\r\n\r\n"
    for start in ("GET / HT", ended):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(start.encode())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while time.monotonic() < began + 5:
                    connection.sendall(b"G")
                    time.sleep(0.02)
        assert time.monotonic() - began < 4


def test_slow_clients_delay_others_and_do_not_shut_them_out() -> None:
    with serving(Run()) as server, contextlib.ExitStack() as stack:
        for _ in range(3 * QUICK.connections):
            idle = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            stack.enter_context(idle).sendall(b"GET")
        began = time.monotonic()
        assert ask(server).status == 200
        assert 0.2 < time.monotonic() - began < 4
        assert threading.active_count() < 3 + 2 * QUICK.connections


def test_who_does_not_take_the_answer_is_left() -> None:
    run = Run(data={"x": "y" * (32 << 20)})
    with serving(run) as server:
        request = f"GET /data.json HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(request)
            assert connection.recv(1)
            stop = time.monotonic() + 5
            while threads_of_connections() and time.monotonic() < stop:
                time.sleep(0.02)
            assert not threads_of_connections()


def threads_of_connections() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if "process_request_thread" in one.name]


# ---- fresh data -----------------------------------------------------------------------


def together(function: Callable[[], Any], times: int) -> list[Any]:
    """What ``function`` gives to so many threads at once."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(function())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_many_clients_cause_one_read() -> None:
    run = Run(wait=lambda: time.sleep(0.1))
    fresh = Fresh(run.source(), QUICK)
    found = together(fresh.get, 12)
    assert len(found) == 12 and {one.body for one in found} == {b'{"rows":1}'}
    assert run.reads == 1


def test_while_one_thread_reads_others_get_the_last_data() -> None:
    entered, go_on = threading.Event(), threading.Event()
    run = Run()
    fresh = Fresh(run.source(), QUICK)
    fresh.get()

    def wait() -> None:
        entered.set()
        go_on.wait(10)

    run.wait = wait
    run.change({"rows": 2})
    reader = threading.Thread(target=fresh.get)
    reader.start()
    assert entered.wait(10)
    assert fresh.get().data == {"rows": 1}
    go_on.set()
    reader.join()
    assert fresh.get().data == {"rows": 2} and run.reads == 2


def test_it_is_read_again_only_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = Run()
    fresh = Fresh(run.source(), Limits(pause_seconds=2.0, rest=4.0))

    def at(seconds: float) -> int:
        now[0] = 100 + seconds
        run.change({})
        fresh.get()
        return run.reads

    assert [at(0), at(1.9), at(2.0), at(3.9), at(4.0)] == [1, 1, 2, 2, 3]
    run.wait = lambda: now.__setitem__(0, now[0] + 10)  # reading takes ten seconds from now on
    assert [at(6.0), at(55.9), at(56.0)] == [4, 4, 5]


def test_what_has_not_changed_is_not_read_again() -> None:
    run = Run()
    fresh = Fresh(run.source(), QUICK)
    assert fresh.get() is fresh.get() and run.reads == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CorruptDataError("shard x: its\nsha256"), "shard x: its sha256"),
        (FileNotFoundError(2, "No such file or directory", "a"), "No such file or directory: 'a'"),
        (KeyError(), "KeyError"),
        (MemoryError(), "MemoryError"),
        (ValueError("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>"),
        (ValueError("\ud800"), "?"),
    ],
)  # fmt: skip
def test_what_ails_the_run_is_said_and_passes(error: Exception, line: str) -> None:
    run = Run(error=error)
    with serving(run) as server:
        first = ask(server)
        assert first.status == 503 and first.headers["Refresh"] == "3"
        assert first.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert first.body.startswith(b"This cannot be read just now: ")
        assert first.body.endswith(f"{line}\n".encode()) and first.body.count(b"\n") == 1
        run.error = None
        assert ask(server).status == ask(server, "/data.json").status == 200
        run.error, run.state = error, 1
        data = ask(server, "/data.json")
        assert data.status == 503 and json.loads(data.body)["error"].endswith(line)
        assert "ETag" not in data.headers
        assert ask(server).status == 200  # with the last good data
        run.error, run.state = None, 0  # as it was before
        assert json.loads(ask(server, "/data.json").body) == run.data


def test_data_that_json_does_not_have_are_an_error_too() -> None:
    run = Run(data={"x": float("nan")})
    with serving(run) as server:
        assert b"not JSON compliant" in ask(server, "/data.json").body


def test_a_page_that_cannot_be_made_does_not_end_the_server(server: LiveServer) -> None:
    def broken(_: Any) -> bytes:
        raise RuntimeError("x")

    with LiveServer(Source(dict, broken, int), limits=QUICK) as other:
        found, _ = other.answer(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{other.port}\r\n\r\n".encode())
        assert (found.status, found.body) == (500, b"500 Internal Server Error\n")


def test_it_listens_on_this_machine_only(server: LiveServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match="in use"):
        LiveServer(Run().source(), server.port)


def test_at_port_80_the_host_may_lack_its_number() -> None:
    request = protocol.parse(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    protocol.check(request, 80)
    with pytest.raises(protocol.RefusedError):
        protocol.check(request, 8080)


def test_files_beside_it_are_out_of_reach(tmp_path: Path, server: LiveServer) -> None:
    """A server in the folder of a secret gives it to nobody, whatever the path."""
    (tmp_path / "secret").write_text("x")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        for target in (
            "/secret",
            "secret",
            "./secret",
            f"{tmp_path}/secret",
            f"/{tmp_path}/secret",
        ):
            assert ask(server, target).status == 404
    finally:
        os.chdir(before)

"""``combsearch show RUN --live``: a run is served while it goes on, and is left as it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from searching import combsearch, finish, tree, with_a_run

from combsearch import cli
from combsearch.commands.show_live import source_of
from combsearch.report.live.protocol import Answer
from combsearch.report.live.server import Limits, LiveServer, Source

Capture = pytest.CaptureFixture[str]
EAGER = Limits(pause_seconds=0.0, rest=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task and a run of it."""
    return with_a_run(tmp_path_factory.mktemp("live"))


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fresh copy of the run."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("runs/one")


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").iterdir())


def everything(folder: Path) -> tuple[dict[str, bytes], dict[str, int]]:
    """Contents of all files below ``folder``, and times of all that is there."""
    times = {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    return tree(folder), times


def get(server: LiveServer, target: str, **headers: str) -> Answer:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{lines}\r\n"
    return server.answer(head.encode())[0]


def data(server: LiveServer) -> Any:
    return json.loads(get(server, "/data.json").body)


# ---- the run --------------------------------------------------------------------------


def test_a_run_that_goes_on_is_read_anew(folder: Path) -> None:
    later = [path.rename(Path(path.name)) for path in shards(folder)[3:]]
    with LiveServer(source_of(folder), limits=EAGER) as server:
        first = get(server, "/data.json")
        before = json.loads(first.body)
        assert before["progress"]["done"] == 3 and not before["finished"]
        (folder / "shards" / ".combsearch-00000000-1-00000000.tmp").write_bytes(b"half")
        again = get(server, "/data.json", if_none_match=first.headers["ETag"])
        assert again.status == 304
        for path in later:
            path.rename(folder / "shards" / path.name)
        now = data(server)
        assert now["progress"]["done"] == 9 and now["finished"]
        page = get(server, "/").body
        assert page.startswith(b"<!doctype html>") and b"Live.begin();" in page


def test_time_alone_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(folder)
    first, state = source.read(), source.state()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    assert source.read() == first and source.state() == state


def test_serving_writes_nothing(folder: Path) -> None:
    before = everything(Path("."))
    with LiveServer(source_of(folder), limits=EAGER) as server:
        for target in ("/", "/data.json", "/run.json", "/../clouds.csv"):
            get(server, target)
    assert everything(Path(".")) == before


def test_a_damaged_shard_is_named_and_stays_where_it_is(folder: Path) -> None:
    shard = shards(folder)[2]
    sound = shard.read_bytes()
    with LiveServer(source_of(folder), limits=EAGER) as server:
        good = data(server)
        shard.write_bytes(sound[:-1] + b"x")
        before = everything(folder)
        answer = get(server, "/data.json")
        assert answer.status == 503 and "its sha256 is not" in json.loads(answer.body)["error"]
        assert get(server, "/").status == 200  # as it was
        assert everything(folder) == before and not (folder / "quarantine").exists()
        shard.write_bytes(sound)
        assert data(server) == good


def test_a_run_that_is_taken_away_may_come_back(folder: Path) -> None:
    with LiveServer(source_of(folder), limits=EAGER) as server:
        good = data(server)
        folder.rename("away")
        assert "no run in runs/one" in data(server)["error"]
        assert not folder.exists()
        Path("away").rename(folder)
        assert data(server) == good


# ---- the command ----------------------------------------------------------------------


def served(monkeypatch: pytest.MonkeyPatch, capsys: Capture, *arguments: str) -> str:
    """What the command says when it begins to serve, which it does not."""
    monkeypatch.setattr(LiveServer, "serve_forever", lambda *_, **__: None)
    capsys.readouterr()
    assert cli.main(["show", "one", "--live", *arguments]) == 0
    return capsys.readouterr().out


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_it_says_where(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    port = free_port()
    said = served(monkeypatch, capsys, f"--port={port}")
    assert said == f"serving runs/one at http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    assert "127.0.0.1:0/" not in served(monkeypatch, capsys)


def error_of(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(["show", "one", "--live", *arguments]) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1
    return found.err


def test_a_port_that_is_taken(capsys: Capture) -> None:
    with LiveServer(Source(dict, lambda _: b"", int)) as other:
        said = error_of(capsys, f"--port={other.port}")
        assert f"--port {other.port}: another program listens there; give another" in said


def test_a_port_that_is_kept(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: LiveServer) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LiveServer, "server_bind", refused)
    assert "--port 80: it is kept for the administrator" in error_of(capsys, "--port=80")


def test_a_damaged_run_is_not_served(capsys: Capture, folder: Path) -> None:
    (folder / "run.json").write_text("{")
    assert cli.main(["show", "one", "--live"]) == 4
    assert "run.json" in capsys.readouterr().err


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A server as a process of its own; it has ended when the test has."""
    found = combsearch("show", "one", "--live", "--json")
    yield found
    if found.poll() is None:
        found.kill()
        found.communicate()


def test_it_serves_until_ctrl_c(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    report = json.loads(process.stdout.readline())
    url = report.pop("url")
    assert report == {"command": "show", "page": "live", "run_folder": "runs/one"}
    with urllib.request.urlopen(url + "data.json", timeout=30) as answer:
        assert json.load(answer)["name"] == "one"
    port = int(url.rstrip("/").rpartition(":")[2])
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)):  # somebody is connected
        os.kill(process.pid, signal.SIGINT)
        assert finish(process) == (0, "", "")
    assert time.monotonic() - began < 5
    with LiveServer(source_of(Path("runs/one")), port):
        pass  # the port is free again

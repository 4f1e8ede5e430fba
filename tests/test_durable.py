from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from combsearch import durable
from combsearch.errors import CombsearchError, NoSpaceError, UsageError

DATA = b"0123456789" * 100


def failing(number: int, at: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """``real``, which raises the OSError ``number`` from its call ``at`` on."""
    calls = []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) > at:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    return call


def test_write_bytes_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "best.npz"
    durable.write_bytes(path, b"old")
    durable.write_bytes(str(path), memoryview(DATA))
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["best.npz"]


def test_write_json_reads_back(tmp_path: Path) -> None:
    value = {"bound": 31, "né": [1.5, None, "x"], "nested": {"a": True}}
    durable.write_json(tmp_path / "summary.json", value)
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text) == value
    assert text.endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        durable.write_json(tmp_path / "summary.json", {"a": float("nan")})
    assert (tmp_path / "summary.json").read_text() == text


def test_the_first_commit_wins(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert durable.commit_new(path, b"first")
    assert not durable.commit_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize(
    ("commit", "name"), [(durable.commit_new, "link"), (durable.write_bytes, "replace")]
)
def test_data_reach_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: Callable[..., Any], name: str
) -> None:
    calls = []

    def traced(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(first: Any, *more: Any, **named: Any) -> Any:
            kind = ""
            if call == "fsync":
                kind = " folder" if stat.S_ISDIR(os.fstat(first).st_mode) else " file"
            calls.append(call + kind)
            return real(first, *more, **named)

        return run

    with monkeypatch.context() as patch:
        for call in ("write", "fsync", "link", "replace"):
            patch.setattr(os, call, traced(call, getattr(os, call)))
        commit(tmp_path / "a", DATA)
    assert calls == ["write", "fsync file", name, "fsync folder"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_links_a_commit_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number, 0, os.link))
    assert durable.commit_new(tmp_path / "a", b"first")
    assert not durable.commit_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


def test_a_write_that_takes_only_a_part_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
        durable.write_bytes(tmp_path / "a", DATA)
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "a"
    durable.write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number, 0, getattr(os, call)))
        with pytest.raises(NoSpaceError, match=r"a: .*; everything committed .* is valid"):
            durable.write_bytes(path, DATA)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_disk_that_fills_up_within_a_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    partly = failing(errno.ENOSPC, 3, lambda handle, data: write(handle, data[:9]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", partly)
        with pytest.raises(NoSpaceError):
            durable.commit_new(tmp_path / "a", DATA)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EROFS, UsageError), (errno.EACCES, UsageError), (errno.EIO, CombsearchError)],
)
def test_other_failures_name_the_path_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CombsearchError]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(number, 0, os.open))
        with pytest.raises(kind, match=os.strerror(number)) as caught:
            durable.check_folder_writable(tmp_path)
    assert type(caught.value) is kind
    assert str(tmp_path) in str(caught.value)


def test_an_absent_folder_and_a_file_for_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        durable.write_bytes(tmp_path / "absent" / "a", b"")
    (tmp_path / "file").write_bytes(b"")
    for use in (durable.make_folder, durable.check_folder_writable):
        with pytest.raises(UsageError, match="file"):
            use(tmp_path / "file")
    with pytest.raises(UsageError, match="too long"):
        durable.write_bytes(tmp_path / ("x" * 300), b"")


def test_make_folder_makes_parents_and_accepts_what_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        durable.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    durable.check_folder_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def leftover(folder: Path, machine: str, process: int, age: float = 0) -> str:
    path = folder / f".combsearch-{machine}-{process}-01234567.tmp"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path.name


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    here, dead = durable._machine(), dead_process()
    gone = {leftover(tmp_path, here, dead), leftover(tmp_path, "0" * 8, 1, age=2 * 86_400)}
    stay = {
        leftover(tmp_path, here, os.getpid()),
        leftover(tmp_path, "0" * 8, dead),  # another machine's process of that number may live
    }
    for name in (".DS_Store", "a.tmp", f".combsearch-{here}-{dead}-01234567.tmp~"):
        (tmp_path / name).write_bytes(b"")
        stay.add(name)
    folder = tmp_path / f".combsearch-{here}-{dead}-89abcdef.tmp"
    folder.mkdir()
    assert set(durable.remove_leftovers(tmp_path)) == gone
    assert set(os.listdir(tmp_path)) == stay | {folder.name}
    assert durable.remove_leftovers(tmp_path / "absent") == []


KILLED = """
import os, signal, sys
from pathlib import Path
from combsearch import durable

folder = Path(sys.argv[1])
at_calls = [(name, nth) for name in ("open", "write", "link", "replace", "unlink")
            for nth in (1,)] + [("fsync", 1), ("fsync", 2)]
for name, nth in at_calls:
    for commit in (durable.commit_new, durable.write_bytes):
        for when in ("before", "after"):
            child = os.fork()
            if child == 0:
                real, calls = getattr(os, name), []
                def killed(*args, **kwargs):
                    calls.append(0)
                    if len(calls) != nth:
                        return real(*args, **kwargs)
                    if when == "after":
                        real(*args, **kwargs)
                    os.kill(os.getpid(), signal.SIGKILL)
                setattr(os, name, killed)
                commit(folder / f"{commit.__name__}-{name}-{nth}-{when}", b"whole" * 99)
                os._exit(0)
            os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_call_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True, env=env, timeout=60)
    names = set(os.listdir(tmp_path))
    temporary = {name for name in names if durable.is_temporary(name)}
    assert len(temporary) > 8
    committed = names - temporary
    assert "commit_new-link-1-after" in committed and "write_bytes-replace-1-after" in committed
    assert "commit_new-link-1-before" not in committed
    assert all((tmp_path / name).read_bytes() == b"whole" * 99 for name in committed)
    assert set(durable.remove_leftovers(tmp_path)) == temporary
    assert all((tmp_path / name).read_bytes() == b"whole" * 99 for name in committed)


def test_a_file_or_folder_is_moved_into_place(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    durable.move_into_place(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new" and not (tmp_path / "new").exists()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_bytes(b"x")
    durable.move_into_place(tmp_path / "folder", tmp_path / "place")
    assert (tmp_path / "place" / "x").read_bytes() == b"x"
    with pytest.raises(UsageError, match=r"cannot use .*absent/x: No such file"):
        durable.move_into_place(tmp_path / "old", tmp_path / "absent" / "x")

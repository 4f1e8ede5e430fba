from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from store_worker import IDENTITY

from combsearch import runfile
from combsearch.errors import CorruptDataError, RunMismatchError, UsageError


def test_an_identity_reads_back_whatever_the_order_of_its_keys(tmp_path: Path) -> None:
    made = runfile.create_identity(tmp_path / "a" / "run", IDENTITY)
    assert made == IDENTITY == runfile.read_identity(tmp_path / "a" / "run")
    turned = dict(reversed(IDENTITY.items()))
    assert runfile.identity_digest(turned) == runfile.identity_digest(IDENTITY)
    assert runfile.read_identity(tmp_path) is None


def test_the_quicker_process_decides_the_identity(tmp_path: Path) -> None:
    runfile.create_identity(tmp_path, IDENTITY)
    assert runfile.create_identity(tmp_path, {"numerics": 9}) == IDENTITY


def test_every_bit_of_run_json_counts(tmp_path: Path) -> None:
    runfile.create_identity(tmp_path, IDENTITY)
    path = tmp_path / "run.json"
    good = path.read_bytes()
    for place in range(0, len(good), 3):
        for bit in (0, 4):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            try:
                found = runfile.read_identity(tmp_path)
            except (CorruptDataError, RunMismatchError):
                continue
            assert found == IDENTITY and good[place : place + 1].isspace()
    for length in range(len(good) - 2):
        path.write_bytes(good[:length])
        with pytest.raises(CorruptDataError, match=r"run\.json: .*; delete that file and repeat"):
            runfile.read_identity(tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"3", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}', b"9" * 5000],
)
def test_a_hostile_run_json_is_corrupt(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(CorruptDataError, match="cannot be parsed"):
        runfile.read_identity(tmp_path)


def test_an_edited_run_json_is_corrupt_and_a_newer_one_another_run(tmp_path: Path) -> None:
    runfile.create_identity(tmp_path, IDENTITY)
    path = tmp_path / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "identity": {**IDENTITY, "numerics": 4}}))
    with pytest.raises(CorruptDataError, match="damaged or edited"):
        runfile.read_identity(tmp_path)
    path.write_text(json.dumps({**facts, "format": 2}))
    with pytest.raises(RunMismatchError, match="format 2, this combsearch reads 1"):
        runfile.read_identity(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match=r"run\.json: Is a directory"):
        runfile.read_identity(tmp_path)


def test_a_difference_names_each_field_with_both_values() -> None:
    other = {**IDENTITY, "config": {**IDENTITY["config"], "width": 32, "full": True}, "numerics": 4}
    del other["task_digest"]
    with pytest.raises(RunMismatchError) as caught:
        runfile.check_same(Path("runs/a"), other, IDENTITY)
    message = str(caught.value)
    for part in (
        "runs/a belongs to another run; config.full: this command true, run folder its default; ",
        "; config.width: this command 32, run folder 16; ",
        "; numerics: this command 4, run folder 3; ",
        f'; task_digest: this command nothing, run folder "{"0f" * 32}"; ',
        "; repeat the command that made it, or choose another run folder",
    ):
        assert part in message
    assert "cells" not in message and "command: " not in message and "\n" not in message
    runfile.check_same(Path("runs/a"), IDENTITY, json.loads(json.dumps(IDENTITY)))


@pytest.mark.parametrize(
    ("new", "old"), [({}, {"a": {}}), ({"a": 1}, {"a": 1.0}), ({"a": {}}, {"a": {"b": 0}})]
)
def test_small_differences_are_seen(new: dict[str, Any], old: dict[str, Any]) -> None:
    with pytest.raises(RunMismatchError, match="a"):
        runfile.check_same(Path("r"), new, old)


def test_an_identity_must_be_json_with_numerics() -> None:
    with pytest.raises(UsageError, match="'numerics'"):
        runfile.normal_identity({"command": "phase1"})
    for bad in (float("nan"), Path("x")):
        with pytest.raises(UsageError, match="plain JSON"):
            runfile.normal_identity({"numerics": 1, "config": bad})
    assert runfile.normal_identity({"numerics": 1, "a": (1, 2)}) == {"numerics": 1, "a": [1, 2]}


HOSTILE = [
    *("", " ", ".", "..", "../x", "a/../../x", "a/..", "a/./b", "a//b", "...", "/etc", "/", "//x"),
    *("a\0b", "\0", "a\nb", "a\x1b[2Jb", "a\x7fb", "..\\x", "a\\b", "C:\\x", "C:x", "\\\\host\\x"),
    *("x" * 256, "é" * 128, "a\u202eb", "\udc80", "out", "out/x", "loop", "deep/up/x"),
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_run_names_are_refused(tmp_path: Path, name: str) -> None:
    base = tmp_path / "runs"
    (base / "deep").mkdir(parents=True)
    (base / "out").symlink_to(tmp_path)
    (base / "deep" / "up").symlink_to("../..")
    (base / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"run name .*give a plain name"):
        runfile.run_folder(name, base)


@pytest.mark.parametrize(
    "name", ["phase1-95", "a b", "study/pq", "run/", "é", "~x", "-x", "a..b", ".x", "inside/x"]
)
def test_plain_run_names_are_taken(tmp_path: Path, name: str) -> None:
    base = tmp_path / "link" / "runs"
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert runfile.run_folder(name, base) == base / name  # nothing exists yet
    (base / "here").mkdir(parents=True)
    (base / "inside").symlink_to("here")
    assert runfile.run_folder(name, str(base)) == base / name


def test_runs_nearby_are_named(tmp_path: Path) -> None:
    assert "made by the command" in runfile.near_runs(tmp_path / "x")
    for k in range(10):
        runfile.create_identity(tmp_path / f"phase1-{k}", IDENTITY)
    message = runfile.near_runs(tmp_path / "phase-1")
    assert "did you mean 'phase1-1'" in message
    assert "runs beside it: phase1-0, phase1-1" in message and message.endswith(" and 2 more")
    assert "runs in it: phase1-0" in runfile.near_runs(tmp_path)


def test_bad_paths_are_usage_errors() -> None:
    for bad in ("", "  ", "a\0b"):
        with pytest.raises(UsageError, match="no path of a folder"):
            runfile.plain_path(bad)
    assert runfile.plain_path("a") == Path("a")

"""Marks: what they say, that damaged ones say nothing, and what a search does with them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Generator, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.errors import CombsearchError
from combsearch.marks import Marks
from combsearch.search.course import Course
from combsearch.search.running import Failure, Outcome, run_course
from combsearch.store import Shard

SHARDS = [Shard(10 * k, 10 * k + 10) for k in range(6)]
LEVELS = np.array([7, 7, 8, 8, 9, 9], np.int64)


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    (tmp_path / "shards").mkdir()
    return Marks(tmp_path)


def save(marks: Marks, shard: Shard, kind: str = "0") -> Path:
    name = f"{shard.first:012d}-{shard.last:012d}.{kind * 64}.parquet"
    path = marks.root / "shards" / name
    path.touch()
    return path


def course(found: int | None = None, stops: bool = True) -> Course:
    return Course(SHARDS, LEVELS, np.ones(len(SHARDS)), [], found, stops)


class Scripted:
    """An engine of one process; before each shard it does what the test says of that shard."""

    def __init__(self, script: dict[Shard, Callable[[], Any]] | None = None) -> None:
        self.script, self.given = script or {}, list[Shard]()

    def run(
        self, work: Callable[[Shard], Any], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, Any], None, None]:
        for shard in shards:
            self.given.append(shard)
            result = self.script.get(shard, lambda: None)()
            yield shard, result or work(shard)


@pytest.fixture
def every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are heard after every shard."""
    monkeypatch.setattr("combsearch.search.running._HEAR_SECONDS", -1.0)


def trained(marks: Marks, good: tuple[Shard, ...] = ()) -> Callable[[Shard], Outcome]:
    def work(shard: Shard) -> Outcome:
        save(marks, shard)
        return Outcome(1, int(shard in good), 0.5)

    return work


# ---- what they say --------------------------------------------------------------------


def test_a_failure_says_what_where_when_and_which_log(
    marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMBSEARCH_LOG", raising=False)
    marks.fail(SHARDS[1], "it broke")
    monkeypatch.setenv("COMBSEARCH_LOG", "/logs/3.log")
    marks.fail(SHARDS[0], "it ran out of memory")
    marks.fail(SHARDS[1], "it broke again")
    first, second = marks.failures()
    assert (first.shard, first.reason, first.log) == (
        SHARDS[0],
        "it ran out of memory",
        "/logs/3.log",
    )
    assert (second.shard, second.reason) == (SHARDS[1], "it broke again")
    assert first.host == socket.gethostname()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(first.time)
    assert -2 < age.total_seconds() < 60
    assert sorted(os.listdir(marks.root / "failed")) == [
        "000000000000-000000000010.json", "000000000010-000000000020.json",
    ]  # fmt: skip
    assert marks.failures(saved=[Shard(0, 5), Shard(5, 12)]) == [second]
    marks.clear(SHARDS[0])
    marks.clear(SHARDS[5])  # which has none
    assert marks.failures() == [second]


def test_the_fewest_nonzeros_are_those_of_a_shard_that_is_there(marks: Marks) -> None:
    assert marks.fewest() is None and marks.failures() == []
    few, many = save(marks, SHARDS[0]), save(marks, SHARDS[4], "a")
    marks.succeed(10, many)
    assert marks.fewest() == 10
    marks.succeed(9, few)
    marks.succeed(9, few)
    assert marks.fewest() == 9  # as numbers, not as text
    few.rename(marks.root / few.name)  # as into quarantine
    assert marks.fewest() == 10
    save(marks, SHARDS[0], "b")  # computed again, with other bytes: the mark is not of these
    assert marks.fewest() == 10


REST = b'"reason": "", "host": "", "time": "", "log": null'
NO_MARKS: dict[str, bytes] = {
    "000000000000-000000000010.json": b'{"first": 0, "last": 10, "rea',
    "000000000010-000000000020.json": b'{"first": 10, "last": 30, %s}' % REST,
    "000000000020-000000000030.json": b"[]",
    "000000000030-000000000040.json": b'{"first": 30, "last": 40}',
    "000000000050-000000000050.json": b'{"first": 50, "last": 50, %s}' % REST,
    "000000000060-000000000070.json": b"[" * 100_000,
    "000000000080-000000000090.json": b"\xff\xfe\x00",
    "notes.txt": b"mine",
}  # fmt: skip


def test_what_is_no_mark_is_passed_over(marks: Marks) -> None:
    marks.fail(SHARDS[0], "good")
    for name, data in NO_MARKS.items():
        (marks.root / "failed" / name).write_bytes(data)
    (marks.root / "failed" / "000000000090-000000000100.json").mkdir()
    assert marks.failures() == []  # the good one was overwritten by a torn one
    marks.fail(SHARDS[0], "good")
    assert [mark.reason for mark in marks.failures()] == ["good"]
    (marks.root / "success").mkdir()
    file = save(marks, SHARDS[0])
    for name in ("x", f"-3.{file.name}", f"{'9' * 40}.{file.name}", "3.", "3.../run.json", "٣.x"):
        (marks.root / "success" / name.replace("/", "∕")).touch()
    (marks.root / "success" / f"5.{file.name}.tmp").touch()
    assert marks.fewest() is None
    (marks.root / "shards" / file.name).unlink()
    (marks.root / "shards" / file.name).mkdir()
    marks.succeed(4, file)
    assert marks.fewest() is None


def test_marks_that_cannot_be_written_stop_nothing(marks: Marks) -> None:
    (marks.root / "failed").write_text("in the way")
    (marks.root / "success").write_text("in the way")
    marks.fail(SHARDS[0], "it broke")
    marks.succeed(3, save(marks, SHARDS[0]))
    marks.clear(SHARDS[0])
    assert marks.failures() == [] and marks.fewest() is None


# ---- what a search does with them -----------------------------------------------------


def test_a_shard_that_is_given_up_is_marked_and_the_search_goes_on(marks: Marks) -> None:
    watched = []
    engine = Scripted({SHARDS[1]: lambda: Failure("out of luck")})
    with pytest.raises(CombsearchError, match=r"1 of the shards .* 10 to 19: out of luck"):
        run_course(trained(marks), course(), engine, lambda s, _: watched.append(s), marks)
    assert (
        watched
        == [shard for shard in SHARDS if shard != SHARDS[1]]
        == engine.given[:1] + SHARDS[2:]
    )
    [mark] = marks.failures()
    assert (mark.shard, mark.reason) == (SHARDS[1], "out of luck")
    run_course(trained(marks), course(), Scripted(), lambda *_: None, marks)
    assert marks.failures() == []


def test_a_success_is_marked_with_the_file_that_holds_it(marks: Marks) -> None:
    other = save(marks, Shard(20, 21))
    run_course(trained(marks, (SHARDS[3],)), course(), Scripted(), lambda *_: None, marks)
    [name] = os.listdir(marks.root / "success")
    assert name.startswith("8.000000000030-000000000040.") and name != f"8.{other.name}"
    assert marks.fewest() == 8
    for found, stops in ((8, True), (None, False)):  # nothing new, or nothing that ends a search
        (marks.root / "success" / name).unlink(missing_ok=True)
        run_course(
            trained(marks, (SHARDS[3],)), course(found, stops), Scripted(), lambda *_: None, marks
        )
        assert os.listdir(marks.root / "success") == []


@pytest.mark.usefixtures("every_time")
def test_what_others_find_ends_the_search(marks: Marks) -> None:
    def other() -> None:
        marks.succeed(8, save(marks, Shard(20, 25)))

    engine = Scripted({SHARDS[0]: other})
    run_course(trained(marks), course(), engine, lambda *_: None, marks)
    assert engine.given == SHARDS[:4]
    again = Scripted()
    begun = course()
    begun.keep_to(SHARDS[4:])
    run_course(trained(marks), begun, again, lambda *_: None, marks)
    assert again.given == []  # above the level that closed: nothing to do
    deaf = Scripted()
    run_course(trained(marks), course(), deaf, lambda *_: None)
    assert deaf.given == SHARDS


def test_others_are_asked_now_and_then(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Marks] = []
    monkeypatch.setattr("combsearch.search.running._HEAR_SECONDS", 3600.0)

    def fewest(asking: Marks) -> None:
        asked.append(asking)

    monkeypatch.setattr(Marks, "fewest", fewest)
    run_course(trained(marks), course(), Scripted(), lambda *_: None, marks)
    assert asked == [marks]


def test_marks_are_json_that_others_can_read(marks: Marks) -> None:
    marks.fail(SHARDS[2], "why")
    found = json.loads((marks.root / "failed" / "000000000020-000000000030.json").read_text())
    assert sorted(found) == ["first", "host", "last", "log", "reason", "time"]
    assert (found["first"], found["last"], found["reason"]) == (20, 30, "why")

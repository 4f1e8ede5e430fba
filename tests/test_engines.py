"""Engines: every shard once, failures, and processes that end when they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_work
import pytest
from engine_work import SHARDS, Measured, Told
from joblib.externals.loky import process_executor
from searching import finish, gone, python, small_config, workers, write_task

from combsearch.engines import InlineEngine, LocalEngine, cores, local_engine
from combsearch.engines.attempts import Lost, Queue
from combsearch.engines.pool import signals_held, worker_pool
from combsearch.errors import CombsearchError, NoSpaceError, UsageError
from combsearch.search.phase1 import Failure, Plan, Work
from combsearch.store import RunStore, Shard


@pytest.mark.parametrize("engine", [InlineEngine(), LocalEngine(2)])
def test_every_shard_is_worked_on_once_and_asked_for_late(
    engine: InlineEngine | LocalEngine, tmp_path: Path
) -> None:
    taken, finished = [], []

    def source() -> Iterator[Shard]:
        for shard in SHARDS:
            taken.append(shard)
            yield shard

    work, jobs = Told(tmp_path), 2 if isinstance(engine, LocalEngine) else 1
    for shard, result in engine.run(work, source()):
        assert isinstance(result, dict)
        finished.append(shard)
        assert len(taken) <= len(finished) + jobs - 1
        assert (result["pid"] == os.getpid()) == (jobs == 1)
        if jobs == 2:
            assert result["parent"] == os.getpid() and result["threads"] == "1"
            assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1} <= set(result["blocked"])
            assert result["output_is_error"]
    assert sorted(finished) == SHARDS
    assert [work.calls(shard) for shard in SHARDS] == [1] * len(SHARDS)


@pytest.mark.parametrize("error", [UsageError("bad task"), NoSpaceError("disk full"), KeyError(5)])
def test_what_work_raises_ends_the_search(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error), match=str(error)):
        list(InlineEngine().run(Told(tmp_path, error=error), SHARDS))


def test_what_work_raises_in_a_process_ends_the_search_and_the_processes(tmp_path: Path) -> None:
    pids, work = set(), Told(tmp_path, error=NoSpaceError("disk full"))

    def collect() -> None:
        for _, result in LocalEngine(2).run(work, SHARDS):
            assert isinstance(result, dict)
            pids.add(result["pid"])

    with pytest.raises(NoSpaceError, match="disk full"):
        collect()
    assert pids and not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_memory_that_runs_out_gives_up_a_shard_at_last(tmp_path: Path) -> None:
    work = Told(tmp_path, no_memory=(4,))
    found = dict(InlineEngine().run(work, SHARDS))
    assert found[Shard(4, 6)] == Failure("in each of 4 tries it ran out of memory")
    assert len(found) == len(SHARDS) and work.calls(Shard(4, 6)) == 4
    found = dict(LocalEngine(2).run(work, SHARDS))
    assert found[Shard(4, 6)] == Failure("in each of 4 tries it ran out of memory")
    assert sum(isinstance(result, Failure) for result in found.values()) == 1
    assert work.calls(Shard(4, 6)) == 4 + 4 and work.calls(Shard(6, 8)) == 1 + 1


def test_a_killed_worker_is_replaced_and_the_one_shard_that_kills_is_given_up(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    work = Told(tmp_path, kill=(8,), kill_once=(2,))
    found = list(LocalEngine(2, said.append).run(work, SHARDS))
    assert sorted(shard for shard, _ in found) == SHARDS  # each reported once
    [(shard, failure)] = [pair for pair in found if isinstance(pair[1], Failure)]
    assert shard == Shard(8, 10) and isinstance(failure, Failure)
    assert failure.reason == "in each of 4 tries a worker process was killed, maybe for memory"
    # A death is a try of all that is in work. That of (2, 4) may be one of (8, 10) too, which has
    # begun by then or not. (2, 4) succeeds when it comes again, or, if (8, 10) ended that before
    # the result was here, the time after: alone, as whatever was in work at two deaths.
    assert (len(said), work.calls(shard)) in {(5, 4), (4, 4), (4, 3)}
    assert work.calls(Shard(2, 4)) in (2, 3)
    assert all(1 <= work.calls(other) <= 3 for other in SHARDS if other != shard)
    assert len(set(said)) == 1
    assert said[0] == "a worker process was killed; what it worked on is computed again"


def test_a_shard_that_failed_twice_runs_alone() -> None:
    queue = Queue(iter(SHARDS))
    first, second = queue.take(), queue.take()
    assert [first, second] == SHARDS[:2]
    assert list(queue.all_failed(Lost("x"))) == []
    assert [queue.take(), queue.take()] == SHARDS[:2]  # once more side by side
    assert list(queue.all_failed(Lost("x"))) == []
    assert queue.take() == SHARDS[0] and queue.take() is None
    queue.finished(SHARDS[0])
    assert queue.take() == SHARDS[1] and queue.take() is None
    assert list(queue.all_failed(Lost("x"))) == []
    assert queue.take() == SHARDS[1]
    assert list(queue.all_failed(Lost("it broke"))) == [
        (SHARDS[1], Failure("in each of 4 tries it broke"))
    ]
    assert [queue.take(), queue.take()] == SHARDS[2:4]  # the others go on as before


def test_workers_that_die_whatever_they_do_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("combsearch.engines.local._POOL_DEATHS", 2)
    work = Told(tmp_path, kill=tuple(range(24)))
    with pytest.raises(CombsearchError, match="killed 2 times in a row"):
        list(LocalEngine(1).run(work, SHARDS))


def test_one_process_works_here_and_several_apart() -> None:
    assert local_engine(1, print) == InlineEngine()
    assert local_engine(3, print) == LocalEngine(3, print)
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_a_pool_that_ends_badly_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def stumble(thread: Any, reason: str = "") -> None:
        ended.append(thread)
        raise RuntimeError("over a process that is gone")

    monkeypatch.setattr(process_executor._ExecutorManagerThread, "kill_workers", stumble)
    before = threading.excepthook
    with worker_pool(1) as pool, signals_held():
        pool.submit(time.sleep, 60)
    assert ended and not ended[0].is_alive() and threading.excepthook is before


def test_signals_wait_while_processes_are_started() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    # What starts the tests may have left Ctrl-C ignored.
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
            assert came == []
        assert set(came) == {signal.SIGUSR1}
        after: list[str] = []

        def interrupted() -> None:
            with signals_held():
                signal.raise_signal(signal.SIGINT)
                after.append("not at once")

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert after == ["not at once"]
        came.clear()
        other = threading.Thread(target=time.sleep, args=(0.2,))
        other.start()  # it does not hold back what is sent to it
        with signals_held():
            signal.pthread_kill(other.ident or 0, signal.SIGUSR1)
            time.sleep(0.05)
            assert came == []
        assert came == [signal.SIGUSR1]
        other.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGINT, ctrl_c)


def coordinator(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    *options, work = arguments
    return python(*options, str(engine_work.__file__), work, env=environment)


def test_workers_end_with_a_coordinator_that_is_killed_and_nothing_is_said() -> None:
    process = coordinator("slow")  # warnings are shown, if there are any
    assert process.stdout is not None
    pids = {json.loads(process.stdout.readline())["pid"] for _ in range(2)}
    assert pids and pids <= set(workers(process.pid))
    process.kill()
    assert gone(process.pid, within=15)
    assert finish(process)[1:] == ("", "")


def test_processes_end_quietly_even_where_no_tool_lists_them() -> None:
    code, out, err = finish(coordinator("-W", "error", "facts", PATH="/nonexistent"))
    assert (code, err) == (0, "") and len(out.splitlines()) == len(SHARDS)


def test_a_worker_that_trains_needs_no_torch_and_keeps_its_memory(tmp_path: Path) -> None:
    config = small_config(write_task(tmp_path / "clouds.csv"), width=18, full=True, epochs=2)
    plan = Plan.of(config)
    store = RunStore.open(tmp_path / "run", plan.identity())
    shards = (Shard(rank, rank + 1) for rank in range(len(plan.grid)))
    sizes, modules = [], set()
    for _, result in LocalEngine(1).run(Measured(Work(config, store)), shards):
        assert isinstance(result, tuple)
        sizes.append(result[0])
        modules = set(result[1])
    assert len(sizes) == 324
    assert {"torch", "matplotlib", "scipy.stats", "rich"} & modules == set()
    assert max(sizes[-20:]) - max(sizes[20:60]) < 8e6

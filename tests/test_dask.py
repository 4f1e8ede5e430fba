"""The Dask engine: a real scheduler and a real worker over TCP, and what goes wrong with them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_work
import numpy as np
import pytest
from dask_cluster import Cluster, cluster
from engine_work import SHARDS, Halving, Stored, Told
from soak.dask_workers import dask_soak
from soaking import QUICK, prepare

from combsearch.engines import DaskEngine, get_engine
from combsearch.engines.local import LocalEngine
from combsearch.errors import CombsearchError, NoSpaceError, UsageError
from combsearch.search.running import Failure, run_course
from combsearch.store import Shard
from combsearch.studies.course import NONE, RoundsCourse

NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A worker that is not forgiven: what it was killed by is not tried again by Dask."""
    with cluster(tmp_path_factory.mktemp("dask"), workers=1, allowed_failures=0) as found:
        yield found


def engine(one: Cluster, said: list[str] | None = None) -> DaskEngine:
    return DaskEngine(one.address, print if said is None else said.append)


def test_every_shard_is_worked_on_once_and_asked_for_late(one: Cluster, tmp_path: Path) -> None:
    taken, finished, pids = [], [], set()

    def source() -> Iterator[Shard]:
        for shard in SHARDS:
            taken.append(shard)
            yield shard

    work = Told(tmp_path)
    for shard, result in engine(one).run(work, source()):
        assert isinstance(result, dict)
        pids.add(result["pid"])
        finished.append(shard)
        assert len(taken) <= len(finished) + 2
    assert sorted(finished) == SHARDS and len(pids) == 1 and os.getpid() not in pids
    assert [work.calls(shard) for shard in SHARDS] == [1] * len(SHARDS)


def test_what_work_raises_ends_the_search(one: Cluster, tmp_path: Path) -> None:
    work = Told(tmp_path, error=NoSpaceError("disk full"))
    with pytest.raises(NoSpaceError, match="disk full"):
        list(engine(one).run(work, SHARDS))
    assert work.calls(SHARDS[-1]) == 0


def test_memory_that_runs_out_halves_and_gives_up_at_last(one: Cluster, tmp_path: Path) -> None:
    said: list[str] = []
    found = dict(engine(one, said).run(Halving(tmp_path, {4: 2, 16: 4}), SHARDS))
    assert found.pop(Shard(16, 18)) == Failure(
        "in each of 4 tries it ran out of memory (needs 4 halvings)"
    )
    assert found == {s: 2 if s.first == 4 else 0 for s in SHARDS if s.first != 16}
    assert said.count("ranks 4 to 5 are tried again, smaller") == 2 and len(said) == 2 + 3


def test_a_shard_that_kills_workers_is_given_up_and_no_other_one(
    one: Cluster, tmp_path: Path
) -> None:
    work = Halving(tmp_path, {2: 9}, kill=True)
    found = dict(engine(one).run(work, SHARDS[:6]))
    assert found.pop(Shard(2, 4)) == Failure(
        "again and again workers that had it were killed, maybe for memory"
    )
    assert sorted(found) == [shard for shard in SHARDS[:6] if shard.first != 2]
    tried = (tmp_path / "tried").read_text().split()
    assert [word for word in tried if word[0] == "2"] == ["2:0", "2:2"]


def test_rounds_go_on_when_others_are_saved(one: Cluster, tmp_path: Path) -> None:
    before = np.array([NONE, NONE, *range(10)], np.int64)  # two chains of six rounds
    course, order = RoundsCourse(SHARDS, before, []), list[Shard]()
    run_course(engine_work.one_run, course, engine(one), lambda shard, _: order.append(shard))
    assert sorted(order) == SHARDS and course.complete()
    assert order[::2] == sorted(order[::2]) or order == SHARDS
    for place, shard in enumerate(SHARDS[2:], 2):
        assert order.index(SHARDS[before[place]]) < order.index(shard)


def test_a_worker_works_in_the_folder_of_the_command(
    one: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    [(_, found)] = engine(one).run(Stored(Path("run")), SHARDS[:1])
    assert found == str(tmp_path)


def test_a_worker_that_does_not_see_the_run_says_so(one: Cluster, tmp_path: Path) -> None:
    absent = tmp_path / "elsewhere"
    with pytest.raises(
        UsageError, match=rf"worker on .* does not see the run folder {absent}: .*--runs"
    ):
        list(engine(one).run(Stored(absent), SHARDS))


def test_a_cluster_that_cannot_load_the_work_says_so(
    one: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def work(shard):\n    return shard\n")
    monkeypatch.syspath_prepend(tmp_path)
    work: Any = __import__("only_here").work
    with pytest.raises(
        CombsearchError, match=r"could not load the work \(.*: its scheduler and its workers"
    ):
        list(engine(one).run(work, SHARDS))


def test_without_one_of_two_workers_a_command_ends_with_the_same_digest(tmp_path: Path) -> None:
    searches = {"quick": (*QUICK, "--restarts=16", "--epochs=20")}
    figures = dask_soak(prepare(tmp_path), 1, searches=searches, faults=("node",), watched=False)
    assert figures["digests_equal_to_the_undisturbed_local_run"] == 1


def test_a_scheduler_that_is_gone_while_workers_are_waited_for(tmp_path: Path) -> None:
    with cluster(tmp_path, workers=0) as found:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            threading.Timer(0.2, found.scheduler.kill).start()

        with pytest.raises(
            CombsearchError, match=f"scheduler at {found.address} is gone; .* saved"
        ):
            list(DaskEngine(found.address, say).run(engine_work.facts, SHARDS))
    assert said == [f"no worker is connected to {found.address}: waiting for one"]


# ---- without a cluster ----------------------------------------------------------------


@pytest.mark.parametrize("address", ["nowhere", "ftp://node1:21", "tcp://node1", "node 1:8786", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="must be as tcp://node1:8786"):
        list(DaskEngine(address).run(engine_work.facts, SHARDS))


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("combsearch.engines.dask._CONNECT_SECONDS", 0.3)
    before = logging.getLogger("distributed").level
    with pytest.raises(CombsearchError, match=f"no Dask scheduler answers at {NOBODY}"):
        list(DaskEngine(NOBODY).run(engine_work.facts, SHARDS))
    assert logging.getLogger("distributed").level == before


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'combsearch\[cluster\]'"):
        list(DaskEngine(NOBODY).run(engine_work.facts, SHARDS))


def test_engines_by_name() -> None:
    assert get_engine("dask", 3, print, 0, NOBODY) == DaskEngine(NOBODY, print)
    assert get_engine("local", 3, print) == LocalEngine(3, print)
    for name, problem in (("dask", "--scheduler"), ("slurm", r"known: local, dask")):
        with pytest.raises(UsageError, match=problem):
            get_engine(name, 1, print)

"""A Dask cluster of two workers over TCP, of which one is killed, or its node, or the scheduler.

Each search must end with the digest of the undisturbed local run. In turn, at a random point:
a worker is killed (its watcher starts another), a worker and its watcher (a node is gone), the
scheduler (the command ends with an error, and repeated with another cluster it goes on), the
command itself (which then goes on with the same cluster).

    python tests/soak/dask_workers.py [--count 20] [-o FILE.json]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from dask_cluster import Cluster, cluster, worker_of
from searching import combsearch, finish, gone
from soaking import SEARCHES, Finished, as_process, check_sound, rows_digest, shard_names, soak

FAULTS = ("worker", "node", "scheduler", "command")


def dask_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    searches: Mapping[str, Sequence[str]] = SEARCHES,
    faults: Sequence[str] = FAULTS,
    watched: bool = True,
) -> dict[str, Any]:
    """``count`` searches, each with one fault; the figures.

    ``watched``: whether workers that are killed are replaced.
    """
    rng = random.Random(0)
    expected = {
        name: as_process(*words, f"--run=whole-{name}", "--jobs=2", cwd=folder).report["digest"]
        for name, words in searches.items()
    }
    kept, hit = 0, dict.fromkeys(faults, 0)
    for turn in range(count):
        name, fault = list(searches)[turn % len(searches)], faults[turn % len(faults)]
        run = folder / "runs" / f"dask-{turn}"
        saved = _disturbed(searches[name], run, folder / f"cluster-{turn}", fault, rng, watched)
        assert rows_digest(run) == expected[name]
        assert check_sound(run) >= 1 and not (run / "quarantine").exists()
        assert saved <= shard_names(run)  # no committed shard is lost or written again
        kept, hit[fault] = kept + len(saved), hit[fault] + 1
        say(f"{turn + 1} of {count} searches, the {fault} killed after {len(saved)} shards: same")
    return {
        "distributed": metadata.version("distributed"),
        "searches": count,
        "killed": hit,
        "shards_saved_before_the_fault": kept,
        "digests_equal_to_the_undisturbed_local_run": count,
        "digests_that_differ": 0,  # each is asserted above
    }


def _disturbed(
    words: Sequence[str], run: Path, place: Path, fault: str, rng: random.Random, watched: bool
) -> set[str]:
    """Do one search to its end; names of the shards that were there when the fault came."""
    with cluster(place, workers=2, watched=watched) as first:
        process = _begun(words, run, first)
        saved = _kill(fault, first, process, run, rng)
        ended = Finished(*finish(process, 300), 0.0)
        assert gone(process.pid, within=15)
        if fault == "command":
            ended = _again(words, run, first)
    if fault == "scheduler" and ended.code:
        assert f"scheduler at {first.address} is gone" in ended.error, ended.err
        with cluster(place / "again", workers=2) as second:
            ended = _again(words, run, second)
    assert ended.report["digest"]
    return saved


def _begun(words: Sequence[str], run: Path, on: Cluster) -> subprocess.Popen[str]:
    options = ("--engine=dask", f"--scheduler={on.address}", f"--run={run.name}")
    return combsearch(*words, *options, cwd=run.parents[1])


def _again(words: Sequence[str], run: Path, on: Cluster) -> Finished:
    return Finished(*finish(_begun(words, run, on), 300), 0.0)


def _kill(
    fault: str, on: Cluster, process: subprocess.Popen[str], run: Path, rng: random.Random
) -> set[str]:
    """Wait for some shards, then kill; the shards that were there just before."""
    chosen, wanted = rng.randrange(2), rng.randrange(1, 6)
    while len(shard_names(run)) < wanted and process.poll() is None:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.2))
    saved = shard_names(run)
    if fault == "worker":
        os.kill(worker_of(on.workers[chosen]), signal.SIGKILL)
    elif fault == "node":
        os.killpg(on.workers[chosen].pid, signal.SIGKILL)
    elif fault == "scheduler":
        os.kill(on.scheduler.pid, signal.SIGKILL)
    elif process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return saved


if __name__ == "__main__":
    soak(__file__, 20, dask_soak)

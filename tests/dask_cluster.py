"""A Dask cluster of this machine for tests: a scheduler and workers as processes, over TCP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)


@dataclass
class Cluster:
    """A scheduler and its workers.

    Attributes:
        address: of the scheduler.
        scheduler: its process.
        workers: processes that watch over a worker each and replace one that is killed; where
            they are not watched, the workers.
    """

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextlib.contextmanager
def cluster(
    folder: Path, workers: int, allowed_failures: int = 3, watched: bool = True
) -> Iterator[Cluster]:
    """A cluster with so many workers of a thread each; all its processes end on leaving.

    Args:
        folder: for its files and logs.
        workers: how many.
        allowed_failures: killed workers that a task may have been on and is yet tried again.
        watched: whether workers that are killed are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([CHECKOUT, str(Path(CHECKOUT, "tests"))]),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
        "DASK_TEMPORARY_DIRECTORY": str(folder),
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
        command += ["--host", "127.0.0.1", "--no-dashboard"]
        with (folder / f"{what}-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env,
                cwd=folder, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    try:
        facts = folder / "scheduler.json"
        scheduler = start("scheduler", "--port", "0", "--scheduler-file", str(facts))
        address = _address(facts, scheduler)
        words = ["--nthreads", "1", "--nworkers", "1", "--memory-limit", "0"]
        words += [] if watched else ["--no-nanny"]
        found = [start("worker", address, *words) for _ in range(workers)]
        yield Cluster(address, scheduler, found)
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def worker_of(watcher: subprocess.Popen[bytes], within: float = 30) -> int:
    """The process that works, of one that watches over it."""
    stop = time.monotonic() + within
    while time.monotonic() < stop:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes()
                if parent == watcher.pid and b"spawn_main" in words:
                    return int(entry.name)
        time.sleep(0.05)
    raise TimeoutError(f"no worker below process {watcher.pid}")


def _address(facts: Path, scheduler: subprocess.Popen[bytes], within: float = 60) -> str:
    stop = time.monotonic() + within
    while time.monotonic() < stop and scheduler.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(facts.read_text())["address"])
        time.sleep(0.05)
    raise TimeoutError("the scheduler did not start: see its log")

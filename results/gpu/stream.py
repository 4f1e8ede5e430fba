"""A job as a stream: host threads prepare chunks while others train, rows are saved as they come.

Each thread prepares a chunk, gives it to the trainer and waits for it, so that the next chunks
are ready, or already running beside it, when one ends. PyTorch and numpy only.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from job import Job
from launches import DIVERGED, Rows, train
from pieces import Done, Folder, end_of, joined, of_job

from combsearch import __version__
from combsearch.commands.provenance import commit, processor
from combsearch.trainers import Trainer

_THREAD = 128  # parameters of a network that the kernels train in a thread


class Chunk(NamedTuple):
    """Places of a job that are trained together."""

    first: int
    last: int


@dataclass
class Clock:
    """Says when to stop.

    Attributes:
        seconds: that there are.
        longest: seconds that the longest chunk took of late, from its start to its rows.
        stopped: whether somebody asked to.
    """

    seconds: float
    longest: float = 0.0
    _start: float = field(default_factory=time.monotonic)
    stopped: bool = False

    def stop(self) -> None:
        """Start nothing more, and save what comes at once."""
        self.stopped = True

    def over(self) -> bool:
        """Whether a chunk that is started now may come too late."""
        left = self.seconds - (time.monotonic() - self._start)
        return self.stopped or left < 1.2 * self.longest

    def note(self, seconds: float) -> None:
        """A chunk took so long; what was long ago counts less and less."""
        self.longest = max(seconds, 0.9 * self.longest)


@dataclass(eq=False)
class Stream:
    """Trains jobs into a folder.

    Attributes:
        trainer: what trains; several threads call it at once.
        folder: takes the rows.
        clock: says when to stop.
        runs: training runs of a chunk, about.
        workers: threads.
        save: seconds between two writes.
    """

    trainer: Trainer
    folder: Folder
    clock: Clock
    runs: int
    workers: int
    save: float

    def run(self, job: Job, others: list[Done]) -> bool:
        """Train what is missing, to the end or until the time is over; whether all is done.

        Args:
            job: what to train.
            others: what was done in other folders.
        """
        done = of_job([*self.folder.done, *others], job)
        saver = _Saver(self, job, done)
        waiting: deque[tuple[Chunk, float, Future[Rows]]] = deque()
        complete = True
        with ThreadPoolExecutor(self.workers) as pool, closing(saver):
            for chunk in chunks(job, done, self.runs):
                while len(waiting) >= self.workers:
                    self._take(waiting, saver)
                if chunk.first >= saver.end():
                    break
                if self._must_stop():
                    complete = False
                    break
                started = time.monotonic()
                future = pool.submit(train, job, self.trainer, chunk.first, chunk.last)
                waiting.append((chunk, started, future))
            while waiting:
                self._take(waiting, saver)
        return complete

    def _must_stop(self) -> bool:
        full = self.folder.full
        if full:
            print(
                f"{self.folder.path} holds all that it may: go on with another --out and with"
                f" --done {self.folder.path}, or give more --room",
                file=sys.stderr,
            )
        return full or self.clock.over()

    def _take(self, waiting: deque[tuple[Chunk, float, Future[Rows]]], saver: _Saver) -> None:
        chunk, started, future = waiting.popleft()
        rows = future.result()
        self.clock.note(time.monotonic() - started)
        saver.add(chunk, rows)


@dataclass(eq=False)
class _Saver:
    """Holds rows until they are written, and knows what all rows of a job say."""

    stream: Stream
    job: Job
    done: list[Done]
    _held: list[Rows] = field(default_factory=list)
    _last: float = field(default_factory=time.monotonic)  # when rows came
    _saved: float = field(default_factory=time.monotonic)

    def end(self) -> int:
        """The place after the last that counts, as far as is known."""
        return end_of(self.job, self.done)

    def add(self, chunk: Chunk, rows: Rows) -> None:
        """Rows have come; they are of places behind all that came before."""
        now = time.monotonic()
        seconds, self._last = round(now - self._last, 3), now
        done = found(self.job, rows, chunk, seconds, self.stream.trainer)
        if self._held and self.done[-1].last == chunk.first:
            self.done[-1] = joined(self.done[-1], done)
        else:
            self.save()
            self.done.append(done)
        self._held.append(rows)
        if self.stream.clock.stopped or now - self._saved > self.stream.save:
            self.save()

    def close(self) -> None:
        """Write what is held, also when the trainer has failed."""
        self.save()

    def save(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        done = self.done[-1]
        self.stream.folder.add(Rows.concat(self._held), done)
        self._held, self._saved = [], time.monotonic()
        print(
            f"{self.job.name}: places {done.first:,} to {done.last:,} of {len(self.job):,},"
            f" {done.runs / max(done.seconds, 1e-3):,.0f} runs/s,"
            f" level {self.job.level(done.last - 1)}",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def compile_kernels(trainer: Trainer, job: Job) -> None:
    """Compile what the shapes of a job need side by side; a trainer without a GPU has nothing.

    A trainer by itself compiles a shape when it comes to it, about a second each.
    """
    gpu = getattr(trainer, "gpu", None)
    shapes = {stretch.shape for stretch in job.masks.stretches}
    if gpu is None or len(shapes) < 2:
        return
    from combsearch.kernels.cuda.source import Build

    builds = [Build(s.widths, "thread" if s.parameters <= _THREAD else "warp") for s in shapes]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda build: gpu.compiler.cubin(build.source(), gpu.arch), builds):
            pass


def chunks(job: Job, done: list[Done], runs: int) -> Iterator[Chunk]:
    """What is missing, in pieces of about so many runs, from cut to cut."""
    at, place = 0, 0
    for one in [*done, None]:
        end = len(job) if one is None else one.first
        while at < end:
            first = at
            while at < end and (at == first or job.runs(first, at) < runs):
                place = int(np.searchsorted(job.cuts, at, side="right"))
                at = job.cuts[place]
            yield Chunk(first, at)
        at = max(at, at if one is None else one.last)


def found(job: Job, rows: Rows, chunk: Chunk, seconds: float, trainer: Trainer) -> Done:
    """What the rows of these places say."""
    good = (rows.status != DIVERGED) & (rows.correct / job.task.points >= job.config.target)
    level = job.levels(rows.rank)
    correct = np.where(rows.status != DIVERGED, rows.correct, 0)
    levels = np.unique(level).tolist()
    return Done(
        job.name, job.digest, chunk.first, chunk.last, job.runs(*chunk),
        {str(n): int(good[level == n].sum()) for n in levels},
        {str(n): int(correct[level == n].max()) for n in levels},
        seconds, made_with(trainer.name),
    )  # fmt: skip


@lru_cache(maxsize=1)
def made_with(trainer: str) -> dict[str, Any]:
    """Device and versions, as JSON."""
    import torch

    device = processor()
    if trainer == "cuda":
        device = torch.cuda.get_device_name()
    versions = {"combsearch": __version__, "torch": torch.__version__, "numpy": np.__version__}
    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "trainer": trainer,
        "device": device,
        "versions": {**versions, "python": python, "cuda": torch.version.cuda},
        "commit": commit(),
    }

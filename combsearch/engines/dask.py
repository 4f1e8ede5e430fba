"""Shards on the workers of a Dask cluster, whoever started it (by hand, dask-jobqueue, ...).

Tasks go to the scheduler through ``distributed``'s own client. joblib's backend for Dask, which
uses the same client, is not between: with joblib 1.6 its ``Parallel`` waits for ever where a
task ends without its function (``KilledWorker``, or a worker that lacks a package), and once
its iterator had no more it asks for none, so that studies could not go on to their next round.

Dask itself tries a task of a killed worker again, on others (``allowed-failures``, by default
three times). What then is still left is tried once more here, with a quarter of the networks
at once. Workers write their shards into the run folder, so they must see it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from combsearch.engines.attempts import TRIES, Lost, Queue, attempt, drain
from combsearch.errors import CombsearchError, UsageError
from combsearch.search.running import Failure
from combsearch.store import Shard

T = TypeVar("T")

_CONNECT_SECONDS, _CLOSE_SECONDS = 10.0, 3.0
_LOOK_SECONDS = 5.0  # between two questions how large the cluster is
_AHEAD = 2  # shards a thread of the cluster: one in work, one so that clusters know to grow
_ADDRESS = re.compile(r"((tcp|tls|ucx|wss?)://)?[^\s/]+:\d+/?", re.ASCII)
_KILLED = Lost("workers that had it were killed, maybe for memory", tries=TRIES // 2)


@dataclass(frozen=True)
class DaskEngine:
    """The workers of one scheduler, as many as there are at any moment.

    Attributes:
        scheduler: its address, such as ``tcp://node1:8786``.
        say: told in a line what is waited for or tried again.
    """

    scheduler: str
    say: Callable[[str], None] = lambda text: None

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """See ``Engine.run``; on closing, shards that workers have begun are finished there.

        Raises:
            UsageError: Dask is not installed, the address is no address, or a worker does not
                see the run folder.
            CombsearchError: the scheduler does not answer, or is gone; what is saved stays.
        """
        with _connected(self.scheduler) as client:
            cluster = _Cluster(client, self.scheduler, self.say)

            def submit(shard: Shard, failures: int) -> Future[T | Lost]:
                if failures:
                    self.say(f"ranks {shard.first} to {shard.last - 1} are tried again, smaller")
                return cluster.submit(_task, _Place.of(work), work, shard, failures)

            yield from drain(Queue(iter(shards)), submit, cluster.room, _LOOK_SECONDS)


@dataclass(frozen=True)
class _Place:
    """Where the coordinator works: relative paths shall mean the same to workers.

    Attributes:
        folder: its current one.
        run: of the run, if the work has one.
    """

    folder: str
    run: str | None

    @classmethod
    def of(cls, work: Callable[[Shard], object]) -> _Place:
        root = getattr(getattr(work, "store", None), "root", None)
        return cls(str(Path.cwd()), None if root is None else str(Path(root).resolve()))

    def enter(self) -> None:
        """Make the folder the current one of this process, a worker.

        Raises:
            UsageError: the run folder is not here.
        """
        if self.run is not None and not os.path.isdir(self.run):
            raise UsageError(
                f"the Dask worker on {socket.gethostname()} does not see the run folder"
                f" {self.run}: name one with --runs that all nodes share"
            )
        with contextlib.suppress(OSError):  # then what is relative fails by its name
            if os.getcwd() != self.folder:
                os.chdir(self.folder)


def _task(place: _Place, work: Callable[[Shard], T], shard: Shard, failures: int) -> T | Lost:
    """On a worker: one try at a shard."""
    place.enter()
    return attempt(work, shard, failures)


class _Cluster:
    """Tasks of a scheduler as futures, and how many of them there may be."""

    def __init__(self, client: Any, scheduler: str, say: Callable[[str], None]) -> None:
        self._client, self._scheduler, self._say = client, scheduler, say
        self._tasks: dict[Future[Any], Any] = {}  # Dask gives up what nobody holds
        self._threads, self._asked = 0, float("-inf")
        self._silent = True  # nothing was said of workers that are not there

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """A future of what a worker makes of a call."""
        future: Future[T] = Future()
        try:
            task = self._client.submit(function, *arguments, pure=False)
        except Exception as error:
            raise self._gone_or(error) from error
        self._tasks[future] = task
        task.add_done_callback(lambda done: self._settle(future, done))
        return future

    def room(self) -> int:
        """Shards that may be in work now; asks the scheduler, but not each time.

        Raises:
            CombsearchError: the scheduler is gone.
        """
        now = time.monotonic()
        if self._threads == 0 or now - self._asked > _LOOK_SECONDS:
            self._asked = now
            try:
                self._threads = sum(self._client.nthreads().values())
            except Exception as error:  # any, depending on how the connection was lost
                raise _gone(self._scheduler) from error
            if self._threads == 0 and self._silent:
                self._say(f"no worker is connected to {self._scheduler}: waiting for one")
            self._silent = self._threads > 0
        return max(1, _AHEAD * self._threads)

    def _settle(self, future: Future[Any], task: Any) -> None:
        """End ``future`` as ``task`` did."""
        try:
            if task.status == "finished":
                future.set_result(_told(self._result(task)))
            elif task.status == "error":
                future.set_result(_lost(task.exception()))
            else:
                future.set_exception(_gone(self._scheduler))
        except Exception as error:
            future.set_exception(error)
        self._tasks.pop(future, None)

    def _result(self, task: Any) -> Any:
        """What a finished task gave; it is still with its worker, where that lives."""
        try:
            return task.result()
        except Exception as error:  # any, depending on how the connection was lost
            raise _gone(self._scheduler) from error

    def _gone_or(self, error: Exception) -> Exception:
        """``error``, unless the connection is lost: then whatever was raised means that."""
        return error if self._client.status == "running" else _gone(self._scheduler)


def _told(result: Any) -> Any:
    """The result of a task; one whose memory ran out does not make a whole cluster wait."""
    return dataclasses.replace(result, shared=False) if isinstance(result, Lost) else result


def _lost(error: BaseException) -> Lost:
    """What a task came to whose worker was killed; any other ``error`` is raised."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return _KILLED
    if isinstance(error, ImportError) or "deserializ" in str(error):
        reason = " ".join(str(error.__cause__ or error).split())
        raise CombsearchError(
            f"the Dask cluster could not load the work ({reason}): its scheduler and its workers"
            " need the combsearch that is here, and what it needs"
        ) from error
    raise error


def _gone(scheduler: str) -> CombsearchError:
    return CombsearchError(
        f"the Dask scheduler at {scheduler} is gone; all finished shards are saved, so repeat"
        " the command to continue, with the address of one that runs"
    )


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """A client of the scheduler; on leaving, what no worker has begun is given up."""
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "engine 'dask' needs Dask, which is not installed: pip install 'combsearch[cluster]',"
            " or take --engine local"
        ) from error
    if not _ADDRESS.fullmatch(scheduler):
        raise UsageError(
            f"scheduler {scheduler!r} is no address: it must be as tcp://node1:8786, which"
            " `dask scheduler` says when it starts"
        )
    library: Any = distributed  # whose types are not whole
    with _quiet():
        try:
            client = library.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CombsearchError(
                f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler` and"
                " workers with `dask worker ADDRESS`, or correct the address"
            ) from error
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):  # it may be gone already
                client.close(timeout=_CLOSE_SECONDS)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What Dask logs of lost connections and workers is said in our own words."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)

"""``combsearch show RUN --live``: the page of a run, fresh while it trains, for this machine."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.output import say
from combsearch.commands.runs import run_status
from combsearch.commands.show import find_source
from combsearch.commands.signals import Stopped
from combsearch.errors import UsageError
from combsearch.report.live.server import LiveServer, Source
from combsearch.report.run.data import check_command, run_data
from combsearch.report.run.page import page_of
from combsearch.store import RunStore

_HIGHEST = 65535


def live_command(given: argparse.Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        given: ``what`` (a run folder or its name below ``runs``), ``port`` (None: a free one),
            ``json``; ``output``, ``task`` and ``atlas`` must be None.

    Raises:
        UsageError: there is no run of that name or it has no page, an option does not go with
            it, or the port is not to be had.
        CorruptDataError: run.json is damaged.
    """
    for name in ("output", "task", "atlas"):
        if getattr(given, name) is not None:
            raise UsageError(f"--{name} does not go with --live, which serves the page of a run")
    kind, folder, _ = find_source(given.what, given.runs)
    if kind != "run":
        raise UsageError(f"--live serves the page of a run, and {given.what} is a {kind}")
    check_command(RunStore.attach(folder))  # what stands against it is said now
    with _listening(source_of(folder), given.port or 0) as server:
        url = f"http://127.0.0.1:{server.port}/"
        report = {"command": "show", "page": "live", "url": url, "run_folder": str(folder)}
        line = f"serving {folder} at {url} (Ctrl-C ends it)"
        say(json.dumps(report) if given.json else line)
        with contextlib.suppress(Stopped):  # that is how it ends
            server.serve_forever(poll_interval=0.2)


def _listening(source: Source, port: int) -> LiveServer:
    if not 0 <= port <= _HIGHEST:
        raise UsageError(f"--port {port} is no port; give one of 1..{_HIGHEST}, or leave it out")
    try:
        return LiveServer(source, port)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there",
            errno.EACCES: "it is kept for the administrator, as those below 1024 are",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise UsageError(f"--port {port}: {reason}; give another, or leave it out") from error


def source_of(folder: Path) -> Source:
    """The run in ``folder``, read only."""

    def read() -> Any:
        store = RunStore.attach(folder)  # again: the folder may have been replaced
        return run_data(store, run_status(store)[0])

    return Source(read, lambda data: page_of(data, live=True), lambda: _state(folder))


def _state(folder: Path) -> Hashable:
    """Names, sizes and times of all files of a run."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            if not durable.is_temporary(name):
                path = os.path.join(place, name)
                with contextlib.suppress(FileNotFoundError):  # it has just gone
                    facts = os.stat(path, follow_symlinks=False)
                    found.append((path, facts.st_size, facts.st_mtime_ns))
    return tuple(sorted(found))

"""What the soak scripts share: small searches, the command line as they call it, the judge.

The judge is the digest of all rows in canonical order: that of a run that was disturbed must
be that of the same search which nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from searching import finish, python, write_task

from combsearch import __version__, cli
from combsearch.commands.provenance import commit, processor
from combsearch.durable import is_temporary
from combsearch.store import RunStore, digest

TASK = "clouds.csv"
_ALL = (f"--task={TASK}", "--target=1.0", "--batch-size=16", "--no-figures", "--json")
SEARCHES: Mapping[str, tuple[str, ...]] = {
    "phase1": (
        "phase1", *_ALL, "--width=4", "--depth=2", "--full", "--restarts=64", "--epochs=30",
        "--cells=0.05:cosine,0.1:step",
    ),
    "phase2": (
        "phase2", *_ALL, "--shape=4,3", "--all", "--restarts=4", "--epochs=8",
        "--cells=0.05:cosine,0.1:step",
    ),
}  # fmt: skip
"""Searches of two seconds with 13 shards each."""
QUICK: tuple[str, ...] = (
    "phase2", *_ALL, "--shape=3,2", "--all", "--restarts=2", "--epochs=3", "--cells=0.05:cosine",
)  # fmt: skip
"""A search of a fraction of a second, with 7 shards."""
LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "pyarrow", "joblib")


class Finished(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        """The object on standard output; the command must have succeeded."""
        assert self.code == 0, (self.code, self.err)
        return dict(json.loads(self.out))

    @property
    def error(self) -> str:
        """The one line that says what went wrong; there must be no traceback."""
        lines = self.err.splitlines()
        assert "Traceback" not in self.err and lines, self.err
        assert lines[-1].startswith("combsearch: "), self.err
        return lines[-1].removeprefix("combsearch: ")


Call = Callable[..., Finished]
"""``call(*words, cwd=folder)`` runs one command to its end."""


def started(*words: str, cwd: Path) -> subprocess.Popen[str]:
    """A command as a user starts it: with warnings as errors what is killed while it imports, or
    what joblib runs to clean up, says more than anyone will see.
    """
    return python("-m", "combsearch", *words, cwd=cwd)


def as_process(*words: str, cwd: Path, timeout: float = 300) -> Finished:
    """A command as a process of its own, as a user runs it."""
    begun = time.monotonic()
    code, out, err = finish(started(*words, cwd=cwd), timeout)
    return Finished(code, out, err, time.monotonic() - begun)


def in_process(*words: str, cwd: Path) -> Finished:
    """The same here, without the seconds that Python takes to start."""
    before, begun = Path.cwd(), time.monotonic()
    out, err = io.StringIO(), io.StringIO()
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(words)
    finally:
        os.chdir(before)
    return Finished(code, out.getvalue(), err.getvalue(), time.monotonic() - begun)


def prepare(folder: Path) -> Path:
    """``folder``, with the task of the searches in it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_task(folder / TASK)
    return folder


def shard_names(run: Path) -> set[str]:
    """Names of the shards that are committed; the checksum of its content is part of each."""
    try:
        return {name for name in os.listdir(run / "shards") if name.endswith(".parquet")}
    except OSError:
        return set()


def half_written(run: Path) -> int:
    """Temporary files in a run folder: what a killed process was just writing."""
    return sum(is_temporary(name) for _, _, names in os.walk(run) for name in names)


def check_sound(run: Path) -> int:
    """The number of shards of ``run``, of which none may be damaged; it is only read."""
    if not (run / "run.json").exists():
        return 0
    found = RunStore.attach(run).verify(quarantine=False)
    assert found.quarantined == [], found.quarantined
    return len(found.valid)


def rows_digest(run: Path) -> str:
    """The digest of all rows that the shards of ``run`` hold."""
    return digest(RunStore.attach(run).read())


def made_with(words: Sequence[str]) -> dict[str, Any]:
    """Command, versions, commit and machine of a report."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {
        "command": f"python tests/soak/{shlex.join(words)}",
        "versions": {"combsearch": __version__, "python": platform.python_version(), **versions},
        "commit": commit(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
        },
    }


def soak(script: str, count: int, run: Callable[[Path, int, Callable[[str], None]], Any]) -> None:
    """The command line of a soak script.

    Args:
        script: its file; the report is called like it.
        count: how many faults, unless ``--count`` says otherwise.
        run: of a folder to work in, the count, and where to tell how it gets on: the figures.
    """
    name = Path(script).stem
    parser = argparse.ArgumentParser(prog=f"{name}.py")
    parser.add_argument("--count", type=int, default=count)
    default = Path(script).resolve().parents[2] / "results" / "reliability" / f"{name}.json"
    parser.add_argument("-o", "--output", type=Path, default=default)
    given = parser.parse_args()
    made, begun = made_with([f"{name}.py", f"--count={given.count}"]), time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"combsearch-{name}-") as folder:
        figures = run(prepare(Path(folder)), given.count, _say)
    seconds = round(time.monotonic() - begun, 1)
    report = {"made_with": made, "count": given.count, "seconds": seconds, **figures}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    _say(f"{name}: {json.dumps(figures)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

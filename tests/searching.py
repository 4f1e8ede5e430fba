"""What the tests of searches share: small tasks as files, the command as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import cli
from combsearch.config import SearchConfig
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import Phase2Config


def write_task(path: Path, points: int = 96) -> Path:
    """A CSV with four clouds, opposite ones of one class."""
    rng = np.random.default_rng(1)
    y = np.arange(points) % 2
    side = rng.choice([-1, 1], points)
    x = np.stack([side, np.where(y == 1, side, -side)], axis=1) + 0.3 * rng.normal(size=(points, 2))
    rows = (f"{a:.6f},{b:.6f},{label}" for (a, b), label in zip(x, y, strict=True))
    path.write_text("\n".join(["x1,x2,label", *rows, ""]))
    return path


def small_config(task: Path | str = "", **changes: Any) -> SearchConfig:
    """A search of a fraction of a second."""
    given: dict[str, Any] = {
        "task": str(task), "width": 3, "depth": 2, "target": 0.9, "restarts": 2, "epochs": 4,
        "cells": ("0.05:cosine", "0.1:step"), "batch_size": 16,
    }  # fmt: skip
    return SearchConfig(**given | changes)


SMALL = (
    "--width=3", "--depth=2", "--target=0.9", "--restarts=2", "--epochs=4",
    "--cells=0.05:cosine,0.1:step", "--batch-size=16", "--no-figures",
)  # fmt: skip


def with_a_run(folder: Path) -> Path:
    """``folder`` with a task, clouds.csv, and a run of phase one of it, runs/one."""
    write_task(folder / "clouds.csv")
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert cli.main(["phase1", *SMALL, "--task=clouds.csv", "--jobs=1", "--run=one"]) == 0
    finally:
        os.chdir(before)
    return folder


def run_json(capsys: Any, *arguments: str) -> dict[str, Any]:
    """A command in this process; the one object on its standard output."""
    capsys.readouterr()
    code = cli.main([*arguments, "--json"])
    found = capsys.readouterr()
    assert code == 0, found.err
    assert found.out.count("\n") == 1
    return dict(json.loads(found.out))


def _heed_ctrl_c() -> None:
    """What starts the tests may have left Ctrl-C ignored, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """This interpreter as the leader of a new process group, as a shell starts a command."""
    checkout = str(Path(__file__).resolve().parent.parent)
    options["env"] = {**os.environ, "PYTHONPATH": checkout, **options.get("env", {})}
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  it takes no lock
        **options,
    )


def combsearch(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command line, with warnings as errors."""
    return python("-W", "error", "-m", "combsearch", *arguments, **options)


def finish(process: subprocess.Popen[str], timeout: float = 60) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def alive(group: int) -> list[int]:
    """Processes of a group that are not zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


def workers(group: int) -> list[int]:
    """Those of ``alive`` that are workers of a pool."""
    return [pid for pid in alive(group) if b"popen_loky" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def gone(group: int, within: float) -> bool:
    """Whether all processes of a group end within so many seconds."""
    stop = time.monotonic() + within
    while alive(group) and time.monotonic() < stop:
        time.sleep(0.02)
    return not alive(group)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def flags(**settings: Any) -> Sequence[str]:
    """``batch_size=16`` as ``--batch-size=16``."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


def phase2(**changes: Any) -> MaskPlan:
    """The plan of a small run of phase two on the task of ``write_task``."""
    given: dict[str, Any] = {
        "task": "clouds.csv", "shape": "2,2", "target": 0.9, "restarts": 3, "epochs": 5,
        "batch_size": 16, "cells": ("0.05:cosine", "0.1:step"),
    }  # fmt: skip
    return MaskPlan.of(Phase2Config(**given | changes))

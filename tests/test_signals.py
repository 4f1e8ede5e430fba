"""A command that is asked to stop ends, also where what it unwinds does not."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from searching import combsearch, python

STUBBORN = """
import sys, time

def task():
    try:
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        print("unwinding", file=sys.stderr, flush=True)
        {last}
"""
IMPATIENT = "from combsearch.commands import signals; signals._LONGEST_SECONDS = 0.5; "
MAIN = "import sys; from combsearch.cli import main; sys.exit(main())"
PHASE1 = ("phase1", "--task=stubborn:task", "--dry-run")
STOPPED = "combsearch: stopped by SIGTERM; repeat the command to continue\n"
INTERRUPTED = "combsearch: interrupted; repeat the command to continue\n"


def write(folder: Path, last: str = "time.sleep(60)") -> Path:
    (folder / "stubborn.py").write_text(STUBBORN.format(last=last))
    return folder


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stderr is not None
    assert process.stderr.readline() == f"{line}\n"


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """As ``finish``, of a process of whose standard error something was read."""
    late = threading.Timer(60, process.kill)
    late.start()
    assert process.stdout is not None and process.stderr is not None
    err, out = process.stderr.read(), process.stdout.read()
    late.cancel()
    process.stdout.close()
    process.stderr.close()
    return process.wait(), out, err


def test_a_second_ctrl_c_ends_at_once_what_does_not_unwind(tmp_path: Path) -> None:
    process = combsearch(*PHASE1, cwd=write(tmp_path))
    wait_for(process, "ready")
    os.kill(process.pid, signal.SIGINT)
    wait_for(process, "unwinding")
    os.kill(process.pid, signal.SIGINT)  # the same one again, as make passes it on
    time.sleep(0.3)
    assert process.poll() is None
    started = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert ended(process) == (130, "", INTERRUPTED)
    assert time.monotonic() - started < 5


def test_what_does_not_unwind_in_time_is_ended(tmp_path: Path) -> None:
    process = python("-c", IMPATIENT + MAIN, *PHASE1, cwd=write(tmp_path))
    wait_for(process, "ready")
    started = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    wait_for(process, "unwinding")
    assert ended(process) == (75, "", STOPPED)
    assert time.monotonic() - started < 5


def test_an_end_of_the_process_that_takes_long_is_cut_off(tmp_path: Path) -> None:
    late = "import atexit, time; atexit.register(time.sleep, 60); "
    process = python("-c", IMPATIENT + late + MAIN, *PHASE1, cwd=write(tmp_path, "pass"))
    wait_for(process, "ready")
    os.kill(process.pid, signal.SIGTERM)
    wait_for(process, "unwinding")
    assert ended(process) == (75, "", STOPPED)  # said once

"""A disk of 1 MiB that is full, at whatever file a search is just writing.

Free space goes from nothing to what the run needs, a page more each time: the search must end with
exit code 5, or 0 where it has room, what it committed must be sound, and with space freed the same
command must go on to the digest of the undisturbed run. Then disks that something else fills while
the search trains.

    python tests/soak/full_disk.py [--count 30] [-o FILE.json]    # needs the right to mount
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from searching import finish
from soaking import (
    QUICK,
    SEARCHES,
    Call,
    as_process,
    check_sound,
    rows_digest,
    shard_names,
    soak,
    started,
)

_PAGE = 4096
_NO_SPACE = 5
SKIPPED = "mounting a small tmpfs is not permitted here"


@contextlib.contextmanager
def small_disk(disk: Path, size: str = "1m") -> Iterator[bool]:
    """A tmpfs of this size at ``disk`` meanwhile; False where mounting is not permitted."""
    disk.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={size}", "combsearch-test", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def free(disk: Path) -> int:
    """Bytes that are free."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def full_disk_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    call: Call = as_process,
    words: Sequence[str] = QUICK,
    jobs: Sequence[int] = (1, 1, 2),
) -> dict[str, Any]:
    """``count`` full disks, with so many processes in turn; the figures, or why there are none."""
    disk = folder / "disk"
    with small_disk(disk) as mounted:
        if not mounted:
            say(f"skipped: {SKIPPED}")
            return {"skipped": SKIPPED}
        before = free(disk)
        whole = call(*words, "--runs=disk", "--run=r", "--jobs=1", cwd=folder).report
        needed = before - free(disk)
        shutil.rmtree(disk / "r")
        codes, kept = collections.Counter[int](), 0
        for turn in range(count):
            room = round(needed * turn / max(1, count - 1) / _PAGE) * _PAGE
            code, shards = _fill(disk, words, room, jobs[turn % len(jobs)], whole["digest"], call)
            codes[code] += 1
            kept += shards
            say(f"{turn + 1} of {count} disks; {codes[_NO_SPACE]} full, all continued")
        assert codes[_NO_SPACE] >= 1 and set(codes) <= {0, _NO_SPACE}, codes
    return {
        "disks": count,
        "exit_codes": {str(code): times for code, times in sorted(codes.items())},
        "bytes_of_the_whole_run": needed,
        "shards_committed_on_full_disks": kept,
        "committed_shards_lost_or_damaged": 0,  # each is asserted below
        "digests_equal_to_the_undisturbed_run": count,
    }


def _fill(
    disk: Path, words: Sequence[str], room: int, jobs: int, expected: str, call: Call
) -> tuple[int, int]:
    """(exit code, committed shards) of a run with so many bytes free, which then goes on."""
    run, ballast = disk / "r", disk / "ballast"
    command = (*words, "--runs=disk", "--run=r", f"--jobs={jobs}")
    ballast.write_bytes(bytes(free(disk) - room))
    ended = call(*command, cwd=disk.parent)
    if ended.code:
        assert ended.code == _NO_SPACE, (room, ended.code, ended.err)
        assert "free some space and repeat the command" in ended.error, ended.err
    saved = shard_names(run)
    check_sound(run)
    ballast.unlink()
    again = call(*command, cwd=disk.parent)
    assert again.report["digest"] == rows_digest(run) == expected
    assert saved <= shard_names(run), "a committed shard is lost"
    shutil.rmtree(run)
    return ended.code, len(saved)


def filled_meanwhile(folder: Path, count: int) -> dict[str, Any]:
    """Something else fills the disk while a search goes on; the figures."""
    words, rng = SEARCHES["phase2"], random.Random(0)
    expected = as_process(*words, "--run=whole", "--jobs=2", cwd=folder).report["digest"]
    disk, codes, kept = folder / "filled", collections.Counter[int](), 0
    with small_disk(disk) as mounted:
        if not mounted:
            return {"skipped": SKIPPED}
        run, ballast = disk / "r", disk / "ballast"
        for _ in range(count):
            command = (*words, "--runs=filled", "--run=r", f"--jobs={rng.choice((1, 2))}")
            process, least = started(*command, cwd=folder), rng.randrange(13)
            while len(shard_names(run)) < least and process.poll() is None:
                time.sleep(0.005)
            _fill_up(ballast)
            code, _, err = finish(process, 120)
            assert code in (0, _NO_SPACE) and "Traceback" not in err, (code, err)
            saved = shard_names(run)
            codes[code] += 1
            kept += len(saved)
            check_sound(run)
            ballast.unlink()
            again = as_process(*command, cwd=folder).report
            assert again["digest"] == rows_digest(run) == expected
            assert saved <= shard_names(run), "a committed shard is lost"
            shutil.rmtree(run)
    return {
        "disks": count,
        "exit_codes": {str(code): times for code, times in sorted(codes.items())},
        "shards_committed_on_full_disks": kept,
        "digests_equal_to_the_undisturbed_run": count,
    }


def _fill_up(ballast: Path) -> None:
    """Take all the space that is left."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(_PAGE))


def _soak(folder: Path, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    found = full_disk_soak(folder, count, say)
    meanwhile = filled_meanwhile(folder, -(-count // 3))
    say(f"filled meanwhile: {meanwhile}")
    return {**found, "filled_meanwhile": meanwhile}


if __name__ == "__main__":
    soak(__file__, 30, _soak)

"""Two to four coordinators on one run folder, begun at different times, some of them killed.

They know nothing of one another: which shards are there is all that they share. Each that ends
must report the digest of the undisturbed run, whoever trained what.

    python tests/soak/coordinators.py [--count 12] [-o FILE.json]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from searching import finish, gone
from soaking import SEARCHES, Call, Finished, as_process, check_sound, rows_digest, soak, started


def coordinators_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    searches: Mapping[str, Sequence[str]] = SEARCHES,
    call: Call = as_process,
) -> dict[str, Any]:
    """``count`` runs of two, three and four coordinators in turn; the figures.

    ``call`` runs what is left alone.
    """
    rng = random.Random(0)
    expected = {
        name: call(*words, f"--run=whole-{name}", "--jobs=1", cwd=folder).report
        for name, words in searches.items()
    }
    ended = killed = twice = 0
    for turn in range(count):
        name = list(searches)[turn % len(searches)]
        run, number = folder / "runs" / f"shared-{turn}", 2 + turn % 3
        reports, dead = _together(searches[name], run, number, turn % 4 == 3, rng)
        for report in reports:
            assert report["digest"] == expected[name]["digest"]
        assert rows_digest(run) == expected[name]["digest"]
        assert check_sound(run) >= 1 and not (run / "quarantine").exists()
        ended, killed = ended + len(reports), killed + dead
        twice += max(0, sum(r["trained_now"] for r in reports) - expected[name]["trained"])
        say(f"{turn + 1} of {count} runs, {ended} coordinators, {killed} killed: one digest")
    return {
        "runs": count,
        "coordinators_that_ended": ended,
        "coordinators_killed": killed,
        "networks_trained_twice": twice,
        "digests_equal_to_the_undisturbed_run": ended,
        "digests_that_differ": 0,  # each is asserted above
    }


def _together(
    words: Sequence[str], run: Path, number: int, kill: bool, rng: random.Random
) -> tuple[list[dict[str, Any]], int]:
    """Reports of those that ended, and how many were killed; one at least ends."""
    processes: list[subprocess.Popen[str]] = []
    for _ in range(number):
        jobs = f"--jobs={rng.choice((1, 1, 2))}"
        processes.append(started(*words, f"--run={run.name}", jobs, cwd=run.parents[1]))
        time.sleep(rng.choice((0.0, rng.uniform(0, 2))))
    dead = 0
    if kill:
        time.sleep(rng.uniform(0, 3))
        for process in rng.sample(processes, number - 1):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                dead += 1
    ended = [Finished(*finish(process, 300), 0.0) for process in processes]
    assert all(gone(process.pid, within=15) for process in processes)
    assert sum(one.code == -signal.SIGKILL for one in ended) == dead
    return [one.report for one in ended if one.code != -signal.SIGKILL], dead


if __name__ == "__main__":
    soak(__file__, 12, coordinators_soak)

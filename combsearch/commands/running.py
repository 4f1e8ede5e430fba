"""What the commands that train share: progress, the kernel, their sessions, the best network."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.engines import SHARING, cores
from combsearch.progress import Progress, Rate, duration
from combsearch.search import devices
from combsearch.search.course import Course
from combsearch.search.running import Outcome
from combsearch.shards import merged, touches
from combsearch.store import RunStore, Shard, Verification
from combsearch.trainers import get_trainer

_PARTS = "sessions"  # folder of a run: a note each command that trained some of its ranks


def log(text: str) -> None:
    """A line on standard error."""
    print(f"combsearch: {text}", file=sys.stderr, flush=True)


def compile_kernel(trainer: str = "fused") -> None:
    """Compile the kernel of a trainer, if it has one, here once: workers find it on disk."""
    prepare = getattr(get_trainer(trainer), "prepare", None)
    if prepare is None:
        return
    from combsearch.kernels.cache import cache_folder

    if not any(cache_folder().rglob("*.nbi")):
        log("compiling the kernel: this takes about 15 s, once on this machine")
    prepare()


def workers(trainer: str) -> int:
    """Processes that use the whole machine: one a core; one for a GPU, for several some each."""
    gpus = devices.gpus(trainer)
    if not gpus:
        return cores()
    return 1 if gpus == 1 else min(SHARING * gpus, max(cores(), gpus))


def work_rate(core_rates: Mapping[str, float], trainer: str, jobs: int) -> float:
    """Multiply-adds a second of ``jobs`` processes.

    Args:
        core_rates: trainer -> those of a core; one that is not there is as quick as ``vmap``.
        trainer: its name.
        jobs: processes; more than there are cores or GPUs help nothing.
    """
    gpus = devices.gpus(trainer)
    if gpus:
        return devices.RATE * min(jobs, gpus)
    return core_rates.get(trainer, core_rates["vmap"]) * min(jobs, cores())


def useful_jobs(trainer: str, asked: int, course: Course | None, piece: float) -> int:
    """``asked`` processes; of 0, those that use the machine, but none that would hardly start.

    Args:
        trainer: its name.
        asked: processes, or 0.
        course: where the run stands, if that is known.
        piece: work of the course that is worth a process.
    """
    if asked or course is None:
        return asked or workers(trainer)
    return min(workers(trainer), max(1, math.ceil(course.whole_work()[1] / piece)))


def checked(store: RunStore, quarantine: bool, within: list[Shard] | None = None) -> Verification:
    """What the shards hold; with ``quarantine`` damaged ones are set aside, with a word."""
    found = store.verify(quarantine, within)
    for name, reason in found.quarantined if quarantine else ():
        log(f"shard {name} is damaged ({reason}): set aside, to be computed again")
    return found


def sound_shards(
    store: RunStore, quarantine: bool, within: list[Shard] | None = None
) -> list[Shard]:
    """Ranges of the sound shards; with ``quarantine`` damaged ones are set aside, with a word.

    With ``within``, shards that have no rank in common with these ranges count unseen.
    """
    found = checked(store, quarantine, within)
    if within is None:
        return found.valid
    ranges = merged(sorted(within))
    return found.valid + [shard for shard in store.saved() if not touches(shard, ranges)]


def sessions(folder: Path, report: dict[str, Any], made_with: dict[str, Any]) -> list[Any]:
    """The commands that trained something for this run, this one last, and what each ran on."""
    parts = _part_sessions(folder)
    try:
        saved = json.loads((folder / "summary.json").read_bytes()).get("sessions", [])
        # Parts are counted anew; one that only reported is of interest where no other is known.
        earlier = [s for s in saved if "parts" not in s and (s["trained"] or not parts)] + parts
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        earlier = parts
    if earlier and not report["trained_now"]:
        return earlier
    return [
        *earlier,
        {"trained": report["trained_now"], "seconds": report["seconds"], "made_with": made_with},
    ]


def note_part(
    folder: Path, ranks: str, trained: int, seconds: float, made_with: dict[str, Any]
) -> None:
    """Write down what a command ran on that trained some ranks, for the one that reports."""
    durable.make_folder(folder / _PARTS)
    name = f"{secrets.token_hex(8)}.json"  # many may end at once
    note = {"ranks": ranks, "trained": trained, "seconds": seconds, "made_with": made_with}
    durable.write_json(folder / _PARTS / name, note)


def _part_sessions(folder: Path) -> list[dict[str, Any]]:
    """What trained parts of a run, those alike taken together; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / _PARTS).glob("*.json")):
        try:
            note = json.loads(path.read_bytes())
            trained, seconds = int(note["trained"]), float(note["seconds"])
            made_with = note["made_with"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        alike = {"parts": 0, "trained": 0, "seconds": 0.0, "made_with": made_with}
        one = found.setdefault(json.dumps(made_with, sort_keys=True), alike)
        one["parts"] += 1
        one["trained"] += trained
        one["seconds"] = round(one["seconds"] + seconds, 3)
    return list(found.values())


def trained_on(folder: Path) -> list[str]:
    """The GPUs or processors that the sessions of a run trained on, as its summary says."""
    try:
        found = json.loads((folder / "summary.json").read_bytes()).get("sessions", [])
        machines = [one["made_with"]["machine"] for one in found if one["trained"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    named = [name for one in machines for name in one.get("gpus") or [one["processor"]]]
    return list(dict.fromkeys(named))


def state_text(finished: bool) -> str:
    """The first thing that a status says."""
    return "finished" if finished else "not finished: repeat its command to continue"


def seconds_since(store: RunStore) -> float | None:
    """Seconds since the last shard was saved: of a run that goes on, a few."""
    times: list[float] = []
    folder = store.root / "shards"  # which is not there yet where a run was killed at once
    for item in os.scandir(folder) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # a temporary file of a run that goes on
            times.append(item.stat().st_mtime)
    return round(max(0.0, time.time() - max(times)), 1) if times else None


class Watch:
    """Tells how a search gets on.

    Args:
        course: of the search.
        progress: where to tell it.
        target: accuracy of a success.
        what: is trained, such as ``shape``.
        whole: the search goes on to the end, whatever it finds.

    Attributes:
        runs: training runs so far.
    """

    def __init__(
        self, course: Course, progress: Progress, target: float, what: str, whole: bool
    ) -> None:
        self._course, self._progress = course, progress
        self._target, self._what, self._whole = target, what, whole
        self._runs_rate, self._work_rate = Rate(), Rate()
        self._found = course.found
        self._best = 0.0
        self.runs = 0

    def __call__(self, shard: Shard, outcome: Outcome) -> None:
        """A shard is saved."""
        course = self._course
        self.runs += outcome.runs
        self._best = max(self._best, outcome.best)
        self._runs_rate.add(outcome.runs)
        self._work_rate.add(course.work_of(shard))
        if course.found is not None and course.found != self._found:
            self._found = course.found
            self._progress.say(
                f"a {self._what} with {course.found} nonzeros reached {self._target:g}:"
                f" none above {course.last} will be trained, and those begun do not count"
            )
        whole, left = course.whole_work() if self._whole else course.level_work()
        self._progress.show(1 - left / (whole or 1.0), self._note(left))

    def _note(self, left: float) -> str:
        """As ``47 nonzeros (level 30 of 528), best 0.9871, 9,600 runs, 410 a second, ...``."""
        course = self._course
        parts = [
            f"{course.nonzeros} nonzeros (level {course.level} of {course.levels})",
            f"best {self._best:.4f}",
            f"{self.runs:,} runs",
        ]
        runs, work = self._runs_rate.per_second(), self._work_rate.per_second()
        if runs is not None:
            parts.append(f"{runs:,.0f} a second")
        if work is not None:
            what = "in all" if self._whole else "for this level"
            parts.append(f"{duration(left / work)} left {what}")
        return ", ".join(parts)

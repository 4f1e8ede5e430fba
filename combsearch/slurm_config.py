"""What is asked of SLURM for the elements of a job array: partition, walltime, GPUs and the like.

A frozen, checked dataclass, standard library only. Its values become lines of a script, so
what could end a line or begin another option is refused here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from combsearch.fields import option, require

SIGNAL_SECONDS = 60
"""How long before the walltime's end an element is told; SLURM may look half a minute earlier."""

_SHARE = 0.8  # of the walltime that an element is planned for: estimates are rough
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+/=%-]*")
_GPUS = re.compile(r"(?:([A-Za-z0-9_][A-Za-z0-9_.-]*):)?(\d{1,3})")
_MEMORY = re.compile(r"\d{1,9}[KMGT]?")
_TIME = re.compile(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?")
_LONG = re.compile(r"--([a-z][a-z0-9-]*)(?:[= ].*)?")
# What the script itself says to sbatch, and relies on.
_OURS = (
    "array", "chdir", "cpus-per-task", "dependency", "error", "gres", "job-name", "nodes",
    "no-requeue", "ntasks", "open-mode", "output", "parsable", "requeue", "signal", "wait", "wrap",
)  # fmt: skip


@dataclass(frozen=True)
class SlurmConfig:
    """What an element of the array gets, and how long it shall take.

    Attributes:
        gpus: a number, or a type and a number such as ``a100:2``.
        minutes: wanted length of an element.
        lines: further options of sbatch, ``--name=value`` each.
        setup: lines of shell before an element starts, as they are.
    """

    partition: str = option("", "partition to submit to; by default the cluster's own")
    account: str = option("", "account that pays, where the cluster asks for one")
    time: str = option("", "walltime of an element, as 90 (minutes), 2:30:00 or 1-12")
    gpus: str = option("0", "GPUs of an element, as 1, 8 or a100:2")
    cpus: int = option(0, "cores of an element; 0 takes 1, or 4 a GPU")
    memory: str = option("", "memory of an element, as 8G; by default the partition's")
    minutes: float = option(30.0, "wanted length of an element")
    max_running: int = option(0, "elements that run at once at most; 0 sets no limit")
    report_partition: str = option("", "partition of the job that reports, if another one")
    lines: tuple[str, ...] = option((), "a further option of sbatch, as --line=--qos=long")
    setup: tuple[str, ...] = option((), "a line of shell to run first, as 'module load cuda'")

    def __post_init__(self) -> None:
        for name in ("partition", "account", "report_partition"):
            _check_plain(name, getattr(self, name))
        _check_time(self.time)
        gpus = _GPUS.fullmatch(self.gpus)
        require(
            gpus is not None and (gpus[1] is None or int(gpus[2]) > 0),
            f"gpus is {self.gpus!r}, it must be a number, or as a100:2",
        )
        require(
            not self.memory or _MEMORY.fullmatch(self.memory) is not None,
            f"memory is {self.memory!r}, it must be a number with K, M, G or T, such as 8G",
        )
        for name in ("cpus", "max_running"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value!r}, it must be a whole number from 0 up")
        require(0 < self.minutes < math.inf, f"minutes is {self.minutes!r}, it must be above 0")
        for line in self.lines:
            _check_line(line)
        for line in self.setup:
            require(
                line.replace("\t", " ").isprintable(),
                f"setup has {line!r}, each must be one line without control characters",
            )

    @property
    def gpu_count(self) -> int:
        """GPUs of an element, of whatever type."""
        return int(self.gpus.rpartition(":")[2])

    @property
    def cores(self) -> int:
        """Cores of an element."""
        return self.cpus or max(1, 4 * self.gpu_count)

    @property
    def seconds(self) -> float:
        """How long an element shall take: ``minutes``, but well within the walltime."""
        wanted = 60.0 * self.minutes
        wall = walltime_seconds(self.time)
        return wanted if wall is None else min(wanted, _SHARE * (wall - 1.5 * SIGNAL_SECONDS))


def walltime_seconds(text: str) -> int | None:
    """The seconds of a walltime as SLURM writes it; None of an empty one.

    ``M``, ``M:S``, ``H:M:S``, ``D-H``, ``D-H:M`` and ``D-H:M:S``.

    Raises:
        UsageError: it is not one of these.
    """
    if not text:
        return None
    match = _TIME.fullmatch(text)
    require(
        match is not None,
        f"time is {text!r}, it must be as 90 (minutes), 2:30:00 or 1-12 (days-hours)",
    )
    assert match is not None
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:  # hours first
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(numbers) == 3:
        return (numbers[0] * 60 + numbers[1]) * 60 + numbers[2]
    minutes, seconds = (*numbers, 0)[:2]
    return minutes * 60 + seconds


def _check_plain(name: str, value: str) -> None:
    require(
        not value or _PLAIN.fullmatch(value) is not None,
        f"{name} is {value!r}, it must be a name of letters, digits and _.,:@+/=%-",
    )


def _check_time(text: str) -> None:
    seconds = walltime_seconds(text)
    least = 2 * SIGNAL_SECONDS
    require(
        seconds is None or seconds >= least,
        f"time is {text!r}, it must be at least {least // 60} minutes: an element is told"
        f" {SIGNAL_SECONDS} s before its end",
    )


def _check_line(line: str) -> None:
    match = _LONG.fullmatch(line)
    require(
        match is not None and line.isprintable(),
        f"lines has {line!r}, each must be one option of sbatch such as --qos=long",
    )
    assert match is not None
    require(  # sbatch takes options cut short too
        not any(name.startswith(match[1]) for name in _OURS),
        f"lines has {line!r}: --{match[1]} is written by combsearch itself"
        f" (as all of these: {', '.join(_OURS)})",
    )

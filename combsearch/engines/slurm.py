"""SLURM's own programs: sbatch, squeue and scontrol. The scheduler is theirs, nothing of it ours.

Needs no accounting (``sacct``). A job is known by the number that ``sbatch --parsable`` prints,
with ``;cluster`` behind it where there are several clusters.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from combsearch.errors import CombsearchError, UsageError

USUAL_ARRAY = 1001
"""SLURM's own MaxArraySize; an index is smaller than that."""

_PATIENCE_SECONDS = 120.0
_JOB = re.compile(r"(\d+)(?:;([A-Za-z0-9_.-]+))?")
# Reasons to wait that pass by themselves.
_ORDINARY = (
    "None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit", "Cleaning",
    "(null)",
)  # fmt: skip
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD")


class Element(NamedTuple):
    """An element in the queue: ``job`` as sbatch named it, and its index in the array."""

    job: str
    number: int


def send(
    script: Path, offset: int, indices: int, after: Sequence[str] = (), at_once: int = 0
) -> str:
    """Submit elements 0 to ``indices`` - 1 of an array; the job.

    Args:
        script: of an element; it is given ``offset``.
        offset: added to the index by the script.
        indices: how many elements.
        after: jobs that must have ended first, whether well or not.
        at_once: elements that run at once at most; 0 any number.

    Raises:
        UsageError: there is no sbatch.
        CombsearchError: it refuses the job.
    """
    limit = f"%{at_once}" if at_once else ""
    return _sent([f"--array=0-{indices - 1}{limit}", *_after(after), str(script), str(offset)])


def send_report(script: Path, after: Sequence[str]) -> str:
    """Submit one job that starts once all of ``after`` have ended; raises as :func:`send`."""
    return _sent([*_after(after), str(script)])


def array_limit() -> int:
    """The most elements of an array here, at least 1.

    Raises:
        UsageError: there is no scontrol, or arrays are switched off.
        CombsearchError: SLURM does not answer.
    """
    text = _run("scontrol", "show", "config")
    sizes = [_number(r"^MaxArraySize\s*=\s*(\d+)", text), _number(r"max_array_tasks=(\d+)", text)]
    limit = min([size for size in sizes if size is not None], default=USUAL_ARRAY)
    if limit < 1:
        raise UsageError("this SLURM takes no job arrays (MaxArraySize is 0): ask who runs it")
    return limit


def queued(jobs: Sequence[str], patience: float | None = None) -> dict[Element, str]:
    """The elements of ``jobs`` that wait or run, with their state, such as ``PENDING``.

    Behind it stands why it waits, where that is not for its turn: ``PENDING PartitionConfig``.

    Args:
        jobs: as ``send`` gave them.
        patience: seconds to wait for an answer; None a usual one.

    Raises:
        UsageError: there is no squeue.
        CombsearchError: SLURM does not answer.
    """
    found: dict[Element, str] = {}
    clusters: dict[str, list[str]] = {}
    for job in jobs:
        number, _, cluster = job.partition(";")
        clusters.setdefault(cluster, []).append(number)
    for cluster, numbers in clusters.items():
        where = [f"--clusters={cluster}"] if cluster else []
        asked = f"--jobs={','.join(numbers)}"
        words = ("squeue", "--noheader", "--array", *where, asked, "--format=%F %K %T %r")
        try:
            text = _run(*words, patience=patience)
        except CombsearchError as error:
            if "invalid job id" in str(error).lower():  # ended long ago: it is forgotten
                continue
            raise
        found.update(_elements(text, cluster))
    return found


def waits(state: str) -> bool:
    """Whether an element in this state of squeue has not started yet."""
    return state.partition(" ")[0] in _WAITING


def _elements(text: str, cluster: str) -> dict[Element, str]:
    """What squeue printed: lines as ``17 3 RUNNING``; of a job without array ``17 N/A RUNNING``."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].isdecimal():
            index = int(words[1]) if words[1].isdecimal() else 0
            job = f"{words[0]};{cluster}" if cluster else words[0]
            odd = words[3:4] if words[3:4] and words[3] not in _ORDINARY else []
            found[Element(job, index)] = " ".join([words[2], *odd])
    return found


def _after(jobs: Sequence[str]) -> list[str]:
    numbers = [job.partition(";")[0] for job in jobs]
    return [f"--dependency=afterany:{':'.join(numbers)}"] if numbers else []


def _sent(arguments: Sequence[str]) -> str:
    text = _run("sbatch", "--parsable", *arguments).strip()
    lines = text.splitlines()
    match = _JOB.fullmatch(lines[-1].strip()) if lines else None
    if match is None:
        raise CombsearchError(f"sbatch printed {text[:80]!r}, not the number of a job")
    return match[0]


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else None


def _run(*words: str, patience: float | None = None) -> str:
    """What one of SLURM's programs prints."""
    plain = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=plain, errors="replace",
            timeout=patience or _PATIENCE_SECONDS,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no {words[0]} here: submit where SLURM's commands are, such as a login"
            " node, or look at the script with --dry-run"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CombsearchError(f"{words[0]} does not answer ({error}): try again later") from error
    if done.returncode:
        said = done.stderr.replace(f"{words[0]}: error: ", "")
        reason = " ".join(said.split()) or f"exit code {done.returncode}"
        raise CombsearchError(f"{words[0]} refuses: {reason[:500]}")
    return done.stdout

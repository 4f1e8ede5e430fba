"""What was submitted for a run: ``RUN/slurm/<n>/``, one folder a submission.

    job.sh         what each element runs          report.sh   what runs after all of them
    ranks.txt      a line an element: its ranks    jobs.json   the jobs that SLURM took
    logs/          a file an element and job       failed/     a note an element that failed
    requeued/      a file an element that met its walltime, a line each time

Elements write their notes from the shell. All of it is a help to people and to the next
submission; which shards are done is asked of the store alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.engines.slurm import Element
from combsearch.errors import UsageError
from combsearch.shards import Shard

_FOLDERS = ("logs", "failed", "requeued")


@dataclass(frozen=True)
class Failed:
    """An element that ended badly.

    Attributes:
        submission: number of the submission.
        element: its number there.
        ranks: that it was to train; none of a command without shards.
        code: exit code.
        node: where it ran.
        log: its log file.
        why: what the exit code does not say, if anything.
    """

    submission: int
    element: int
    ranks: tuple[Shard, ...]
    code: int
    node: str
    log: str
    why: str


@dataclass(frozen=True)
class Chunk:
    """An array that SLURM took: ``elements`` of them, from element ``offset`` on."""

    job: str
    offset: int
    elements: int


@dataclass(frozen=True)
class Submission:
    """One folder of ``RUN/slurm``."""

    folder: Path

    @property
    def number(self) -> int:
        """Its name."""
        return int(self.folder.name)

    def ranks(self) -> list[tuple[Shard, ...]]:
        """The ranks of each element, as far as they can be read."""
        try:
            lines = (self.folder / "ranks.txt").read_text().splitlines()
            return [tuple(parse_ranks(line)) for line in lines]
        except (OSError, ValueError, UsageError):
            return []

    def chunks(self) -> list[Chunk]:
        """The arrays that SLURM took, as far as that is written down."""
        try:
            found = json.loads((self.folder / "jobs.json").read_bytes())["chunks"]
            return [Chunk(str(c["job"]), int(c["offset"]), int(c["elements"])) for c in found]
        except (OSError, ValueError, LookupError, TypeError):
            return []

    def failed(self) -> list[Failed]:
        """The elements that left a note of their failure, ascending."""
        notes = {int(name): name for name in _names(self.folder / "failed") if name.isdecimal()}
        if not notes:
            return []
        ranks = self.ranks()
        found = []
        for element in sorted(notes):
            own = ranks[element] if element < len(ranks) else ()
            found.append(_read_note(self, element, own))
        return found


def submissions(run: Path) -> list[Submission]:
    """Those of a run, ascending."""
    names = [name for name in _names(run / "slurm") if name.isdecimal() and name[0] != "0"]
    return [Submission(run / "slurm" / name) for name in sorted(names, key=int)]


def next_folder(run: Path) -> Path:
    """The folder that the next submission of a run would have; nothing is made."""
    earlier = submissions(run)
    return run / "slurm" / str(earlier[-1].number + 1 if earlier else 1)


def make_submission(run: Path) -> Submission:
    """An empty folder for the next submission; two at once get two."""
    durable.make_folder(run / "slurm")
    while True:
        folder = next_folder(run)
        with durable.translated_errors(folder):
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            for name in _FOLDERS:
                (folder / name).mkdir()
        return Submission(folder)


def write_scripts(
    submission: Submission, elements: Sequence[Sequence[Shard]], job: str, report: str | None
) -> None:
    """Write what the elements need; nothing is submitted."""
    lines = "".join(f"{ranks_text(ranks)}\n" for ranks in elements)
    durable.write_bytes(submission.folder / "ranks.txt", lines.encode())
    durable.write_bytes(submission.folder / "job.sh", job.encode())
    if report is not None:
        durable.write_bytes(submission.folder / "report.sh", report.encode())


def write_jobs(submission: Submission, facts: dict[str, Any], chunks: Sequence[Chunk]) -> None:
    """Write down which jobs SLURM took so far, beside ``facts``."""
    taken = [{"job": c.job, "offset": c.offset, "elements": c.elements} for c in chunks]
    durable.write_json(submission.folder / "jobs.json", {**facts, "chunks": taken})


def jobs_of(found: Sequence[Submission]) -> list[str]:
    """All jobs of all submissions."""
    return [chunk.job for submission in found for chunk in submission.chunks()]


def ranks_in(
    found: Sequence[Submission], queue: dict[Element, str]
) -> Iterator[tuple[Element, tuple[Shard, ...]]]:
    """The ranks of every element of ``found`` that is in ``queue``."""
    for submission in found:
        ranks = submission.ranks()
        for chunk in submission.chunks():
            for index in range(chunk.elements):
                element = Element(chunk.job, index)
                if element in queue and chunk.offset + index < len(ranks):
                    yield element, ranks[chunk.offset + index]


def ranks_text(ranks: Sequence[Shard]) -> str:
    """Ranges as ``--ranks`` takes them: ``0:640,900:960``, those that touch joined."""
    joined: list[list[int]] = []
    for shard in sorted(ranks):
        if joined and shard.first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], shard.last)
        else:
            joined.append([shard.first, shard.last])
    return ",".join(f"{first}:{last}" for first, last in joined)


def parse_ranks(text: str) -> list[Shard]:
    """The inverse of :func:`ranks_text`.

    Raises:
        ValueError: ``text`` is none of its texts.
    """
    pairs = (part.split(":") for part in text.split(",") if text)
    return [Shard(int(first), int(last)) for first, last in pairs]


def _read_note(submission: Submission, element: int, ranks: tuple[Shard, ...]) -> Failed:
    """A note as the script writes it; what cannot be read is left open."""
    try:
        text = (submission.folder / "failed" / str(element)).read_text(errors="replace")
    except OSError:
        text = ""
    facts = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    code = facts.get("code", "")
    return Failed(
        submission.number,
        element,
        ranks,
        int(code) if code.isdecimal() and len(code) < 4 else 1,
        facts.get("node", ""),
        facts.get("log", ""),
        facts.get("why", "").strip(),
    )


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []

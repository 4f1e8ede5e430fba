"""What a job has done so far, in a folder: files of rows, and one line on each in a list.

    done.json                            what is done, so that a machine without the rows goes on
    search.<first>-<last>.npz            rows of the masks at these places of the job
    round-1.<first>-<last>.npz           those of a round with more restarts

A file is written again under another name while it grows, until it is large. Columns
are compressed one by one: steps of the ranks, cells, restarts, low and high byte of the points
classified right, status; then which rows keep parameters, and these. PyTorch and numpy only.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from job import Job
from launches import Rows

from combsearch import durable
from combsearch.errors import CorruptDataError, RunMismatchError

DONE = "done.json"
_NAME = re.compile(r"([a-z0-9-]+)\.(\d{12})-(\d{12})\.npz")


@dataclass(frozen=True)
class Done:
    """Places of a job whose rows are saved, and what was found there.

    Attributes:
        job: name of the job.
        digest: ``Job.digest``.
        first, last: places, half open.
        runs: training runs, those given up included.
        successes: nonzeros -> runs that reached the target.
        best: nonzeros -> most points right.
        seconds: wall time.
        made_with: device and versions.
    """

    job: str
    digest: str
    first: int
    last: int
    runs: int
    successes: dict[str, int]
    best: dict[str, int]
    seconds: float
    made_with: dict[str, Any]


def encode(rows: Rows, done: Done) -> bytes:
    """The bytes of a file."""
    sizes = np.array([len(p) for p in rows.parameters], np.int32)
    floats = np.concatenate([np.zeros(0, np.float32), *rows.parameters])
    file = io.BytesIO()
    np.savez_compressed(
        file,
        done=np.array(json.dumps(vars(done))),
        rank=np.diff(rows.rank, prepend=np.int64(0)),
        cell=rows.cell,
        restart=rows.restart,
        correct=np.stack([(rows.correct >> shift & 255).astype(np.uint8) for shift in (0, 8, 16)]),
        status=rows.status,
        kept=np.diff(rows.kept, prepend=np.int64(0)),
        sizes=sizes,
        parameters=np.ascontiguousarray(floats.view(np.uint8).reshape(-1, 4).T),
    )
    return file.getvalue()


def decode(path: Path) -> tuple[Done, Rows]:
    """What a file holds.

    Raises:
        CorruptDataError: it is damaged, or no such file.
    """
    try:
        with durable.translated_errors(path), path.open("rb") as raw, np.load(raw) as file:
            done = Done(**json.loads(str(file["done"])))
            low, middle, high = file["correct"].astype(np.int32)
            planes = np.ascontiguousarray(file["parameters"].T)
            parameters = np.split(planes.reshape(-1).view(np.float32), np.cumsum(file["sizes"]))
            rows = Rows(
                np.cumsum(file["rank"]), file["cell"], file["restart"],
                low | middle << 8 | high << 16, file["status"], np.cumsum(file["kept"]),
                parameters[:-1],
            )  # fmt: skip
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptDataError(
            f"{path} is damaged or no file of rows ({error}); remove it and {DONE} beside it, and"
            " search.py trains again what it held"
        ) from error
    return done, rows


@dataclass(eq=False)
class Folder:
    """The folder that a process writes to; it must be the only one.

    A file that the list does not name is entered, since each says itself what it holds: the
    process was stopped before it wrote the list, or the list is lost.

    Attributes:
        path: the folder.
        most: bytes of a file, at most; rows that are more by themselves make a larger one.
        room: bytes of all files together after which ``full``.
    """

    path: Path
    most: int = 15 * 2**20
    room: int = 60_000_000
    _done: list[Done] = field(default_factory=list)
    _open: dict[str, Rows] = field(default_factory=dict)  # of the file written last, by its name

    def __post_init__(self) -> None:
        durable.make_folder(self.path)
        durable.remove_leftovers(self.path)
        self._done = read_list(self.path)
        listed = [_name(done) for done in self._done]
        for path in files(self.path):
            if path.name not in listed:
                self._find(path)

    @property
    def done(self) -> list[Done]:
        """What is done, ascending."""
        return list(self._done)

    @property
    def full(self) -> bool:
        """Whether no more may be written."""
        return sum(path.stat().st_size for path in files(self.path)) > self.room

    def add(self, rows: Rows, done: Done) -> None:
        """Save the rows of further places, with the last file of the job if that is still open."""
        before = [d for d in self._done if (d.job, d.last) == (done.job, done.first)]
        data = encode(rows, done)
        replaced = [d for d in before if 0 < self._size(d) < self.most - len(data)][:1]
        for last in replaced:
            held = self._open.get(_name(last)) or decode(self.path / _name(last))[1]
            rows, done = Rows.concat([held, rows]), joined(last, done)
            data = encode(rows, done)
        durable.write_bytes(self.path / _name(done), data)
        self._enter(done, replaced)
        self._open = {_name(done): rows}

    def _find(self, path: Path) -> None:
        """Enter a file that the list does not name, unless what it holds is in others."""
        try:
            done, _ = decode(path)
        except CorruptDataError:
            path.unlink()
            return
        same = [d for d in self._done if (d.job, d.digest) == (done.job, done.digest)]
        if any(d.first <= done.first and done.last <= d.last and self._size(d) for d in same):
            path.unlink()
            return
        self._enter(done, [d for d in same if done.first <= d.first and d.last <= done.last])

    def _enter(self, done: Done, replaced: list[Done]) -> None:
        """List a file that is there in place of others, which then go."""
        self._done = [*(d for d in self._done if d not in replaced), done]
        durable.write_json(self.path / DONE, [vars(d) for d in self._done])
        for old in replaced:
            (self.path / _name(old)).unlink(missing_ok=True)

    def _size(self, done: Done) -> int:
        """Bytes of its file; 0 where the folder has the list alone."""
        path = self.path / _name(done)
        return path.stat().st_size if path.exists() else 0


def files(folder: Path) -> list[Path]:
    """The files of rows in a folder."""
    return sorted(path for path in folder.glob("*.npz") if _NAME.fullmatch(path.name))


def read_list(folder: Path) -> list[Done]:
    """What ``done.json`` lists; nothing where there is none."""
    path = folder / DONE
    try:
        return [Done(**values) for values in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise CorruptDataError(
            f"{path} cannot be parsed ({error}); remove it: search.py --out makes it again from the"
            " files of rows beside it"
        ) from error


def of_job(done: list[Done], job: Job) -> list[Done]:
    """What of ``done`` belongs to a job, ascending, each place once.

    Raises:
        RunMismatchError: rows of another search.
    """
    own = sorted((d for d in done if d.job == job.name), key=lambda d: (d.first, -d.last))
    wrong = next((d for d in own if d.digest != job.digest), None)
    if wrong is not None:
        raise RunMismatchError(
            f"places {wrong.first} to {wrong.last} of {job.name!r} were done for another search"
            f" than {job.masks.path}: give another --out, or leave their folder away"
        )
    found: list[Done] = []
    for one in own:
        if not found or one.last > found[-1].last:
            found.append(one)
    return found


def read_rows(folders: list[Path], job: Job) -> Rows:
    """All rows of a job up to where it ends, from the files in these folders.

    Raises:
        CorruptDataError: rows are missing or there twice.
    """
    found = {}
    for folder in folders:
        for path in files(folder):
            if path.name.startswith(f"{job.name}."):
                done, rows = decode(path)
                found[done.first, -done.last] = done, rows
    chosen, at = [], 0
    end = end_of(job, of_job([done for done, _ in found.values()], job))
    for _, (done, rows) in sorted(found.items()):
        if done.first == at < end:
            chosen.append(rows)
            at = done.last
    if at < end or not chosen:
        raise CorruptDataError(
            f"{job.name!r}: the rows from place {at} on are not there, of {end}; looked in"
            f" {', '.join(map(str, folders))}"
        )
    rows = Rows.concat(chosen)
    # What was trained beyond the end depends on how the job was cut.
    return rows if at == end else rows.take(np.flatnonzero(rows.rank < end))


def end_of(job: Job, done: list[Done]) -> int:
    """The place after the last of a job that counts, as far as ``done`` tells."""
    successes = [int(n) for d in done for n, found in d.successes.items() if found]
    return job.end(min(successes, default=None))


def joined(a: Done, b: Done) -> Done:
    """What two entries say together, the second of the places behind the first's."""
    successes = {
        n: a.successes.get(n, 0) + b.successes.get(n, 0) for n in a.successes | b.successes
    }
    best = {n: max(a.best.get(n, 0), b.best.get(n, 0)) for n in a.best | b.best}
    return Done(
        a.job, a.digest, a.first, b.last, a.runs + b.runs, successes, best,
        round(a.seconds + b.seconds, 3), b.made_with,
    )  # fmt: skip


def _name(done: Done) -> str:
    return f"{done.job}.{done.first:012d}-{done.last:012d}.npz"

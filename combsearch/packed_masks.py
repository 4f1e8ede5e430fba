"""Masks in a file, in a fixed order, for machines that cannot enumerate them.

A zip archive, so that any tool can look into it and every entry has its checksum::

    about.json     {"format": 1, "block": masks of a block, "stretches": [[nonzeros,
                   [widths], masks], ...], "facts": whatever the writer adds}
    000000.xz ...  the masks of one block after the other: their words (``mask.MaskBatch``),
                   uint64 little-endian, the words of a mask side by side

A mask's place in the file, from 0, is its rank. Orbits of (7,3,3) in canonical form take 1.1
bytes each; a block is decompressed at about ten million masks a second.
"""

from __future__ import annotations

import bisect
import io
import itertools
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch import durable
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape

FORMAT = 1  # raised when older code could not read the file
BLOCK = 2**17  # masks: about 150 kB in the file, 1 MB in memory
_ABOUT = "about.json"
# A mask is 8 bytes or a multiple: contexts that know the place in a word save a tenth.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 3, "pb": 3}]

# What zipfile raises on damage, besides a file that is cut short or has no such entry.
_NO_ZIP = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError)

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Stretch:
    """Masks that follow one another, all of one shape and one number of nonzeros.

    Attributes:
        nonzeros: weights and biases that each keeps.
        shape: neurons a layer.
        rank: of the first.
        masks: how many.
    """

    nonzeros: int
    shape: NetShape
    rank: int
    masks: int

    @property
    def last(self) -> int:
        """The rank after the last."""
        return self.rank + self.masks


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """A file of packed masks; its blocks are read when they are asked for.

    Attributes:
        path: the file.
        stretches: ascending in rank, without gaps.
        block: masks of a block.
        facts: what the writer added.
    """

    path: Path
    stretches: tuple[Stretch, ...]
    block: int
    facts: dict[str, Any]
    _stamp: tuple[int, int]

    @classmethod
    def open(cls, path: str | Path) -> PackedMasks:
        """The masks in ``path``.

        Raises:
            UsageError: the file is not there, cannot be read, or is of another format.
            CorruptDataError: it is damaged, or no file of packed masks.
        """
        path = Path(path)
        with durable.translated_errors(path):
            if not path.exists():
                raise UsageError(f"there is no file {path} of packed masks")
            stat = path.stat()
        try:
            about = dict(json.loads(_entry(path, _ABOUT)))
            if about["format"] == FORMAT:
                block, facts = int(about["block"]), dict(about["facts"])
                rows = [(int(n), NetShape.from_json(w), int(m)) for n, w, m in about["stretches"]]
                if min([block, *(masks for *_, masks in rows)]) < 1:
                    raise ValueError("a block or a stretch of no masks")
        except (ValueError, LookupError, TypeError, UsageError) as error:
            raise _damaged(path, f"{_ABOUT} cannot be parsed ({error})") from error
        if about["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {about['format']!r}, this combsearch reads {FORMAT}: make the"
                " file with this version, or take the version that made it"
            )
        starts = itertools.accumulate((masks for *_, masks in rows), initial=0)
        stretches = tuple(
            Stretch(nonzeros, shape, rank, masks)
            for (nonzeros, shape, masks), rank in zip(rows, starts, strict=False)
        )
        return cls(path, stretches, block, facts, (stat.st_mtime_ns, stat.st_size))

    def __len__(self) -> int:
        return self.stretches[-1].last if self.stretches else 0

    def read(self, first: int, last: int) -> Iterator[tuple[Stretch, MaskBatch]]:
        """The ranks ``first`` to ``last - 1``: parts of stretches, and the masks of each.

        Raises:
            UsageError: there are no such ranks.
            CorruptDataError: a block is damaged.
        """
        if not 0 <= first <= last <= len(self):
            raise UsageError(
                f"ranks {first} to {last} are not all among the {len(self)} masks of {self.path}"
            )
        for piece in pieces(self.stretches, first, last):
            yield piece, self._masks(piece)

    def _masks(self, piece: Stretch) -> MaskBatch:
        """The masks of ranks that lie in one stretch, maybe in several blocks."""
        parts = []
        for number in range(piece.rank // self.block, -(-piece.last // self.block)):
            start, end = number * self.block, min((number + 1) * self.block, len(self))
            low, high = max(start, piece.rank), min(end, piece.last)
            words = _block(self.path, self._stamp, number)
            own = piece.shape.words
            at = _words(self.stretches, start, low)
            if len(words) != _words(self.stretches, start, end):
                raise _damaged(self.path, f"block {number} has {len(words)} words")
            parts.append(words[at : at + (high - low) * own].reshape(-1, own))
        return MaskBatch(piece.shape, np.concatenate(parts))


def pieces(stretches: Sequence[Stretch], first: int, last: int) -> Iterator[Stretch]:
    """The parts of ``stretches`` that lie in the ranks ``first`` to ``last - 1``."""
    place = bisect.bisect_right(stretches, first, key=lambda stretch: stretch.last)
    for stretch in itertools.islice(stretches, place, None):
        low, high = max(first, stretch.rank), min(last, stretch.last)
        if low >= last:
            return
        if low < high:
            yield Stretch(stretch.nonzeros, stretch.shape, low, high - low)


def write_packed(
    path: str | Path,
    batches: Iterable[MaskBatch],
    facts: dict[str, Any] | None = None,
    block: int = BLOCK,
) -> PackedMasks:
    """Write ``batches``, each of masks with one number of nonzeros, as one file in one step.

    Raises:
        UsageError: the masks of a batch differ in nonzeros, or the file cannot be written.
        NoSpaceError: the disk is full.
    """
    file = io.BytesIO()
    rows: list[tuple[int, NetShape, int]] = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, words in enumerate(_blocks(batches, block, rows)):
            data = lzma.compress(
                words.astype("<u8").tobytes(), check=lzma.CHECK_NONE, filters=_FILTERS
            )
            archive.writestr(_name(number), data)
        about = {
            "format": FORMAT,
            "block": block,
            "stretches": [(n, shape.to_json(), masks) for n, shape, masks in rows],
            "facts": facts or {},
        }
        archive.writestr(_ABOUT, json.dumps(about), zipfile.ZIP_DEFLATED)
    durable.write_bytes(path, file.getbuffer())
    return PackedMasks.open(path)


def _blocks(
    batches: Iterable[MaskBatch], block: int, rows: list[tuple[int, NetShape, int]]
) -> Iterator[Words]:
    """The words of ``block`` masks at a time; notes the stretches in ``rows``."""
    held: list[Words] = []
    room = block
    for batch in batches:
        _note(batch, rows)
        start = 0
        while start < len(batch):
            part = batch.words[start : start + room]
            held.append(part.reshape(-1))
            start, room = start + len(part), room - len(part)
            if room == 0:
                yield np.concatenate(held)
                held, room = [], block
    if held:
        yield np.concatenate(held)


def _note(batch: MaskBatch, rows: list[tuple[int, NetShape, int]]) -> None:
    found = np.unique(batch.nonzeros())
    if len(found) > 1:
        raise UsageError(
            f"a batch of packed masks has {found[0]} to {found[-1]} nonzeros: give the masks of"
            " each number in a batch of their own"
        )
    if len(found):
        before = rows[-1] if rows and rows[-1][:2] == (int(found[0]), batch.shape) else None
        if before:
            rows.pop()
        rows.append((int(found[0]), batch.shape, len(batch) + (before[2] if before else 0)))


def _words(stretches: Sequence[Stretch], first: int, last: int) -> int:
    """Words that the masks of these ranks take up."""
    return sum(piece.masks * piece.shape.words for piece in pieces(stretches, first, last))


@lru_cache(maxsize=16)
def _block(path: Path, stamp: tuple[int, int], number: int) -> Words:
    """A block's words, the last few kept; ``stamp`` tells apart files that had one name."""
    try:
        data = lzma.decompress(_entry(path, _name(number)))
        words = np.frombuffer(data, "<u8").astype(np.uint64)
    except (lzma.LZMAError, ValueError) as error:
        raise _damaged(path, f"block {number} cannot be unpacked ({error})") from error
    words.flags.writeable = False
    return words


def _entry(path: Path, name: str) -> bytes:
    try:
        with durable.translated_errors(path), zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except _NO_ZIP as error:
        raise _damaged(path, str(error)) from error


def _name(number: int) -> str:
    return f"{number:06d}.xz"


def _damaged(path: Path, reason: str) -> CorruptDataError:
    return CorruptDataError(f"{path}: {reason}; it is damaged or no file of packed masks")

"""Networks in files of a run folder, so that nothing much is lost to an interruption.

``dense/<name>.npz`` are dense networks that later rounds go by: the checkpoint that one-shot
pruning ranks by, or the weights that a round rewinds to. ``halfway/<name>-<round>.npz`` is a
round in the middle of its training, until its rows are saved; names are seeds or settings.
Both hold arrays only, and a file that is damaged or of something else counts as none: it is
computed again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import durable
from combsearch.nets import Arrays, NetBatch

_SEGMENT_SECONDS = 30.0  # of training between two looks at the clock, about
_BROKEN = (
    OSError, ValueError, KeyError, EOFError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def keep_dense(root: Path, name: int | str, nets: NetBatch) -> None:
    """Write dense networks (numpy): their parameters and state."""
    _write(_dense_path(root, name), nets_arrays("", nets, ("params", "state")))


def kept_dense(root: Path, name: int | str, like: NetBatch) -> NetBatch | None:
    """The networks of that name, or None where there is no sound file of any ``like`` these."""
    arrays = _read(_dense_path(root, name))
    return None if arrays is None else nets_from("", like, arrays)


def tidy(root: Path, finished: bool) -> None:
    """Delete what killed processes left behind; of a ``finished`` run all files halfway.

    They may be large. What another process still writes is left alone, or is of no more use.
    """
    for folder in (root / "dense", root / "halfway"):
        durable.remove_leftovers(folder)
    if finished:
        for path in (root / "halfway").glob("*.npz"):
            Halfway(path).clear()


@dataclass
class Halfway:
    """The file of a round that is being trained.

    Attributes:
        path: of the file.
        seconds: between two writings.
    """

    path: Path
    seconds: float = 120.0

    def __post_init__(self) -> None:
        self._last = time.monotonic()

    @classmethod
    def of(cls, root: Path, name: int | str, number: int) -> Halfway:
        """That of a round of a seed or setting in a run folder."""
        return cls(root / "halfway" / f"{name}-{number}.npz")

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._last >= self.seconds

    def write(self, arrays: dict[str, Any]) -> None:
        """Replace what is there."""
        _write(self.path, arrays)
        self._last = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """What was written last, or None."""
        return _read(self.path)

    def clear(self) -> None:
        """Delete it: its round is saved."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def nets_arrays(prefix: str, nets: NetBatch, kinds: Sequence[str]) -> dict[str, Any]:
    """Arrays of ``nets`` (numpy) of some kinds, by names such as ``params.weight0``."""
    return {
        f"{prefix}{kind}.{name}": a for kind in kinds for name, a in getattr(nets, kind).items()
    }


def nets_from(prefix: str, like: NetBatch, arrays: dict[str, Any]) -> NetBatch | None:
    """The inverse of ``nets_arrays``; None where the arrays are none of networks ``like`` these.

    Masks are those of ``like``; momenta that are not there are 0.
    """
    zeros = {name: np.zeros_like(a) for name, a in like.params.items()}
    kinds: dict[str, Arrays] = {"params": {}, "momenta": {}, "state": {}, "adam": {}}
    for name, a in arrays.items():
        kind, dot, rest = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and dot and kind in kinds:
            kinds[kind][rest] = a
    kinds["momenta"] = kinds["momenta"] or zeros
    needed = {"params": like.params, "momenta": zeros, "state": like.state}
    if any(_shapes(kinds[kind]) != _shapes(arrays) for kind, arrays in needed.items()):
        return None
    return NetBatch(like.network, masks=like.masks, **kinds)


def masks_arrays(prefix: str, nets: NetBatch) -> dict[str, Any]:
    """The masks of ``nets`` (numpy) as bits, by names such as ``<prefix>weight0``."""
    return {f"{prefix}{name}": np.packbits(mask != 0) for name, mask in nets.masks.items()}


def with_masks(prefix: str, nets: NetBatch, arrays: dict[str, Any]) -> NetBatch | None:
    """``nets`` with the masks that ``masks_arrays`` gave; None where they are of other shapes."""
    masks: Arrays = {}
    for name, mask in nets.masks.items():
        bits = arrays.get(f"{prefix}{name}")
        if bits is None or bits.dtype != np.uint8 or bits.shape != (-(-mask.size // 8),):
            return None
        masks[name] = np.unpackbits(bits, count=mask.size).reshape(mask.shape).astype(np.float32)
    return dataclasses.replace(nets, masks=masks)


def starts_of(nets: NetBatch) -> dict[str, Any]:
    """What a file halfway holds of the masks, so that it is known to be of these networks."""
    return masks_arrays("start.", nets)


def is_of(arrays: dict[str, Any], nets: NetBatch) -> bool:
    """Whether a file halfway is of ``nets``."""
    return all(
        name in arrays and np.array_equal(arrays[name], bits)
        for name, bits in starts_of(nets).items()
    )


def epochs_of_segment(seconds: float) -> int:
    """Epochs, of so many seconds each, that are trained before the next look at the clock."""
    return int(np.clip(_SEGMENT_SECONDS / max(seconds, 1e-6), 1, 10**6))


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: tuple(a.shape) for name, a in arrays.items()}


def _dense_path(root: Path, name: int | str) -> Path:
    return root / "dense" / f"{name}.npz"


def _write(path: Path, arrays: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    durable.make_folder(path.parent)
    durable.write_bytes(path, buffer.getbuffer())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = io.BytesIO(path.read_bytes())  # numpy leaves a damaged file open
        with np.load(content, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _BROKEN:
        return None

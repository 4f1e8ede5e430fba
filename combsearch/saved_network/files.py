"""Save and load one network; the format follows from the name's ending."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from combsearch.durable import translated_errors, write_bytes
from combsearch.errors import CorruptDataError, UsageError
from combsearch.nets import NetBatch
from combsearch.saved_network.about import About, about_text, full_about, parse_about
from combsearch.saved_network.arrays import MAX_BYTES, Named, network_arrays, network_of
from combsearch.saved_network.npz_file import npz_bytes, read_npz
from combsearch.saved_network.safetensors_file import read_safetensors, safetensors_bytes

_WRITERS = {".npz": npz_bytes, ".safetensors": safetensors_bytes}
_READERS = {".npz": read_npz, ".safetensors": read_safetensors}
SUFFIXES = tuple(_WRITERS)


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """What a file holds.

    Attributes:
        nets: a batch of one MLP, momenta 0.
        about: what is stated about it; empty in a file that says nothing. Not checked
            against the network: ``search.certify`` does that.
    """

    nets: NetBatch
    about: About


def save_network(
    path: Path | str | IO[bytes],
    nets: NetBatch,
    index: int = 0,
    about: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write one MLP of ``nets``, whole or not at all.

    Args:
        path: ends in .npz or .safetensors; or an open file, for .npz.
        nets: MLPs.
        index: which of them.
        about: facts such as those of ``run_facts``; what the network says itself (shape,
            mask, nonzeros) is added. None: nothing is written about it.

    Raises:
        UsageError: another ending, a network that is no MLP, or facts that are not true.
        NoSpaceError: the disk is full.
    """
    if isinstance(path, Path | str):
        write_bytes(path, network_bytes(nets, index, about, _suffix(Path(path))))
    else:
        path.write(network_bytes(nets, index, about))


def network_bytes(
    nets: NetBatch,
    index: int = 0,
    about: Mapping[str, str | int | float] | None = None,
    suffix: str = ".npz",
) -> bytes:
    """The bytes of the file that ``save_network`` writes, one of ``SUFFIXES``."""
    arrays = network_arrays(nets, index)
    text = None if about is None else about_text(full_about(nets[index : index + 1], about))
    return _WRITERS[suffix](arrays, text)


def load_network(path: Path | str, init_width: int = 16) -> NetBatch:
    """The MLP in a .npz or .safetensors file as a batch of one, momenta 0.

    The file holds ``weight0`` [out, in], ``bias0`` [out], ... and, if pruned, ``mask0``,
    ``bias_mask0``, ... Without masks a weight is kept when it is not 0 and a bias when its
    row keeps a weight.

    Raises:
        UsageError: when there is no such file.
        CorruptDataError: when it is not such a network.
    """
    return read_network(path, init_width).nets


def read_network(path: Path | str, init_width: int = 16) -> SavedNetwork:
    """The network in a file and what is stated about it; as ``load_network``."""
    path = Path(path)
    named, text = _read(path, _suffix(path))
    try:
        return SavedNetwork(
            network_of(named, init_width), {} if text is None else parse_about(text)
        )
    except (ValueError, UsageError) as error:
        raise CorruptDataError(f"{path} is not a saved network: {error}") from error


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} must end in {' or '.join(SUFFIXES)}, as saved networks do")
    return suffix


def _read(path: Path, suffix: str) -> tuple[Named, str | None]:
    with translated_errors(path):
        if not path.is_file():
            raise UsageError(f"there is no file {path}; it must be a network saved as {suffix}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    try:
        if size > MAX_BYTES:
            raise ValueError(f"it has {size} bytes, a network at most {MAX_BYTES}")
        return _READERS[suffix](path)
    except Exception as error:  # zipfile, numpy and safetensors raise many kinds on damaged files
        reason = " ".join(str(error).split())[:200]
        raise CorruptDataError(
            f"{path} is not a readable {suffix} file: {type(error).__name__}: {reason}"
        ) from error

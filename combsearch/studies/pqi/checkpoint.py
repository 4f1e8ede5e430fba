"""Networks in files of the run folder: the dense ones, which one-shot pruning goes by.

``dense/<seed>.npz`` holds the parameters and the state of one network, arrays only. A file
that is damaged counts as none: it is computed again.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from combsearch import durable
from combsearch.nets import Arrays, NetBatch, Network

_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError)


def keep_dense(root: Path, seed: int, nets: NetBatch) -> None:
    """Write the dense network of a seed, a batch of one (numpy)."""
    arrays = {f"param.{name}": a for name, a in nets.params.items()}
    arrays |= {f"state.{name}": a for name, a in nets.state.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    durable.make_folder(root / "dense")
    durable.write_bytes(_path(root, seed), buffer.getbuffer())


def kept_dense(root: Path, seed: int, network: Network) -> NetBatch | None:
    """The dense network of a seed, or None where there is no sound file."""
    try:
        with np.load(_path(root, seed), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _BROKEN:
        return None
    params = _named(arrays, "param.")
    if not params or not all(np.isfinite(a).all() for a in params.values()):
        return None
    ones = {name: np.ones_like(a) for name, a in params.items()}
    zeros = {name: np.zeros_like(a) for name, a in params.items()}
    return NetBatch(network, params, ones, zeros, _named(arrays, "state."))


def _named(arrays: Arrays, prefix: str) -> Arrays:
    return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}


def _path(root: Path, seed: int) -> Path:
    return root / "dense" / f"{seed}.npz"

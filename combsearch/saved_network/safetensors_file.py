"""Networks as .safetensors: the arrays, and ``about`` as JSON under ``combsearch``.

One entry of metadata, since the library writes several in an order that changes from run
to run, and equal networks should make equal files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.saved_network.arrays import ARRAY, Named

_ABOUT = "combsearch"


def safetensors_bytes(arrays: Mapping[str, npt.NDArray[Any]], about: str | None) -> bytes:
    """The bytes of a .safetensors file; without metadata when ``about`` is None."""
    from safetensors.numpy import save

    # The library writes the memory as it lies, whatever the strides.
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(plain, None if about is None else {_ABOUT: about})


def read_safetensors(path: Path) -> tuple[Named, str | None]:
    """The arrays that a network has, and ``about``; other tensors are ignored.

    Raises:
        Exception: of many kinds where the file is damaged, or holds something else.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        named = {name: file.get_tensor(name) for name in names if ARRAY.fullmatch(name)}
        return named, (file.metadata() or {}).get(_ABOUT)

"""Arrays as numpy pickles them, put together from their parts without calling a pickle's names.

A pickle makes an array by four names: ``_reconstruct`` gives an empty one, ``dtype`` its
type, and two states fill them; protocol 5 has ``_frombuffer`` instead. Each name stands for
one of the functions here. Source: ``numpy.ndarray.__reduce__`` and ``__reduce_ex__``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

_MOST_AXES = 8
_DTYPE = re.compile(r"[<>|=]?([iu][1248]|f[248]|b1)")

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "numpy.core.multiarray _reconstruct": "empty",
        "numpy._core.multiarray _reconstruct": "empty",
        "numpy.core.numeric _frombuffer": "frombuffer",
        "numpy._core.numeric _frombuffer": "frombuffer",
        "numpy ndarray": "ndarray",
        "numpy dtype": "dtype",
        "_codecs encode": "encode",
        "__builtin__ bytes": "bytes",
    }
)
"""The names, module and object, that a pickle of arrays has, and what they mean here."""


@dataclass(frozen=True)
class Name:
    """What stands for one of ``NAMES``; not callable."""

    meaning: str


@dataclass
class Dtype:
    """The code of a dtype, whose byte order its state may set yet."""

    code: str

    def set_state(self, state: Any) -> None:
        """Take the byte order of numpy's state; ValueError for records and objects."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise ValueError("an array of records, only numbers are admitted")
        order = as_bytes(state[1])
        if order not in (b"<", b">", b"|", b"="):
            raise ValueError(f"the byte order {order[:20]!r}")
        self.code = order.decode() + self.code.lstrip("<>|=")


@dataclass
class Array:
    """An array, None until its state has filled it."""

    filled: np.ndarray[Any, Any] | None = None

    def set_state(self, state: Any) -> None:
        """Take numpy's state: (version, shape, dtype, Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array without shape, dtype and bytes")
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, Dtype):
            raise ValueError("an array without a dtype")
        if not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
            raise ValueError("an array without a shape")
        if any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"an array of shape {str(shape)[:60]}")
        kind, held = np.dtype(dtype.code), as_bytes(raw)
        size = math.prod(shape) * kind.itemsize
        if size != len(held):
            raise ValueError(f"an array of shape {shape} needs {size:,} bytes, has {len(held):,}")
        flat = np.frombuffer(held, kind)
        self.filled = flat.reshape(shape, order="F" if fortran is True else "C")


def as_bytes(value: Any) -> bytes:
    """Bytes, or what Python 2 wrote as text.

    Raises:
        ValueError: it is anything else (numpy's objects, for one, are a list).
    """
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes | bytearray):
        raise ValueError(f"an array whose content is a {type(value).__name__}, expected bytes")
    return bytes(value)


def call(name: Any, given: Any) -> Any:
    """What the pickle's call of ``name`` with these arguments makes.

    Raises:
        ValueError: it calls anything but numpy's functions, or in another way than numpy.
    """
    if not isinstance(name, Name) or name.meaning not in _CALLS or not isinstance(given, tuple):
        raise ValueError("it calls something that makes no array")
    return _CALLS[name.meaning](given)


def _empty(given: tuple[Any, ...]) -> Array:
    if given[:1] != (Name("ndarray"),):
        raise ValueError("it makes an array of an unknown kind")
    return Array()


def _dtype(given: tuple[Any, ...]) -> Dtype:
    code = as_bytes(given[0]).decode("latin-1") if given else ""
    if not _DTYPE.fullmatch(code):
        raise ValueError(f"an array of dtype {code[:20]!r}, only numbers are admitted")
    return Dtype(code)


def _from_buffer(given: tuple[Any, ...]) -> Array:
    if len(given) != 4:
        raise ValueError("it makes an array of an unknown kind")
    raw, dtype, shape, order = given
    array = Array()
    array.set_state((1, shape, dtype, order == "F", raw))
    return array


def _encode(given: tuple[Any, ...]) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if len(given) != 2 or given[1] not in ("latin1", "latin-1"):
        raise ValueError("it encodes text otherwise than bytes are")
    return as_bytes(given[0])


def _no_bytes(given: tuple[Any, ...]) -> bytes:
    """How it writes those of nothing."""
    if given:
        raise ValueError("it makes bytes otherwise than of nothing")
    return b""


_CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = MappingProxyType(
    {
        "empty": _empty,
        "dtype": _dtype,
        "frombuffer": _from_buffer,
        "encode": _encode,
        "bytes": _no_bytes,
    }
)

"""Reading pickles without running them: what data come out, and that nothing else does."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.tasks.images import plain_pickle as plain_pickle_module
from combsearch.tasks.images.plain_pickle import plain_pickle

DATA: list[Any] = [
    None,
    [True, False, 0, -1, 255, 70_000, 2**40, -(2**70), 0.5, float("inf")],
    {"text": "ä", b"bytes": b"\x00\xff", 3: [()], "deep": [[{"x": (1, ("y", None))}]]},
    ["same"] * 3,
]
ARRAYS = [
    np.arange(12, dtype=np.uint8).reshape(3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([1, -2], ">i4"),
    np.array([True, False]),
    np.zeros((0, 3), np.float32),
    np.array(5, np.int64),
]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", DATA, ids=str)
def test_data_come_out_as_they_went_in(value: Any, protocol: int) -> None:
    if protocol <= 2:
        value = _without_bytes(value)
    found = plain_pickle(pickle.dumps(value, protocol))
    assert found == value and type(found) is type(value)


def _without_bytes(value: Any) -> Any:
    """Protocols 0 to 2 write bytes as a call of _codecs.encode, which no key can be."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if not isinstance(key, bytes)}
    return value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_come_out_as_they_went_in(array: np.ndarray[Any, Any], protocol: int) -> None:
    found = plain_pickle(pickle.dumps({"data": array, "list": [array]}, protocol))
    for copy in (found["data"], found["list"][0]):
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)


def test_an_array_alone_comes_out() -> None:
    np.testing.assert_array_equal(plain_pickle(pickle.dumps(ARRAYS[0])), ARRAYS[0])


def test_a_list_may_hold_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    found = plain_pickle(pickle.dumps(loop))
    assert found[0] == 1 and found[1] is found


def test_a_bytearray_of_protocol_5_comes_out() -> None:
    assert plain_pickle(pickle.dumps(bytearray(b"ab"), 5)) == b"ab"


def test_an_escape_that_is_none_is_taken_as_it_is_and_nothing_is_said() -> None:
    assert plain_pickle(b"S'\\d'\n.") == "\\d"


def test_bytes_of_protocol_2_come_out() -> None:
    assert plain_pickle(pickle.dumps([b"\x80a"], 2)) == [b"\x80a"]


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _global(module: str, name: str, *arguments: str) -> bytes:
    """A call written by hand, in the instructions of protocol 0."""
    texts = b"".join(b"V" + argument.encode() + b"\n" for argument in arguments)
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + texts + b"tR."


def _stack_global(module: str, name: str, argument: str) -> bytes:
    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def _array(state: bytes) -> bytes:
    """An array with this state, the tuple's items as instructions."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R("
        + (state + b"tb.")
    )


U1 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)  # LONG1

MALICIOUS: dict[str, tuple[bytes, str]] = {
    "os.system": (_global("os", "system", "echo no"), "'os.system'"),
    "posix.system by reduce": (pickle.dumps(Calls(os.system, "echo no"), 2), "system'"),
    "reduce, protocol 4": (pickle.dumps(Calls(os.system, "echo no"), 4), "system'"),
    "inside a batch": (pickle.dumps({"data": [Calls(os.system, "echo no")]}), "system'"),
    "eval": (_global("builtins", "eval", "1"), "'builtins.eval'"),
    "eval of Python 2": (_global("__builtin__", "eval", "1"), "'__builtin__.eval'"),
    "eval by stack": (_stack_global("builtins", "eval", "1"), "'builtins.eval'"),
    "a dotted name": (_stack_global("numpy", "testing.os.system", "x"), "testing.os.system"),
    "dots behind a known name": (_stack_global("numpy", "ndarray.tofile", "x"), "ndarray.tofile"),
    "numpy that runs code": (_global("numpy.testing", "runstring", "1"), "runstring"),
    "numpy.load": (_global("numpy", "load", "x.npy"), "'numpy.load'"),
    "a known name, called otherwise": (_global("numpy", "ndarray", "x"), "calls something"),
    "encode to a codec": (_global("_codecs", "encode", "x", "zlib"), "encodes text otherwise"),
    "object array": (pickle.dumps(np.array([Calls(os.system, "x")], object)), "dtype 'O8'"),
    "object array of data": (pickle.dumps(np.array([1, "x", None], object)), "dtype 'O8'"),
    "object array, protocol 2": (pickle.dumps(np.array([[], {}], object), 2), "dtype 'O8'"),
    "records": (pickle.dumps(np.zeros(2, [("a", "O")])), "dtype 'V8'"),
    "dates": (pickle.dumps(np.zeros(2, "M8[s]")), "dtype 'M8'"),
    "text array": (pickle.dumps(np.array(["ab"])), "dtype 'U2'"),
    "bytes of something": (_global("__builtin__", "bytes", "x"), "otherwise than of nothing"),
    "an instance": (b"(ios\nsystem\nV1\n.", "INST"),
    "an instance, protocol 1": (b"(cos\nsystem\nV1\no.", "'os.system'"),
    "a new object": (b"\x80\x02cos\nsystem\n)\x81.", "'os.system'"),
    "newobj of a known name": (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
    "an extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "a persistent id": (b"Pos.system\n.", "PERSID"),
    "a persistent id, binary": (b"K\x01Q.", "BINPERSID"),
    "a buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "a state for a list": (b"]}b.", "sets the state"),
    "a name alone": (b"cnumpy\nndarray\n.", "in place of a value"),
    "a name in a tuple": (b"(cnumpy\ndtype\nt.", "in place of a value"),
    "an array of an unknown kind": (
        b"cnumpy.core.multiarray\n_reconstruct\n(I1\nI2\ntR.",
        "unknown kind",
    ),
    "an array without bytes": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
        "without its bytes",
    ),
    "a huge array": (_array(b"K\x01" + HUGE + b"\x85" + U1 + b"\x89C\x02ab"), "needs 4,611,"),
    "an overflowing array": (
        _array(b"K\x01" + HUGE + HUGE + b"\x86" + U1 + b"\x89C\x02ab"),
        "has 2",
    ),
    "a negative axis": (_array(b"K\x01J\xff\xff\xff\xff\x85" + U1 + b"\x89C\x02ab"), "shape"),
    "objects for bytes": (_array(b"K\x01K\x02\x85" + U1 + b"\x89]"), "content is a list"),
    "huge bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"ab.", "1099511627776 bytes"),
    "huge bytes, protocol 3": (b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"ab.", "remain"),
    "huge text": (b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"ab.", "remain"),
    "a huge frame": (b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N", "STOP"),
    "a huge number": (b"\x8b" + struct.pack("<i", 2**31 - 1) + b"ab.", "not enough data"),
    "digits without end": (b"L" + b"9" * 10_000 + b"L\n.", "digits"),
    "the memo of nobody": (b"h\x05.", "remembered at 5"),
    "no end": (pickle.dumps([1, 2, 3])[:-1], "STOP"),
    "cut short": (pickle.dumps({"data": ARRAYS[0]})[:-40], "pickle"),
    "nothing": (b"", "STOP"),
    "no pickle": (b"\xff\xd8\xff\xe0 JFIF", "unknown"),
    "a value too many": (b"NN.", "2 values"),
    "nothing left": (b"]0.", "0 values"),
    "no mark": (b"Nt.", "mark is missing"),
    "an empty stack": (b"0.", "value is missing"),
    "half a dictionary": (b"(K\x01d.", "missing"),
    "a list as a key": (b"}]Ns.", "a key of type list"),
    "a deep key": (b"}N" + b"\x85" * 5000 + b"Ns.", "a key of type tuple"),
}


@pytest.mark.parametrize("name", list(MALICIOUS))
def test_anything_else_is_refused_and_nothing_runs(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, message = MALICIOUS[name]
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("it ran"))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"byte [0-9,]+ of the pickle: ") as caught:
        plain_pickle(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text = str(caught.value)
    assert message in text and "\n" not in text and len(text) < 300, text
    assert peak < 2**23
    assert capfd.readouterr().out == ""


def test_the_memo_takes_any_number_without_making_room() -> None:
    tracemalloc.start()
    assert plain_pickle(b"K\x07r" + struct.pack("<I", 2**32 - 1) + b".") == 7
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_depth_costs_no_recursion() -> None:
    found = plain_pickle(b"]" * 200_000 + b"a" * 199_999 + b".")
    for _ in range(199_999):
        [found] = found
    assert found == []


def test_references_are_not_multiplied() -> None:
    """A billion laughs: thirty lists of ten references each to the one before."""
    data = b"]q\x00K\x01a"
    for level in range(30):
        data += b"0]q" + bytes([level + 1]) + (b"h" + bytes([level]) + b"a") * 10
    found = plain_pickle(data + b".")
    assert len(found) == 10 and found[0] is found[9]


def test_there_is_an_end_to_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle_module, "MOST_STEPS", 1000)
    assert plain_pickle(b"N0" * 499 + b"N.") is None
    with pytest.raises(ValueError, match="more than 1,000 instructions"):
        plain_pickle(b"N0" * 500 + b"N.")


def test_no_module_is_imported() -> None:
    """The code has no way to import: neither pickle nor importlib is there."""
    folder = Path(__file__).parent.parent / "combsearch" / "tasks" / "images"
    for name in ("plain_pickle.py", "pickled_array.py"):
        source = (folder / name).read_text("utf-8")
        for word in ("import pickle\n", "importlib", "__import__", "getattr", "eval(", "exec("):
            assert word not in source

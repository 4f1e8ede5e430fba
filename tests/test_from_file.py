"""A user's own .npz or CSV: what is read, what is refused and in which words."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combsearch.errors import UsageError
from combsearch.tasks import Task, task_from_file

X = np.array([[0.5, -1.0], [1e-3, 2.0], [3.0, 4.0]])
Y = np.array([0, 1, 1])


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    """Content of an .npz with x, y and these arrays; None leaves one out."""
    held = {k: v for k, v in ({"x": X, "y": Y} | arrays).items() if v is not None}
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **held)
    return file.getvalue()


def load(folder: Path, name: str, content: bytes | str) -> Task:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return task_from_file(path)


def refusal(path: Path) -> str:
    """The message that refuses a file, less the file's name; one line."""
    with pytest.raises(UsageError) as caught:
        task_from_file(path)
    message = str(caught.value)
    prefix = f"task file {str(path)!r}: "
    assert message.startswith(prefix)
    assert message.isprintable()
    return message.removeprefix(prefix)


def refused(folder: Path, name: str, content: bytes | str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return refusal(path)


# ---- any file -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_what_is_no_file(tmp_path: Path, suffix: str) -> None:
    assert refusal(tmp_path / f"none{suffix}") == "cannot be read (No such file or directory)"
    assert "cannot be read" in refusal(Path(f"a\0b{suffix}"))
    assert "File name too long" in refusal(tmp_path / ("a" * 300 + suffix))
    (tmp_path / f"folder{suffix}").mkdir()
    assert refusal(tmp_path / f"folder{suffix}") == "found a folder, expected a file"
    os.mkfifo(tmp_path / f"pipe{suffix}")
    assert refusal(tmp_path / f"pipe{suffix}").startswith("found a pipe or device")
    assert "the file is empty, expected" in refused(tmp_path, f"empty{suffix}", b"")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    (tmp_path / "a.csv").touch()
    assert refusal(tmp_path / "a.csv") == "cannot be read (Permission denied)"


def test_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file")
    assert refusal(path) == "cannot be read (Permission denied)"


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "loadtxt", starve)
    assert refused(tmp_path, "a.csv", "1,0\n2,1\n") == "cannot be read (MemoryError)"


def test_other_suffix(tmp_path: Path) -> None:
    assert refused(tmp_path, "a.txt", "1,0\n2,1\n") == "expected a file ending in .npz or .csv"


def test_odd_file_name_stays_on_one_line(tmp_path: Path) -> None:
    assert refused(tmp_path, "a\nb.csv", "1,0\n2,2\n").startswith("line 2, column 2: found 2.0")


# ---- .npz -----------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "g", "i1", "i8", ">u4"])
def test_npz_keeps_the_numbers(tmp_path: Path, dtype: str, compressed: bool) -> None:
    x, y = (X * 2).astype(dtype), Y.astype(dtype)
    task = load(tmp_path, "mine.npz", npz(compressed, x=x, y=y, names=np.array(["a", "b"])))
    assert task.name == "mine" and task.x_test is None
    np.testing.assert_array_equal(task.x, x.astype(np.float32))
    assert task.y.tolist() == Y.tolist()


def test_npz_of_bools_fortran_order_and_many_columns(tmp_path: Path) -> None:
    wide = np.asfortranarray(np.arange(120).reshape(3, 40))
    task = load(tmp_path, "a.npz", npz(x=wide, y=Y.astype(bool)))
    assert task.inputs == 40 and task.x.flags.c_contiguous
    np.testing.assert_array_equal(task.x, wide)
    assert load(tmp_path, "b.npz", npz(x=X > 1)).x.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_npz_with_test_points(tmp_path: Path) -> None:
    task = load(tmp_path, "a.npz", npz(x_test=X[:1] + 1, y_test=Y[1:2]))
    assert task.x_test is not None and task.y_test is not None
    assert task.x_test.tolist() == [[1.5, 0.0]] and task.y_test.tolist() == [1]


class Bomb:
    """Unpickling this would leave a file behind."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("unpickled",)


def member(header: str, payload: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An .npz with a good y and an x of this .npy header."""
    text = header.ljust(117).encode() + b"\n"
    file = io.BytesIO(npz(x=None))
    with zipfile.ZipFile(file, "a") as archive:
        length = struct.pack("<H", len(text))
        archive.writestr("x.npy", b"\x93NUMPY" + bytes(version) + length + text + payload)
    return file.getvalue()


def header(descr: str, shape: str) -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def test_npz_of_python_2_is_read(tmp_path: Path) -> None:
    content = member(header("'<f4'", "(3L, 1L)"), np.array([7, 8, 9], np.float32).tobytes())
    assert load(tmp_path, "a.npz", content).x.tolist() == [[7], [8], [9]]


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


HUGE = X * 1e39
BAD_NPZ: dict[str, tuple[bytes, str]] = {
    "no zip": (b"0.5,1\n", "found no zip archive, expected an .npz"),
    "pickle": (b"\x80\x04\x95\x00", "found no zip archive"),
    "npy": (npy(X), r"found a single array \(.npy\), expected an .npz with keys x and y"),
    "only magic": (b"PK\x03\x04", "the archive is cut short or damaged"),
    "cut short": (npz()[:-40], "the archive is cut short or damaged"),
    "no x": (npz(x=None), r"no key 'x' \(keys found: 'y'\)"),
    "no y": (npz(y=None, y_train=Y), r"no key 'y'.* \(keys found: 'x', 'y_train'\)"),
    "nearest": (npz(x=None, x0=X), r"no key 'x', did you mean 'x0'\? \(keys found: 'x0', 'y'\)"),
    "no keys": (npz(x=None, y=None), r"no key 'x' \(keys found: none\)"),
    "half a test": (npz(x_test=X), "no key 'y_test'"),
    "other half": (npz(y_test=Y), "no key 'x_test'"),
    "objects": (npz(x=np.array([Bomb()], object)), "'x': found Python objects .*never loaded"),
    "object y": (npz(y=np.array([0, 1, 1], object)), "'y': found Python objects"),
    "hidden object": (npz(x=np.zeros(3, [("a", "O")])), "'x': found Python objects"),
    "complex": (npz(x=X + 1j), "'x': found dtype complex128, expected real numbers"),
    "text": (npz(x=X.astype(str)), "'x': found dtype <U32, expected real numbers"),
    "bytes": (npz(y=Y.astype("S")), r"'y': found dtype \|S21, expected real numbers"),
    "dates": (npz(y=Y.astype("M8[s]")), "'y': found dtype datetime64"),
    "fields": (npz(x=np.zeros(3, "f4,f4")), "'x': found dtype"),
    "x flat": (npz(x=X[:, 0]), r"'x': found shape \[3\], expected \[n, in\]"),
    "x deep": (npz(x=X[None]), r"'x': found shape \[1, 3, 2\], expected \[n, in\]"),
    "x scalar": (npz(x=3.0), r"'x': found shape \[\], expected \[n, in\]"),
    "y column": (npz(y=Y[:, None]), r"'y': found shape \[3, 1\], expected \[n\]"),
    "no rows": (npz(x=X[:0], y=Y[:0]), r"'x': found shape \[0, 2\], expected \[n, in\]"),
    "no columns": (npz(x=X[:, :0]), r"'x': found shape \[3, 0\]"),
    "lengths": (npz(y=Y[:2]), "'y': found 2 labels, expected 3"),
    "test width": (npz(x_test=X[:, :1], y_test=Y), "'x_test': found 1 columns, expected the 2"),
    "test label": (npz(x_test=X, y_test=Y * 2), r"'y_test', y_test\[1\]: found 2, expected"),
    "one class": (npz(y=Y * 0), "found only points of class 0, expected both classes"),
    "one point": (npz(x=X[:1], y=Y[:1]), "found 1 point, expected at least 2"),
    "label 2": (npz(y=Y * 2), r"'y', y\[1\]: found 2, expected the label 0 or 1"),
    "label -1": (npz(y=-Y), r"y\[1\]: found -1, expected the label 0 or 1"),
    "label .5": (npz(y=Y / 2), r"y\[1\]: found 0.5, expected the label 0 or 1"),
    "label nan": (npz(y=Y * np.nan), r"y\[0\]: found nan, expected the label 0 or 1"),
    "nan": (npz(x=np.where(X == 2, np.nan, X)), r"'x', x\[1, 1\]: found nan, expected a finite"),
    "inf": (npz(x=np.where(X == 3, -np.inf, X)), r"'x', x\[2, 0\]: found -inf, expected a finite"),
    "huge": (npz(x=HUGE), r"x\[0, 0\]: found 5e\+38, .*fits float32 \(at most 3.402823e\+38"),
    "shape beyond the data": (member(header("'<f8'", "(1000000000000, 2)")), "0 bytes of numbers"),
    "shape less than the data": (member(header("'<f8'", "(1, 2)"), bytes(32)), "32 bytes of num"),
    "negative shape": (member(header("'<f8'", "(-3, -2)"), bytes(48)), "'x' is damaged"),
    "code for a header": (member("__import__('os').mkdir('unpickled')"), "'x' is damaged"),
    "nested header": (member("[" * 90), "'x' is damaged"),
    "text for a shape": (member(header("'<f8'", "'ab'")), "'x' is damaged"),
    "unknown dtype": (member(header("'<q9'", "(3, 2)")), "'x' is damaged"),
    "version": (member(header("'<f8'", "(3, 2)"), version=(7, 0)), "found version .7, 0. of .npy"),
    "member not an array": (
        member("").replace(b"\x93NUMPY\x01\x00\x76", b"\x93NUMPX\x01\x00\x76"),
        "'x' is damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = BAD_NPZ[case]
    found = refused(tmp_path, "bad.npz", content)
    assert re.search(message, found), found
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_cut_anywhere(tmp_path: Path, compressed: bool) -> None:
    content = npz(compressed)
    for end in range(6, len(content), 7):
        assert "damaged" in refused(tmp_path, "cut.npz", content[:end])


def test_npz_flipped_bit_in_the_numbers(tmp_path: Path) -> None:
    content = bytearray(npz())
    content[content.index(X.tobytes()) + 13] ^= 1
    assert "key 'x' is damaged (BadZipFile: Bad CRC-32" in refused(
        tmp_path, "a.npz", bytes(content)
    )


def test_npz_with_a_password(tmp_path: Path) -> None:
    content = bytearray(npz())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    assert "encrypted" in refused(tmp_path, "a.npz", bytes(content))


# ---- CSV ------------------------------------------------------------------------------

PLAIN = [[0.5, -1.0], [1e-3, 2.0], [3.0, 4.0]]
GOOD_CSV: dict[str, str | bytes] = {
    "plain": "0.5,-1,0\n1e-3,2,1\n3,4,1\n",
    "no last newline": "0.5,-1,0\n1e-3,2,1\n3,4,1",
    "labels as floats": "0.5,-1,0.0\n1e-3,2,1.0\n3,4,1e0\n",
    "header": "a,b,c\n0.5,-1,0\n1e-3,2,1\n3,4,1\n",
    "label named y": "a,Y,b\n0.5,0,-1\n1e-3,1,2\n3,1,4\n",
    "label named label": "label,a,b\n0,0.5,-1\n1,1e-3,2\n1,3,4\n",
    "numbers as names": "0,1,y\n0.5,-1,0\n1e-3,2,1\n3,4,1\n",
    "savetxt header": "# y,a,b\n0,0.5,-1\n1,1e-3,2\n1,3,4\n",
    "savetxt": "5.0e-01,-1.000000e+00,0.0e+00\n1e-03,2e+00,1e+00\n3.,4.,1.\n",
    "quotes": '"a","y","b"\n"0.5","0","-1"\n"1e-3","1",2\n3,1, "4"\n',
    "CRLF": b"a,b,y\r\n0.5,-1,0\r\n1e-3,2,1\r\n3,4,1\r\n",
    "CR": b"0.5,-1,0\r1e-3,2,1\r3,4,1\r",
    "BOM": b"\xef\xbb\xbf0.5,-1,0\n1e-3,2,1\n3,4,1\n",
    "BOM and header": b"\xef\xbb\xbfy,b,c\n0,0.5,-1\n1,1e-3,2\n1,3,4\n",
    "names in UTF-8": "größe,b,y\n0.5,-1,0\n1e-3,2,1\n3,4,1\n",
    "blanks": "\n  \n a , b,\ty\n 0.5 , -1,0\n\n1e-3,\t2,1\n3,4,1 \n\n",
    "signs": "+.5,-1.,0\n+0.1E-2,2e0,1\n+3,004,01\n",
}


@pytest.mark.parametrize("case", GOOD_CSV)
def test_good_csv(tmp_path: Path, case: str) -> None:
    task = load(tmp_path, "mine.csv", GOOD_CSV[case])
    assert task.name == "mine" and task.classes == 2
    np.testing.assert_array_equal(task.x, np.array(PLAIN, np.float32))
    assert task.y.tolist() == [0, 1, 1]


BAD_CSV: dict[str, tuple[str | bytes, str]] = {
    "blank": (" \n\t\n\n", "the file is empty, expected one point a line"),
    "BOM only": (b"\xef\xbb\xbf", "the file is empty, expected one point a line"),
    "header only": ("\na,b,y\n\n", "line 2: found only a header, expected points below it"),
    "one column": ("1\n0\n", "line 1: found 1 column ('1'), expected at least 2"),
    "only y": ("y\n1\n0\n", "line 1: found 1 column ('y'), expected at least 2"),
    "blank-separated": ("1 2 0\n", "line 1: found 1 column ('1 2 0'), expected at least 2"),
    "semicolons": ("1;2;0\n3;4;1\n", "line 1: found semicolons between the columns, expected com"),
    "semicolons, header": ("a;b;y\n3;4;1\n", "line 1: found semicolons between the columns"),
    "decimal commas": ("1,5;2,5;0\n", "line 1: found semicolons between the columns"),
    "tabs": ("\na\tb\ty\n3\t4\t1\n", "line 2: found tabs between the columns, expected commas"),
    "semicolons later": ("1,0\n2;1\n", "line 2: found 1 columns, expected 2 as in the first line"),
    "short row": ("1,2,0\n\n3,1\n", "line 3: found 2 columns, expected 3 as in the first line"),
    "long row": ("a,b,y\n1,2,0\n3,4,1,0\n", "line 3: found 4 columns, expected 3 as in the first"),
    "all rows long": ("a,b,y\n1,2,3,0\n3,4,5,1\n", "line 2: found 4 columns, expected 3 as in the"),
    "last comma": ("1,2,0\n3,4,1,\n", "line 2: found 4 columns, expected 3"),
    "text": ("1,2,0\n3,four,1\n", "line 2, column 2: found 'four', expected a number"),
    "text, named": ("a,b,y\n1,2,0\n3,four,1\n", "line 3, column 2 ('b'): found 'four', expected a"),
    "text in first line": (
        "1,two,0\n3,4,1\n",
        "line 1, column 2: found 'two', expected a number (",
    ),
    "missing in first": ("1,,0\n3,4,1\n", "line 1, column 2: found an empty field, expected a num"),
    "missing": ("1,2,0\n3, ,1\n", "line 2, column 2: found an empty field, expected a number"),
    "no name": (
        ",a,y\n0,2,0\n1,4,1\n",
        "line 1, column 1: found a column without a name, expected",
    ),
    "two labels": ("y,a,label\n1,2,0\n", "line 1: found two label columns, 1 and 3, expected one"),
    "long text": (
        "1,0\n" + "z" * 99 + ",1\n",
        f"line 2, column 1: found '{'z' * 37}...', expected",
    ),
    "control characters": (
        "1,0\n\x1b[2J\u2028,1\n",
        r"line 2, column 1: found '\x1b[2J', expected",
    ),
    "comment": ("1,0\n#2,1\n", "line 2, column 1: found '#2', expected a number"),
    "underscore": ("1,0\n1_000,1\n", "line 2, column 1: found '1_000', expected a number"),
    "hexadecimal": ("1,0\n0x10,1\n", "line 2, column 1: found '0x10', expected a number"),
    "complex": ("1,0\n1+2j,1\n", "line 2, column 1: found '1+2j', expected a number"),
    "other digits": ("1,0\n\u0661,1\n", "line 2, column 1: found '\u0661', expected a number"),
    "long digits and text": ("1,0\n" + "1" * 10**6 + "z,1\n", "line 2, column 1: found '1111"),
    "open quote": ('1,0\n"2,1\n3,1\n', "line 2: found bad quotes ("),
    "quote inside": ('1,0\n"2"3,1\n', "line 2: found bad quotes ("),
    "line break in quotes": ('"1","0"\n"2\n","1"\n', "line 2: found bad quotes ("),
    "decimal comma in quotes": ('"1,5",0\n"2,5",1\n', "line 1, column 1: found '1,5', expected"),
    "huge quoted field": ('1,0\n"' + "1" * 200_000 + '",1\n', "line 2: found bad quotes ("),
    "nan": ("1,0\nNaN,1\n", "line 2, column 1: found nan, expected a finite number that fits fl"),
    "inf": ("a,y\n\n1,0\n-Infinity,1\n", "line 4, column 1 ('a'): found -inf, expected a finite"),
    "too large": ("1,0\n1e39,1\n", "line 2, column 1: found 1e+39, expected a finite number that"),
    "beyond float64": ("1,0\n1e999,1\n", "line 2, column 1: found inf, expected a finite number"),
    "label 2": ("\n1,0\n\n3,2\n", "line 4, column 2: found 2.0, expected the label 0 or 1"),
    "label 2, named": ("y,a\n0,1\n2,3\n", "line 3, column 1 ('y'): found 2.0, expected the label"),
    "label nan": ("1,0\n3,nan\n", "line 2, column 2: found nan, expected the label 0 or 1"),
    "nan behind the label": ("y,a\n0,1\n1,nan\n", "line 3, column 2 ('a'): found nan, expected a"),
    "one class": ("1,1\n3,1\n", "found only points of class 1, expected both classes, 0 and 1"),
    "one point": ("a,y\n1,1\n", "found 1 point, expected at least 2, one of each class"),
    "Latin-1": ("1,0\nü,1\n".encode("latin-1"), "line 2: found the byte 0xfc, expected UTF-8 tex"),
    "Latin-1, BOM": (b"\xef\xbb\xbf1,0\r\n2,\xfc\n", "line 2: found the byte 0xfc, expected UTF-8"),
    "cut in a letter": (b"1,0\n2,\xc3", "line 2: found the byte 0xc3, expected UTF-8 text"),
    "UTF-16": ("1,0\n2,1\n".encode("utf-16"), "line 1: found a UTF-16 byte order mark, expected"),
    "UTF-16, no BOM": ("1,0\n2,1\n".encode("utf-16-le"), "line 1: found a NUL byte, expected text"),
    "NUL": (b"1,0\r\n2,0\r3,1\n4\0,1\n", "line 4: found a NUL byte, expected text"),
    "npz by another name": (npz(), "line 1: found a NUL byte, expected text"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(tmp_path: Path, case: str) -> None:
    content, message = BAD_CSV[case]
    found = refused(tmp_path, "bad.csv", content)
    assert found.startswith(message), found


def test_many_lines_are_quick(tmp_path: Path) -> None:
    rows = "".join(f"{i},{-i},{i % 2}\n" for i in range(20_000))
    (tmp_path / "big.csv").write_text("a,b,y\n" + rows * 5)
    began = time.process_time()
    task = task_from_file(tmp_path / "big.csv")
    assert time.process_time() - began < 2  # a tenth of a million: 0.13 s where it was written
    assert task.points == 100_000 and task.x[-1].tolist() == [19_999, -19_999]


# ---- any content ----------------------------------------------------------------------


def outcome(path: Path) -> Task | None:
    """The task, or None where the file is refused as it should be; anything else fails."""
    began = time.process_time()
    message = None
    try:
        task = task_from_file(path)
    except UsageError as error:
        message = str(error)
    assert time.process_time() - began < 5
    if message is None:
        return task
    assert message.startswith(f"task file {str(path)!r}: ")
    assert message.isprintable()
    return None


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with one to four small accidents."""
    data = bytearray(content)
    tokens = [
        b"\0",
        b"\xff",
        b"nan",
        b"-",
        b"e9",
        b",",
        b"\n",
        b'"',
        b";",
        b"PK\x05\x06",
        b"(" * 50,
    ]
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        end = min(len(data), at + draw.choice([1, 1, 2, 8, 40]))
        kind = draw.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at:end] = draw.randbytes(end - at)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end]
        elif kind == 4:
            data[at:at] = draw.choice(tokens)
        elif draw.random() < 0.2:
            del data[at:]
    return bytes(data)


BIG_X = np.arange(60.0).reshape(30, 2)
SEEDS = {
    "stored.npz": npz(x=BIG_X, y=np.arange(30) % 2, x_test=X, y_test=Y),
    "deflated.npz": npz(True, x=BIG_X, y=np.arange(30) % 2),
    "plain.csv": GOOD_CSV["plain"],
    "header.csv": GOOD_CSV["label named y"],
    "quotes.csv": GOOD_CSV["quotes"],
}


@pytest.mark.parametrize("name", SEEDS)
def test_accidents_are_refused_or_read(tmp_path: Path, name: str) -> None:
    seed = SEEDS[name]
    content = seed.encode() if isinstance(seed, str) else seed
    draw = random.Random(name)
    read = 0
    for _ in range(300):
        path = tmp_path / name
        path.write_bytes(mutated(content, draw))
        task = outcome(path)
        if task is not None:
            read += 1
            if name.endswith(".csv"):
                assert_same_as_naive(task, path.read_bytes())
            else:  # the checksums vouch for it
                np.testing.assert_array_equal(task.x, BIG_X)
    assert 0 < read < 300


def assert_same_as_naive(task: Task, content: bytes) -> None:
    x, y = naive.csv_points(content.decode())
    np.testing.assert_array_equal(task.x, np.array(x, np.float32))
    np.testing.assert_array_equal(task.y, np.array(y))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text('01.5,,,\n\n-+einfa_y" \r;\t#\ufeff\u0661', max_size=24))
def test_any_text_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(("1.5,0\n0.5,1\n" + text).encode())
    task = outcome(path)
    if task is not None:
        assert_same_as_naive(task, path.read_bytes())


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data(), st.integers(2, 9), st.integers(1, 20), st.booleans())
def test_numbers_survive_both_formats(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, n: int, width: int, named: bool
) -> None:
    rows = st.lists(NUMBERS, min_size=width, max_size=width)
    x = np.array(data.draw(st.lists(rows, min_size=n, max_size=n)), np.float32)
    y = np.arange(n, dtype=np.uint8) % 2
    lines = [",".join([*map(repr, x[i].tolist()), str(y[i])]) for i in range(n)]
    names = [",".join([f"x{i}" for i in range(width)] + ["y"])] if named else []
    folder = tmp_path_factory.getbasetemp()
    from_csv = load(folder, "round.csv", "\n".join(names + lines))
    from_npz = load(folder, "round.npz", npz(x=x, y=y))
    np.testing.assert_array_equal(from_csv.x.view(np.uint32), x.view(np.uint32))
    assert from_csv.digest() == from_npz.digest() == Task("any", x, y).digest()

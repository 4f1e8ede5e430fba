"""combsearch study pqi: what it prints, the files it reads, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import naive_sparsity as naive
import numpy as np
import numpy.typing as npt
import pytest

from combsearch.cli import main
from combsearch.commands.study_pqi import pqi_index_command

Capture = pytest.CaptureFixture[str]


def saved(path: Path, values: npt.ArrayLike, **given: Any) -> str:
    np.save(path, np.asarray(values), **given)
    return str(path)


def printed(capsys: Capture, *arguments: str) -> str:
    assert main(["study", "pqi", "index", *arguments]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return found.out


def error_of(capsys: Capture, *arguments: str) -> str:
    """The one line on standard error of a command that must end with exit code 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1, found.err
    return found.err.removeprefix("combsearch: ").rstrip("\n")


def test_json(tmp_path: Path, capsys: Capture) -> None:
    w = np.random.default_rng(0).normal(size=(4, 5)).round(3)
    w[1, 2] = 0
    path = saved(tmp_path / "w.npy", w)
    report = json.loads(printed(capsys, path, "--p", "1", "--q", "2", "--eta", "0.1", "--json"))
    values = w.reshape(-1).tolist()
    bound = float(naive.retain_bound(values, 1, 2, 0.1))
    assert report == {
        "vector": path,
        "entries": 20,
        "not_zero": 19,
        "p": 1.0,
        "q": 2.0,
        "eta": 0.1,
        "pqi": pytest.approx(float(naive.pq_index(values, 1, 2)), rel=1e-13),
        "pqi_limit": pytest.approx(1 - 20**-0.5, rel=1e-13),
        "gini": pytest.approx(float(naive.gini(values)), rel=1e-12),
        "retain_at_least": int(np.ceil(bound)),
        "retain_bound": pytest.approx(bound, rel=1e-12),
        "sap_prunes": 20 - int(np.ceil(bound)),
    }
    assert pqi_index_command(path, 1, 2, 0.1, as_json=True) == report


def test_text_and_defaults(tmp_path: Path, capsys: Capture) -> None:
    path = saved(tmp_path / "w.npy", [10, 1, 0.2])
    assert printed(capsys, path).splitlines() == [
        f"{path}: 3 entries, 3 not 0",
        "PQ index         0.367637  (p 0.5, q 1; 0 if all are alike, at most 0.666667)",
        "Gini             0.583333",
        "retain at least  2 of 3  (eta 0; SAP prunes 1 in a round)",
    ]
    assert printed(capsys, path) == printed(capsys, path, "--p", "0.5", "--q", "1", "--eta", "0")
    one = saved(tmp_path / "one.npy", 7)
    assert printed(capsys, one).startswith(f"{one}: 1 entry, 1 not 0\nPQ index         0  (p 0.5")


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "<i8", ">u2", "<f2", "<f4", ">f8", np.dtype(np.longdouble).str]
)
def test_every_real_dtype_shape_and_order(dtype: str, tmp_path: Path) -> None:
    w = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype)
    for number, values in enumerate((w, np.asfortranarray(w), w.reshape(-1), w[None, :, None])):
        report = pqi_index_command(saved(tmp_path / f"{number}.npy", values))
        assert (report["entries"], report["not_zero"], report["retain_at_least"]) == (6, 4, 4)
        assert report["pqi"] == pytest.approx(1 / 3)


def header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.ones(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found something else, expected one array as numpy.save writes it (.npy)"),
        (b"1,2,3\n", "found something else, expected one array"),
        (pickle.dumps([1, 2]), "found something else, expected one array"),
        (npz(), "found an archive (.npz), expected one array"),
        (header("<f8", "(2,)") + bytes(15), "found 15 bytes of numbers, expected 16: it is dam"),
        (header("<f8", "(2,)") + bytes(17), "found 17 bytes of numbers, expected 16: it is dam"),
        (header("<f8", "(10**15,)"), "its header is damaged (ValueError)"),
        (header("<f8", "(1000000000000000,)"), "found 0 bytes of numbers, expected 80000000000000"),
        (header("<f8", "(-1,)"), "found 0 bytes of numbers, expected -8"),
        (header("<f8", "(2,)")[:30], "its header is damaged (ValueError)"),
        (b"\x93NUMPY\x07\x00", "found version (7, 0) of .npy, expected 1.0 or 2.0"),
        (b"\x93NUMPY", "its header is damaged (ValueError)"),
        (header("|O", "(1,)") + pickle.dumps([1]), "found Python objects (a pickle, which is nev"),
        (header("<c16", "(1,)") + bytes(16), "found dtype complex128, expected real numbers"),
        (header("<U1", "(1,)") + bytes(4), "found dtype <U1, expected real numbers"),
        (header("<M8[s]", "(1,)") + bytes(8), "found dtype datetime64[s], expected real"),
        (header("<f8", "(0,)"), "it is empty (shape [0]), expected at least one number"),
        (header("<f8", "(3, 0)"), "it is empty (shape [3, 0])"),
        (header("<f8", "(4,)") + bytes(32), "all its numbers are 0, expected at least one that"),
    ],
)
def test_bad_files(content: bytes, message: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    found = error_of(capsys, "study", "pqi", "index", str(path))
    assert found.startswith(f"vector file {str(path)!r}: {message}")


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_numbers_that_are_not_finite(
    bad: float, shown: str, tmp_path: Path, capsys: Capture
) -> None:
    w = np.ones((2, 3), order="F")
    w[1, 2] = bad
    found = error_of(capsys, "study", "pqi", "index", saved(tmp_path / "w.npy", w))
    assert found.endswith(f"w.npy': entry [1, 2] is {shown}, every number must be finite")


def test_a_nan_that_complains_when_it_is_cast(tmp_path: Path, capsys: Capture) -> None:
    signalling = np.array([1, 0x7FA00001], np.uint32).view(np.float32)
    found = error_of(capsys, "study", "pqi", "index", saved(tmp_path / "w.npy", signalling))
    assert found.endswith("entry [1] is nan, every number must be finite")


def test_files_that_are_none(tmp_path: Path, capsys: Capture) -> None:
    def message(path: Path) -> str:
        return error_of(capsys, "study", "pqi", "index", str(path)).partition(": ")[2]

    assert message(tmp_path / "no.npy") == "cannot be read (No such file or directory)"
    assert message(tmp_path) == "found a folder, expected an .npy file"
    assert message(Path(f"{tmp_path}/nul\0.npy")) == "cannot be read (ValueError)"
    os.mkfifo(tmp_path / "pipe.npy")
    assert message(tmp_path / "pipe.npy").startswith("found a pipe or device")
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}, None], dtype=object), allow_pickle=True)
    assert message(objects).startswith("found Python objects (a pickle, which is never loaded)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--p 1 --q 1", "p is 1 and q is 1: needs 0 < p < q, such as p 0.5 and q 1"),
        ("--p 2", "p is 2 and q is 1: needs 0 < p < q"),
        ("--p 0", "p is 0 and q is 1"),
        ("--p -0.5", "p is -0.5 and q is 1"),
        ("--q nan", "p is 0.5 and q is nan"),
        ("--q inf", "p is 0.5 and q is inf"),
        ("--eta -1", "eta is -1, it must be a number from 0 up"),
        ("--eta nan", "eta is nan"),
        ("--p half", "argument --p: invalid float value: 'half'; see combsearch study pqi index"),
        ("--et 1", "unknown option '--et', did you mean '--eta'?; see combsearch study pqi index"),
        ("more.npy", "unexpected argument 'more.npy'; see combsearch study pqi index --help"),
    ],
)
def test_bad_arguments(arguments: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    path = saved(tmp_path / "w.npy", [1, 2])
    assert error_of(capsys, "study", "pqi", "index", path, *arguments.split()).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("study", "the following arguments are required: STUDY; see combsearch study --help"),
        ("study pqi --rnds 3", "unknown option '--rnds', did you mean '--rounds'?"),
        ("study pqi index", "the following arguments are required: VECTOR"),
        ("study pqx", "argument STUDY: invalid choice: 'pqx'"),
        ("study pqi indx", "argument [ACTION]: invalid choice: 'indx'"),
        ("stdy pqi", "unknown command 'stdy', did you mean 'study'?"),
    ],
)
def test_unknown_commands(arguments: str, message: str, capsys: Capture) -> None:
    assert error_of(capsys, *arguments.split()).startswith(message)


def test_help(capsys: Capture) -> None:
    for words, shown in (
        (["study"], "pqi"),
        (["study", "pqi"], "index"),
        (["study", "pqi", "index"], "VECTOR --p --q --eta --json"),
    ):
        with pytest.raises(SystemExit, match="0"):
            main([*words, "--help"])
        out = capsys.readouterr().out
        assert [word for word in shown.split() if word not in out] == []


def test_it_needs_no_heavy_library(root: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npy", [1, 2])
    code = (
        "import sys; from combsearch.cli import main; assert main(sys.argv[1:]) == 0;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'pyarrow', 'scipy')))"
    )
    command = [sys.executable, "-W", "error", "-c", code, "study", "pqi", "index", path]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, check=True, env=environment, capture_output=True)


def test_headers_of_other_writers(tmp_path: Path) -> None:
    """Version 2.0, and one as Python 2 wrote it, of which numpy warns."""
    new, old = tmp_path / "new.npy", tmp_path / "old.npy"
    with new.open("wb") as file:
        np.lib.format.write_array(file, np.array([3.0, 4.0]), version=(2, 0))
    old.write_bytes(header("<f8", "(2L,)") + np.array([3.0, 4.0]).tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pqi_index_command(str(new))["pqi"] == pqi_index_command(str(old))["pqi"] > 0

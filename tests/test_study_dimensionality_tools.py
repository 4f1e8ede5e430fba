"""correlate and estimate: what they print, the files they read, and what they refuse."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import naive_dimension as naive
import numpy as np
import pytest

from combsearch.commands import study_dimensionality_tools as tools
from combsearch.commands.study_dimensionality_tools import correlate_command, estimate_command
from combsearch.errors import UsageError
from combsearch.studies.dimensionality import correlation, intrinsic_dimension, published

Capture = pytest.CaptureFixture[str]
TABLE = "group,dimension,mean,spread,note\na,16,10,1,x\na,32,12,1,\nb,16,8,2,\nb,32,15,0,\n"


def given(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools")
    tools.add_tools(parser.add_subparsers(required=True))
    return parser.parse_args(arguments)


def printed(capsys: Capture, *arguments: str) -> str:
    settings = given(*arguments)
    assert settings.module == "study_dimensionality_tools" and settings.parser.prog.endswith(
        arguments[0]
    )
    settings.function(settings)
    found = capsys.readouterr()
    assert found.err == ""
    return found.out


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return str(path)


@pytest.fixture
def points(tmp_path: Path) -> str:
    """300 points of a plane in five dimensions, three of them twice."""
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 2)) @ random.normal(size=(2, 5))
    np.save(tmp_path / "points.npy", np.concatenate([x, x[:3]]).reshape(303, 5, 1))
    return str(tmp_path / "points.npy")


# ------------------------------------------------------------------ correlate


def test_correlate_json(table: str, capsys: Capture) -> None:
    options = ("--draws", "200", "--rollouts", "50", "--seeds", "4", "--seed", "9")
    out = printed(capsys, "correlate", table, *options, "--json")
    assert out.count("\n") == 1
    report = json.loads(out)
    trials = correlation.Trials(
        np.array([16.0, 32, 16, 32]), np.array([10.0, 12, 8, 15]), np.array([1.0, 1, 2, 0])
    )
    expected = correlation.monte_carlo_spearman(trials, 200, 50, 4, 9)
    assert report == {
        "mean": expected.mean,
        "std": expected.std,
        "rollouts": 50,
        "draws": 200,
        "trials": 4,
        "seeds": 4,
        "seed": 9,
        "table": table,
    }
    assert correlate_command(table, 200, 50, 4, 9, as_json=True) == report


def test_correlate_text(table: str, capsys: Capture) -> None:
    options = (table, "--rollouts", "1234", "--draws", "100", "--paper")
    report = json.loads(printed(capsys, "correlate", *options, "task", "--json"))
    assert printed(capsys, "correlate", *options, "task").splitlines() == [
        f"{table}: 4 trials",
        "Spearman correlation of dimension and weights left:"
        f" {report['mean']:.3f} ± {report['std']:.3f}",
        "  1,234 rollouts of 100 draws, outcomes from N(mean, spread / sqrt(3)), seed 0",
        "  the deviation is that of the draws: it shrinks with more of them, not with more trials",
        "the paper, task: 0.01 ± 0.03",
    ]
    assert (report["paper"], report["paper_mean"], report["paper_std"]) == ("task", 0.01, 0.03)
    rows = [(16.0, 10.0, 1.0), (32.0, 12.0, 1.0), (16.0, 8.0, 2.0), (32.0, 15.0, 1e-9)]
    assert report["mean"] == pytest.approx(naive.endless_spearman(rows, 3), abs=0.005)


def test_what_the_parser_repeats_is_what_the_modules_say() -> None:
    """It may import neither at start."""
    settings = given("correlate", "t.csv")
    assert (settings.draws, settings.rollouts, settings.seeds, settings.seed) == (
        correlation.DRAWS,
        correlation.ROLLOUTS,
        correlation.SEEDS,
        0,
    )
    assert given("estimate", "x.npy").ks == intrinsic_dimension.KS
    assert tuple(published.CORRELATIONS) == tools._PAPER


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("b,16,8,-2", {}, "table '.*': line 4, column 'spread': found -2"),
        ("b,32,8,2", {}, "table '.*': line 5: group 'b', dimension 32 is there twice, first in"),
        ("", {"draws": 1}, "draws is 1, it must be at least 2"),
        ("", {"rollouts": 0}, "rollouts is 0"),
        ("", {"seeds": 0}, "seeds is 0"),
        ("", {"seed": -1}, "seed is -1"),
        ("", {"paper": "tusk"}, "unknown experiment 'tusk', did you mean 'task'"),
    ],
)
def test_bad_correlate(
    change: str, options: dict[str, Any], message: str, table: str, capsys: Capture
) -> None:
    if change:
        Path(table).write_text(TABLE.replace("b,16,8,2", change))
    with pytest.raises(UsageError, match=message):
        correlate_command(table, **options)
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------ estimate


def test_estimate_json(points: str, capsys: Capture) -> None:
    report = json.loads(printed(capsys, "estimate", points, "--k", "3,10", "--json"))
    whole = intrinsic_dimension.intrinsic_dimension(np.load(points), (3, 10))
    assert report == {
        "points": points,
        "n": 300,
        "of": 303,
        "duplicates": 3,
        "features": 5,
        "seed": 0,
        "estimates": [vars(one) for one in whole.estimates],
    }
    assert [one["k"] for one in report["estimates"]] == [3, 10]
    assert all(abs(one["dimension"] - 2) < 3 * one["standard_error"] for one in report["estimates"])


def test_estimate_text(points: str, capsys: Capture) -> None:
    lines = printed(capsys, "estimate", points).splitlines()
    assert lines[:3] == [
        f"{points}: 300 points of 5 features",
        "3 more equal one of them and were left out",
        "intrinsic dimension by maximum likelihood (Levina and Bickel; inverses averaged)",
    ]
    assert [line.split()[:2] for line in lines[3:7]] == [["k", k] for k in ("3", "5", "10", "20")]
    one = estimate_command(points, (5,))["estimates"][0]
    assert lines[4] == f"  k   5   {one['dimension']:9.3f} ± {one['standard_error']:.3f}"


def test_a_limit_draws_points_by_the_seed(points: str, capsys: Capture) -> None:
    def found(*options: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(
            printed(capsys, "estimate", points, "--json", "--limit", "100", *options)
        )
        return report

    first = found()
    assert first["n"] + first["duplicates"] == 100 and first["of"] == 303
    assert found() == first
    assert found("--seed", "1")["estimates"] != first["estimates"]
    assert ", drawn from 303 with seed 0\n" in printed(capsys, "estimate", points, "--limit", "99")
    assert "drawn" not in printed(capsys, "estimate", points, "--limit", "303").split("\n")[0]


def test_every_way_of_saving_gives_the_same(points: str, tmp_path: Path, capsys: Capture) -> None:
    x = np.load(points)
    expected = estimate_command(points)["estimates"]
    np.savez(tmp_path / "plain.npz", y=np.arange(303), x=x)
    np.savez_compressed(tmp_path / "packed.npz", x=x)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    np.save(tmp_path / "big.npy", x.astype(">f8"))
    for name in ("plain.npz", "packed.npz", "fortran.npy", "big.npy"):
        assert estimate_command(str(tmp_path / name))["estimates"] == expected
    images = (255 * np.random.default_rng(0).uniform(size=(40, 3, 4, 4))).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    assert estimate_command(str(tmp_path / "images.npz"))["features"] == 48
    capsys.readouterr()


def header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(name: str = "x.npy", content: bytes | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr(name, header("<f8", "(2, 1)") + bytes(16) if content is None else content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found something else, expected an .npy or an .npz with key x"),
        (pickle.dumps([1, 2]), "found something else"),
        (header("<f8", "(2, 1)") + bytes(15), "found 15 bytes of numbers, expected 16: it is dam"),
        (header("<f8", "(2, 1)") + bytes(17), "found 17 bytes of numbers, expected 16"),
        (header("<f8", "(10**9, 1)"), "its header is damaged (ValueError)"),
        (header("<f8", "(1000000000000, 9)"), "found 0 bytes of numbers, expected 72000000000000"),
        (header("<f8", "(-1, -2)"), "found shape [-1, -2], expected [n, ...], a point a row"),
        (header("<f8", "(2,)") + bytes(16), "found shape [2], expected [n, ...], a point a row"),
        (header("<f8", "(0, 3)"), "found shape [0, 3], expected [n, ...], a point a row, with no"),
        (header("<f8", "(2, 1)")[:30], "its header is damaged"),
        (b"\x93NUMPY\x07\x00", "found version (7, 0) of .npy, expected 1.0 or 2.0"),
        (header("|O", "(1, 1)") + pickle.dumps([1]), "found Python objects (a pickle, which is ne"),
        (header("<c16", "(1, 1)") + bytes(16), "found dtype complex128, expected real numbers"),
        (header("<U1", "(1, 1)") + bytes(4), "found dtype <U1, expected real numbers"),
        (header("<f8", "(3, 1)") + bytes(24), "all 3 points coincide"),
        (header("<f8", "(2, 1)") + bytes(14) + b"\xf0\x7f", "feature 0 of point 1 is inf, every"),
        (header("<f8", "(2, 1)") + bytes(14) + b"\xf0\x3f", "k is 20, it must be below the number"),
        (archive("y.npy"), "no key 'x' (keys found: 'y')"),
        (archive()[:40], "the archive is damaged (BadZipFile)"),
        (archive(content=header("|O", "(1, 1)") + pickle.dumps([1])), "found Python objects (a p"),
        (archive(content=b"\x93NUMPY"), "its header is damaged"),
        (archive(content=header("<f8", "(2, 1)")), "found 0 bytes of numbers, expected 16"),
        (
            archive(content=header("<f8", "(2000, 1)") + bytes(16_000)).replace(
                bytes(9), b"123456789"
            ),
            "the archive is damaged (BadZipFile)",
        ),
    ],
)
def test_bad_points(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        estimate_command(str(path))
    assert str(caught.value).startswith(f"points {str(path)!r}: {message}"), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ks": (1,)}, "points '.*': k is 1, it must be at least 2"),
        ({"ks": (300,)}, "k is 300, it must be below the number of different points, 300"),
        ({"limit": 2}, "limit is 2, it must be at least 3 points"),
        ({"limit": 5}, r"points '.*' \(of the 5 that were drawn\): k is 20"),
        ({"seed": -1}, "seed is -1, it must lie in 0"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
    ],
)
def test_bad_estimates(options: dict[str, Any], message: str, points: str) -> None:
    with pytest.raises(UsageError, match=message):
        estimate_command(points, **options)


def test_files_that_are_none(tmp_path: Path) -> None:
    def message(path: Path | str) -> str:
        with pytest.raises(UsageError) as caught:
            estimate_command(str(path))
        return str(caught.value).partition("': ")[2]

    assert message(tmp_path / "no.npy") == "cannot be read (No such file or directory)"
    assert message(tmp_path) == "found a folder, expected an .npy or .npz file"
    assert message(f"{tmp_path}/nul\0.npy") == "cannot be read (ValueError)"
    os.mkfifo(tmp_path / "pipe.npy")
    assert message(tmp_path / "pipe.npy").startswith("found a pipe or device")


@pytest.mark.parametrize("text", ["3;5", "", "3.5", "three"])
def test_bad_ks(text: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        given("estimate", "x.npy", "--k", text)
    assert f"argument --k: invalid value: {text!r}, expected whole" in capsys.readouterr().err


def test_only_the_standard_library_is_imported_for_help(root: Path) -> None:
    code = (
        "import sys, combsearch.commands.study_dimensionality_tools;"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'scipy', 'pyarrow')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)

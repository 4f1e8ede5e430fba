"""combsearch.commands.count: what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from combsearch import cli
from combsearch.commands.count import count_command
from combsearch.errors import UsageError


def printed(capsys: pytest.CaptureFixture[str], **arguments: Any) -> str:
    count_command(**arguments)
    return capsys.readouterr().out


def test_json_of_one_shape(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(capsys, shape="7,3,3", as_json=True))
    levels = report.pop("by_nonzeros")
    assert report == {"shape": [2, 7, 3, 3, 1], "rows": 266_004_066, "orbits": 8_338_343}
    assert list(levels) == [str(nonzeros) for nonzeros in range(34, 62)]
    assert (levels["34"], levels["44"], levels["61"]) == (84, 1_189_886, 1)
    assert count_command("7,3,3", as_json=True) == {**report, "by_nonzeros": levels}


def test_json_of_all_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(capsys, max_nonzeros=25, as_json=True))
    levels, shapes = report.pop("by_nonzeros"), report.pop("by_shape")
    assert report == {"max_nonzeros": 25, "shapes": 79, "orbits": 11_621}
    assert sum(levels.values()) == 11_621
    assert sum(n for nonzeros, n in levels.items() if int(nonzeros) <= 20) == 560
    assert list(map(int, levels)) == [9, *range(11, 26)]
    assert len(shapes) == 79 and sum(s["orbits"] for s in shapes) == 11_621
    assert shapes[0] == {"shape": [2, 1, 1, 1, 1], "orbits": 1, "smallest": 9}
    assert {"shape": [2, 3, 3, 3, 1], "orbits": 765, "smallest": 22} in shapes


def test_a_limit_cuts_rows_and_orbits_of_a_shape_alike(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(capsys, shape="3,3,3", max_nonzeros=23, as_json=True))
    assert report["max_nonzeros"] == 23
    assert report["by_nonzeros"] == {"22": 2, "23": 23}
    assert report["orbits"] == 25
    whole = count_command("3,3,3", max_nonzeros=37)
    assert (whole["rows"], whole["orbits"]) == (25_992, 12_400)
    assert 25 <= report["rows"] < whole["rows"]


def test_inputs_outputs_depth_and_width_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert count_command("2", inputs=1, outputs=3)["shape"] == [1, 2, 3]
    shapes = count_command(max_nonzeros=20, inputs=3, outputs=2, depth=2, width=2)["by_shape"]
    assert {tuple(s["shape"]) for s in shapes} == {
        (3, 1, 1, 2),
        (3, 1, 2, 2),
        (3, 2, 1, 2),
        (3, 2, 2, 2),
    }


def test_masks_that_leave_inputs_unused(capsys: pytest.CaptureFixture[str]) -> None:
    report = count_command(max_nonzeros=20, inputs=5, unused_inputs=True)
    assert report["unused_inputs"] and report["orbits"] == 49_647
    assert report["by_shape"][0] == {"shape": [5, 1, 1, 1, 1], "orbits": 31, "smallest": 8}
    one = count_command("3,2", max_nonzeros=16, inputs=3, unused_inputs=True)
    assert one["unused_inputs"] and one["rows"] > one["orbits"] == sum(one["by_nonzeros"].values())
    assert "unused_inputs" not in count_command("3,2", inputs=3)
    capsys.readouterr()
    assert cli.main(["count", "--shape=2,2", "--inputs=3", "--unused-inputs"]) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert head == "(2,2): 112 row-sorted masks, inputs used or not, 105 orbits"
    with pytest.raises(UsageError, match=r"as few as 7 nonzeros.* --max-nonzeros 8 or more"):
        count_command(max_nonzeros=7, inputs=9, unused_inputs=True)


def test_the_table_of_a_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, shape="3,2,2").splitlines() == [
        "(3,2,2): 416 row-sorted masks, 273 orbits",
        "",
        "nonzeros      orbits  up to here",
        "      18           4           4",
        "      19          23          27",
        "      20          54          81",
        "      21          75         156",
        "      22          63         219",
        "      23          35         254",
        "      24          14         268",
        "      25           4         272",
        "      26           1         273",
    ]


def test_the_table_of_all_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, max_nonzeros=35).splitlines()
    assert lines[0] == "265 shapes with masks of at most 35 nonzeros, 10,562,343 orbits"
    assert lines[-1].split() == ["35", "5,459,248", "10,562,343"]
    assert len({len(line) for line in lines[2:]}) == 1
    one = printed(capsys, max_nonzeros=9).splitlines()[0]
    assert one == "1 shape with masks of at most 9 nonzeros, 1 orbit"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "count needs a shape, such as --shape 7,3,3"),
        ({"max_nonzeros": 5}, "as few as 5 nonzeros.* --max-nonzeros 9 or more"),
        ({"max_nonzeros": -1, "depth": 1}, "with 1 hidden layer has .* 5 or more"),
        ({"shape": "3,3,3", "max_nonzeros": 21}, r"shape \(3,3,3\) .* 22 or more"),
        ({"shape": "3,x"}, "'3,x' is not a list of hidden widths"),
        ({"max_nonzeros": 25, "width": 0}, "--width is 0, it must be from 1 up"),
        ({"shape": "3", "inputs": 0}, "--inputs is 0"),
        ({"shape": "3", "outputs": -2}, "--outputs is -2"),
        ({"max_nonzeros": 25, "depth": 0}, "--depth is 0"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    arguments: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=message):
        count_command(**arguments)
    assert capsys.readouterr().out == ""


def test_counting_needs_no_heavy_library(root: Path) -> None:
    code = (
        "import sys; from combsearch.commands.count import count_command; count_command('3,2,2');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'pyarrow')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)

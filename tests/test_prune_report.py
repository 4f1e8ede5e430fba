"""What a sweep reports of each budget: which runs count, and what is counted beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from combsearch import cli
from combsearch.commands import compare, descend, prune_figures
from combsearch.commands.output import file_name
from combsearch.commands.prune_report import COLUMNS, groups_json, make_report, report_text
from combsearch.prune_config import PAPER_TARGETS, PruneConfig
from combsearch.prune_rows import prune_table
from combsearch.sweep.plan import PrunePlan

CELLS = ("0.05:cosine", "0.05:step", "0.1:cosine", "0.1:step")


@pytest.fixture(scope="module")
def plan() -> PrunePlan:
    return PrunePlan.saved(
        PruneConfig(
            methods=("snip",), widths=(4,), budgets=("15", "20"), cells=CELLS, task="circles"
        )
    )


def rows_of(accuracy: list[float], status: list[str], kept: list[int]) -> pa.Table:
    """Two budgets of one method and width, four cells each."""
    columns = {
        "rank": np.repeat([0, 1], 4), "method": "snip", "width": 4,
        "budget": np.repeat([15, 20], 4), "shape": "2,4,4,4,1", "cell": list(CELLS) * 2,
        "restart": 0, "accuracy": accuracy, "status": status, "weight_nonzeros": kept,
        "nonzeros": np.array(kept) + 6, "effective_nonzeros": kept, "flops": 1e8,
        "prune_seconds": 0.5, "seconds": 0.25,
    }  # fmt: skip
    return prune_table(columns, [None] * 8)


def test_the_best_of_a_budget_is_sound_and_keeps_to_it(plan: PrunePlan) -> None:
    rows = rows_of(
        [0.99, 0.98, 0.97, 0.96, 0.9, 0.91, 1.0, 0.8],
        ["collapsed", "diverged", "ok", "ok", "collapsed", "diverged", "ok", "diverged"],
        [9, 15, 20, 19, 20, 20, 44, 44],
    )
    for columns in (rows.column_names, list(COLUMNS)):
        (group,) = groups_json(plan, rows.select(columns))
        assert {name: group[name] for name in ("collapsed", "diverged", "above_budget")} == {
            "collapsed": 2, "diverged": 3, "above_budget": 3,
        }  # fmt: skip
        first, second = group["budgets"]
        # One weight a layer above the budget is what rounding each layer by itself comes to.
        assert (first["accuracy"], first["weight_nonzeros"], first["nonzeros"]) == (0.96, 19, 25)
        counts = ("runs", "collapsed", "diverged", "above_budget")
        assert [first[name] for name in counts] == [4, 1, 1, 1]
        assert [second[name] for name in counts] == [4, 1, 2, 2]
        assert second["accuracy"] is None and "nonzeros" not in second
    text = report_text(make_report(plan, rows, None))
    assert "3 runs keep more weights than their budget" in text
    line = next(line for line in text.splitlines() if line.startswith("snip"))
    assert line.split()[-4:] == ["2", "3", "0.96000", "15"]


def test_the_figures_read_the_columns_that_they_name(plan: PrunePlan, tmp_path: Path) -> None:
    rows = rows_of([0.9] * 8, ["ok"] * 8, [15, 15, 15, 20, 20, 20, 20, 20])
    files = prune_figures.draw_sweep(rows.select(prune_figures.COLUMNS), tmp_path)
    assert [path.name for path in files] == ["accuracy-snip.png"] and files[0].is_file()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my.module:Mine", "my.module-Mine"),
        ("snip", "snip"),
        ("random weights, epochs 10", "random-weights-epochs-10"),
        ("../..", "x"),
        ("é" * 300, "x"),
        ("a" * 300, "a" * 80),
    ],
)
def test_names_of_files(text: str, name: str) -> None:
    assert file_name(text) == name


def test_the_papers_targets_are_everywhere_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.check_targets([]) == list(PAPER_TARGETS) == [0.95, 0.995]
    assert (*PAPER_TARGETS, 1.0) == descend.TARGETS
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    assert "default 0.95 and 0.995" in " ".join(capsys.readouterr().out.split())

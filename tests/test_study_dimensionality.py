"""combsearch study dimensionality: runs, their status, what they publish, and what is refused."""

from __future__ import annotations

import csv
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from combsearch.cli import main
from combsearch.commands.study_dimensionality_runs import saved_config, whole_rows
from combsearch.dimension_rows import DIMENSION_ROWS, SHOWN
from combsearch.errors import UsageError
from combsearch.store import RunStore, digest
from combsearch.studies.dimensionality import report as reporting
from combsearch.studies.dimensionality.config import CONFIGS, SpiralConfig
from combsearch.studies.dimensionality.correlation import monte_carlo_spearman
from combsearch.studies.dimensionality.matching import table_records
from combsearch.studies.dimensionality.report import make_report, report_text, sparsest
from combsearch.studies.dimensionality.rows_file import publish, published

PIECES = Path(__file__).parent / "image_files"
Capture = pytest.CaptureFixture[str]
SMALL = (
    "--widths", "6x5,8", "--inputs", "8", "--latent", "6", "--dimensions", "2,6", "--points", "160",
    "--test-points", "400", "--rounds", "4", "--seeds", "2", "--epochs", "3", "--batch-size", "16",
    "--tolerances", "0.02,0.05",
)  # fmt: skip
ROWS = 2 * 2 * 5 * 2  # widths, dimensions, rounds with that of the dense network, seeds


def study(*arguments: str) -> int:
    return main(["study", "dimensionality", *arguments])


@pytest.fixture(scope="module", autouse=True)
def few_rollouts() -> Iterator[None]:
    """A correlation of 5,000 rollouts takes most of the time of a small report."""
    with pytest.MonkeyPatch.context() as patch:
        few = functools.partial(monte_carlo_spearman, rollouts=50)
        patch.setattr(reporting, "monte_carlo_spearman", few)
        yield


@pytest.fixture(scope="module")
def runs(few_rollouts: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole run, and its file to publish."""
    folder = tmp_path_factory.mktemp("dimensionality")
    assert study("task", *flags(folder, "whole"), "--jobs", "1") == 0
    assert study("export", "whole", "--runs", str(folder), "-o", str(folder / "t.parquet")) == 0
    return folder


def flags(runs: Path, run: str) -> list[str]:
    return [*SMALL, "--run", run, "--runs", str(runs)]


def printed(capsys: Capture) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(capsys.readouterr().out))


def error(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line of a command that must fail."""
    capsys.readouterr()
    assert study(*arguments) == code
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1, found.err
    return found.err


def digest_of(runs: Path, run: str) -> str:
    return digest(RunStore.attach(runs / run).read(), DIMENSION_ROWS)


# ---- runs ---------------------------------------------------------------------------------


def test_a_run_tells_tables_and_correlation(runs: Path, capsys: Capture) -> None:
    assert study("task", *flags(runs, "whole"), "--json") == 0
    report = printed(capsys)
    assert report["finished"] and report["rows"] == ROWS and report["trained_now"] == 0
    assert [t["matching"] for t in report["tables"]] == ["strict", "within 2%", "within 5%"]
    rows = RunStore.attach(runs / "whole").read(SHOWN)
    for table, tolerance in zip(report["tables"], (0.0, 0.02, 0.05), strict=True):
        expected = table_records(rows, tolerance)
        assert [(r["group"], r["dimension"], r["seeds"]) for r in table["rows"]] == [
            ("6x5", 2, 2), ("6x5", 6, 2), ("8", 2, 2), ("8", 6, 2),
        ]  # fmt: skip
        for row, one in zip(table["rows"], expected, strict=True):
            assert row["mean"] == pytest.approx(one["mean"], abs=1e-6)
            assert row["spread"] == pytest.approx(one["spread"], abs=1e-6)
    means = [[row["mean"] for row in table["rows"]] for table in report["tables"]]
    assert (np.diff(np.array(means), axis=0) <= 0).all()  # with tolerance never more are left
    assert report["paper_correlation"] == {"mean": 0.01, "std": 0.03}
    assert report["made_with"]["command"].startswith("combsearch study dimensionality task --w")
    for name in ("table-strict.csv", "table-within-2.csv", "figures/curves-task.png"):
        assert (runs / "whole" / name).stat().st_size > 50


def test_a_table_of_a_run_is_one_to_correlate(
    runs: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "monte_carlo_spearman", monte_carlo_spearman)
    shutil.copytree(runs / "whole", tmp_path / "whole")
    path = tmp_path / "whole" / "table-within-5.csv"
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 and lines[0]["group"] == "6x5"
    assert study("task", *flags(tmp_path, "whole"), "--no-figures", "--json") == 0
    known = printed(capsys)["tables"][2]["correlation"]
    assert study("correlate", str(path), "--seeds", "2", "--json") == 0
    found = printed(capsys)
    assert {name: found[name] for name in known} == pytest.approx(known, abs=1e-3)


def test_what_is_missing_is_computed_again_and_the_same(runs: Path, capsys: Capture) -> None:
    more = (*flags(runs, "again"), "--no-figures", "--rewinds", "4")
    assert study("task", *more, "--jobs", "1") == 0
    before = digest_of(runs, "again")
    shards = sorted((runs / "again" / "shards").iterdir())
    assert len(shards) == 2 * 2 * 5
    for path in (shards[2], shards[19]):
        path.unlink()
    content = shards[6].read_bytes()
    shards[6].write_bytes(content[:100] + b"?" + content[101:])
    for path in (runs / "again" / "dense").iterdir():
        path.unlink()
    capsys.readouterr()
    assert study("task", *more, "--jobs", "2", "--json") == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["trained_now"] == 3 * 2 and "is damaged" in found.err
    assert digest_of(runs, "again") == before


def test_a_part_of_a_run_has_a_report(runs: Path) -> None:
    config = saved_config(RunStore.attach(runs / "whole"))
    rows = RunStore.attach(runs / "whole").read(SHOWN)
    some = rows.slice(0, 14)
    report = make_report(config, some, whole_rows(config), "folder")
    assert not report["finished"] and report["rows_left"] == ROWS - 14
    assert [one["rounds"] for one in report["dense"]] == [4, 1]
    assert "26 left" in report_text(report) and whole_rows(config) == ROWS
    nothing = make_report(config, rows.slice(0, 0), ROWS, "folder")
    assert nothing["dense"] == [] and nothing["tables"] == []


def test_status_verify_and_plot_know_the_study(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    for words in (["status"], ["verify"], ["plot", "-o", str(tmp_path), "--format", "pdf"]):
        capsys.readouterr()
        assert main([words[0], "whole", "--runs", str(runs), *words[1:]]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "curves-task.pdf", "prunability-task.pdf",
    }  # fmt: skip


def test_a_dry_run_writes_nothing(runs: Path, capsys: Capture) -> None:
    assert study("task", *flags(runs, "dry"), "--dry-run", "--json") == 0
    report = printed(capsys)
    assert report["rows"] == ROWS and report["networks"] == 2 * 2 * 2 * 5
    assert report["steps_per_network"] == 30 and not (runs / "dry").exists()


def test_images_and_spirals_run_too(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    where = ("--runs", str(tmp_path), "--no-figures", "--rounds", "1", "--seeds", "2", "--json",
             "--jobs", "1")  # fmt: skip
    images = ("--task", "fashion-mnist", "--network", "mlp", "--widths", "4", "--rewinds", "0",
              "--dimensions", "7,28", "--epochs", "1", "--batch-size", "5")  # fmt: skip
    assert study("extrinsic", *images, *where) == 0
    assert [one["weights"] for one in printed(capsys)["dense"]] == [49 * 4 + 40, 784 * 4 + 40]
    spiral = ("--embedding", "both", "--dimensions", "2,3", "--widths", "3x2", "--epochs", "1",
              "--targets", "0.3,0.999")  # fmt: skip
    assert study("spiral", *spiral, *where) == 0
    report = printed(capsys)
    assert [(one["inputs"], one["target"]) for one in report["sparsest"]] == [
        (2, 0.3), (2, 0.999), (3, 0.3), (3, 0.999),
    ]  # fmt: skip
    assert report["sparsest"][0]["seeds"] == 2 and report["sparsest"][1]["nonzeros"] is None
    assert report["sparsest"][0]["median"] <= 3 * 2 + 3 * 2 + 2 + 6


def test_the_sparsest_success_counts_effective_nonzeros() -> None:
    config = SpiralConfig(widths=("4",), dimensions=(2,), targets=(0.9,), seeds=3)
    columns: dict[str, Any] = {
        "width": ["4"] * 5, "dimension": [2] * 5, "rewind": [0] * 5, "restart": [0, 0, 1, 1, 2],
        "accuracy": [0.95, 0.91, 0.95, 0.95, 0.5], "status": ["ok"] * 4 + ["ok"],
        "effective": [20, 17, 22, 15, 3],
    }  # fmt: skip
    columns["status"][3] = "diverged"
    found = sparsest(config, cast(Any, columns))
    assert found[0]["nonzeros"] == 17 and found[0]["seeds"] == 2 and found[0]["median"] == 22


# ---- files --------------------------------------------------------------------------------


def test_published_rows_are_drawn_beside_a_table(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    config, rows = published(runs / "t.parquet")
    assert config == saved_config(RunStore.attach(runs / "whole")) and len(rows) == ROWS
    assert "mask" not in rows.column_names
    paper = tmp_path / "paper.csv"
    paper.write_text("group,dimension,mean,spread\n6x5,2,30,3\n6x5,6,50,4\n")
    out = tmp_path / "figures"
    assert study("plot", str(runs / "t.parquet"), "-o", str(out), "--paper", f"task:{paper}") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "curves-task.png", "prunability-task.png",
    ]  # fmt: skip
    twice = error(capsys, "plot", *[str(runs / "t.parquet")] * 2, "-o", str(out))
    assert "same experiment" in twice


def test_tables_of_published_rows_stand_beside_the_papers(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    paper = tmp_path / "paper.csv"
    paper.write_text("group,dimension,mean,spread\n6x5,2,31.25,3\n6x5,6,50,4\n")
    words = ("table", str(runs / "t.parquet"), "--paper", str(paper), "-o", str(tmp_path / "csv"))
    assert study(*words) == 0
    text = capsys.readouterr().out
    assert "31.25 ± 3.00" in text and "within 5%" in text and "rank correlation" in text
    with (tmp_path / "csv" / "table-strict.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["paper_mean"] for line in lines] == ["31.25", "50", "", ""]
    assert study(*words[:2], "--json") == 0
    report = printed(capsys)
    whole = json.loads((runs / "whole" / "summary.json").read_text())
    assert report["tables"] == whole["tables"] and report["paper"] == []
    assert "cannot be read" in error(capsys, *words[:2], "--paper", str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("task", "--dimensions", "16,500"), ("--dimensions", "500", "128")),
        (("task", "--dimensions", "500", "--latent", "6"), ("--dimensions:", "500", "6 coord")),
        (("task", "--latent", "64", "--dimensions", "16,100"), ("--latent:", "100", "64 coord")),
        (
            ("task", "--inputs", "8", "--latent", "6", "--nesterov", "--optimizer", "adam"),
            ("nesterov", "'adam'"),
        ),
        (("task", "--tolerances", "1.5"), ("--tolerances:", "1.5", "below 1")),
        (("task", "--widths", "5x"), ("'5x'", "256x128")),
        (("extrinsic", "--task", "nothing"), ("'nothing'", "cifar10")),
        (("extrinsic", "--network", "resnet21"), ("resnet21",)),
        (("intrinsic",), ("--generator",)),
        (("spiral", "--embedding", "line"), ("--embedding", "linear, distractors, both")),
        (("plot", "no.parquet", "-o", "x"), ("no.parquet",)),
        (("plot", "no.parquet", "-o", "x", "--paper", "table"), ("EXPERIMENT:TABLE.csv",)),
        (("export", "nowhere", "-o", "x.parquet"), ("nowhere",)),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], parts: tuple[str, ...], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    found = error(capsys, *words)
    assert all(part in found for part in parts), found


def test_what_diverged_is_reported_and_drawn_as_far_as_it_goes(
    tmp_path: Path, capsys: Capture
) -> None:
    where = ("--runs", str(tmp_path), "--jobs", "1")
    spiral = ("spiral", "--rounds", "1", "--seeds", "2", "--epochs", "1", "--dimensions", "2")
    again = (*spiral, "--widths", "3", *where, "--lr", "1e30", "--run", "all")
    assert study(*again) == 0
    text = capsys.readouterr().out
    assert "4 rows diverged and do not count" in text and "dense accuracy -" in text
    assert (tmp_path / "all" / "summary.json").exists()
    assert not (tmp_path / "all" / "figures").exists()
    assert main(["plot", "all", "--runs", str(tmp_path), "-o", str(tmp_path / "figures")]) == 2
    assert "every row diverged" in capsys.readouterr().err
    assert main(["status", "all", "--runs", str(tmp_path)]) == 0
    assert "study dimensionality spiral: 4 rows" in capsys.readouterr().out


def test_dense_networks_that_diverged_leave_curves_only(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    config, rows = published(runs / "t.parquet")
    status = np.where(np.asarray(rows["round"]) == 0, "diverged", "ok")
    place = rows.column_names.index("status")
    rows = rows.set_column(place, "status", pa.array(status, pa.string()))
    publish(rows, config, {}, tmp_path / "d.parquet")
    out = tmp_path / "figures"
    assert study("plot", str(tmp_path / "d.parquet"), "-o", str(out)) == 0
    assert [path.name for path in out.iterdir()] == ["curves-task.png"]


def test_a_paper_table_of_no_file_is_refused(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    paper = tmp_path / "paper.csv"
    paper.write_text("group,dimension,mean,spread\n16,16,30,3\n16,32,50,4\n")
    words = ("plot", str(runs / "t.parquet"), "-o", str(tmp_path), "--paper", f"extrinsic:{paper}")
    assert "--paper extrinsic: no file is of this experiment (task)" in error(capsys, *words)


def test_a_run_has_its_summary_before_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*given: Any) -> None:
        raise UsageError("no figures here")

    monkeypatch.setattr("combsearch.commands.study_dimensionality.draw_rows", failing)
    words = ("--rounds", "1", "--seeds", "1", "--epochs", "1", "--dimensions", "2", "--jobs", "1")
    where = ("--runs", str(tmp_path), "--run", "s", "--widths", "3")
    assert study("spiral", *words, *where) == 2
    assert json.loads((tmp_path / "s" / "summary.json").read_bytes())["trained_now"] == 2


def test_other_tolerances_are_the_same_run(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(runs / "whole", tmp_path / "whole")
    changed = [word if word != "0.02,0.05" else "0.3" for word in flags(tmp_path, "whole")]
    assert study("task", *changed, "--no-figures", "--json") == 0
    report = printed(capsys)
    assert report["trained_now"] == 0
    assert [t["matching"] for t in report["tables"]] == ["strict", "within 30%"]
    store = RunStore.attach(tmp_path / "whole")
    assert saved_config(store).tolerances == (0.3,)
    (store.root / "summary.json").write_text('{"config": {"tolerances": [7]}}')
    assert saved_config(store).tolerances == (0.005,)


def test_a_run_of_something_else_is_refused(runs: Path, tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "other", {"command": "study pqi", "numerics": 1})
    with pytest.raises(UsageError, match="'study pqi'"):
        saved_config(store)
    assert set(CONFIGS) == {"extrinsic", "intrinsic", "task", "spiral"}

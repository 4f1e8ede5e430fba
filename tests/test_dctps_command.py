"""combsearch study dctps: runs, their status, what they publish, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import signal
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
from searching import combsearch, finish, gone, tree

from combsearch import cli
from combsearch.commands import study_dctps_estimate
from combsearch.dctps_rows import DCTPS_ROWS, SHOWN
from combsearch.errors import CorruptDataError, UsageError
from combsearch.nets import NetBatch
from combsearch.store import RunStore, digest
from combsearch.studies.dctps.config import DctpsConfig, settings_of
from combsearch.studies.dctps.published import published
from combsearch.studies.dctps.table import csv_table, summaries
from combsearch.trainers.indexed import IndexedTrainer

Capture = pytest.CaptureFixture[str]
PIECES = Path(__file__).parent / "image_files"
SMALL = (
    "--network", "6,4", "--methods", "dctps,erk,force,rigl,dense", "--densities", "5,0.1",
    "--seeds", "2", "--epochs", "3", "--batch-size", "5", "--validation", "0.25",
    "--force-steps", "3", "--rigl-interval", "3", "--no-figures", "--jobs", "1",
)  # fmt: skip
ROWS = (4 * 2 + 1) * 2


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST is 20 images, and 10 to test."""
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))


def study(*arguments: str) -> int:
    return cli.main(["study", "dctps", *arguments])


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole run."""
    folder = tmp_path_factory.mktemp("dctps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMBSEARCH_DATA", str(PIECES))
        assert study(*SMALL, "--run", "whole", "--runs", str(folder)) == 0
    return folder


def flags(where: Path, run: str) -> list[str]:
    return [*SMALL, "--run", run, "--runs", str(where)]


def digest_of(where: Path, run: str) -> str:
    return digest(RunStore.attach(where / run).read(), DCTPS_ROWS)


def printed(capsys: Capture) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(capsys.readouterr().out))


def error(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line of a study that must fail."""
    capsys.readouterr()
    assert study(*arguments) == code
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1
    return found.err


def test_a_run_says_what_became_of_each_setting(where: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert study(*flags(where, "whole"), "--json") == 0
    report = printed(capsys)
    assert report["finished"] and report["rows"] == ROWS and report["trained_now"] == 0
    rows = RunStore.attach(where / "whole").read().to_pylist()
    assert [row["rank"] for row in rows] == list(range(ROWS))
    settings = [(one["method"], one["density"]) for one in report["settings"]]
    assert settings == [(one.method.text, one.density) for one in settings_of(
        DctpsConfig(methods=("dctps", "erk", "force", "rigl", "dense"), densities=(5.0, 0.1)))
    ]  # fmt: skip
    for place, one in enumerate(report["settings"]):
        own = [row["accuracy"] for row in rows[2 * place : 2 * place + 2]]
        assert one["accuracy"] == pytest.approx(np.mean(own)) and one["seeds"] == 2
        assert one["accuracy_sd"] == pytest.approx(np.std(own, ddof=1), abs=1e-6)
    assert report["collapsed"] == sum(row["status"] == "collapsed" for row in rows) > 0
    assert report["made_with"]["command"].startswith("combsearch study dctps --network 6,4")
    assert study(*flags(where, "whole")) == 0
    text = capsys.readouterr().out
    assert f"{report['collapsed']} collapsed" in text and "dctps+epl                5%" in text


def test_what_is_missing_is_computed_again_and_the_same(where: Path, capsys: Capture) -> None:
    assert study(*flags(where, "again")) == 0
    shards = sorted((where / "again" / "shards").iterdir())
    assert len(shards) == ROWS
    shards[5].unlink()
    shards[13].unlink()
    content = shards[2].read_bytes()
    shards[2].write_bytes(content[:100] + b"?" + content[101:])
    capsys.readouterr()
    assert study(*flags(where, "again"), "--json") == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["trained_now"] == 3 and "is damaged" in found.err
    assert digest_of(where, "again") == digest_of(where, "whole")


def test_a_signal_changes_nothing(where: Path) -> None:
    words = ["study", "dctps", *flags(where, "stopped")]
    process = combsearch(*words)
    folder = where / "stopped" / "shards"
    stop = time.monotonic() + 60
    while time.monotonic() < stop and not (folder.is_dir() and any(folder.glob("*.parquet"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code in (0, 75) and "Traceback" not in err, err
    assert gone(process.pid, 10)
    assert study(*words[2:]) == 0
    assert digest_of(where, "stopped") == digest_of(where, "whole")
    assert not any((where / "stopped").glob("halfway/*"))


def test_a_dry_run_writes_nothing(where: Path, capsys: Capture) -> None:
    before = tree(where)
    capsys.readouterr()
    assert study(*flags(where, "none"), "--dry-run", "--json") == 0
    report = printed(capsys)
    assert report["networks"] == ROWS and report["steps_per_network"] == 9
    assert report["estimated_seconds"] >= 0 and report["trainer"] == "indexed"
    assert study(*flags(where, "whole"), "--dry-run") == 0
    assert "18 networks, 9 steps each" in capsys.readouterr().out
    assert tree(where) == before
    found = error(capsys, *flags(where, "whole"), "--dry-run", "--epochs", "4", code=3)
    assert "whole" in found


def test_a_trial_of_a_slow_network_is_a_step(
    where: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []

    def fit(self: IndexedTrainer, nets: NetBatch, *given: Any) -> NetBatch:
        taken.append((given[-1].start, given[-1].stop))
        return nets

    monkeypatch.setattr(IndexedTrainer, "fit", fit)
    assert study(*flags(where, "none"), "--dry-run") == 0
    assert taken and taken == [(0, 1), (0, 6)] * (len(taken) // 2)
    taken.clear()
    monkeypatch.setattr(study_dctps_estimate, "_LONG", 0.0)
    assert study(*flags(where, "none"), "--dry-run") == 0
    assert taken and set(taken) == {(0, 1)}


def test_settings_come_from_files_and_the_environment(
    where: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[dctps]\nmethods = ["epl", "dctps"]\ndensities = [7, 2.5]\nseeds = 3\n')
    monkeypatch.setenv("COMBSEARCH_SEEDS", "4")
    words = ["--network", "6,4", "--batch-size", "5", "--dry-run", "--config", str(path)]
    capsys.readouterr()
    assert study(*words, "--json") == 0
    config = printed(capsys)["config"]
    assert config["methods"] == ["epl", "dctps+epl"] and config["densities"] == [7.0, 2.5]
    assert config["seeds"] == 4
    path.write_text("[dctps]\ndensities = [0]\n")
    assert f"{path}, key densities: densities holds 0" in error(capsys, *words)
    found = error(capsys, *words[:-2], "--methods", "dctps+force")
    assert found.startswith("combsearch: --methods: 'dctps+force' cannot be")
    assert "--densities: 'x' is not a number" in error(capsys, "--densities", "5,x")


def test_status_and_verify_take_a_study(where: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert cli.main(["status", "whole", "--runs", str(where), "--json"]) == 0
    report = printed(capsys)
    assert report["command"] == "status" and report["finished"] and len(report["settings"]) == 9
    assert cli.main(["status", "whole", "--runs", str(where)]) == 0
    assert "finished" in capsys.readouterr().out
    assert cli.main(["verify", "whole", "--runs", str(where)]) == 0
    assert f"{ROWS} sound shards with {ROWS}" in capsys.readouterr().out


def test_published_rows_are_those_of_the_run(where: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "rows.parquet"
    assert study("export", "whole", "--runs", str(where), "-o", str(path)) == 0
    config, rows = published(path)
    store = RunStore.attach(where / "whole")
    assert rows.schema.equals(store.read(SHOWN).schema)
    assert rows.to_pylist() == store.read(SHOWN).to_pylist()
    assert config.network == "6,4" and config.methods[0] == "dctps+epl"
    assert "must end in .parquet" in error(capsys, "export", str(where / "whole"), "-o", "x.csv")
    content = path.read_bytes()
    table = pq.read_table(path)
    about = table.schema.metadata[b"combsearch"].replace(b"densities", b"densitees")
    pq.write_table(table.replace_schema_metadata({b"combsearch": about}), path)
    with pytest.raises(UsageError, match=r"rows\.parquet: unknown DctpsConfig field .densitees."):
        published(path)
    path.write_bytes(content[:-20])
    with pytest.raises(CorruptDataError, match="is damaged or no Parquet file"):
        published(path)
    out = ["-o", str(tmp_path / "figures")]
    assert "is damaged" in error(capsys, "plot", str(path), *out, code=4)
    assert "cannot be read" in error(capsys, "plot", str(tmp_path / "none.parquet"), *out)


def test_figures_are_drawn_of_runs_and_of_files(
    where: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "rows.parquet"
    assert study("export", "whole", "--runs", str(where), "-o", str(path)) == 0
    capsys.readouterr()
    words = ["plot", str(path), str(path), "-o", str(tmp_path / "a"), "--format", "pdf", "--json"]
    assert study(*words) == 0
    files = printed(capsys)["files"]
    assert files and all(Path(file).is_file() and file.endswith(".pdf") for file in files)
    assert cli.main(["plot", "whole", "--runs", str(where), "-o", str(tmp_path / "b")]) == 0
    drawn = capsys.readouterr().out.split()
    assert {Path(file).stem for file in drawn} == {Path(file).stem for file in files}


# ---- means -----------------------------------------------------------------------------------


def test_the_table_has_a_line_a_setting(where: Path) -> None:
    rows = RunStore.attach(where / "whole").read(SHOWN)
    text = (where / "whole" / "table.csv").read_text()
    assert text == csv_table(rows)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 9 and lines[-1]["method"] == "dense" and lines[-1]["density"] == "100"
    own = [row for row in rows.to_pylist() if row["method"] == "rigl" and row["density"] == 0.1]
    line = next(one for one in lines if one["method"] == "rigl" and one["density"] == "0.1")
    for name in ("accuracy", "valid_accuracy", "last_accuracy", "best_epoch"):
        values = [row[name] for row in own]
        assert float(line[name]) == pytest.approx(np.mean(values), rel=1e-5)
        assert float(line[f"{name} sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-5)
    assert csv_table(rows.slice(0, 0)) == "\n"
    one = summaries(rows.slice(0, 1))[0]
    assert one["seeds"] == 1 and one["accuracy sd"] is None and ",," in csv_table(rows.slice(0, 1))

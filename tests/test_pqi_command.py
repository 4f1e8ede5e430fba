"""combsearch study pqi: runs, their status, what they publish, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
import signal
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from searching import combsearch, finish, gone, tree
from test_pqi_rounds import write_blobs

from combsearch import durable
from combsearch.cli import main
from combsearch.commands.study_pqi_runs import CHAIN, JOINED, saved_config
from combsearch.errors import CorruptDataError, UsageError
from combsearch.pqi_rows import PQI_ROWS, SHOWN
from combsearch.store import RunStore, digest
from combsearch.studies.checkpoint import tidy
from combsearch.studies.pqi.phases import phases
from combsearch.studies.pqi.plan import PqiPlan, layer_names
from combsearch.studies.pqi.published import published
from combsearch.studies.pqi.table import csv_table, curves
from combsearch.studies.published import joined

Capture = pytest.CaptureFixture[str]
SMALL = (
    "--network", "5,4", "--rounds", "3", "--seeds", "2", "--epochs", "2", "--batch-size", "16",
    "--scopes", "global,neuron", "--grid", "0.5:1,1:2", "--no-figures",
)  # fmt: skip
WHO = ("method", "scope", "p")
ROWS = 4 * 2 * 2 * 4  # chains by method, scopes, seeds, rounds with that of the dense network


def study(*arguments: str) -> int:
    return main(["study", "pqi", *arguments])


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task and a whole run on it."""
    folder = tmp_path_factory.mktemp("pqi")
    task = write_blobs(folder / "blobs.npz")
    assert (
        study("--task", task, *SMALL, "--jobs", "1", "--run", "whole", "--runs", str(folder)) == 0
    )
    return folder


def flags(where: Path, run: str) -> list[str]:
    return ["--task", str(where / "blobs.npz"), *SMALL, "--run", run, "--runs", str(where)]


def digest_of(where: Path, run: str) -> str:
    return digest(RunStore.attach(where / run).read(), PQI_ROWS)


def printed(capsys: Capture) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(capsys.readouterr().out))


def error(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line of a study that must fail."""
    capsys.readouterr()
    assert study(*arguments) == code
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1
    return found.err


# ---- runs ---------------------------------------------------------------------------------


def test_a_run_says_what_became_of_each_chain(where: Path, capsys: Capture) -> None:
    assert study(*flags(where, "whole"), "--json") == 0
    report = printed(capsys)
    assert report["finished"] and report["rows"] == ROWS and report["trained_now"] == 0
    assert [c["method"] for c in report["chains"][::2]] == [
        "SAP p=0.5 q=1", "SAP p=1 q=2", "LT", "One-shot",
    ]  # fmt: skip
    left = 44  # 4 * 5 + 5 * 4 + 4 weights
    for _ in range(3):
        left -= left // 5
    assert report["chains"][4]["last_share"] == pytest.approx(left / 44, abs=1e-6)
    assert report["sessions"][0]["trained"] == ROWS
    assert report["made_with"]["command"].startswith("combsearch study pqi --task ")


def test_what_is_missing_is_computed_again_and_the_same(where: Path, capsys: Capture) -> None:
    assert study(*flags(where, "again"), "--jobs", "1") == 0
    shards = sorted((where / "again" / "shards").iterdir())
    assert len(shards) == 8
    for path in (shards[2], shards[7]):  # a round in the middle and the last one
        path.unlink()
    content = shards[4].read_bytes()
    shards[4].write_bytes(content[:100] + b"?" + content[101:])
    for path in (where / "again" / "dense").iterdir():
        path.unlink()
    capsys.readouterr()
    assert study(*flags(where, "again"), "--jobs", "1", "--json") == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["trained_now"] == 3 * 8 and "is damaged" in found.err
    assert digest_of(where, "again") == digest_of(where, "whole")


def test_processes_and_signals_change_nothing(where: Path) -> None:
    words = ["study", "pqi", *flags(where, "stopped"), "--jobs", "2"]
    process = combsearch(*words)
    folder = where / "stopped" / "shards"
    stop = time.monotonic() + 60
    while time.monotonic() < stop and not (folder.is_dir() and any(folder.glob("*.parquet"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code in (0, 75) and "Traceback" not in err, err
    assert gone(process.pid, 10)
    assert main([*words[:-1], "1"]) == 0
    assert digest_of(where, "stopped") == digest_of(where, "whole")
    assert not any((where / "stopped").glob("halfway/*"))


def test_what_killed_processes_left_goes_when_the_run_goes_on(where: Path, capsys: Capture) -> None:
    assert study(*flags(where, "killed"), "--jobs", "1") == 0
    folders = [where / "killed" / name for name in ("dense", "halfway")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        (folder / f".combsearch-{durable._machine()}-999999999-0123abcd.tmp").write_bytes(b"part")
    (folders[1] / "0-3.npz").write_bytes(b"of a round that is saved")
    assert study(*flags(where, "killed"), "--jobs", "1") == 0
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [
        ["0.npz", "1.npz"], [],
    ]  # fmt: skip


def test_files_halfway_stay_while_a_round_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "halfway" / "1-2.npz"
    path.parent.mkdir()
    path.write_bytes(b"halfway")
    tidy(tmp_path, finished=False)
    assert path.is_file()
    tidy(tmp_path, finished=True)
    assert not path.exists()
    tidy(tmp_path / "none", finished=True)


def test_another_configuration_is_refused(where: Path, capsys: Capture) -> None:
    before = tree(where / "whole")
    for more in (["--seeds", "3"], ["--powers", "0.25:1"], ["--dry-run", "--epochs", "3"]):
        text = error(capsys, *flags(where, "whole"), *more, code=3)
        assert "belongs to another run" in text
    assert tree(where / "whole") == before


def test_a_dry_run_writes_nothing(where: Path, capsys: Capture) -> None:
    before = tree(where)
    assert study(*flags(where, "never"), "--dry-run", "--json") == 0
    report = printed(capsys)
    assert report["rows"] == ROWS and report["chains"] == 8 and report["estimated_seconds"] >= 0
    assert report["networks"] == 2 * (1 + 3 * 8) and report["steps_per_network"] == 2 * 5
    assert study(*flags(where, "never"), "--dry-run") == 0
    assert "nothing was written" in capsys.readouterr().out
    assert tree(where) == before


# ---- what is made of a run ----------------------------------------------------------------


def test_status_verify_and_plot_take_a_study(where: Path, tmp_path: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["status", "whole", "--runs", str(where), "--json"]) == 0
    report = printed(capsys)
    assert report["command"] == "status" and report["finished"] and len(report["chains"]) == 8
    assert main(["status", "whole", "--runs", str(where)]) == 0
    assert "finished" in capsys.readouterr().out
    assert main(["verify", "whole", "--runs", str(where)]) == 0
    assert f"8 sound shards with {ROWS}" in capsys.readouterr().out
    assert main(["plot", "whole", "--runs", str(where), "-o", str(tmp_path / "figures")]) == 0
    files = capsys.readouterr().out.split()
    assert {"retrained-global.png", "scopes.png"} <= {Path(file).name for file in files} | {
        name.name for name in (tmp_path / "figures").iterdir()
    }


def test_published_rows_are_those_of_the_run(where: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "rows.parquet"
    assert study("export", "whole", "--runs", str(where), "-o", str(path)) == 0
    config, rows = published(path)
    store = RunStore.attach(where / "whole")
    assert rows.schema.equals(store.read(SHOWN).schema) and "mask" not in rows.column_names
    assert repr(rows.to_pylist()) == repr(store.read(SHOWN).to_pylist())  # NaN is not NaN
    assert config.network == "5,4" and config.seeds == 2
    capsys.readouterr()
    words = ["plot", str(path), "-o", str(tmp_path / "figures"), "--json"]
    assert study(*words) == 0
    drawn = printed(capsys)["files"]
    assert all(Path(file).is_file() for file in drawn) and len(drawn) > 4
    assert study(*words, "--bound", "0.95:9:8", "--format", "pdf") == 0
    assert [Path(file).suffix for file in printed(capsys)["files"]] == [".pdf", ".pdf"]


def test_chains_of_several_files_are_joined(where: Path) -> None:
    config, rows = saved_config(store := RunStore.attach(where / "whole")), store.read(SHOWN)
    more = dataclasses.replace(config, methods=("sap",), gammas=(0.5,))
    gamma = np.where(np.isnan(rows["gamma"].to_numpy()), np.nan, 0.5)
    other = rows.set_column(
        rows.schema.get_field_index("gamma"), rows.schema.field("gamma"), pa.array(gamma)
    )
    found = joined([(config, rows), (more, other)], ["a", "b"], JOINED, CHAIN)[1]
    sap = [row for row in rows.to_pylist() if row["method"] == "sap"]
    assert len(found) == len(rows) + len(sap)  # what is no SAP is in both
    assert repr(found.to_pylist()[: len(rows)]) == repr(rows.to_pylist())
    with pytest.raises(UsageError, match=r"a and b cannot be drawn together: lr is 0.1 .* 0.2"):
        joined(
            [(config, rows), (dataclasses.replace(config, lr=0.2), rows)], ["a", "b"], JOINED, CHAIN
        )


def test_files_that_are_none_are_named(where: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "rows.parquet"
    assert study("export", "whole", "--runs", str(where), "-o", str(path)) == 0
    out = ["-o", str(tmp_path / "figures")]
    assert "must end in .parquet" in error(capsys, "export", str(where / "whole"), "-o", "x.csv")
    assert "no run in" in error(capsys, "export", str(tmp_path), "-o", "x.parquet")
    assert "cannot be read" in error(capsys, "plot", str(tmp_path / "none.parquet"), *out)
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"a": [1]}), plain)
    assert "holds no rows of the study" in error(capsys, "plot", str(plain), *out)
    for bound in ("0.95", "2:3:4", "0.95:8:9", "a:b:c"):
        found = error(capsys, "plot", str(path), *out, "--bound", bound)
        assert f"{bound!r} is not TARGET:TRAINED:EXISTS" in found
    assert "two files are of the same network" in error(
        capsys, "plot", str(path), str(path), *out, "--bound", "0.95:9:8"
    )
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptDataError, match="is damaged or no Parquet file"):
        published(path)
    assert "is damaged" in error(capsys, "plot", str(path), *out, code=4)


def test_a_missing_data_set_says_how_to_get_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path))
    found = error(capsys, "--task", "cifar10", "--network", "cnn")
    assert "get it by combsearch data fetch cifar10" in found
    assert "did you mean 'mlp'" in error(capsys, "--task", "cifar10", "--network", "mpl")


def test_settings_that_need_each_other_are_looked_at_together(where: Path, capsys: Capture) -> None:
    more = ["--dry-run", "--momentum", "0"]
    assert study(*flags(where, "plain"), *more, "--no-nesterov") == 0
    assert "--momentum: nesterov needs" in error(capsys, *flags(where, "plain"), *more)
    found = error(capsys, *flags(where, "plain"), *more, "--no-nesterov", "--checkpoint", "x")
    assert found.startswith("combsearch: --checkpoint: checkpoint is 'x'")


def test_a_network_that_no_memory_holds_is_one_line(
    where: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(config: Any) -> PqiPlan:
        raise MemoryError("Unable to allocate 87.6 GiB")

    monkeypatch.setattr(PqiPlan, "of", too_large)
    found = error(capsys, *flags(where, "huge"), code=1)
    assert "out of memory (Unable to allocate 87.6 GiB)" in found and "smaller network" in found


def test_names_of_layers_need_no_data(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from combsearch.studies.pqi.config import PqiConfig

    config = PqiConfig(task=str(where / "blobs.npz"), network="5,4", batch_size=16)
    assert layer_names(config) == PqiPlan.of(config).network.prunable
    monkeypatch.setenv("COMBSEARCH_DATA", str(where))
    assert layer_names(PqiConfig(network="cnn"))[0] == "conv1.weight"
    assert len(layer_names(PqiConfig(network="8,7"))) == 3


def test_runs_of_which_all_diverged_have_no_figures(
    where: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = [*flags(where, "wild"), "--lr", "1e30", "--clip", "0", "--rounds", "1", "--jobs", "1"]
    assert study(*words, "--figures") == 0
    assert "rows diverged and do not count" in capsys.readouterr().out
    assert main(["plot", "wild", "--runs", str(where), "-o", str(tmp_path)]) == 2
    assert "every row diverged: there is nothing to draw" in capsys.readouterr().err


# ---- means and phases -----------------------------------------------------------------------


def test_means_are_over_the_seeds_that_did_not_diverge(where: Path) -> None:
    rows = RunStore.attach(where / "whole").read(SHOWN)
    found = curves(rows, ("0.5:1", "1:2"))
    assert [curve.who["scope"] for curve in found] == ["global", "neuron"] * 4
    table = rows.to_pylist()
    for curve in found:
        for place, number in enumerate(curve.rounds):
            who = tuple(f"{curve.who[name]}" for name in WHO)
            own = [
                row
                for row in table
                if row["round"] == number and tuple(f"{row[n]}" for n in WHO) == who
            ]
            assert curve.seeds[place] == len(own) == 2
            for name, value in (
                ("accuracy", [row["accuracy"] for row in own]),
                (
                    "pruned_less_retrained",
                    [row["pruned_accuracy"] - row["accuracy"] for row in own],
                ),
                ("kept_share", [row["kept"] / row["weights"] for row in own]),
                ("pqi 1:2", [row["pqi"][1] for row in own]),
            ):
                mean, spread = curve.columns[name]
                assert mean[place] == pytest.approx(np.mean(value))
                assert spread[place] == pytest.approx(np.std(value, ddof=1))
    status = pa.array(["diverged" if row["restart"] else row["status"] for row in table])
    other = rows.set_column(rows.schema.get_field_index("status"), "status", status)
    for curve in curves(other, ("0.5:1", "1:2")):
        assert (curve.seeds == 1).all() and np.isnan(curve.columns["accuracy"][1]).all()


def test_the_table_has_a_line_a_chain_and_round(where: Path) -> None:
    text = (where / "whole" / "table.csv").read_text()
    rows = RunStore.attach(where / "whole").read(SHOWN)
    assert text == csv_table(rows, ("0.5:1", "1:2"))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 8 * 4 and lines[0]["method"] == "sap" and lines[-1]["round"] == "3"
    assert lines[-1]["p"] == "" and lines[-1]["share"] == "0.2" and float(lines[0]["pqi 0.5:1"])
    assert csv_table(rows.slice(0, 0), ("0.5:1", "1:2")) == "\n"


def check_phases(values: list[int], ends: list[tuple[int, int]], least: int) -> None:
    """What phases are: rising and falling in turn, and no change against them is ``least``."""
    first, last = (ends[0][0], ends[-1][1]) if ends else (len(values) - 1, len(values) - 1)
    assert max(values[: first + 1]) - min(values[: first + 1]) < least or not values
    signs = [np.sign(values[b] - values[a]) for a, b in ends]
    assert all(x == -y for x, y in itertools.pairwise(signs))
    assert all(x[1] == y[0] for x, y in itertools.pairwise(ends))
    stretches = [*ends[:-1], (ends[-1][0], len(values) - 1)] if ends else []
    for sign, (a, b), (_, end) in zip(signs, stretches, ends, strict=True):
        own = [int(sign) * value for value in values[a : b + 1]]
        assert own[0] == min(own) and own[end - a] == max(own) and own[end - a] - own[0] >= least
        assert all(x - y < least for x, y in itertools.combinations(own, 2))
    assert last < len(values) or not values


def test_phases_are_between_turning_points() -> None:
    found = phases([0.5, 0.4, 0.41, 0.3, 0.35, 0.5, 0.49, 0.6, 0.2], least=0.05)
    assert [(p.first, p.last) for p in found] == [(0, 3), (3, 7), (7, 8)]
    assert [p.change for p in found] == pytest.approx([-0.2, 0.3, -0.4])
    assert phases([0.1, 0.12, 0.11], 0.05) == [] == phases([], 0.1)
    assert [(p.first, p.last) for p in phases([math.nan, 1, math.nan, 0, 2], 0.5)] == [
        (1, 3),
        (3, 4),
    ]
    rng = np.random.default_rng(0)
    for _ in range(300):
        values = rng.integers(0, 12, rng.integers(1, 12)).tolist()
        check_phases(values, [(p.first, p.last) for p in phases(values, 3)], 3)

"""The promises of README, kept by the real command in its own processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from combsearch.tasks import load_task

pytestmark = [
    pytest.mark.usefixtures("kernel_cache"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc"),
]

SMALL = ("--width", "3", "--restarts", "18", "--epochs", "4", "--task", "xor", "--target", "0.9999")
KEYS = {
    *("command", "task", "target", "width", "shape", "nonzeros", "accuracy", "successes"),
    *("restarts", "success_interval", "trained", "seconds", "run_folder", "digest"),
}


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """``combsearch ARGUMENTS`` in ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "combsearch", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        **options,
    )


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What it printed, having ended with exit code ``code`` and no traceback."""
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def search(folder: Path, *arguments: str) -> dict[str, Any]:
    out, _ = run(folder, "phase1", "--json", "--no-figures", *SMALL, *arguments)
    report: dict[str, Any] = json.loads(out)
    return report


def stat(pid: str | int) -> list[str]:
    """State, parent and so on of a process; nothing when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(pid: int) -> list[int]:
    found = {path.name: stat(path.name) for path in Path("/proc").glob("[0-9]*")}
    return [int(child) for child, fields in found.items() if fields[1:2] == [str(pid)]]


def alive(pid: int) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


def shards(folder: Path, name: str) -> list[Path]:
    return sorted((folder / "runs" / name / "shards").glob("*.parquet"))


def test_a_search_says_what_it_found_and_is_found_again(tmp_path: Path) -> None:
    first = search(tmp_path)
    assert set(first) >= KEYS
    assert first["command"] == "phase1"
    assert first["trained"] == first["shapes"] * 6 * 18
    before = shards(tmp_path, Path(first["run_folder"]).name)
    again = search(tmp_path)
    assert again["digest"] == first["digest"]
    assert shards(tmp_path, Path(first["run_folder"]).name) == before  # nothing trained twice


def test_digest_is_that_of_the_results_alone(tmp_path: Path) -> None:
    reports = [search(tmp_path, "--run", f"jobs{jobs}", "--jobs", str(jobs)) for jobs in (1, 2, 3)]
    assert len({report["digest"] for report in reports}) == 1
    assert search(tmp_path, "--seed", "1", "--run", "other")["digest"] != reports[0]["digest"]


def test_best_network_does_in_pytorch_what_was_reported(tmp_path: Path) -> None:
    report = search(tmp_path, "--target", "0.6", "--run", "easy")
    assert report["shape"] is not None
    saved = np.load(tmp_path / "runs" / "easy" / "best.npz")
    layers: list[torch.nn.Module] = []
    for k in range(4):
        layer = torch.nn.Linear(*saved[f"weight{k}"].shape[::-1])
        layer.load_state_dict(
            {"weight": torch.tensor(saved[f"weight{k}"]), "bias": torch.tensor(saved[f"bias{k}"])}
        )
        layers += [layer, torch.nn.ReLU()]
    task = load_task("xor")
    logits = torch.nn.Sequential(*layers[:-1])(torch.tensor(task.x))[:, 0]
    right = ((logits > 0).numpy() == task.y).sum()
    assert abs(right - report["accuracy"] * task.points) <= 1
    assert (
        sum(int(saved[f"mask{k}"].sum()) + len(saved[f"bias{k}"]) for k in range(4))
        == (report["nonzeros"])
    )


@pytest.mark.parametrize("victim", ["coordinator", "worker"])
def test_kill_9_and_the_same_command_give_the_same_digest(tmp_path: Path, victim: str) -> None:
    expected = search(tmp_path, "--run", "calm", "--epochs", "30")["digest"]
    for number in range(3):
        arguments = ("--run", "killed", "--jobs", "2", "--epochs", "30")
        process = start(tmp_path, "phase1", "--json", "--no-figures", *SMALL, *arguments)
        while not (family := children(process.pid)) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3 + 0.4 * number)
        family = children(process.pid)
        for pid in [process.pid] if victim == "coordinator" else family[:1]:
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=120)
        deadline = time.monotonic() + 15
        while any(alive(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not [pid for pid in family if alive(pid)]
    assert search(tmp_path, "--run", "killed", "--epochs", "30")["digest"] == expected


def test_an_interrupted_search_says_how_to_go_on(tmp_path: Path) -> None:
    for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        arguments = ("--run", "stopped", "--jobs", "2", "--epochs", "400")
        process = start(
            tmp_path, "phase1", *SMALL, "--no-figures", *arguments, start_new_session=True
        )
        while not children(process.pid) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.7)
        os.killpg(process.pid, number)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert time.monotonic() - began < 10
        assert "Traceback" not in err
        assert "continue" in err


def test_another_configuration_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    search(tmp_path, "--run", "mine")
    root = tmp_path / "runs" / "mine"
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    _, err = run(tmp_path, "phase1", *SMALL, "--run", "mine", "--seed", "7", code=3)
    assert "seed" in err
    assert "7" in err
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_damaged_shard_is_set_aside_and_computed_again(tmp_path: Path) -> None:
    expected = search(tmp_path, "--run", "hurt")["digest"]
    shard = shards(tmp_path, "hurt")[3]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 8
    shard.write_bytes(data)
    _, err = run(tmp_path, "verify", "hurt", code=4)
    assert shard.name in err
    assert not shard.exists()
    out, _ = run(tmp_path, "status", "hurt", "--json")
    assert json.loads(out)["finished"] is False
    assert search(tmp_path, "--run", "hurt")["digest"] == expected
    assert len(list((tmp_path / "runs" / "hurt" / "quarantine").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--width", "0"), ("width", "0")),
        (("--width", "wide"), ("width", "'wide'", "whole number")),
        (("--target", "2"), ("target", "2")),
        (("--cells", "0.05:cosin"), ("cosin", "cosine")),
        (("--trainer", "fusd"), ("fusd", "fused")),
        (("--task", "nosuch"), ("nosuch", "cubist_spiral")),
        (("--task", "absent.csv"), ("absent.csv",)),
        (("--run", "../out"), ("../out",)),
        (("--config", "absent.toml"), ("absent.toml",)),
        (("--jobs", "-1"), ("-1",)),
    ],
)
def test_a_bad_value_gets_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    _, err = run(tmp_path, "phase1", *arguments, code=2)
    message = err.strip().splitlines()[-1]
    assert all(word in message for word in words), message
    assert not (tmp_path / "runs").exists()


def test_help_is_light() -> None:
    """Under 300 ms on an idle machine because nothing heavy is imported."""
    heavy = "'numpy', 'torch', 'numba', 'pyarrow', 'scipy', 'matplotlib', 'rich', 'joblib'"
    code = (
        "import sys; from combsearch.cli import main\n"
        "try: main(['phase1', '--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(', '.join(m for m in ({heavy}) if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--target" in done.stdout


def test_figures_and_dry_run(tmp_path: Path) -> None:
    out, _ = run(tmp_path, "phase1", *SMALL, "--dry-run", "--json")
    assert json.loads(out)["dry_run"] is True
    assert not (tmp_path / "runs").exists()
    run(tmp_path, "phase1", *SMALL, "--run", "drawn")
    figures = tmp_path / "runs" / "drawn" / "figures"
    assert {p.name for p in figures.iterdir()} == {
        f"{name}.png" for name in ("scatter", "success", "regions", "levels", "network")
    }
    run(tmp_path, "plot", "drawn", "--format", "pdf", "-o", "here")
    assert (tmp_path / "here" / "scatter.pdf").read_bytes().startswith(b"%PDF")

"""What ``bench --gpu`` reads and reckons: differences, machine code, clocks, logs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import cpu_gpu

from combsearch.commands.gpu_check import (
    clocks,
    correct,
    end_to_end,
    sass,
    speed,
    wide,
)
from combsearch.kernels.cuda import Build


def test_differences() -> None:
    a = np.array([[1, np.nan], [0, 2]], np.float32)
    assert correct.difference(a, a * 1) == {"equal": True}
    assert correct.difference(-0 * a, 0 * a)["equal"]
    b = a + np.array([[0, 0], [0, 0.5]], np.float32)
    found = correct.difference(b, a)
    assert found == {"equal": False, "networks": 1, "of": 2, "first": 1, "largest": 0.5}
    assert not correct.difference(a, np.zeros_like(a))["equal"]  # NaN against 0
    assert not correct.difference(a, a[:1])["equal"]


def test_kolmogorov_smirnov_against_scipy() -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 30, 200), rng.integers(3, 33, 151)
    assert correct.kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b).statistic)
    assert correct.kolmogorov_smirnov(a, a) == 0


def test_rounding_errors_by_hand() -> None:
    known = np.array([[3.0, 4.0], [np.inf, 0.0]])
    assert wide.error_of(np.array([[3.0, 4.0], [np.nan, 0.0], [3.0, 4.5]]), known) == 0.1
    assert wide.error_of(np.array([[np.nan, 4.0]]), known) == 1e30
    assert wide.error_of(np.array([[3.0, 4.0], [1.0, 0.0]]), known) == 1e30


LISTING = """
		Function : score
        /*0000*/                   FFMA R1, R2, R3, R4 ;      /* 0x0 */
        /*0010*/               @P0 BRA 0x0 ;                  /* 0x0 */
		Function : train
        /*0000*/                   LDG.E R1, desc[UR4][R2.64] ;
        /*0010*/                   MOV R1, R2 ;
{body}
        /*0900*/                   EXIT ;
        /*0910*/                   BRA 0x910 ;
"""


def listing(*lines: str) -> str:
    body = "\n".join(f"        /*{32 + 16 * n:04x}*/  {line} ;" for n, line in enumerate(lines))
    return LISTING.format(body=body)


def test_instructions_of_a_thread() -> None:
    """A step of 3 + 64 pairs of samples of 4; NOP is not issued, score not counted."""
    code = listing(
        "CS2R R1, SRZ",  # 0x20: a step starts
        "@!P1 MUFU.RCP R1, R2", "MUFU.RCP R1, R2", "FFMA R1, R2, R3, R4", "@P0 BRA 0x30",
        "STS [R1], R2", "NOP", "@P2 BRA `(.L) 0x20",
    )  # fmt: skip
    assert sass.per_sample(code) == (3 + 64 * 4) / 128
    assert sass.per_sample(listing("EXIT")) is None
    assert sass.per_sample(listing("MOV R1, R2", "@P0 BRA 0x20")) is None


def test_issue_share_by_hand() -> None:
    """34,000 models of 200 instructions a sample on 132 multiprocessors at 1.98 GHz: half."""
    share = speed.issue_share(200, 34_000, 132, 1.98e9)
    assert share == pytest.approx(0.507, abs=0.001)
    assert speed.issue_share(None, 34_000, 132, 1.98e9) is None
    assert speed.multiply_adds((2, 7, 3, 3, 1)) == 3 * (14 + 21 + 9 + 3) - 14


LOG = """search: places 0 to 1,000 of 9,000, 100 runs/s, level 39
search: places 1,000 to 3,000 of 9,000, 1,000 runs/s, level 39
search: places 3,000 to 5,000 of 9,000, 500 runs/s, level 39
"""


def test_the_rate_of_a_search_leaves_its_start_out() -> None:
    assert end_to_end.steady(end_to_end.saves(LOG)) == pytest.approx(4000 / (2 + 4))
    assert end_to_end.steady(end_to_end.saves(LOG.partition("\n")[0])) == 100


def test_a_search_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "search.py"
    script.write_text("raise SystemExit('search: no such file')")
    monkeypatch.setattr(end_to_end, "SCRIPT", script)
    with pytest.raises(RuntimeError, match="exit code 1: search: no such file"):
        end_to_end.searched(tmp_path / "none.masks", 3, "fused")
    monkeypatch.setattr(end_to_end, "SCRIPT", tmp_path / "absent.py")
    with pytest.raises(RuntimeError, match="this takes a checkout"):
        end_to_end.searched(tmp_path / "none.masks", 3, "fused")


def test_a_program_that_cannot_read_the_machine_code_costs_no_timing(tmp_path: Path) -> None:
    program = tmp_path / "cuobjdump"
    program.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    program.chmod(0o755)
    gpu = cpu_gpu()
    machine: Any = SimpleNamespace(gpu=gpu)
    for name in (str(program), str(tmp_path / "absent")):
        ready = gpu.load(Build((2, 3, 2, 2, 1), "thread"))
        assert speed._instructions(machine, ready, name) == speed.COUNTED["3,2,2"]


def test_nvidia_smi_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert clocks.ask("clocks.sm", "0") is None
    with clocks.watched("0") as clock:
        pass
    assert clock.hertz is None


def test_the_clock_is_read_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint(1980)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with clocks.watched("0") as clock:
        until = time.monotonic() + 10
        while not clock.mhz and time.monotonic() < until:
            time.sleep(0.01)
    assert clock.hertz == 1.98e9

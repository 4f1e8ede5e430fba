"""What is asked of SLURM: checked values, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from combsearch.commands.submit_arguments import slurm_settings
from combsearch.errors import UsageError
from combsearch.slurm_config import SlurmConfig, walltime_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("90", 5400),
        ("2:30", 150),
        ("2:30:00", 9000),
        ("1-12", 36 * 3600),
        ("1-12:30", 36 * 3600 + 1800),
        ("0-00:02:05", 125),
    ],
)
def test_walltimes_are_read_as_slurm_reads_them(text: str, seconds: int | None) -> None:
    assert walltime_seconds(text) == seconds


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partition": "gpu\n#SBATCH --uid=0"}, "partition is"),
        ({"partition": "-x"}, "partition is '-x'"),
        ({"account": "a b"}, "account is 'a b'"),
        ({"report_partition": "$(x)"}, "report_partition is"),
        ({"time": "soon"}, "time is 'soon', it must be as 90 (minutes), 2:30:00 or 1-12"),
        ({"time": "1"}, "time is '1', it must be at least 2 minutes"),
        ({"gpus": "two"}, "gpus is 'two'"),
        ({"gpus": "a100:2 --uid=0"}, "gpus is"),
        ({"memory": "lots"}, "memory is 'lots'"),
        ({"cpus": -1}, "cpus is -1, it must be a whole number from 0 up"),
        ({"minutes": 0.0}, "minutes is 0.0, it must be above 0"),
        ({"lines": ("--qos=a\nrm -rf /",)}, "lines has"),
        ({"lines": ("qos=a",)}, "lines has 'qos=a', each must be one option of sbatch"),
        ({"lines": ("--array=1-5",)}, "--array is written by combsearch itself"),
        ({"lines": ("--sig=USR2",)}, "--sig is written by combsearch itself"),
        ({"setup": ("a\x00b",)}, "setup has"),
    ],
)
def test_what_no_script_can_hold_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        SlurmConfig(**settings)
    assert message in str(error.value)


def test_an_element_fits_its_walltime_and_has_cores_for_its_gpus() -> None:
    assert SlurmConfig().seconds == 1800
    assert SlurmConfig(time="20:00").seconds == pytest.approx(0.8 * (1200 - 90))
    assert SlurmConfig(time="1-0", minutes=0.1).seconds == pytest.approx(6)
    assert (SlurmConfig().cores, SlurmConfig().gpu_count) == (1, 0)
    assert (SlurmConfig(gpus="a100:2").cores, SlurmConfig(gpus="a100:2").gpu_count) == (8, 2)
    assert SlurmConfig(gpus="1", cpus=6).cores == 6


def test_a_flag_wins_over_the_environment_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "slurm.toml"
    file.write_text(
        "[slurm]\npartition = 'a'\naccount = 'b'\ncpus = 2\ngpus = 1\ntime = 02:30:00\n"
        "minutes = 5\nlines = ['#SBATCH --qos=x', '--mail-type=END,FAIL']\n"
        "setup = ['module load c']\n"
    )
    monkeypatch.setenv("COMBSEARCH_SLURM", str(file))
    monkeypatch.setenv("COMBSEARCH_SLURM_PARTITION", "c")
    monkeypatch.setenv("COMBSEARCH_SLURM_CPUS", "3")
    monkeypatch.setenv("COMBSEARCH_SLURM_MEMORY", "")
    found = slurm_settings({"partition": "d", "setup": None})
    assert found == SlurmConfig(
        partition="d", account="b", cpus=3, gpus="1", time="02:30:00", minutes=5.0,
        lines=("--qos=x", "--mail-type=END,FAIL"), setup=("module load c",),
    )  # fmt: skip
    monkeypatch.setenv("COMBSEARCH_SLURM_LINES", "--qos=y\n\n--nice=3\n")
    assert slurm_settings({}).lines == ("--qos=y", "--nice=3")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("partition = true", "key partition: True is not text"),
        ("cpus = 1.5", "key cpus: 1.5 is not a whole number"),
        ("minutes = 'a'", "key minutes: 'a' is not a number"),
        ("lines = 3", "key lines: 3 is not a list of texts"),
        ("gpu = 1", "unknown key 'gpu', did you mean 'gpus'?"),
        ("time = 'x'", "key time: time is 'x'"),
    ],
)
def test_an_error_names_its_source(tmp_path: Path, table: str, message: str) -> None:
    file = tmp_path / "slurm.toml"
    file.write_text(f"[slurm]\n{table}\n")
    with pytest.raises(UsageError) as error:
        slurm_settings({"slurm": str(file)})
    assert str(error.value).startswith(str(file)) and message in str(error.value)


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--cpus: 'x' is not a whole number"):
        slurm_settings({"cpus": "x"})
    with pytest.raises(UsageError, match=r"^--line: lines has '--array=3'"):
        slurm_settings({"lines": ["--array=3"]})

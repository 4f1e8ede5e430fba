"""The fault table, short: what ``make soak`` does hundreds of times, a few times.

Rows that stand elsewhere are in the table of ``results/reliability/README.md``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from soak import damage, full_disk, fuzz, kills, refusals, table
from soaking import QUICK, in_process, prepare

SEARCH = {"phase2": QUICK}
SEED = 42  # kills the coordinator, one process, while it writes a shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def test_a_killed_run_goes_on_to_the_same_digest(folder: Path) -> None:
    found = kills.kill_soak(folder, 1, searches=SEARCH, seed=SEED, call=in_process)
    assert (found["kills"], found["while"]) == (1, {"write": 1})


def test_a_run_killed_before_its_first_folder_can_be_looked_at(folder: Path) -> None:
    words = (*QUICK, "--run=r", "--jobs=1")
    whole = in_process(*words, cwd=folder).report
    shutil.rmtree(folder / "runs" / "r" / "shards")
    assert in_process("status", "r", "--json", cwd=folder).report["finished"] is False
    assert in_process("verify", "r", "--json", cwd=folder).report["valid"] == 0
    assert in_process(*words, cwd=folder).report["digest"] == whole["digest"]


def test_damaged_shards_are_found_and_they_alone_are_computed_again(folder: Path) -> None:
    found = damage.damage_soak(folder, 12, call=in_process, words=QUICK)
    assert found["damaged_shards"] == found["found_and_quarantined"] == 12


def test_full_disks_keep_what_is_committed(folder: Path) -> None:
    found = full_disk.full_disk_soak(folder, 6, call=in_process, jobs=(1,))
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["digests_equal_to_the_undisturbed_run"] == 6


def test_another_configuration_is_refused_and_nothing_is_written(folder: Path) -> None:
    found = refusals.other_configuration(folder, in_process)
    assert found["refused_with_the_difference_and_nothing_written"] == 27


def test_what_diverges_is_never_a_success(folder: Path) -> None:
    found = refusals.diverged(folder, in_process, ("fused",))
    assert found["diverged"] > 10 and found["diverged_that_count_as_a_success"] == 0


def test_fuzzed_files_give_a_clear_error_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", "")  # so that it is put back
    drawn = list(fuzz.KINDS).index("published rows of dctps .parquet")  # takes seconds if sound
    cases = [case for case in range(2 * len(fuzz.KINDS)) if case % len(fuzz.KINDS) != drawn]
    found = fuzz.try_cases(fuzz.good_files(folder), cases)
    assert [one for one in found if one.wrong] == []
    assert sum(one.code != 0 for one in found) > len(found) / 2


def test_the_table_has_the_figures_of_the_reports(root: Path) -> None:
    """``python tests/soak/table.py`` makes it."""
    text = (root / "results" / "reliability" / "README.md").read_text()
    assert table.renewed(text) == text
    names = [word.strip() for row in table.ROWS for word in row.tests.split(",")]
    assert all((root / "tests" / f"{name.split()[0]}.py").exists() for name in names)

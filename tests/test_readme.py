"""What README shows of pruners works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from combsearch.cli import main

README = Path(__file__).parent.parent / "README.md"


def block(first_line: str) -> str:
    """The code block of README that begins with this line."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    found: list[str] = [b for b in blocks if b.startswith(first_line)]
    assert len(found) == 1
    return found[0]


def test_a_pruner_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("# my_pruners.py")
    assert len(code.splitlines()) < 25
    (tmp_path / "my_pruners.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = (
        "prune --pruner my_pruners:EarlyTicket --widths 4 --budgets 9,12 --cells 0.1:constant"
        " --epochs 5 --task moons --trainer vmap --jobs 1 --run early --json"
    )
    assert main(command.split()) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["methods"] == ["my_pruners:EarlyTicket"]
    rows = (tmp_path / "runs" / "early" / "shards").glob("*.parquet")
    assert len(list(rows)) >= 1

"""What is refused before anything is written, and runs that diverge.

A run folder of another configuration, for every field; a folder that cannot be written; networks
whose weights become NaN or infinite, with every trainer.

    python tests/soak/refusals.py [-o FILE.json]    # the read-only disk needs the right to mount
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from searching import tree
from soaking import QUICK, TASK, Call, as_process, soak

from combsearch.store import RunStore
from soak.full_disk import SKIPPED, small_disk

_COMMON = f"--task={TASK} --target=0.9 --epochs=3 --batch-size=16 --no-figures --json --jobs=1"
PHASE1 = f"phase1 {_COMMON} --width=2 --depth=2 --restarts=2 --cells=0.05:cosine"
PHASE2 = f"phase2 {_COMMON} --shape=2,1 --restarts=2 --cells=0.05:cosine"
CHANGES: Mapping[str, Sequence[str]] = {
    PHASE1: (
        "--target=0.8", "--width=3", "--depth=3", "--restarts=3", "--epochs=4", "--seed=1",
        "--cells=0.1:step", "--batch-size=8", "--momentum=0.8", "--weight-decay=0.1", "--full",
    ),
    PHASE2: (
        "--target=0.8", "--shape=2,2", "--restarts=3", "--epochs=4", "--seed=1", "--race",
        "--cells=0.1:step", "--batch-size=8", "--momentum=0.8", "--weight-decay=0.1", "--all",
        "--width=15", "--max-nonzeros=9", "--min-nonzeros=8",
    ),
}  # fmt: skip
_OTHER_RUN, _USAGE = 3, 2
_READERS = (
    "status done --json", "verify done --json", "plot done -o=figs --json",
    f"certify done --task={TASK} --json",
)  # fmt: skip


def other_configuration(
    folder: Path, call: Call = as_process, changes: Mapping[str, Sequence[str]] = CHANGES
) -> dict[str, Any]:
    """Every changed field is refused by name and nothing is written; the figures."""
    refused = 0
    for command, flags in changes.items():
        words = [*command.split(), "--run=other"]
        assert call(*words, cwd=folder).code == 0
        run = folder / "runs" / "other"
        before = tree(run)
        for flag in flags:
            ended = call(*words, flag, cwd=folder)
            field = flag.lstrip("-").partition("=")[0].replace("-", "_")
            name = {"all": "every_level"}.get(field, field)
            assert ended.code == _OTHER_RUN, (flag, ended)
            assert f"config.{name}: this command" in ended.error, ended.err
            assert tree(run) == before, flag
            refused += 1
        refused += _other_task(folder, words, call)
        assert call(*words, cwd=folder).report["trained_now"] == 0
        run.rename(folder / f"kept-{refused}")
    return {"refused_with_the_difference_and_nothing_written": refused}


def _other_task(folder: Path, words: Sequence[str], call: Call) -> int:
    """The file of the task is another one."""
    run, task = folder / "runs" / "other", folder / TASK
    before, text = tree(run), task.read_text()
    task.write_text(text + "0.25,0.5,1\n")
    ended = call(*words, cwd=folder)
    task.write_text(text)
    assert ended.code == _OTHER_RUN and "task_digest" in ended.error, ended
    assert tree(run) == before
    return 1


def read_only(folder: Path, call: Call = as_process) -> dict[str, Any]:
    """Searches fail before they train, and reports work; the figures, or why there are none."""
    disk = folder / "read-only"
    with small_disk(disk) as mounted:
        if not mounted:
            return {"skipped": SKIPPED}
        words = (*QUICK, "--jobs=1", f"--runs={disk.name}")
        whole = call(*words, "--run=done", cwd=folder).report
        call(*words, "--run=half", cwd=folder)
        shards = sorted((disk / "half" / "shards").iterdir())
        for path in shards[3:]:
            path.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for run in ("done", "half", "new"):
            ended = call(*words, f"--run={run}", cwd=folder)
            assert ended.code == _USAGE and "Read-only file system" in ended.error, ended
        reports = 0
        for command in _READERS:
            ended = call(*command.split(), f"--runs={disk.name}", cwd=folder)
            reports += ended.report["command"] == command.split()[0]
        assert reports == len(_READERS)
        assert RunStore.attach(disk / "done").verify().rows == whole["trained"]
    return {"searches_refused_before_training": 3, "reports_that_worked": reports}


def diverged(
    folder: Path, call: Call = as_process, trainers: Sequence[str] = ("fused", "vmap", "sparse")
) -> dict[str, Any]:
    """Networks that diverge are saved as such and are no success of any target; the figures."""
    rows = lost = 0
    for trainer in trainers:
        for command in (PHASE1, PHASE2):
            name = f"lost-{trainer}-{command.split()[0]}"
            words = [*command.split(), f"--trainer={trainer}", "--target=0.01"]
            words += ["--cells=1e30:constant,0.05:cosine"]
            words += ["--all" if command is PHASE2 else "--full", f"--run={name}"]
            run = folder / "runs" / name
            report = call(*words, cwd=folder).report
            table = RunStore.attach(run).read(["cell", "status", "accuracy", "parameters"])
            for row in table.to_pylist():
                fast = row["cell"].startswith("1e+30")
                assert (row["status"] == "diverged") == fast, row
                assert row["parameters"] is None or not fast
                rows, lost = rows + 1, lost + fast
            assert '"NaN"' not in json.dumps(report)
            _nothing_but_losses(words, folder, call)
    return {"rows": rows, "diverged": lost, "diverged_that_count_as_a_success": 0}


def _nothing_but_losses(words: Sequence[str], folder: Path, call: Call) -> None:
    """A search all of whose runs diverge ends well, and has found nothing."""
    only = [*words[:-1], "--cells=1e30:constant", f"{words[-1]}-only"]
    report = call(*only, cwd=folder).report
    assert report.get("nonzeros", report.get("bound")) is None, report
    assert report["trained"] == report.get("diverged", report["trained"]) > 0
    successes = report.get("successes", 0)
    assert successes + sum(one["successes"] for one in report.get("levels", [])) == 0


def refusals_soak(folder: Path, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All of them; ``count`` says nothing here."""
    found = {}
    for what in (other_configuration, read_only, diverged):
        found[what.__name__] = what(folder)
        say(f"{what.__name__}: {found[what.__name__]}")
    return found


if __name__ == "__main__":
    soak(__file__, 1, refusals_soak)

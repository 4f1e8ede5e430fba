"""The command: what is asked for, the facts of the machine, the report."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import __version__
from combsearch.commands.gpu_check import clocks
from combsearch.commands.gpu_check.pieces import PARTS, pieces
from combsearch.commands.gpu_check.reference import PATH
from combsearch.commands.gpu_check.report import Report
from combsearch.commands.gpu_check.supervise import supervise, worker
from combsearch.commands.gpu_check.text import text
from combsearch.commands.output import file_name, say
from combsearch.commands.provenance import commit
from combsearch.errors import CombsearchError, UsageError
from combsearch.kernels import cuda
from combsearch.kernels.cuda.compiler import find_compiler
from combsearch.registry import nearest

_KERNELS = Path(cuda.__file__).parent


def gpu_check_command(as_json: bool, quick: bool, output: str | None, parts: str | None) -> None:
    """Check and measure, and write the report.

    Args:
        as_json: print the whole report as JSON, not a table.
        quick: shorter measurements.
        output: the report, or the folder that it goes to (default ``results/gpu`` of a checkout,
            else the current folder).
        parts: some of ``PARTS``, separated by commas; what an earlier call with the same report
            found in the others stays.

    Raises:
        UsageError: there is no GPU.
        CombsearchError: something failed; the report says what.
    """
    known = pieces()
    names = [name for name, piece in known.items() if piece.part in _chosen(parts)]
    missing = cuda.no_gpu()
    if missing is not None:
        raise UsageError(f"bench --gpu: {missing}")
    facts = _facts(quick)
    report = Report.open(_path(output, facts), facts)
    started = time.monotonic()
    report = supervise(report, names, worker(report, known, "cuda:0", quick))
    found = report.to_json()
    say(json.dumps(found) if as_json else text(found))
    print_to = f"{report.path}, {time.monotonic() - started:.0f} s"
    problems = report.problems()
    if problems:
        raise CombsearchError(f"{len(problems)} problems, all in {print_to}: {'; '.join(problems)}")
    if not as_json:
        say(f"\n{print_to}")


def _chosen(parts: str | None) -> tuple[str, ...]:
    chosen = tuple(parts.split(",")) if parts else tuple(PARTS)
    for part in chosen:
        if part not in PARTS:
            known = ", ".join(PARTS)
            raise UsageError(f"unknown part {part!r}{nearest(part, PARTS)} (known: {known})")
    return chosen


def _path(output: str | None, facts: dict[str, Any]) -> Path:
    """The file of the report."""
    checkout = Path(__file__).resolve().parents[3] / "results" / "gpu"
    path = Path(output) if output else checkout if checkout.is_dir() else Path()
    if path.suffix == ".json":
        return path
    path.mkdir(parents=True, exist_ok=True)
    return path / f"{file_name(facts['device'])}-{facts['date']}.json"


def _facts(quick: bool) -> dict[str, Any]:
    """What is checked, and with what."""
    import torch

    facts = torch.cuda.get_device_properties(0)
    return {
        "command": "bench --gpu" + " --quick" * quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": facts.name,
        "arch": f"sm_{facts.major}{facts.minor}",
        "multiprocessors": facts.multi_processor_count,
        "memory_bytes": facts.total_memory,
        "driver": clocks.ask("driver_version", "0"),
        "versions": {
            "combsearch": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "compiler": getattr(find_compiler(), "name", None),
        },
        "commit": commit(),
        "sources": _digest(sorted(path for path in _KERNELS.rglob("*") if path.is_file())),
        "reference": _digest([PATH]),
        "quick": quick,
    }


def _digest(files: list[Path]) -> str:
    """Of the contents of files: where there is no commit, that says which code it was."""
    found = hashlib.sha256()
    for path in files:
        if path.suffix != ".pyc":
            found.update(path.read_bytes())
    return found.hexdigest()[:16]

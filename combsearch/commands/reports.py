"""``combsearch plot`` of a report: the file of rows that a command leaves which makes no run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.runs import find_run
from combsearch.comparison.saved import FILE as COMPARISON
from combsearch.errors import CorruptDataError, UsageError
from combsearch.runfile import NAME

Report = Mapping[str, Any]


def find_report(text: str, runs: str) -> Path | None:
    """The report called ``text``: a .json file, or the one of a folder that holds no run.

    None where there is none.

    Raises:
        UsageError: the folder holds several.
    """
    # os.path: unlike Path it takes any text, such as one that is too long.
    if text.endswith(".json"):
        known = os.path.isfile(text) and os.path.basename(text) != NAME
        return Path(text) if known else None
    folder = find_run(text, runs)
    if os.path.exists(folder / NAME):
        return None
    names = [name for name, _ in _DRAWN.values()]
    found = [folder / name for name in names if os.path.isfile(folder / name)]
    if len(found) > 1:
        raise UsageError(f"{text} holds several reports: name one of {', '.join(map(str, found))}")
    return found[0] if found else None


def draw_report(file: Path, runs: str, output: Path, suffix: str) -> list[Path]:
    """Write the figures of a report to ``output``; their paths.

    Args:
        file: see ``find_report``.
        runs: where runs that it names are looked for.
        output: folder of the figures.
        suffix: png, pdf or svg.

    Raises:
        UsageError: it is of a command whose reports have no figures, or a run that it names is
            missing.
        CorruptDataError: it is damaged.
    """
    report = _read(file)
    command = report.get("command")
    if not isinstance(command, str) or command not in _DRAWN:
        raise UsageError(
            f"{file} is a report of {command!r}; those of {', '.join(_DRAWN)} have figures"
        )
    _, draw = _DRAWN[command]
    try:
        return draw(file, report, runs, output, suffix)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorruptDataError(
            f"{file} is damaged or was edited ({reason}); make it again with `combsearch {command}`"
        ) from error


def _read(file: Path) -> Report:
    with durable.translated_errors(file):
        data = file.read_bytes()
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptDataError(f"{file} is damaged: it is no JSON ({error})") from error
    if not isinstance(report, dict):
        raise UsageError(f"{file} is no report of a command: it names none")
    return report


def _comparison(file: Path, _: Report, runs: str, output: Path, suffix: str) -> list[Path]:
    from combsearch.commands.compare_again import draw_again
    from combsearch.comparison.saved import read_comparison

    return draw_again(file, read_comparison(file), runs, output, suffix)


def _allocation(_: Path, report: Report, runs: str, output: Path, suffix: str) -> list[Path]:
    from combsearch.commands.study_dctps_allocate import from_json
    from combsearch.plots.draw_dctps_allocation import draw_allocations

    return draw_allocations([from_json(one) for one in report["allocations"]], output, suffix)


def _bench(_: Path, report: Report, runs: str, output: Path, suffix: str) -> list[Path]:
    from combsearch.plots.draw_dctps_bench import draw_dctps_bench

    return draw_dctps_bench(report, output, suffix)


def _disconnection(_: Path, report: Report, runs: str, output: Path, suffix: str) -> list[Path]:
    from combsearch.commands.study_disconnection import draw_curves

    return draw_curves(report, output, suffix)


_Draw = Callable[[Path, Report, str, Path, str], list[Path]]
# Command that wrote it -> its file in a folder, what draws it.
_DRAWN: dict[str, tuple[str, _Draw]] = {
    "compare": (COMPARISON, _comparison),
    "study disconnection": ("disconnection.json", _disconnection),
    "study dctps allocate": ("allocation.json", _allocation),
    "study dctps bench": ("bench.json", _bench),
}

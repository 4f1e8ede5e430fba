"""``comparison.json`` as ``combsearch compare`` writes it: read, and held to its structure."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.comparison.bounds import EXISTS, PRUNED_BIASES, TRAINED, SearchRun, lowest
from combsearch.errors import CorruptDataError
from combsearch.runfile import NAME

Json = dict[str, Any]
FILE = "comparison.json"
"""What ``combsearch compare -o`` writes among other files."""

_ABOVE = 3  # folders above a comparison in which its runs are looked for


@dataclass(frozen=True)
class _Or:
    """A kind, or null."""

    kind: Any


@dataclass(frozen=True)
class _Texts:
    """An object of any names whose values are all of one kind."""

    kind: Any


class _Count(int):
    """A whole number from 0 up."""


class _Share(float):
    """A number from 0 to 1."""


_RUN = {
    "nonzeros": _Count, "effective_nonzeros": _Count, "accuracy": _Share, "width": _Count,
    "budget": _Count, "cell": str, "restart": _Count, "run": str,
}  # fmt: skip
_BOUND = {
    "nonzeros": _Count, "effective_nonzeros": _Count, "accuracy": _Share, "shape": [_Count],
    "run": str, "runs": _Or(_Count),
}  # fmt: skip
_PAPER = _Or({"nonzeros": _Count, "width": _Or(_Count), "place": str})
_TRIED = {"runs": _Count, "collapsed": _Count, "diverged": _Count, "above_budget": _Count}
_GAP = {TRAINED: _Or(int), EXISTS: _Or(int)}
_STRUCTURE = {
    "task": str,
    "task_digest": str,
    "targets": [_Share],
    "bounds": [
        {
            "group": str, "target": _Share, "init_digest": _Or(str), "paper": _PAPER,
            TRAINED: _Or(_BOUND), EXISTS: _Or(_BOUND), PRUNED_BIASES: _Or(_BOUND),
        }
    ],
    "entries": [
        {
            **_TRIED, "group": str, "target": _Share, "method": str, "width": _Or(_Count),
            "successes": _Count, "first": _Or(_RUN), "first_effective": _Or(_RUN),
            "first_budget": _Or(_RUN), "best": _Or(_RUN), "gap": _GAP, "effective_gap": _GAP,
            "prunable": _Or({"nonzeros": _Count, "left": _Count, "of_first": bool}),
            "paper": _PAPER,
        }
    ],
    "by_budget": [
        {
            **_TRIED, "group": str, "method": str, "width": _Count, "budget": _Count,
            "best": _Or(_RUN), "disconnected_share": _Or(_Share),
        }
    ],
    "flops": [
        {
            "group": str, "method": str, "width": _Count, "budget": _Count, "place": str,
            "flops": _Or(float), "formula": _Or(float), "paper": _Or(float),
        }
    ],
    "prune_runs": [{"run_folder": str, "group": str, "digest": str}],
    "search_runs": [{"run_folder": str, "command": str, "gives": str}],
    "made_with": {"command": str, "versions": _Texts(str), "commit": _Or(str)},
}  # fmt: skip


def read_comparison(path: Path) -> Json:
    """What the file holds.

    Raises:
        CorruptDataError: it is damaged, or no comparison; the message names the place.
        UsageError: it cannot be read.
    """
    with durable.translated_errors(path):
        data = path.read_bytes()
    try:
        report = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CorruptDataError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(report, dict) or report.get("command") != "compare":
        raise CorruptDataError(f"{path} is no comparison: its command is not compare")
    try:
        _check(report, _STRUCTURE, "")
        _check_groups(report)
        narrowed(report)
    except ValueError as error:
        raise CorruptDataError(
            f"{path} is damaged or was edited: {error}; make it again with `combsearch compare`"
        ) from error
    return report


def narrowed(report: Mapping[str, Any]) -> tuple[list[str], int | None]:
    """The ``--methods`` and ``--restarts`` of the command that made a comparison."""
    words = shlex.split(report["made_with"]["command"])
    given = {}
    for flag in ("--methods", "--restarts"):
        if flag in words[:-1]:
            given[flag] = words[words.index(flag) + 1]
    methods = [name for name in map(str.strip, given.get("--methods", "").split(",")) if name]
    return methods, int(given["--restarts"]) if "--restarts" in given else None


def find_compared(file: Path, name: str, runs: str) -> Path | None:
    """The folder of the run that a comparison calls ``name``; None where there is none.

    Args:
        file: the comparison.
        name: the path that it had.
        runs: folder that holds the runs.

    Looked for as named, below ``runs``, and near the comparison, which may have been moved
    together with its runs.
    """
    above = [Path(runs), *list(file.absolute().parents)[: _ABOVE + 1]]
    last = Path(name).name
    places = [Path(name), *(up / name for up in above), *(up / last for up in above)]
    # os.path: unlike Path's it takes any text.
    return next((place for place in places if os.path.isfile(place / NAME)), None)


def gives_bounds(searches: Sequence[SearchRun], report: Mapping[str, Any]) -> bool:
    """Whether these searches still give the bounds that a comparison states."""
    for told in report["bounds"]:
        for kind in (TRAINED, EXISTS):
            found = lowest(searches, kind, told["init_digest"] or "", told["target"])
            numbers = found and found.to_json()["nonzeros"]
            if numbers != (told[kind] and told[kind]["nonzeros"]):
                return False
    return True


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _check_groups(report: Json) -> None:
    """Every part must be of a group and a target that the bounds have."""
    known = {(one["group"], one["target"]) for one in report["bounds"]}
    groups = {group for group, _ in known}
    if not known:
        raise ValueError("bounds is empty")
    wanted = {(group, target) for group in groups for target in report["targets"]}
    if known != wanted or len(known) != len(report["bounds"]):
        raise ValueError("bounds has not one of each group and target")
    for place, entry in enumerate(report["entries"]):
        if (entry["group"], entry["target"]) not in known:
            raise ValueError(f"entries[{place}] is of a group or target that has no bounds")
    for part in ("by_budget", "flops", "prune_runs"):
        for place, one in enumerate(report[part]):
            if one["group"] not in groups:
                raise ValueError(f"{part}[{place}].group is {one['group']!r}, which has no bounds")


def _check(value: Any, kind: Any, where: str) -> None:
    """Raise a ``ValueError`` that names the first place where ``value`` is not of ``kind``."""
    if isinstance(kind, _Or):
        if value is not None:
            _check(value, kind.kind, where)
    elif isinstance(kind, _Texts):
        _must(isinstance(value, dict), value, "an object", where)
        for name, one in value.items():
            _check(one, kind.kind, f"{where}.{name}")
    elif isinstance(kind, list):
        _must(isinstance(value, list), value, "a list", where)
        for number, one in enumerate(value):
            _check(one, kind[0], f"{where}[{number}]")
    elif isinstance(kind, dict):
        _must(isinstance(value, dict), value, "an object", where)
        for name, own in kind.items():
            place = f"{where}.{name}" if where else name
            if name not in value:
                raise ValueError(f"{place} is missing")
            _check(value[name], own, place)
    else:
        fits, name = _SIMPLE[kind]
        _must(fits(value), value, name, where)


def _must(fits: bool, value: Any, name: str, where: str) -> None:
    if not fits:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
        raise ValueError(f"{where} is {shown}, it must be {name}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _number(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


# Kind -> what fits it, what it is called.
_SIMPLE: dict[Any, Any] = {
    str: (lambda value: isinstance(value, str), "a text"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    _Count: (lambda value: _whole(value) and value >= 0, "a whole number from 0 up"),
    _Share: (lambda value: _number(value) and 0 <= value <= 1, "a number from 0 to 1"),
}

"""What a check found: one JSON file, written whole after every piece, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch.durable import write_json

Result = dict[str, Any]

BARS: Mapping[str, float] = {"7,3,3": 30_000, "3,3,3": 45_000}
"""Models a second on an H200."""
END_TO_END = 0.85
"""Least rate of a search over that of its kernel."""

MAIN = "7,3,3"
_IDENTITY = ("device", "driver", "versions", "commit", "sources", "reference", "quick")


@dataclass(eq=False)
class Report:
    """The results of all pieces so far.

    Attributes:
        path: of the JSON file.
        facts: device, driver, versions, commit and so on.
        pieces: name -> result of a piece; with ``error`` or ``skipped`` where there is none.
        running: the piece at work, if any.
    """

    path: Path
    facts: Result
    pieces: dict[str, Result]
    running: str | None = None

    @classmethod
    def open(cls, path: Path, facts: Result) -> Report:
        """That of an earlier call with the same code and device, if there is one, or a new one."""
        try:
            old = cls.read(path)
        except (OSError, ValueError, KeyError):
            return cls(path, facts, {})
        same = all(old.facts.get(key) == facts.get(key) for key in _IDENTITY)
        return cls(path, facts, old.pieces if same else {})

    @classmethod
    def read(cls, path: Path) -> Report:
        """What ``write`` wrote."""
        whole = json.loads(path.read_text())
        facts = {key: whole[key] for key in whole["facts"]}
        return cls(path, facts, whole["pieces"], whole["running"])

    def write(self) -> None:
        """Replace the file in one step."""
        write_json(self.path, self.to_json())

    def to_json(self) -> Result:
        """Facts, what follows from the pieces, and the pieces."""
        return {
            **self.facts,
            **summary(self.pieces),
            "facts": list(self.facts),
            "running": self.running,
            "pieces": self.pieces,
        }

    def problems(self) -> list[str]:
        """What failed, differs or is left, in words."""
        return [f"{name}: {_problem(found)}" for name, found in self.pieces.items()
                if _problem(found)]  # fmt: skip


def _problem(found: Result) -> str | None:
    if "error" in found:
        return str(found["error"])
    if "skipped" in found:
        return f"left out, {found['skipped']}"
    if found.get("equal") is False:
        return "the results differ from the CPU's"
    return "more memory was taken than planned" if found.get("within_plan") is False else None


def summary(pieces: Mapping[str, Result]) -> Result:
    """The keys that readers ask for, from the results of the pieces."""
    speeds = _named(pieces, "speed ")
    wide = _named(pieces, "vmap speed ")
    rates = _values(speeds, "models_per_second")
    vmap = _values(wide, "models_per_second")
    search = pieces.get("search", {}).get("models_per_second")
    bare = rates.get(MAIN)
    return {
        "models_per_second": rates,
        "vmap_models_per_second": vmap,
        "ratio_to_vmap": {shape: rates[shape] / vmap[shape] for shape in rates if shape in vmap},
        "search_models_per_second": search,
        "bars": bars(rates, search / bare if search and bare else None),
        "correctness": {
            name: {"passed": found.get("equal"), "problem": _problem(found)}
            for name, found in pieces.items()
            if "speed" not in name and name != "search"
        },
        "builds": {shape: found.get("builds") for shape, found in speeds.items()},
        "issue_share": {shape: found.get("issue_share") for shape, found in speeds.items()},
        "multiply_add_share": {
            shape: found.get("multiply_add_share") for shape, found in speeds.items()
        },
        "seconds": round(sum(found.get("seconds", 0.0) for found in pieces.values()), 1),
    }


def bars(rates: Mapping[str, float], end_to_end: float | None) -> Result:
    """What was to be reached, what was found, and whether it reaches that; None: not measured."""
    asked = [(shape, least, rates.get(shape)) for shape, least in BARS.items()]
    return {
        name: {"least": least, "found": found, "reached": None if found is None else found >= least}
        for name, least, found in [*asked, ("end_to_end", END_TO_END, end_to_end)]
    }


def _named(pieces: Mapping[str, Result], start: str) -> dict[str, Result]:
    """The results of the pieces whose names start so, by what follows."""
    return {n.removeprefix(start): found for n, found in pieces.items() if n.startswith(start)}


def _values(found: Mapping[str, Result], key: str) -> dict[str, float]:
    return {name: result[key] for name, result in found.items() if result.get(key)}

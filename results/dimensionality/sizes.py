"""True sparsest sizes of the embedded spirals beside what pruning finds, in one table and figure.

    python results/dimensionality/sizes.py RUN... [FILE.parquet...] -o results/dimensionality/sizes

--targets (default 0.75,0.95) are the accuracies shown; a descent counts for all that it reached.
RUN are run folders of phase1, exhaust and descend on ``spiral_*_D`` tasks (``cubist_spiral`` counts
as ``distractors`` with 2 inputs), FILE rows of ``study dimensionality spiral`` that export wrote.
Writes sizes.json (a record a search, target and number of inputs, with command and digest), the
networks that prove the sizes, and sizes.png.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from combsearch.plots.draw_dimension import draw_true_size
from combsearch.studies.dimensionality.config import SpiralConfig
from combsearch.studies.dimensionality.report import sparsest
from combsearch.studies.dimensionality.rows_file import published

_LINES = {
    "exhaust": ("bound", "trained, every mask"),
    "phase1": ("phase1", "trained, dense shapes"),
    "descend": ("exists", "exists (descend)"),
}


def main(arguments: Sequence[str]) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", metavar="RUN|FILE", nargs="+", type=Path)
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--targets", default="0.75,0.95", metavar="X,X")
    given = parser.parse_args(arguments)
    targets = tuple(map(float, given.targets.split(",")))
    records = [one for source in given.sources for one in _records(source, given.output, targets)]
    records = [one for one in records if one["target"] in targets]
    records.sort(key=lambda one: (one["embedding"], one["target"], one["line"], one["inputs"]))
    given.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(records, indent=1)
    (given.output / "sizes.json").write_text(text + "\n")
    draw_true_size(records, given.output / "sizes.png")
    print(_table(records))
    return 0


def _records(source: Path, output: Path, targets: Sequence[float]) -> Iterator[dict[str, Any]]:
    if source.suffix == ".parquet":
        yield from _pruned(source)
        return
    report = json.loads((source / "summary.json").read_text())
    kind, line = _LINES[report["command"]]
    embedding, inputs = _embedding(report["task"])
    found = {
        "embedding": embedding,
        "inputs": inputs,
        "kind": kind,
        "line": line,
        "open": bool(report.get("open")),
        "command": report["made_with"]["command"],
        "digest": report["digest"],
        "machine": report["made_with"]["machine"]["processor"],
    }
    for target, nonzeros, network in _found(report, source, targets):
        if network is not None and target in targets:
            name = f"{report['command']}-{embedding}-{inputs}-{target:g}.npz"
            (output / "networks").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(network, output / "networks" / name)
        yield {**found, "target": target, "nonzeros": nonzeros}


def _found(
    report: dict[str, Any], source: Path, targets: Sequence[float]
) -> Iterator[tuple[float, int | None, Path | None]]:
    """(target, nonzeros, the network's file) that a search found."""
    if report["command"] == "descend":
        best: dict[float, int] = {}
        for one in report["frontier"]:
            for target in targets:  # below its own target a descent stops too early to tell
                if report["target"] <= target <= one["accuracy"]:
                    best[target] = min(best.get(target, 10**9), one["nonzeros"])
        for target, nonzeros in best.items():
            yield target, nonzeros, source / "frontier" / f"{nonzeros}.npz"
        return
    nonzeros = report["bound"] if report["command"] == "exhaust" else report["nonzeros"]
    yield report["target"], nonzeros, source / "best.npz" if nonzeros is not None else None


def _pruned(file: Path) -> Iterator[dict[str, Any]]:
    config, rows = published(file)
    if not isinstance(config, SpiralConfig):
        raise SystemExit(f"{file} holds rows of {config.experiment}, not of spiral")
    for one in sparsest(config, rows):
        shared = {
            "embedding": config.embedding,
            "inputs": one["inputs"],
            "target": one["target"],
            "kind": "imp",
            "open": False,
            "seeds": config.seeds,
            "successful_seeds": one["seeds"],
        }
        yield {**shared, "line": f"IMP, best of {config.seeds} seeds", "nonzeros": one["nonzeros"]}
        yield {**shared, "line": "IMP, median seed", "nonzeros": one["median"]}


def _embedding(task: str) -> tuple[str, int]:
    if task == "cubist_spiral":
        return "distractors", 2
    found = re.fullmatch(r"spiral_(\w+)_(\d+)", task)
    if found is None:
        raise SystemExit(f"task {task!r} is no embedded spiral")
    return found[1], int(found[2])


def _table(records: Sequence[dict[str, Any]]) -> str:
    inputs = sorted({one["inputs"] for one in records})
    rows = dict.fromkeys((one["embedding"], one["target"], one["line"]) for one in records)
    lines = [f"{'embedding':<12} {'target':<7} {'':<26}" + "".join(f"{d:>7}" for d in inputs)]
    for row in rows:
        own = {r["inputs"]: r for r in records if (r["embedding"], r["target"], r["line"]) == row}
        cells = "".join(f"{_cell(own.get(d)):>7}" for d in inputs)
        lines.append(f"{row[0]:<12} {row[1]:<7g} {row[2]:<26}{cells}")
    return "\n".join(lines)


def _cell(record: dict[str, Any] | None) -> str:
    if record is None:
        return ""
    size = record["nonzeros"]
    return "none" if size is None else f"{size:g}{'*' * record['open']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

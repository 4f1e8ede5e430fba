"""Seconds of a core by method and width, of saved sweeps: ``python results/times.py RUN...``."""

from __future__ import annotations

import sys
from collections import defaultdict

from combsearch.store import RunStore


def main(runs: list[str]) -> None:
    """Print a table: all runs of a method and width together, and one of them."""
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for run in runs:
        rows = RunStore.attach(run).read(["method", "width", "prune_seconds", "seconds"])
        for row in rows.to_pylist():
            spent = row["prune_seconds"] + row["seconds"]
            seconds[row["method"], row["width"]].append(spent)
    methods = list(dict.fromkeys(method for method, _ in seconds))
    widths = sorted({width for _, width in seconds})
    print("seconds of a core a run (and of all), by width")
    print(f"{'':15}" + "".join(f"{width:>17}" for width in widths))
    for method in methods:
        cells = [seconds.get((method, width), []) for width in widths]
        texts = [f"{sum(c) / len(c):.3f} ({sum(c):,.0f})" if c else "-" for c in cells]
        print(f"{method:15}" + "".join(f"{text:>17}" for text in texts))
    total = sum(sum(values) for values in seconds.values())
    print(f"all: {total:,.0f} s, {sum(map(len, seconds.values())):,} runs")


if __name__ == "__main__":
    main(sys.argv[1:])

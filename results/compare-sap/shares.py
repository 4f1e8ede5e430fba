"""Shares of runs that reach each target, all budgets together, from a comparison's JSON.

python results/compare-sap/shares.py results/compare-sap/comparison.json 5,6,7,8
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(path: Path, widths: list[int]) -> None:
    """Print a line a method; runs that collapsed count as runs.

    Args:
        path: ``comparison.json``, of one start (random weights).
        widths: whose runs are taken together.
    """
    report = json.loads(path.read_text())
    for method in dict.fromkeys(entry["method"] for entry in report["entries"]):
        line = f"{method:15}"
        for target in report["targets"]:
            own = [
                entry
                for entry in report["entries"]
                if (entry["method"], entry["target"]) == (method, target)
                and entry["width"] in widths
            ]
            runs, reached = (sum(entry[name] for entry in own) for name in ("runs", "successes"))
            line += f"  {target:g}: {reached} of {runs:,}" + (
                f" ({reached / runs:.1%})" if runs else ""
            )
        print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(width) for width in sys.argv[2].split(",")])

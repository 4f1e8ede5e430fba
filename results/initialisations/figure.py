"""Draw signs.png from signs.json: the share of successes of every arm, with its interval.

python results/initialisations/figure.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HERE = Path(__file__).parent
COLOURS = {
    "published": "#a3195b",
    "signs": "#0b62a4",
    "magnitudes": "#c8620a",
    "weight signs": "#6fa8cf",
    "fresh": "#6b6b6b",
}
LEAST = 1e-4  # where an interval from 0 is cut


def draw(axes: Any, pairs: list[dict[str, Any]]) -> None:
    """One row a pair, five marks in it, logarithmic axis."""
    for row, pair in enumerate(pairs):
        for place, (arm, colour) in enumerate(COLOURS.items()):
            found = pair["arms"][arm]
            y = row + (place - 2) * 0.15
            low, high = (max(LEAST, end) for end in found["interval"])
            axes.plot([low, high], [y, y], color=colour, lw=1.4)
            if found["successes"]:
                axes.plot(found["share"], y, "o", color=colour, ms=3.5)
            else:
                axes.plot(high, y, "<", color=colour, ms=3.5)
    for arm, colour in COLOURS.items():
        axes.plot([], [], "o-", color=colour, ms=3.5, lw=1.4, label=arm)
    names = [f"{p['init']}, ({p['shape']}), {p['nonzeros']} nonzeros" for p in pairs]
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(LEAST, 1.1)
    axes.set_xlabel("share of runs that reach the target (triangle: none did)")


def main() -> None:
    """Read signs.json, write signs.png."""
    pairs = json.loads((HERE / "signs.json").read_text())["pairs"]
    figure = Figure(figsize=(7.0, 0.6 + 0.55 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    draw(axes, pairs)
    axes.tick_params(labelsize=7.5)
    axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(HERE / "signs.png", dpi=200)


if __name__ == "__main__":
    main()

"""Draw signs.png from signs.json: the share of successes of every arm, with its interval.

python results/initialisations/figure.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from combsearch.plots.style import ACCENT, BLUE, ORANGE, PAGE, new_figure, save, styled

HERE = Path(__file__).parent
COLOURS = {
    "published": ACCENT,
    "signs": BLUE,
    "magnitudes": ORANGE,
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


@styled()
def main() -> None:
    """Read signs.json, write signs.png."""
    pairs = json.loads((HERE / "signs.json").read_text())["pairs"]
    height = 0.6 + 0.55 * len(pairs)
    figure = new_figure(PAGE, height)
    left, right, foot, top = 1.9, 1.15, 0.42, 0.08  # inches around the frame
    axes = figure.add_axes(
        (left / PAGE, foot / height, (PAGE - left - right) / PAGE, (height - foot - top) / height)
    )
    draw(axes, pairs)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, HERE / "signs.png")


if __name__ == "__main__":
    main()

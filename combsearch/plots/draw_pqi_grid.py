"""The PQ index over rounds at every pair of powers: the paper's figure 7."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from combsearch.plots.pqi_axes import value_axis
from combsearch.plots.pqi_curves import Study, index_of, pair_text, powers
from combsearch.plots.pqi_panels import Frames, Lines
from combsearch.plots.style import PAGE, styled

_NARROW = 1.15  # inches of a frame with its numbers, at least
_ACROSS = 4  # frames a row, of pairs that make no table
_BETWEEN = 0.42  # inches from frame to frame, for the numbers


@styled()
def pqi_grid(study: Study, scope: str = "global") -> Figure:
    """The PQ index over rounds at every pair of the grid: a row a p, a column a q.

    Each frame has its own vertical scale, since the index grows with q - p.

    Raises:
        UsageError: the scope has no rows that count, or a pair is not two numbers.
    """
    lines, cells = Lines.of(study, scope), _cells(study.pairs)
    across = len(cells[0])
    frames = Frames(len(cells), across, 0.85, left=0.4, apart=_BETWEEN, below=0.3)
    figure, axes = frames.open(lines.head + 0.12, max(PAGE, 0.1 + across * _NARROW))
    for row, pairs in enumerate(cells):
        for column, pair in enumerate(pairs):
            frame = axes[row][column]
            if pair is None:
                frame.remove()
                continue
            lines.draw(frame, None, index_of(study, pair))
            value_axis(frame, "", few=True, least=0.004)
            frame.set_title(pair_text(pair), loc="left", pad=2, size=7)
            if any(below[column] for below in cells[row + 1 :]):
                frame.tick_params(labelbottom=False)
                frame.set_xlabel("")
    lines.write_head(figure, f"PQ index by p and q (each its own scale), scope {scope}")
    return figure


def _cells(pairs: Sequence[str]) -> list[list[str | None]]:
    """Which pair stands where: a row a p and a column a q, if that fills half of the places.

    Otherwise one after the other.
    """
    by_powers = {powers(pair): pair for pair in pairs}
    down, across = (sorted({pair[side] for pair in by_powers}) for side in (0, 1))
    if 2 * len(by_powers) > len(down) * len(across):
        return [[by_powers.get((p, q)) for q in across] for p in down]
    ordered: list[str | None] = [by_powers[key] for key in sorted(by_powers)]
    wide = min(len(ordered), _ACROSS)
    ordered += [None] * (-len(ordered) % wide)
    return [ordered[first : first + wide] for first in range(0, len(ordered), wide)]

"""SAP with one setting changed at a time: the paper's figures 5 and 6."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from combsearch.errors import UsageError
from combsearch.plots.methods import Look
from combsearch.plots.pqi_axes import join_row
from combsearch.plots.pqi_curves import (
    SIGNS,
    Chains,
    Quantity,
    Study,
    index_label,
    index_of,
    kept_share,
    setting,
)
from combsearch.plots.pqi_panels import (
    ROW,
    Frames,
    Lines,
    heading,
    key_rows,
    write_heading,
    write_key,
)
from combsearch.plots.style import PAGE, styled

CHANGED = ("p", "q", "eta", "gamma")
"""The settings of SAP."""
_MARKS = "osD^vPX*"


def ablations(study: Study, scope: str) -> dict[str, list[Chains]]:
    """Of each setting the SAP chains that differ in it alone, two values at least.

    Of several such sets the one with most values, then the first in order.
    """
    own = [chains for chains in study.of(scope) if chains.variant.method == "sap" and chains.seeds]
    found = {}
    for key in CHANGED:
        sets: dict[tuple[float | None, ...], list[Chains]] = {}
        for chains in own:
            others = tuple(getattr(chains.variant, other) for other in CHANGED if other != key)
            sets.setdefault(others, []).append(chains)
        most = max(sets.values(), key=len, default=[])
        if len(most) > 1:
            found[key] = sorted(most, key=lambda c: getattr(c.variant, key) or 0.0)
    return found


@styled()
def pqi_ablation(study: Study, scope: str = "global", pair: str | None = None) -> Figure:
    """A column a setting: accuracy over weights left, PQ index over rounds, a line a value.

    Lines are dark for small values and light for large ones.

    Args:
        study: the chains.
        scope: which of them.
        pair: p:q of the index, for all lines alike; by default ``study.pair``.

    Raises:
        UsageError: no two SAP variants differ in one setting alone, or the pair is not in the
            grid.
    """
    pair, sets = study.checked(pair), ablations(study, scope)
    if not sets:
        raise UsageError(f"no two SAP variants in scope {scope!r} differ in one setting alone")
    every = list(dict.fromkeys(chains for own in sets.values() for chains in own))
    columns = {key: _lines(own, key, every) for key, own in sets.items()}
    frames = Frames(2, len(columns), apart=0.2, below=0.45)
    wide = (PAGE - frames.left - frames.right + frames.apart) / len(columns)
    keys = max(key_rows([name for name, _ in lines.key], wide) for lines in columns.values())
    head = 0.06 + ROW * (3 + keys) + 0.08
    figure, axes = frames.open(head)
    rows: list[tuple[str, Quantity | None, Quantity]] = [
        ("retrained accuracy", kept_share, lambda c: c["accuracy"]),
        (index_label(pair), None, index_of(study, pair)),
    ]
    for row, (label, x, y) in enumerate(rows):
        for frame, lines in zip(axes[row], columns.values(), strict=True):
            lines.draw(frame, x, y)
        join_row(axes[row], label, percent=row == 0)
    top = figure.get_figheight() - 0.06 - 1.25 * ROW
    for frame, (key, lines) in zip(axes[0], columns.items(), strict=True):
        left = frame.get_position().x0 * PAGE
        _write_title(figure, key, lines, (left, top))
        write_key(figure, lines.key, (left, top - 2 * ROW), wide)
    write_heading(figure, heading(f"SAP, one setting changed, scope {scope}", every))
    return figure


def _lines(own: Sequence[Chains], key: str, every: Sequence[Chains]) -> Lines:
    """Lines named by their values, dark to light; the axes hold ``every``."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, len(own)))
    marks = [_MARKS[place % len(_MARKS)] for place in range(len(own))]
    variants = [chains.variant for chains in own]
    drawn = {
        variant: Look(to_hex(shade), mark)
        for variant, shade, mark in zip(variants, shades, marks, strict=True)
    }
    names = {variant: f"{getattr(variant, key):g}" for variant in variants}
    return Lines(own, drawn, every, names)


def _write_title(figure: Figure, key: str, lines: Lines, corner: tuple[float, float]) -> None:
    """Which setting changes, and the others below it."""
    variant = lines.chains[0].variant
    others = {other: getattr(variant, other) for other in CHANGED if other != key}
    fixed = ", ".join(setting(*item) for item in others.items() if item[1] is not None)
    where = figure.dpi_scale_trans
    figure.text(*corner, f"by {SIGNS[key]}", va="top", weight="bold", transform=where)
    figure.text(corner[0], corner[1] - 0.9 * ROW, f"({fixed})", va="top", size=6.5, transform=where)

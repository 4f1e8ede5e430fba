"""What the figures of the PQ-index study share: frames in inches, lines with bands, key.

A figure::

    heading: what the lines are, how many seeds, what is left out
    key: sample and name of each line
    frames, row by row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from combsearch.errors import UsageError
from combsearch.numerals import count
from combsearch.plots.methods import Look, looks
from combsearch.plots.pqi_axes import rounds_axis, share_axis
from combsearch.plots.pqi_curves import PAPER, Chains, Quantity, Study, Variant
from combsearch.plots.scales import inches
from combsearch.plots.style import PAGE, new_figure
from combsearch.studies.pqi.table import over_seeds

F64 = npt.NDArray[np.float64]

ROW = 0.16  # inches: a line of the key, the heading
_LETTER, _SWATCH = 0.061, 0.34  # inches: a character of the key, a sample
_MARK = 0.2  # inches from mark to mark of a line, about
_HUES = looks(["sap", "lt", "one_shot"])
_SECOND = "#e69f00"  # of SAP's two lines, which often lie close
# Scopes are told apart by frame here, so that marks and dashes are free to tell lines apart.
_LOOKS = dict(
    zip(
        PAPER,
        (
            Look(_HUES["sap"].colour, "o"),
            Look(_SECOND, "^", (4, 1.2), 1.1),
            Look(_HUES["lt"].colour, "s"),
            Look(_HUES["one_shot"].colour, "D", (1.4, 1.1), 1.1),
        ),
        strict=True,
    )
)
_OTHERS = (
    Look("#8c4a1f", "v", (6, 1.5)), Look("#0b62a4", "P", (3, 1)), Look("#999933", "X", (6, 1.5)),
    Look("#e6b800", "*", (3, 1)), Look("#4f4f4f", "h", (6, 1.5)), Look("#56b4e9", "<", (3, 1)),
)  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """Where the frames of a figure lie, in inches.

    Attributes:
        down, across: rows and columns.
        tall: height of a frame.
        left, apart: from the figure's edge to the first frame; between columns.
        below: between rows.
        foot: from the lowest frames to the figure's edge.
    """

    down: int
    across: int
    tall: float = 1.3
    left: float = 0.72
    apart: float = 0.72
    below: float = 0.45
    foot: float = 0.4
    right: float = 0.1

    def height(self, head: float) -> float:
        """Of the figure, with ``head`` above the frames."""
        return head + self.foot + self.down * self.tall + (self.down - 1) * self.below

    def open(self, head: float, width: float = PAGE) -> tuple[Figure, list[list[Axes]]]:
        """A figure and its frames, [row][column]."""
        height = self.height(head)
        figure = new_figure(width, height)
        room = width - self.left - self.right - (self.across - 1) * self.apart
        wide = room / self.across
        rows = []
        for row in range(self.down):
            bottom = self.foot + (self.down - 1 - row) * (self.tall + self.below)
            lefts = [self.left + column * (wide + self.apart) for column in range(self.across)]
            boxes = [(x / width, bottom / height, wide / width, self.tall / height) for x in lefts]
            rows.append([figure.add_axes(box) for box in boxes])
        return figure, rows


def variant_looks(variants: Sequence[Variant]) -> dict[Variant, Look]:
    """The paper's four always alike, others in the order in which they stand."""
    own = [one for one in dict.fromkeys(variants) if one not in _LOOKS]
    found = {one: _OTHERS[place % len(_OTHERS)] for place, one in enumerate(own)}
    return {one: _LOOKS.get(one) or found[one] for one in dict.fromkeys(variants)}


@dataclass(frozen=True, eq=False)
class Lines:
    """Chains that a figure draws as lines.

    Attributes:
        chains: one variant each.
        looks: how each variant is drawn, in the order of the key.
        shown: chains that the axes must hold, which may be more.
        names: of the variants in the key.
    """

    chains: Sequence[Chains]
    looks: Mapping[Variant, Look]
    shown: Sequence[Chains]
    names: Mapping[Variant, str]

    @classmethod
    def of(cls, study: Study, scope: str, variants: Sequence[Variant] | None = None) -> Lines:
        """Those of ``variants`` in ``scope``, by default those of the paper (``Study.main``).

        Raises:
            UsageError: there is no row that counts.
        """
        chains = study.main(scope)
        if variants is not None:
            chains = [one for one in study.of(scope) if one.variant in variants]
        if not any(one.seeds for one in chains):
            there = ", ".join(study.scopes) or "none"
            raise UsageError(
                f"no rows to draw in scope {scope!r} (there: {there}); rows that diverged do not "
                "count"
            )
        found = variant_looks([one.variant for one in chains])
        return cls(chains, found, chains, {variant: variant.name for variant in found})

    @property
    def key(self) -> list[tuple[str, Look]]:
        """Names and looks."""
        return [(self.names[variant], look) for variant, look in self.looks.items()]

    @property
    def head(self) -> float:
        """Inches of the heading and the key."""
        return 0.06 + ROW * (1 + key_rows([label for label, _ in self.key])) + 0.1

    def write_head(self, figure: Figure, what: str) -> None:
        """The heading (see ``heading``) and the key."""
        write_heading(figure, heading(what, self.shown))
        corner = (0.1, figure.get_figheight() - 0.08 - ROW)
        write_key(figure, self.key, corner, figure.get_figwidth() - 0.2)

    def lowest(self, x: Quantity) -> float:
        """The smallest mean of ``x`` above 0."""
        shares = np.concatenate([over_seeds(x(one))[0] for one in self.shown])
        return float(shares[shares > 0].min())

    def draw(
        self, axes: Axes, x: Quantity | None, y: Quantity, lowest: float | None = None
    ) -> None:
        """A line of ``y`` for each variant, over the share of weights ``x`` or, None, rounds.

        The axis of shares ends at ``lowest``, by default the smallest of ``x``.
        """
        order = list(self.looks)
        for one in self.chains:
            across = np.arange(one["kept"].shape[1], dtype=np.float64) if x is None else x(one)
            place = order.index(one.variant)
            draw_mean(axes, across, y(one), self.looks[one.variant], place)
        if x is None:
            counted = [np.isfinite(one["kept"]).any(axis=0) for one in self.shown]
            rounds_axis(axes, int(np.flatnonzero(np.any(counted, axis=0)).max()))
        else:
            share_axis(axes, self.lowest(x) if lowest is None else lowest)


# ------------------------------------------------------------------ heading and key


def heading(what: str, chains: Sequence[Chains]) -> str:
    """``what``, how many seeds a mean is of at least and at most, and the rows left out."""
    seeds = sorted({int(n) for one in chains for n in one.counted if n})
    many = count(seeds[-1], "seed") if seeds else "no seed"
    if len(seeds) > 1:
        many = f"{seeds[0]} to {many}"
    lost = sum(one.diverged for one in chains)
    mean = "mean ± standard deviation of " if seeds and seeds[-1] > 1 else ""
    left_out = f", {count(lost, 'diverged round')} left out" if lost else ""
    return f"{what}: {mean}{many}{left_out}"


def key_rows(labels: Sequence[str], width: float = PAGE - 0.2) -> int:
    """Lines that the key takes in ``width`` inches."""
    return -(-len(labels) // _columns(labels, width))


def write_heading(figure: Figure, text: str) -> None:
    """On top, at the left."""
    height = figure.get_figheight()
    figure.text(0.1, height - 0.06, text, va="top", size=7.5, transform=figure.dpi_scale_trans)


def write_key(
    figure: Figure, key: Sequence[tuple[str, Look]], corner: tuple[float, float], width: float
) -> None:
    """Samples and names in rows of ``width`` inches, their upper left ``corner`` in inches."""
    labels = [label for label, _ in key]
    columns, where = _columns(labels, width), figure.dpi_scale_trans
    for place, (label, look) in enumerate(key):
        row, column = divmod(place, columns)
        x, y = corner[0] + column * _pitch(labels), corner[1] - (row + 0.55) * ROW
        ends = [x, x + _SWATCH - 0.06]
        figure.add_artist(Line2D(ends, [y, y], transform=where, **look.line))
        if look.marker:
            figure.add_artist(Line2D([sum(ends) / 2], [y], transform=where, **look.mark(3.4)))
        figure.text(x + _SWATCH, y, label, va="center", transform=where)


def _pitch(labels: Sequence[str]) -> float:
    return max((len(label) for label in labels), default=0) * _LETTER + _SWATCH + 0.12


def _columns(labels: Sequence[str], width: float) -> int:
    return max(1, min(len(labels), int(width // _pitch(labels))))


# ------------------------------------------------------------------ lines


def draw_mean(
    axes: Axes, x: F64, values: F64, look: Look, place: int = 0, gid: str = "mean"
) -> None:
    """A line through the means over seeds, with a band of one standard deviation.

    Args:
        axes: where.
        x: [round], or [seed, round]: then its mean over the seeds counts.
        values: [seed, round].
        look: of the line.
        place: of the line among those of the figure, so that marks do not hide each other.
        gid: of the line; of the band ``"band"``.
    """
    mean, spread = over_seeds(values)
    across = over_seeds(np.where(np.isfinite(values), x, np.nan))[0] if x.ndim > 1 else x
    shown = np.isfinite(mean) & np.isfinite(across)
    if not shown.any():
        return
    across, mean, spread = across[shown], mean[shown], spread[shown]
    wide = np.isfinite(spread)
    if wide.any():
        axes.fill_between(
            across, mean - spread, mean + spread, where=wide.tolist(), color=look.colour,
            alpha=0.16, lw=0, zorder=2, gid="band",
        )  # fmt: skip
    depth = 3 + place / 100
    axes.plot(across, mean, gid=gid, zorder=depth, solid_capstyle="butt", **look.line)
    if look.marker:
        own = some_marks(axes, len(mean), place)
        axes.plot(across[own], mean[own], gid="marks", zorder=depth, **look.mark(2.6))


def some_marks(axes: Axes, points: int, place: int) -> slice:
    """Which of a line's points get a mark, so few that they do not touch."""
    step = max(1, round(points * _MARK / inches(axes)[0]))
    return slice(place % step, None, step)

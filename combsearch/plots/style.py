"""What all figures share: sizes, colours, fonts, number formats, saving.

Figures are made at the size they are printed (inches: ``COLUMN`` or ``PAGE`` wide), so
that 7-point text is 7 points on paper. One pair of colours carries one meaning
everywhere: orange is negative or class 0, blue is positive or class 1. Orange and blue
stay apart under all common colour-vision deficiencies.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from combsearch.durable import make_folder, write_bytes
from combsearch.errors import UsageError
from combsearch.figure_formats import FIGURE_FORMATS

COLUMN = 3.5  # inches: one column of a two-column paper
PAGE = 7.0  # inches: the text width
DPI = 200

INK = "#1a1a1a"
GREY = "#8a8a8a"
FAINT = "#d9d9d9"
LINE = "#4d4d4d"  # decision boundaries
ORANGE = "#c8620a"  # negative, class 0
BLUE = "#0b62a4"  # positive, class 1
ACCENT = "#a3195b"  # the one thing a figure points at

# Weights keep a visible grey at zero, since they are lines on white paper; maps over the
# plane fade to white there.
SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#8f3f00", "#d9731a", "#c9c9c9", "#2f86c6", "#063f73"]
)
PLANE = LinearSegmentedColormap.from_list(
    "plane", ["#f6cfa8", "#fae6d3", "#ffffff", "#d8e8f4", "#aed0ea"]
)
ACTIVE = LinearSegmentedColormap.from_list("active", ["#dbeaf5", "#5fa2d2", "#063f73"])

# Keys are literals in some versions of matplotlib's types and str in others.
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "legend.fontsize": 7.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": DPI,
    "pdf.fonttype": 42,  # TrueType: text stays text, as journals ask
    # An SVG holds no fonts: text that stays text is set in whatever a reader has, and labels
    # that were placed by our font's widths run into each other. Outlines look right everywhere.
    "svg.fonttype": "path",
    "svg.hashsalt": "combsearch",  # else the ids of an SVG are drawn by chance
}
# A date in the file would make every file differ.
_METADATA: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextmanager
def styled() -> Iterator[None]:
    """Our style for the time of the block (or the decorated function), whatever the user's is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches, tied to no window and no global state."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


@styled()
def save(figure: Figure, *paths: str | Path) -> None:
    """Write ``figure`` to each of ``paths``, as PNG (200 dpi), PDF or SVG by suffix.

    Same figure, same matplotlib: same bytes. Missing folders are made; a file is there
    wholly or not at all.

    Raises:
        UsageError: for another suffix than .png, .pdf and .svg, before anything is written, or
            when the folder cannot be written.
        NoSpaceError: when the disk is full.
    """
    targets = [Path(path) for path in paths]
    for path in targets:
        if path.suffix.lower()[1:] not in FIGURE_FORMATS:
            *most, last = (f".{kind}" for kind in FIGURE_FORMATS)
            raise UsageError(
                f"cannot save a figure as {path.name!r}: its suffix must be"
                f" {', '.join(most)} or {last}"
            )
    for path in targets:
        kind = path.suffix.lower()[1:]
        data = io.BytesIO()
        with _own_ids(figure):
            figure.savefig(data, format=kind, dpi=DPI, metadata=_METADATA.get(kind))
        make_folder(path.parent)
        write_bytes(path, data.getbuffer())


@contextmanager
def _own_ids(figure: Figure) -> Iterator[None]:
    """For the time of the block no two artists with one gid, and none with a space in it.

    An SVG writes them as ids, which a page must not hold twice.
    """
    named = [artist for artist in figure.findobj() if artist.get_gid()]
    gids = [str(artist.get_gid()) for artist in named]
    seen: Counter[str] = Counter()
    try:
        for artist, gid in zip(named, gids, strict=True):
            seen[gid] += 1
            artist.set_gid(f"{gid} {seen[gid]}".replace(" ", "-"))
        yield
    finally:
        for artist, gid in zip(named, gids, strict=True):
            artist.set_gid(gid)


def leader(start: float, gap: float) -> dict[str, Any]:
    """``arrowprops`` of a straight line from a text above to the mark that it names.

    Args:
        start: where it leaves the text's lower edge, 0 (left) to 1 (right).
        gap: points that it ends before the mark.
    """
    return {
        "arrowstyle": "-",
        "color": ACCENT,
        "lw": 0.7,
        "relpos": (start, 0),
        "shrinkA": 0,
        "shrinkB": gap,
    }

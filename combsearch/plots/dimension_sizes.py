"""The sparsest size by number of inputs where the truth is known, beside what pruning finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from combsearch.errors import UsageError
from combsearch.numerals import plain_percent
from combsearch.plots.dimension_axes import (
    count_axis,
    doubling_axis,
    figure_width,
    heading_lines,
    write_lines,
)
from combsearch.plots.methods import SEARCH, Look
from combsearch.plots.pqi_panels import ROW, Frames, key_rows, write_key
from combsearch.plots.style import styled

Record = Mapping[str, Any]
Key = tuple[str, str]
"""A line: its kind and name."""

_KINDS = {
    "bound": SEARCH[0],
    "exists": dataclasses.replace(SEARCH[1], marker="D"),
    "phase1": Look("#17835b", "s"),
    "imp": Look("#c2571a", "^"),
}
# Further lines of one kind: the same colour, told apart by dashes and mark.
_DASHES: tuple[tuple[float, ...], ...] = ((), (1.4, 1.1), (6, 1.5), (3, 1, 1, 1))
_MARKS = "v<>P"
_EMBEDDINGS = ("linear", "distractors", "both")
_SIZE = 4.4  # points of a mark
_FIELDS = ("embedding", "inputs", "target", "line", "nonzeros", "kind")
_HOLLOW = "hollow: smaller ones were not excluded"


@styled()
def true_sizes(records: Sequence[Record]) -> Figure:
    """Nonzeros of the sparsest network that reaches a target, against the number of inputs.

    A column an embedding, a row a target. Lines have a gap where a number of inputs is missing.

    Args:
        records: a dict a point: ``embedding``, ``inputs`` (above 0), ``target`` (accuracy),
            ``line`` (its name in the key), ``nonzeros`` (None: nothing reached the target),
            ``kind`` (``"bound"``, ``"exists"``, ``"phase1"`` or ``"imp"``) and, if smaller
            networks were not excluded, ``open`` true: such a mark is hollow.

    Raises:
        UsageError: there is no point to draw, one lacks a field, has another kind or a number
            that is not above 0, or stands there twice.
    """
    points = _checked(records)
    embeddings = _embeddings(points)
    targets = sorted({float(one["target"]) for one in points})
    looks = _looks(points)
    inputs = sorted({int(one["inputs"]) for one in records})
    figure, rows = _open(looks, targets, len(embeddings), any(map(_is_open, points)))
    for axes, target in zip(rows, targets, strict=True):
        own = [one for one in points if one["target"] == target]
        sizes = [float(one["nonzeros"]) for one in own]
        count_axis(axes, min(sizes), max(sizes), "nonzeros (log scale)", lambda size: f"{size:,g}")
        for frame, embedding in zip(axes, embeddings, strict=True):
            doubling_axis(frame, inputs, "number of inputs" if axes is rows[-1] else "")
            reach = f", {plain_percent(target)}" if len(targets) > 1 else ""
            frame.set_title(f"{embedding}{reach}", loc="left", pad=3)
            mine = [one for one in own if one["embedding"] == embedding]
            for place, (key, look) in enumerate(looks.items()):
                _draw(frame, inputs, [o for o in mine if _key(o) == key], look, place)
    return figure


def _checked(records: Sequence[Record]) -> list[Record]:
    """Those with nonzeros."""
    seen: set[tuple[Any, ...]] = set()
    for one in records:
        missing = [name for name in _FIELDS if name not in one]
        if missing:
            raise UsageError(f"record {dict(one)} has no {missing[0]!r}: see true_sizes")
        if one["kind"] not in _KINDS:
            raise UsageError(f"no kind {one['kind']!r} of line: choose from {', '.join(_KINDS)}")
        for name in ("inputs", "nonzeros"):
            if one[name] is not None and not one[name] > 0:
                raise UsageError(f"{name} {one[name]} of {one['line']!r} is not above 0")
        place = (*_key(one), one["embedding"], one["inputs"], one["target"])
        if place in seen:
            raise UsageError(
                f"{one['line']!r} has two points at {one['inputs']} inputs, embedding "
                f"{one['embedding']!r}, target {one['target']:g}: give one"
            )
        seen.add(place)
    found = [one for one in records if one["nonzeros"] is not None]
    if not found:
        raise UsageError("no sparsest sizes to draw: no line reached its target")
    return found


def _key(one: Record) -> Key:
    return str(one["kind"]), str(one["line"])


def _is_open(one: Record) -> bool:
    return bool(one.get("open", False))


def _embeddings(points: Sequence[Record]) -> list[str]:
    """The known ones first, others as they come."""
    there = list(dict.fromkeys(str(one["embedding"]) for one in points))
    return [e for e in _EMBEDDINGS if e in there] + [e for e in there if e not in _EMBEDDINGS]


def _looks(points: Sequence[Record]) -> dict[Key, Look]:
    """A look a line: kinds in their order, lines of one kind as they come."""
    keys = list(dict.fromkeys(map(_key, points)))
    found: dict[Key, Look] = {}
    for kind, look in _KINDS.items():
        for place, key in enumerate(key for key in keys if key[0] == kind):
            dashes, mark = _DASHES[place % len(_DASHES)], _MARKS[(place - 1) % len(_MARKS)]
            further = dataclasses.replace(look, dashes=dashes, marker=mark)
            found[key] = further if place else look
    return found


def _open(
    looks: Mapping[Key, Look], targets: Sequence[float], columns: int, hollow: bool
) -> tuple[Figure, list[list[Axes]]]:
    """The figure with its heading and key, and its frames."""
    width = figure_width(columns)
    reach = " or ".join(plain_percent(target) for target in targets)
    note = f"; {_HOLLOW}" if hollow else ""
    head = heading_lines(f"Fewest nonzeros that reach {reach} accuracy{note}", width)
    key = [(name, look) for (_, name), look in looks.items()]
    top = 0.06 + ROW * (len(head) + key_rows([name for name, _ in key], width - 0.2) + 1) + 0.1
    layout = Frames(len(targets), columns, tall=1.7, left=0.62, apart=0.14, below=0.4, foot=0.4)
    figure, rows = layout.open(top, width)
    write_lines(figure, head)
    corner = (0.1, figure.get_figheight() - 0.08 - ROW * len(head))
    write_key(figure, key, corner, width - 0.2)
    return figure, rows


def _draw(
    axes: Axes, inputs: Sequence[int], points: Sequence[Record], look: Look, place: int
) -> None:
    """One line, with a gap at those of ``inputs`` that it has no point at."""
    if not points:
        return
    gid, depth = f"{points[0]['kind']} {points[0]['line']}", 3 - place / 20
    sizes = {int(one["inputs"]): float(one["nonzeros"]) for one in points}
    axes.plot(
        inputs, [sizes.get(number, np.nan) for number in inputs], gid=gid, zorder=depth,
        solid_capstyle="butt", **look.line,
    )  # fmt: skip
    for hollow in (False, True):
        own = [one for one in points if _is_open(one) == hollow]
        face = {"mfc": "white", "mec": look.colour, "mew": 1.0} if hollow else {}
        if own:
            axes.plot(
                [int(one["inputs"]) for one in own], [float(one["nonzeros"]) for one in own],
                zorder=depth + 0.5, gid=f"{gid} {'open' if hollow else 'closed'}",
                **(look.mark(_SIZE) | face),
            )  # fmt: skip

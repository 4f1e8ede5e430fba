"""How the methods of the study of DCT plus sparse look and are called in its figures.

Warm colours and whole lines add the transform, cool ones and dashes do without; a factor that is
not trained has a line of dots and a hollow mark. A support has one mark in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from combsearch.plots.methods import Look, method_name

SUPPORTS = (
    *("epl", "epf", "erk", "uniform", "snip", "iter_snip", "force", "synflow", "rigl"),
    "dense",
)
_MARKS = dict(zip(SUPPORTS, ("o", "s", "^", "D", "v", "<", "X", "P", "*", "h"), strict=True))
_WARM = {
    "epl": "#a3195b", "epf": "#e6550d", "erk": "#d9a400", "uniform": "#8c4a1f", "rigl": "#ef6f8f",
}  # fmt: skip
_COOL = {
    "epl": "#0b62a4", "epf": "#17a8a8", "erk": "#7a4fb0", "uniform": "#6e6e6e", "rigl": "#1f2f6f",
    "snip": "#56b4e9", "iter_snip": "#a4d65e", "force": "#2a9d6f", "synflow": "#999933",
    "dense": "#1a1a1a",
}  # fmt: skip
_FIXED = {"epl": "#d184b8", "epf": "#f4a26b", "erk": "#e9cf7a", "uniform": "#b98a6a",
          "rigl": "#f6b6c4"}  # fmt: skip
_DASHES, _DOTS = (3.5, 1.3), (1.1, 1.1)
_NAMES = {"epl": "EPL", "epf": "EPF", "erk": "ERK", "uniform": "uniform", "dense": "dense"}


def parts(method: str) -> tuple[str, str]:
    """``"dctps+epl"`` as (offset, support); the offset is empty where there is none."""
    offset, plus, support = method.partition("+")
    return (offset, support) if plus else ("", offset)


def look_of(method: str) -> Look:
    """How the line of a method of the study is drawn."""
    offset, support = parts(method)
    mark = _MARKS.get(support, "o")
    if offset == "dctps":
        return Look(_WARM.get(support, "#a3195b"), mark, (), 1.2)
    if offset:
        return Look(_FIXED.get(support, "#d184b8"), mark, _DOTS, 1.2)
    return Look(_COOL.get(support, "#6e6e6e"), mark, _DASHES, 1.0)


def name_of(method: str) -> str:
    """As the paper writes it: ``"DCTpS, EPL"``, ``"EPF"``, ``"Iter SNIP"``."""
    offset, support = parts(method)
    name = _NAMES.get(support) or method_name(support)
    if not offset:
        return name
    return f"DCTpS, {name}" if offset == "dctps" else f"DCTpS, α fixed, {name}"


def order(methods: Sequence[str]) -> list[str]:
    """Methods in the order of keys: with the transform, with a fixed factor, without."""
    offsets = ("dctps", "dctps_fixed", "")

    def place(method: str) -> tuple[int, int, str]:
        offset, support = parts(method)
        known = SUPPORTS.index(support) if support in SUPPORTS else len(SUPPORTS)
        return offsets.index(offset) if offset in offsets else len(offsets), known, method

    return sorted(dict.fromkeys(methods), key=place)

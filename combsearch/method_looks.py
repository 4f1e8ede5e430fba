"""How each pruning method looks in every figure and on every page: colour, mark and dashes.

Methods are more than colours can tell apart, so each of the nine has a mark of its own too, and
figures name them beside their lines. The colours stay apart under the common colour-vision
deficiencies together with their lightness; random masks, the naive floor, are grey and dashed.
Pruning in rounds (SAP, LT, one-shot) has a hue a method, and a tint, mark and dash a scope; SAP
is red, away from the colour of the target lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "gmp": "GMP",
    "lth": "LTH",
    "rigl": "RigL",
    "snip": "SNIP",
    "iter_snip": "Iter SNIP",
    "force": "FORCE",
    "grasp": "GraSP",
    "synflow": "SynFlow",
    "prospr": "ProsPr",
    "magnitude": "magnitude",
    "sap": "SAP",
    "sap_layer": "SAP, layer",
    "sap_neuron": "SAP, neuron",
    "lt": "LT",
    "lt_layer": "LT, layer",
    "lt_neuron": "LT, neuron",
    "one_shot": "one-shot",
    "one_shot_layer": "one-shot, layer",
    "one_shot_neuron": "one-shot, neuron",
    "random_uniform": "random, uniform",
    "random_epl": "random, EPL",
    "random_epf": "random, EPF",
    "random_erk": "random, ERK",
}
_SOLID: tuple[float, ...] = ()


@dataclass(frozen=True)
class Look:
    """How a line of a figure is drawn; ``dashes`` of () is a whole line."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = _SOLID
    width: float = 1.0

    @property
    def line(self) -> dict[str, Any]:
        """As arguments of ``Line2D``."""
        style = (0, self.dashes) if self.dashes else "-"
        return {"color": self.colour, "ls": style, "lw": self.width}

    def mark(self, size: float) -> dict[str, Any]:
        """Its mark as arguments of ``Line2D``, ``size`` in points."""
        return {
            "ls": "", "marker": self.marker, "ms": size * _SIZES.get(self.marker, 1.0),
            "mew": 0.4, "mec": "white", "color": self.colour,
        }  # fmt: skip


# Marks of one size in points look different in size.
_SIZES = {"*": 1.45, "P": 1.15, "X": 1.15, "D": 0.85, "d": 1.1, "s": 0.9}
_LOOKS = {
    "gmp": Look("#0b62a4", "o"),
    "lth": Look("#56b4e9", "s"),
    "rigl": Look("#1f2f6f", "D"),
    "snip": Look("#2a9d6f", "^"),
    "iter_snip": Look("#a4d65e", "v"),
    "force": Look("#999933", "<"),
    "grasp": Look("#d184b8", "X"),
    "synflow": Look("#e6b800", "P"),
    "prospr": Look("#8c4a1f", "*"),
    "magnitude": Look("#e6550d", "H"),
    "sap": Look("#d9343a", "o", (7, 1)),
    "sap_layer": Look("#ee7078", "s", (4, 1, 1, 1)),
    "sap_neuron": Look("#fba0ab", "^", (2, 1)),
    "lt": Look("#006d75", "o", (7, 1)),
    "lt_layer": Look("#17a8a8", "s", (4, 1, 1, 1)),
    "lt_neuron": Look("#62d9d3", "^", (2, 1)),
    "one_shot": Look("#6a00bf", "o", (7, 1)),
    "one_shot_layer": Look("#9a4df0", "s", (4, 1, 1, 1)),
    "one_shot_neuron": Look("#b388f7", "^", (2, 1)),
    "random_uniform": Look("#4f4f4f", "h", (4, 1.5), 0.8),
    "random_epl": Look("#6e6e6e", "d", (1.2, 1.2), 0.8),
    "random_epf": Look("#8d8d8d", ">", (5, 1.2, 1.2, 1.2), 0.8),
    "random_erk": Look("#a6a6a6", "p", (2.5, 1), 0.8),
}
# A user's own pruners, in the order in which they come.
_OWN = (
    Look("#006d6d", "p", (6, 1.5)),
    Look("#7a4fb0", "h", (6, 1.5)),
    Look("#b03a2e", "d", (6, 1.5)),
    Look("#4b6bfb", ">", (6, 1.5)),
)


def method_name(method: str) -> str:
    """As papers write it: ``"Iter SNIP"``; a user's own pruner by its class."""
    return _NAMES.get(method, method.rpartition(":")[2])


def looks(methods: Sequence[str]) -> Mapping[str, Look]:
    """How to draw ``methods``: ours always alike, others in the order in which they stand."""
    own = [method for method in dict.fromkeys(methods) if method not in _LOOKS]
    found = {method: _OWN[place % len(_OWN)] for place, method in enumerate(own)}
    return {method: _LOOKS.get(method) or found[method] for method in dict.fromkeys(methods)}

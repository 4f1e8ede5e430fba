"""The methods of the study by name: ``[dctps+|dctps_fixed+]SUPPORT``, or ``dense``.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from combsearch.errors import UsageError
from combsearch.registry import nearest

ALLOCATIONS = ("epl", "epf", "erk", "uniform")
"""Supports drawn at random, by how layers share the budget."""

SCORED = ("snip", "iter_snip", "force", "synflow")
"""Supports chosen by scores of the initial weights."""

SUPPORTS = (*ALLOCATIONS, *SCORED, "rigl")
DENSE = "dense"
OFFSETS: Mapping[str, bool] = MappingProxyType({"dctps": True, "dctps_fixed": False})
"""Names of the transform: whether its factors alpha are trained."""

_OFFSET_SUPPORT = "epl"  # what a transform alone stands for, as in the paper


@dataclass(frozen=True)
class Method:
    """How a network is made sparse.

    Attributes:
        support: which weights stay: one of ``SUPPORTS``, or ``dense`` for all.
        offset: whether layers add a discrete cosine transform to their weights, which start
            at 0 then.
        trainable: whether its factors are trained; False without a transform.
    """

    support: str
    offset: bool = False
    trainable: bool = False

    @property
    def text(self) -> str:
        """Its canonical name, such as ``"dctps+epl"``."""
        if not self.offset:
            return self.support
        return f"{'dctps' if self.trainable else 'dctps_fixed'}+{self.support}"

    @property
    def allocation(self) -> str | None:
        """How layers share the budget; None where the method does without."""
        if self.support == "rigl":
            return _OFFSET_SUPPORT if self.offset else "erk"
        return self.support if self.support in ALLOCATIONS else None

    @property
    def moves(self) -> bool:
        """Whether its mask changes during training."""
        return self.support == "rigl"


def parse_method(text: str) -> Method:
    """The method called ``text``; "-" is read as "_".

    Raises:
        UsageError: there is none, or it cannot be; the message says why.
    """
    name = text.strip().replace("-", "_")
    whole = f"{name}+{_OFFSET_SUPPORT}" if name in OFFSETS else name
    prefix, plus, support = whole.rpartition("+")
    if (plus and prefix not in OFFSETS) or support not in (*SUPPORTS, DENSE):
        known = f"{', '.join((*SUPPORTS, DENSE))}, and dctps+ or dctps_fixed+ before a support"
        raise UsageError(f"{text!r} is no method{nearest(name, all_names())} (known: {known})")
    if prefix and support in SCORED:
        raise UsageError(
            f"{text!r} cannot be: {support} scores initial weights, and those beside a transform"
            f" start at 0, so that all scores are 0; take {', '.join((*ALLOCATIONS, 'rigl'))}"
        )
    if prefix and support == DENSE:
        raise UsageError(
            f"{text!r} cannot be: a network of all weights is compared without a transform; take"
            " dense, or a density of 100"
        )
    return Method(support, bool(prefix), OFFSETS.get(prefix, False))


def all_names() -> tuple[str, ...]:
    """Every name that ``parse_method`` takes, in its canonical spelling."""
    offsets = [f"{name}+{one}" for name in OFFSETS for one in (*ALLOCATIONS, "rigl")]
    return (*OFFSETS, *SUPPORTS, DENSE, *offsets)

"""Numbers as a reader sees them, the same in every figure and on every page.

Standard library only.
"""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """``share`` in percent with two decimals, cut and not rounded: 0.99996 is not 100%."""
    return f"{math.floor(round(share * 1e4, 6)) / 100:.2f}%"


def plain_percent(share: float) -> str:
    """``share`` in percent with as many digits as it has: ``50%``, ``99.5%``."""
    return f"{round(share * 100, 8):g}%"


def count(number: int, what: str) -> str:
    """``"1 run"``, ``"24,576 runs"``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

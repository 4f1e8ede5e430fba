"""Colours that were chosen for white paper, as they look as clear on a dark page."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LIGHTNESS = (0.42, 0.54)  # of the dark page's colour: first + second x what it was
# Oklab (Ottosson 2020): linear sRGB to cone answers, their cube roots to L, a, b.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
F64 = npt.NDArray[np.float64]


def on_dark(colour: str) -> str:
    """``#rrggbb`` of the same hue, lighter; what was darker than another stays so."""
    lab = _LAB @ np.cbrt(_CONES @ linear(colour))
    lab[0] = _LIGHTNESS[0] + _LIGHTNESS[1] * lab[0]
    for share in np.linspace(1, 0, 41):  # as colourful as a screen can show it
        found = np.linalg.solve(
            _CONES, np.linalg.solve(_LAB, lab * np.array([1, share, share])) ** 3
        )
        if (found >= -1e-3).all() and (found <= 1 + 1e-3).all():
            break
    return _hex(found)


def linear(colour: str) -> F64:
    """Linear red, green, blue, 0 to 1, of ``#rrggbb``."""
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _hex(values: F64) -> str:
    value = np.clip(values, 0, 1)
    shown = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(one * 255):02x}" for one in shown.tolist())

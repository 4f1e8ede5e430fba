"""Networks for images as studies name them: by a name, or by hidden widths such as 300,100."""

from __future__ import annotations

from collections.abc import Sequence

from combsearch.errors import UsageError
from combsearch.networks import Dense, ImageNetwork, get_architecture
from combsearch.networks.offset import DctOffset


def hidden_widths(text: str) -> tuple[int, ...] | None:
    """``"128,256"`` as (128, 256); None where that is no list of widths.

    Raises:
        UsageError: a width is 0.
    """
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        return None
    widths = tuple(int(part) for part in parts)
    if min(widths) < 1:
        raise UsageError(f"network {text!r}: each hidden width must be from 1 up")
    return widths


def image_network(
    name: str,
    image_shape: Sequence[int],
    classes: int,
    gain: float = 1.0,
    offset: DctOffset | None = None,
) -> ImageNetwork:
    """The network called ``name``, or with such hidden widths.

    Args:
        name: as ``get_network`` knows it, or hidden widths.
        image_shape: (channels, height, width).
        classes: outputs.
        gain: of the initial weights.
        offset: what its layers add to their weights.

    Raises:
        UsageError: there is no such network, or it cannot take such images.
    """
    widths = hidden_widths(name)
    channels, height, width = image_shape
    architecture = get_architecture(name) if widths is None else Dense(widths)
    return ImageNetwork(architecture, (channels, height, width), classes, gain, offset)

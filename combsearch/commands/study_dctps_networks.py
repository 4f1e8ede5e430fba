"""Options of the networks that tools of the study of DCT plus sparse look at.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from combsearch.errors import UsageError

Number = TypeVar("Number", int, float)


def network_options(command: argparse.ArgumentParser, several: bool) -> None:
    """``--network``, which may be ``several``, ``--classes`` and ``--image``."""
    more = "; may be repeated" if several else ""
    command.add_argument(
        "--network", metavar="NAME", required=True, action="append" if several else "store",
        help=f"such as resnet50, or hidden widths such as 300,100{more}",
    )  # fmt: skip
    command.add_argument("--classes", type=int, default=10, metavar="N", help="(default 10)")
    command.add_argument(
        "--image", type=whole_numbers, default=(3, 32, 32), metavar="C,H,W",
        help="channels, height, width (default 3,32,32)",
    )  # fmt: skip


def whole_numbers(text: str) -> tuple[int, ...]:
    """``"3,32,32"`` as an option's value."""
    return tuple(_each(text, int, "whole numbers"))


def numbers(text: str) -> tuple[float, ...]:
    """``"1,0.1"`` as an option's value."""
    return tuple(_each(text, float, "numbers"))


def _each(text: str, kind: Callable[[str], Number], what: str) -> list[Number]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        message = f"invalid value: {text!r}, expected {what} separated by commas"
        raise argparse.ArgumentTypeError(message) from error


def check_image(image: Sequence[int]) -> None:
    """Raise a UsageError unless ``image`` is (channels, height, width)."""
    if len(image) != 3:
        raise UsageError(f"image is {','.join(map(str, image))}, it must be C,H,W, such as 3,32,32")


def progress(text: str) -> None:
    """Say what takes long, on standard error."""
    print(text, file=sys.stderr, flush=True)

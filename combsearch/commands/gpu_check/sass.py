"""Instructions a sample, counted in the machine code: what the issue rate is a share of.

Of a thread a network: its samples are turns of one loop. A count is of the code as it stands,
what branches skip included.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Code = Sequence[tuple[int, str]]
"""(place, text) of instructions."""

BATCH = 128
_FUNCTION = re.compile(r"Function : (\w+)")
_LINE = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?);")
_BACK = re.compile(r"\bBRA\b.*?\b0x([0-9a-f]+)")


@dataclass(frozen=True)
class Loop:
    """A loop by the places of its first and last instruction."""

    first: int
    last: int

    def holds(self, other: Loop) -> bool:
        """Whether ``other`` lies inside."""
        return self != other and self.first <= other.first and other.last <= self.last


def cuobjdump() -> str | None:
    """The program of the CUDA toolkit that lists machine code, or the copy that Triton has."""
    spec = importlib.util.find_spec("triton")
    beside = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    places = ["cuobjdump", "/usr/local/cuda/bin/cuobjdump"]
    places += [str(folder / "backends/nvidia/bin/cuobjdump") for folder in beside]
    return next((found for found in map(shutil.which, places) if found), None)


def listing_of(image: bytes, program: str) -> str:
    """The machine code of a compiled module as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "module.cubin")
        path.write_bytes(image)
        done = subprocess.run(
            [program, "--dump-sass", str(path)], capture_output=True, text=True, timeout=60,
            check=True,
        )  # fmt: skip
    return done.stdout


def instructions(listing: str, function: str) -> Code:
    """(place, text) of every instruction of a function."""
    found, inside = [], False
    for line in listing.splitlines():
        name = _FUNCTION.search(line)
        if name:
            inside = name[1] == function
        match = _LINE.match(line)
        if inside and match:
            found.append((int(match[1], 16), match[2]))
    return found


def loops(code: Code) -> list[Loop]:
    """Loops, the longest first; branches back to one place are of one loop."""
    ends: dict[int, int] = {}
    for place, text in code:
        target = _BACK.search(text)
        if target and int(target[1], 16) < place:
            first = int(target[1], 16)
            ends[first] = max(place, ends.get(first, 0))
    found = [Loop(first, last) for first, last in ends.items()]
    return sorted(found, key=lambda loop: loop.first - loop.last)


def per_sample(listing: str) -> float | None:
    """Instructions of a thread a sample of ``train`` of ``thread.cu``; None without its loops."""
    code = instructions(listing, "train")
    found = loops(code)
    inside = [loop for loop in found if found[0].holds(loop)]
    if not inside:
        return None
    step, samples = found[0], inside[0]
    inner = [text for place, text in code if samples.first <= place <= samples.last]
    each = max(1, sum("MUFU" in text for text in inner))  # a reciprocal, of the sigmoid, a sample
    whole = [t for p, t in code if step.first <= p <= step.last]
    return _issued(inner) / each + (_issued(whole) - _issued(inner)) / BATCH


def _issued(code: Sequence[str]) -> int:
    """Instructions that are more than filling."""
    return sum(not text.startswith("NOP") for text in code)

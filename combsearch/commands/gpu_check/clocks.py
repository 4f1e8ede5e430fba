"""What nvidia-smi says of a GPU: driver, memory, and the clock while it works."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_TIMEOUT = 10.0  # seconds of one question
_PAUSE = 0.05


def ask(what: str, device: str) -> str | None:
    """A property, or None where there is no nvidia-smi or no answer.

    Args:
        what: such as ``clocks.sm``.
        device: number or UUID.
    """
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits", "-i", device]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def known_as(number: str, uuid: object) -> str:
    """What nvidia-smi calls a GPU: its UUID, since numbers may differ from PyTorch's."""
    name = f"GPU-{uuid}"
    return name if uuid and ask("name", name) else number


@dataclass
class Clock:
    """The clock of the multiprocessors, read again and again.

    Attributes:
        mhz: what was read.
    """

    mhz: list[float] = field(default_factory=list)

    @property
    def hertz(self) -> float | None:
        """The median."""
        return 1e6 * statistics.median(self.mhz) if self.mhz else None

    def read(self, device: str) -> bool:
        """Read it once; whether there was an answer."""
        answer = ask("clocks.sm", device)
        with contextlib.suppress(ValueError):
            self.mhz += [float(answer)] if answer else []
        return answer is not None


@contextlib.contextmanager
def watched(device: str) -> Iterator[Clock]:
    """The clock while the body runs."""
    clock, done = Clock(), threading.Event()

    def watch() -> None:
        while not done.wait(_PAUSE) and clock.read(device):
            pass

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield clock
    finally:
        done.set()
        thread.join(2 * _TIMEOUT)

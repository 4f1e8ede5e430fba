"""Which worker process works on which GPU.

A pool of n processes has n seats; seat s is at GPU ``s % gpus``. A worker takes a free seat
by locking one byte of a file. The system frees it with the process, however that ends, so
that whoever comes in its place finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from dataclasses import dataclass

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The GPUs that CUDA shows to a process, as numbers or names with commas between."""

_PATIENCE, _AGAIN = 20.0, 0.05  # seconds: a worker that ends may hold its seat for a while


@dataclass(frozen=True)
class Seats:
    """The seats of one pool; travels to its workers.

    Attributes:
        path: of the file with a byte a seat.
        gpus: as ``VISIBLE`` names them, one a seat.
    """

    path: str
    gpus: tuple[str, ...]

    @classmethod
    def make(cls, seats: int, gpus: int) -> Seats:
        """``seats`` free ones, spread over the first ``gpus`` that this process sees."""
        named = [name for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
        names = named[:gpus] or [str(number) for number in range(gpus)]
        handle, path = tempfile.mkstemp(prefix="combsearch-gpus-")
        os.close(handle)
        return cls(path, tuple(names[seat % len(names)] for seat in range(seats)))

    def remove(self) -> None:
        """Remove the file; those who have seats keep them."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def take(self) -> int:
        """Take a seat until this process ends, and let CUDA show its GPU alone.

        To be called before CUDA is used. Where no seat gets free in time, the first is shared.

        Returns:
            The seat.
        """
        seat = self._locked()
        os.environ[VISIBLE] = self.gpus[seat]
        return seat

    def _locked(self) -> int:
        """A seat that nobody has, locked."""
        # Never closed: to close any handle of the file would give up the seat.
        handle = os.open(self.path, os.O_RDWR)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for seat in range(len(self.gpus)):
                with contextlib.suppress(BlockingIOError, PermissionError):
                    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seat)
                    return seat
            time.sleep(_AGAIN)
        return 0

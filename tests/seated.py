"""Work for the tests of several GPUs; light, since worker processes import it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def seat_of(shard: Any) -> tuple[int, str]:
    """Who does it, and which GPU that process sees."""
    time.sleep(0.1)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


def killed_once(shard: Any) -> tuple[int, str]:
    """As ``seat_of``; who works on the first shard for the first time is killed."""
    if shard.first == 0 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return seat_of(shard)


def without_memory(shard: Any) -> int:
    """Works on all shards but the one that starts at 4, as a GPU that others fill does."""
    if shard.first == 4:
        import torch  # slow, and nobody else here needs it

        raise torch.OutOfMemoryError("CUDA out of memory")
    return 1


def faulty(shard: Any) -> None:
    """What is no lack of memory."""
    raise RuntimeError("another fault")

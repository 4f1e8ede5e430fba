"""How a CUDA device rounds what torch multiplies: as float32, unless it is asked for less."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def rounding(tf32: bool) -> Iterator[None]:
    """In here a device may round factors to TF32, with 10 bits after the point, or may not.

    Left to itself cuDNN does so in convolutions, and copies trained together would then differ
    in the fourth digit from copies trained alone. Nothing changes on a CPU.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before

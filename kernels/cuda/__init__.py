"""Whole training runs of many small ReLU networks in one launch, on a GPU.

The same weights, minibatches and arithmetic as ``kernels.cpu``, sum by sum, so the same bits.
``thread.cu`` trains a network a thread, ``warp.cu`` a network a warp; ``source`` writes what is
compiled for a shape, ``compiler`` compiles it, ``driver`` loads and launches it, ``gpu`` chooses
the quickest build and cuts long runs into launches. Needs PyTorch, numpy and an NVIDIA driver.
"""

from __future__ import annotations

from combsearch.kernels.cuda.arrays import packed, rows
from combsearch.kernels.cuda.compiler import CompileError, find_compiler
from combsearch.kernels.cuda.driver import CudaError, driver_is_there
from combsearch.kernels.cuda.gpu import MAX_WIDTH, Gpu, Ready, why_not
from combsearch.kernels.cuda.source import Build, stride

__all__ = [
    "MAX_WIDTH",
    "Build",
    "CompileError",
    "CudaError",
    "Gpu",
    "Ready",
    "gpus",
    "no_gpu",
    "packed",
    "rows",
    "stride",
    "why_not",
]


def gpus() -> int:
    """NVIDIA GPUs that PyTorch finds here."""
    if not driver_is_there():
        return 0
    import torch

    return torch.cuda.device_count() if torch.version.cuda else 0


def no_gpu() -> str | None:
    """Why no kernel can run on a GPU here, or None when one can."""
    if not driver_is_there():  # asked first: PyTorch takes seconds to import
        return "no GPU was found: there is no NVIDIA driver here"
    import torch

    if not torch.version.cuda:
        return f"no GPU was found: PyTorch {torch.__version__} here is built without CUDA"
    if not gpus() or not torch.cuda.is_available():
        return "no GPU was found: PyTorch sees no CUDA device here"
    if find_compiler() is None:
        return "no compiler for the GPU was found: neither NVRTC, a part of CUDA, nor nvcc"
    return None

"""The few functions of the CUDA driver that load and launch a kernel, by ctypes.

The driver is there wherever a GPU works, so nothing needs to be installed. Memory and streams
are PyTorch's: both speak of the same primary context of a device. Functions are those of the
CUDA driver API, https://docs.nvidia.com/cuda/cuda-driver-api.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

LIBRARY = "libcuda.so.1"

_OUT_OF_MEMORY = 2  # CUresult
_LOCAL_BYTES, _REGISTERS, _SHARED_DYNAMIC, _SHARED_PERCENT = 3, 4, 8, 9  # CUfunction_attribute

Argument = ctypes.c_void_p | ctypes.c_int | ctypes.c_float


class CudaError(RuntimeError):
    """A function of the driver failed; the text names it and the driver's reason."""


class CudaMemoryError(CudaError, MemoryError):
    """The memory of the GPU is full."""


@dataclass(frozen=True)
class Kernel:
    """A loaded kernel.

    Attributes:
        handle: the driver's.
        registers: of a thread.
        local_bytes: memory of a thread for what its registers do not hold.
        shared_bytes: shared memory of a block.
        threads: of a block.
        blocks: that fit a multiprocessor.
    """

    handle: Any
    registers: int
    local_bytes: int
    shared_bytes: int
    threads: int
    blocks: int


@dataclass(frozen=True)
class Driver:
    """The driver and one device's primary context.

    Attributes:
        library: the loaded library.
        context: the device's primary context.
    """

    library: Any
    context: Any

    @classmethod
    def open(cls, ordinal: int, name: str = LIBRARY) -> Driver:
        """The driver of device number ``ordinal``.

        Raises:
            CudaError: there is no driver, or no such device.
        """
        library = _library(name)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        _check(library, "cuInit", 0)
        _check(library, "cuDeviceGet", ctypes.byref(device), ordinal)
        _check(library, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        return cls(library, context)

    def load(self, image: bytes, threads: int, shared_bytes: int) -> dict[str, Kernel]:
        """The kernels ``train`` and ``score`` of a compiled module, for blocks of that size."""
        module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(image))
        return {
            name: self._kernel(module, name, threads, shared_bytes) for name in ("train", "score")
        }

    def launch(
        self, kernel: Kernel, blocks: int, arguments: Sequence[Argument], stream: int
    ) -> None:
        """Put a kernel into a stream of the device; returns at once."""
        addresses = [ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in arguments]
        table = (ctypes.c_void_p * len(addresses))(*addresses)
        sizes = (blocks, 1, 1, kernel.threads, 1, 1, kernel.shared_bytes)
        unsigned = [ctypes.c_uint(size) for size in sizes]
        self._call("cuLaunchKernel", kernel.handle, *unsigned, ctypes.c_void_p(stream), table, None)

    def _kernel(self, module: Any, name: str, threads: int, shared_bytes: int) -> Kernel:
        handle, blocks = ctypes.c_void_p(), ctypes.c_int()
        self._call("cuModuleGetFunction", ctypes.byref(handle), module, name.encode())
        self._call("cuFuncSetAttribute", handle, _SHARED_DYNAMIC, shared_bytes)
        # Of the memory that caches and shared memory divide, shared memory takes all it may: a
        # hint without which blocks may wait for room that there is.
        self._call("cuFuncSetAttribute", handle, _SHARED_PERCENT, 100)
        self._call(
            "cuOccupancyMaxActiveBlocksPerMultiprocessor",
            ctypes.byref(blocks), handle, threads, ctypes.c_size_t(shared_bytes),
        )  # fmt: skip
        registers, local_bytes = (
            self._attribute(handle, number) for number in (_REGISTERS, _LOCAL_BYTES)
        )
        return Kernel(handle, registers, local_bytes, shared_bytes, threads, blocks.value)

    def _attribute(self, handle: Any, number: int) -> int:
        value = ctypes.c_int()
        self._call("cuFuncGetAttribute", ctypes.byref(value), number, handle)
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        # A context belongs to a thread, and any thread may be the caller.
        _check(self.library, "cuCtxSetCurrent", self.context)
        _check(self.library, name, *arguments)


def driver_is_there() -> bool:
    """Whether this machine has a CUDA driver."""
    try:
        _library(LIBRARY)
    except CudaError:
        return False
    return True


@lru_cache(maxsize=4)
def _library(name: str) -> Any:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise CudaError(f"no CUDA driver: {error}") from error


def _check(library: Any, name: str, *arguments: Any) -> None:
    code = getattr(library, name)(*arguments)
    if code == _OUT_OF_MEMORY:
        raise CudaMemoryError(f"{name}: the GPU's memory is full")
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorString(code, ctypes.byref(text))
        reason = text.value.decode() if text.value else "an unknown error"
        raise CudaError(f"{name}: {reason} (error {code} of the CUDA driver)")

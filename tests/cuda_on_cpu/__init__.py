"""A GPU played by the CPU: the kernels' own source, compiled for the host, behind a driver.

``cpu_gpu()`` is a ``Gpu`` whose driver is ``driver.cpp`` and whose compiler is the host's; its
memory is the host's, so that tensors are those of PyTorch's CPU. Everything else, from planning
launches to passing arguments, is the code that a GPU runs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from combsearch.kernels.cuda import gpu
from combsearch.kernels.cuda.driver import Driver
from combsearch.kernels.cuda.gpu import Gpu
from combsearch.trainers.cuda import CudaTrainer

gpu._STEPS, gpu._TRIALS = 2, 1  # of a trial: what is quickest here does not matter
FOLDER = Path(__file__).parent
_FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off", "-fvisibility=hidden", "-shared", "-fPIC"]


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cuda-on-cpu-")


def _compiler() -> list[str] | None:
    """The command of a C++ compiler; `make` installs ziglang where there is none."""
    if "CXX" in os.environ:
        return shlex.split(os.environ["CXX"])
    for name in ("c++", "clang++"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    return None


def library(text: str) -> Path:
    """A shared library from C++ source, compiled once a session."""
    compiler = _compiler()
    if compiler is None:
        pytest.skip("no C++ compiler here: set CXX, or install g++, clang or PyPI's ziglang")
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    library = Path(_folder().name, f"{name}.so")
    if not library.exists():
        source = library.with_suffix(".cpp")
        source.write_text(text)
        own = ["-mfma"] if platform.machine() in ("x86_64", "AMD64") else []
        command = [*compiler, *_FLAGS, *own, "-I", str(FOLDER), "-o", str(library), str(source)]
        found = subprocess.run([*command, "-ldl"], capture_output=True, check=False, text=True)
        assert found.returncode == 0, found.stderr
    return library


@dataclass(frozen=True)
class HostCompiler:
    """Compiles kernels for the CPU; an "image" is the path of a shared library.

    Attributes:
        change: text of the source that is replaced first, and by what: a mutant.
    """

    change: tuple[str, str] = ("", "")

    @property
    def name(self) -> str:
        return "the host's C++ compiler"

    def cubin(self, source: str, arch: str) -> bytes:
        assert arch == "sm_90"
        assert self.change[0] in source
        changed = source.replace(*self.change) if self.change[0] else source
        text = f'#include "cuda_on_cpu.h"\n{changed}\n#include "run.h"\n'
        return str(library(text)).encode() + b"\0"


def driver(ordinal: int = 0) -> Driver:
    """The driver that is none."""
    return Driver.open(ordinal, str(library((FOLDER / "driver.cpp").read_text())))


def cpu_gpu(multiprocessors: int = 1, change: tuple[str, str] = ("", "")) -> Gpu:
    """A GPU of this many multiprocessors, played by the CPU."""
    return Gpu(
        torch.device("cpu"), "a CPU", "sm_90", multiprocessors, driver(), HostCompiler(change)
    )


@dataclass(frozen=True)
class OnCpu(CudaTrainer):
    """The trainer ``cuda`` on a GPU played by the CPU."""

    def __post_init__(self) -> None:
        pass

    @property
    def gpu(self) -> Gpu:
        return _shared()


@functools.lru_cache(maxsize=1)
def _shared() -> Gpu:
    return cpu_gpu()

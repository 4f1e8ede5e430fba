"""CUDA C++ to machine code: by NVRTC, which every PyTorch with CUDA brings along, or by nvcc.

Compiled code is kept on disk, in a file whose name says what it was compiled from, by what.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from combsearch.kernels.folder import cache_base

# No contraction: only what is written as a fused multiply-add is one. See network.cuh.
FLAGS = ("-std=c++17", "-fmad=false")


class Compiler(Protocol):
    """Something that compiles CUDA C++."""

    @property
    def name(self) -> str:
        """What compiles, with its version."""
        ...

    def cubin(self, source: str, arch: str) -> bytes:
        """Machine code of ``arch``, such as ``sm_90``."""
        ...


class CompileError(RuntimeError):
    """The compiler refused the source; the text is its log."""


@dataclass(frozen=True)
class Nvrtc:
    """NVIDIA's run-time compiler, a library.

    Attributes:
        path: of the library, or its name.
    """

    path: str

    @cached_property
    def name(self) -> str:
        """``NVRTC 13.0``."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return f"NVRTC {major.value}.{minor.value}"

    def cubin(self, source: str, arch: str) -> bytes:
        """See ``Compiler``."""
        program = ctypes.c_void_p()
        flags = [f"--gpu-architecture={arch}".encode(), *(flag.encode() for flag in FLAGS)]
        table = (ctypes.c_char_p * len(flags))(*flags)
        self._call(
            "nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"combsearch.cu", 0,
            None, None,
        )  # fmt: skip
        try:
            if self._library.nvrtcCompileProgram(program, len(flags), table):
                log = self._text(program, "ProgramLog").rstrip(b"\0")  # a string of C
                raise CompileError(log.decode(errors="replace"))
            return self._text(program, "CUBIN")
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _text(self, program: Any, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, text)
        return text.raw

    @cached_property
    def _library(self) -> Any:
        # NVRTC looks for its own other half where the system looks, not where it lies itself.
        for other in Path(self.path).parent.glob("libnvrtc-builtins.so*"):
            ctypes.CDLL(str(other))
        return ctypes.CDLL(self.path)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise CompileError(f"{name}: error {code} of NVRTC")


@dataclass(frozen=True)
class Nvcc:
    """The compiler of the CUDA toolkit, a program.

    Attributes:
        path: of the program.
    """

    path: str

    @cached_property
    def name(self) -> str:
        """``nvcc 13.0``."""
        found = subprocess.run(
            [self.path, "--version"], capture_output=True, check=False, text=True
        )
        release = re.search(r"release ([\d.]+)", found.stdout)
        return f"nvcc {release[1] if release else 'of unknown version'}"

    def cubin(self, source: str, arch: str) -> bytes:
        """See ``Compiler``."""
        with tempfile.TemporaryDirectory() as folder:
            written, made = Path(folder, "combsearch.cu"), Path(folder, "combsearch.cubin")
            written.write_text(source)
            command = [self.path, f"-arch={arch}", *FLAGS, "-cubin", "-o", str(made), str(written)]
            found = subprocess.run(command, capture_output=True, check=False, text=True)
            if found.returncode:
                raise CompileError(found.stdout + found.stderr)
            return made.read_bytes()


@dataclass(frozen=True)
class Kept:
    """A compiler whose work is kept on disk.

    Attributes:
        compiler: does what is not there yet.
        folder: where; what cannot be written there is compiled again the next time.
    """

    compiler: Compiler
    folder: Path

    @property
    def name(self) -> str:
        """That of the compiler."""
        return self.compiler.name

    def cubin(self, source: str, arch: str) -> bytes:
        """See ``Compiler``."""
        text = "\n".join([self.name, arch, *FLAGS, source])
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.cubin"
        with contextlib.suppress(OSError):
            return path.read_bytes()
        image = self.compiler.cubin(source, arch)
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            # With the permissions of any file, so that others who share the folder can read it.
            aside = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.tmp")
            with contextlib.ExitStack() as stack:
                stack.callback(aside.unlink, missing_ok=True)
                with aside.open("xb") as file:
                    file.write(image)
                os.replace(aside, path)
        return image


@lru_cache(maxsize=1)
def find_compiler() -> Compiler | None:
    """NVRTC, or else nvcc, or None where there is neither."""
    for path in _nvrtc_paths():
        with contextlib.suppress(OSError, CompileError, AttributeError):
            found = Nvrtc(path)
            found.cubin("", "sm_80")  # whether it works, and not only is there
            return _kept(found)
    nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    return _kept(Nvcc(nvcc)) if nvcc else None


def _kept(compiler: Compiler) -> Compiler:
    try:
        return Kept(compiler, cache_base() / "cuda")
    except RuntimeError:  # this user has no home folder
        return compiler


def _nvrtc_paths() -> list[str]:
    """Where NVRTC may be: that of PyTorch's CUDA release first."""
    import torch

    major = (torch.version.cuda or "").partition(".")[0]
    packages = Path(torch.__file__).parent.parent / "nvidia"
    home = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    folders = [*sorted(packages.glob("*/lib")), Path(home, "lib64")]
    beside = [str(path) for folder in folders for path in sorted(folder.glob("libnvrtc.so*"))]
    names = [f"libnvrtc.so.{major}"] if major else []
    found = [*names, *beside, "libnvrtc.so"]
    return sorted(found, key=lambda path: not (major and f".so.{major}" in path))

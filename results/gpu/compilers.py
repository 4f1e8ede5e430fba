"""What compilers make of the training kernel, read from ptxas: no GPU is needed.

    python results/gpu/compilers.py [nvcc] [NVRTC] [numba-cuda]

CUDA C++ (kernels/cuda) through nvcc and NVRTC, and the same kernel written for numba-cuda
(numba_step.py), each to PTX and then through the same ptxas. Needs nvcc and ptxas on PATH, and
numba-cuda and cuda-bindings of the same CUDA release. With cuobjdump on PATH the instructions of
the loop over samples are counted too.
Writes compilers.json beside this file, where readings of compilers that are missing or not named
stay as they are, and the tables of COMPILERS.md to standard output.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from combsearch.kernels.cuda.compiler import FLAGS
from combsearch.kernels.cuda.source import THREADS, Build, Layout

HERE = Path(__file__).parent
SHAPES = ((3, 2, 2), (3, 3, 3), (6, 3, 2), (7, 3, 3), (8, 4, 4), (16, 16, 16))
ARCHS = ("sm_80", "sm_90")
NUMBA_SHAPES = SHAPES[:4]  # minutes of compilation beyond
# Blocks, of a warp each, that shall fit a multiprocessor: 8, 12, 16 are 2, 3, 4 a scheduler.
LAYOUTS: tuple[tuple[Layout, int], ...] = (
    ("thread", 8), ("thread", 12), ("thread", 16), ("warp", 1),
)  # fmt: skip
PACKAGES = ("numba-cuda", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-nvvm", "numpy")

Frontend = Callable[[Build, str], str]
"""(build, architecture such as "sm_90") -> PTX."""


@dataclass(frozen=True)
class Reading:
    """What ptxas says of the kernel ``train`` of one build.

    Attributes:
        shape: neurons of each hidden layer.
        arch: what was compiled for.
        compiler: what made the PTX.
        layout: ``thread`` or ``warp``, see kernels/cuda/source.py.
        blocks: the least that shall fit a multiprocessor.
        registers: of a thread.
        spill_stores: bytes a thread, anywhere in the kernel; so ``spill_loads``.
        stack: bytes a thread.
        shared: bytes a block, those asked for at launch included.
        loops: of each innermost loop, instructions and of these loads and stores of spills;
            None without a disassembler.
        seconds: source to machine code; with numba-cuda the first number of blocks has all.
    """

    shape: tuple[int, ...]
    arch: str
    compiler: str
    layout: str
    blocks: int
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    loops: list[tuple[int, int]] | None
    seconds: float


def main() -> None:
    """Take the readings, write them, print the tables."""
    path = HERE / "compilers.json"
    saved = json.loads(path.read_text())["readings"] if path.exists() else []
    frontends = {name: one for name, one in _frontends() if name in (sys.argv[1:] or (name,))}
    readings = [Reading(**one) for one in saved if one["compiler"] not in frontends]
    cases = itertools.product(ARCHS, SHAPES, LAYOUTS, frontends.items())
    for arch, shape, (layout, blocks), (name, frontend) in cases:
        if name == "numba-cuda" and (layout == "warp" or shape not in NUMBA_SHAPES):
            continue
        if shape == SHAPES[-1] and layout == "thread" and blocks > LAYOUTS[0][1]:
            continue  # half a minute each, and the first says it: spilled by the kilobyte
        readings.append(_read(shape, Build((2, *shape, 1), layout, blocks), arch, name, frontend))
    readings.sort(key=lambda r: (r.arch, SHAPES.index(tuple(r.shape)), r.layout, r.blocks))
    found = {"versions": _versions(), "readings": [asdict(reading) for reading in readings]}
    path.write_text(json.dumps(found, indent=1) + "\n")
    for arch in ARCHS:
        print(f"\n{arch}\n\n" + "\n".join(_table([r for r in readings if r.arch == arch])))


# ---- compilers -----------------------------------------------------------------


def _frontends() -> Iterator[tuple[str, Frontend]]:
    if shutil.which("nvcc"):
        yield "nvcc", _nvcc
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings"):
        yield "NVRTC", _nvrtc
    if importlib.util.find_spec("numba_cuda"):
        yield "numba-cuda", _numba


def _nvcc(build: Build, arch: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "kernel.cu"), Path(folder, "kernel.ptx")
        source.write_text(build.source())
        target = f"-arch={arch.replace('sm', 'compute')}"
        _call("nvcc", target, *FLAGS, "-ptx", "-o", str(made), str(source))
        return made.read_text()


def _nvrtc(build: Build, arch: str) -> str:
    from cuda.bindings import nvrtc  # type: ignore[import-not-found]

    def call(function: Any, *arguments: Any) -> Any:
        code, *results = function(*arguments)
        if code:
            raise RuntimeError(f"{function.__name__}: {code}")
        return results[0] if results else None

    program = call(nvrtc.nvrtcCreateProgram, build.source().encode(), b"kernel.cu", 0, [], [])
    flags = [f"-arch={arch.replace('sm', 'compute')}", *FLAGS]
    call(nvrtc.nvrtcCompileProgram, program, len(flags), [flag.encode() for flag in flags])
    text = b" " * call(nvrtc.nvrtcGetPTXSize, program)
    call(nvrtc.nvrtcGetPTX, program, text)
    return text.rstrip(b"\0 ").decode()


def _numba(build: Build, arch: str) -> str:
    """PTX of numba_step.py; the number of blocks is but a line of it."""
    ptx = _numba_ptx(build.widths, arch)
    return re.sub(r"(\.minnctapersm) \d+", rf"\1 {build.blocks}", ptx)


@cache
def _numba_ptx(widths: tuple[int, ...], arch: str) -> str:
    from numba import cuda, types  # type: ignore[attr-defined]

    numba_step = _module(HERE / "numba_step.py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.py")
        path.write_text(numba_step.source(widths, THREADS))
        train = _module(path).train
        floats, ints = types.float32[:, ::1], types.int32[:, ::1]
        counts = (types.int32,) * 5  # networks, batch, steps, first, last
        factors = (types.float32,) * 3  # momentum, decay, mean
        signature = types.void(floats, floats, ints, floats, floats, *counts, *factors)
        bounds, cc = (THREADS, 1), (int(arch[3]), int(arch[4:]))
        ptx, _ = cuda.compile_ptx(train, signature, cc=cc, launch_bounds=bounds)
        return str(ptx)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- readings ------------------------------------------------------------------


def _read(
    shape: tuple[int, ...], build: Build, arch: str, name: str, frontend: Frontend
) -> Reading:
    """The reading of one build."""
    start = time.perf_counter()
    ptx = frontend(build, arch)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        log = _call("ptxas", "-v", f"-arch={arch}", "-o", str(made), str(source))
        seconds = time.perf_counter() - start
        loops = _loops(made)
    facts = next(part for part in log.split("Compiling entry function")[1:] if "train" in part)
    print(name, arch, shape, build.layout, build.blocks, f"{seconds:.1f} s", file=sys.stderr)
    return Reading(
        shape=shape,
        arch=arch,
        compiler=name,
        layout=build.layout,
        blocks=build.blocks,
        registers=_number(r"Used (\d+) registers", facts),
        spill_stores=_number(r"(\d+) bytes spill stores", facts),
        spill_loads=_number(r"(\d+) bytes spill loads", facts),
        stack=_number(r"(\d+) bytes stack frame", facts),
        shared=_number(r"(\d+) bytes smem", facts) + build.shared_bytes,
        loops=loops,
        seconds=round(seconds, 2),
    )


def _loops(cubin: Path) -> list[tuple[int, int]] | None:
    """Instructions, and loads and stores of spills among them, of each innermost loop."""
    if not shutil.which("cuobjdump"):
        return None
    listing = _call("cuobjdump", "--dump-sass", str(cubin))
    kernel = next(part for part in listing.split("Function : ")[1:] if "train" in part[:200])
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/ +(.*?) *;", kernel)
    code = [(int(address, 16), text) for address, text in lines]
    jumps = [(at, re.search(r"\bBRA\b.* 0x([0-9a-f]+)", text)) for at, text in code]
    spans = [(int(jump[1], 16), at) for at, jump in jumps if jump and int(jump[1], 16) < at]
    inner = [a for a in spans if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    bodies = [[text for at, text in code if first <= at <= last] for first, last in inner]
    return [(len(body), sum("LDL" in text or "STL" in text for text in body)) for body in bodies]


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _call(*command: str) -> str:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{found.stdout}{found.stderr}")
    return found.stdout + found.stderr


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        if importlib.util.find_spec(name.split("-")[0]) is not None:
            found[name] = importlib.metadata.version(name)
    for program in ("nvcc", "ptxas"):
        found[program] = re.findall(r"V[\d.]+", _call(program, "--version"))[0]
    return found


def _table(readings: list[Reading]) -> Iterator[str]:
    columns = ("shape", "layout", "blocks", "compiler", "registers", "spilled", "loop", "s")
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for r in readings:
        shape = f"({','.join(map(str, r.shape))})"
        spills = f"{r.spill_stores}+{r.spill_loads}" if r.spill_stores + r.spill_loads else "0"
        cells = (shape, r.layout, r.blocks, r.compiler, r.registers, spills, _loop(r), r.seconds)
        yield "| " + " | ".join(map(str, cells)) + " |"


def _loop(reading: Reading) -> str:
    if reading.loops is None:
        return ""
    return ", ".join(f"{n} ({spills} spills)" if spills else str(n) for n, spills in reading.loops)


if __name__ == "__main__":
    main()

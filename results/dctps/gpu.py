"""Networks of the study of DCT plus sparse, on a machine with only PyTorch and numpy.

    PYTHONPATH=. python3 results/dctps/gpu.py --task cifar10 --network lenet5 --epochs 160 \
        --batch-size 64 --minutes 9 --out pieces/2 --from pieces/1

Trains one network after another, those whose rows are in no folder yet, as many as fit the
minutes; one that is not finished then is kept halfway in --out. Ends with 75 while there are more:
run it again, there or elsewhere, with --from naming every folder that came back. ``collect.py``
makes a run folder of all of them, gpu.md says how it goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

# The other study's scripts, of which those imported here serve both; this folder comes first.
sys.path.append(str(Path(__file__).resolve().parents[1] / "pqi"))
from made_with import made_with
from round_files import About, Folder, arrays_of, read_rounds, rounds_files

from combsearch import durable
from combsearch.commands.settings import command_settings, flag
from combsearch.errors import CombsearchError, UsageError
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.dctps.config import DctpsConfig, all_rows
from combsearch.studies.dctps.plan import DctpsPlan
from combsearch.studies.dctps.training import run_network

UNIT = "network"
_RESUMABLE = 75
_MARGIN = 60.0  # seconds of the next look at the clock and of packing, about


class OutOfTimeError(Exception):
    """The minutes are over; the network is kept."""


@dataclass(eq=False)
class Timed:
    """A ``Halfway`` that also keeps the network when the time is over, and then stops.

    Attributes:
        file: where it is kept.
        end: of the time, of ``time.monotonic``.
    """

    file: Halfway
    end: float

    def due(self) -> bool:
        """See ``Halfway.due``."""
        return self.file.due() or self._over()

    def write(self, arrays: dict[str, Any]) -> None:
        """See ``Halfway.write``; raises ``OutOfTimeError`` when the time is over."""
        self.file.write(arrays)
        if self._over():
            raise OutOfTimeError

    def read(self) -> dict[str, Any] | None:
        """See ``Halfway.read``."""
        return self.file.read()

    def _over(self) -> bool:
        return time.monotonic() > self.end - _MARGIN


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code: 0 all done, 75 run it again to go on."""
    given = _parser().parse_args(arguments)
    try:
        return _run(given, time.monotonic() + 60 * given.minutes)
    except CombsearchError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return error.exit_code


def _run(given: argparse.Namespace, end: float) -> int:
    if math.isnan(given.minutes):
        raise UsageError("--minutes is nan, it must be a number of minutes, such as 9")
    if torch.cuda.is_available():
        torch.backends.cudnn.deterministic = True
    config = command_settings("dctps", DctpsConfig, vars(given)).config
    plan = DctpsPlan.of(config)
    if given.tf32:
        plan = dataclasses.replace(plan, options={"tf32": True})
    made = made_with("study dctps", config, plan.trainer, given.tf32, "results/dctps/gpu.py")
    about = About(plan.identity(), 0, given.tf32, made, UNIT)
    todo = _todo(about, [given.out, *given.source], all_rows(config))
    seconds, stopped = _networks(plan, about, todo, given, end)
    summary = {
        "run": plan.name(),
        "device": made["machine"].get("gpus") or "cpu",
        "networks": all_rows(config),
        "left": len(todo) - len(seconds),
        "halfway": stopped,
        "seconds": seconds,
    }
    print(json.dumps(summary))
    return _RESUMABLE if len(seconds) < len(todo) else 0


def _todo(about: About, folders: Sequence[Path], count: int) -> list[int]:
    """The ranks that no folder has a row of.

    Raises:
        RunMismatchError: a file is of another run.
        UsageError: a folder to go on from is not there.
    """
    for folder in folders[1:]:
        if not folder.is_dir():
            raise UsageError(f"--from {folder} is no folder; name folders that were --out before")
    done = set()
    for folder in folders:
        for path in rounds_files(folder, UNIT):
            file = read_rounds(path)
            dataclasses.replace(about, number=file.about.number).check_same(file.about, path)
            done.add(file.about.number)
    return [rank for rank in range(count) if rank not in done]


def _networks(
    plan: DctpsPlan, about: About, todo: Sequence[int], given: argparse.Namespace, end: float
) -> tuple[dict[int, float], int | None]:
    """Train and save networks while there is time: seconds of each, and the one kept halfway."""
    seconds: dict[int, float] = {}
    for rank in todo:
        if seconds and time.monotonic() > end - _MARGIN:
            break
        place, seed = divmod(rank, plan.config.seeds)
        own = dataclasses.replace(about, number=rank)
        folder, began = Folder(given.out, own), time.monotonic()
        path = _halfway_path(given.out, own)
        _fetch(path, given.source)
        _say(f"network {rank}: {plan.settings[place].text}, seed {seed}")
        try:
            columns = run_network(plan, place, seed, Timed(Halfway(path), end))
        except OutOfTimeError:
            _pack(path)
            return seconds, rank
        folder.add(0, arrays_of(columns, 1))
        path.unlink(missing_ok=True)
        seconds[rank] = round(time.monotonic() - began, 3)
        _say(f"network {rank}: accuracy {float(columns['accuracy'][0]):.4f}, saved")
    return seconds, None


def _halfway_path(folder: Path, about: About) -> Path:
    return folder / f"{about.name}.{about.digest}.halfway.npz"


def _fetch(path: Path, folders: Sequence[Path]) -> None:
    """Copy the file halfway of the last folder that has one, unless there is one already."""
    found = [folder / path.name for folder in folders if (folder / path.name).exists()]
    if found and not path.exists():
        durable.make_folder(path.parent)
        shutil.copyfile(found[-1], path)


def _pack(path: Path) -> None:
    """Compress a file halfway, which is mostly zeros, so that it may travel."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    durable.write_bytes(path, buffer.getbuffer())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("out"), help="folder that the rows go to")
    add("--from", dest="source", type=Path, action="append", default=[], metavar="FOLDER",
        help="folder of earlier rows and networks halfway, may be repeated")  # fmt: skip
    add("--minutes", type=float, default=9.0, help="time after which to stop (default 9)")
    add("--tf32", action="store_true", help="let a GPU round to TF32: quicker, noted in the files")
    for spec in dataclasses.fields(DctpsConfig):
        text, default = spec.metadata["help"], spec.default
        if isinstance(default, bool):
            add(flag(spec.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            add(flag(spec.name), help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

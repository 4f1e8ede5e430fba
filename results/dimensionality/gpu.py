"""Rounds of the dimensionality study of one setting, on a machine with only PyTorch and numpy.

    PYTHONPATH=. python3 results/dimensionality/gpu.py extrinsic --widths 16 --epochs 20 \
        --setting 0 --minutes 9 --out pieces/2 --from pieces/1

A setting is a width and a dimension, all seeds of which are trained side by side. Trains whole
rounds, as many as fit the minutes and at least one, and ends with 75 while there are more: run it
again, there or elsewhere, with --from naming the folder that came back. ``collect.py`` makes a run
folder of all of them, gpu.md says how it goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

# The other study's scripts, of which those imported here serve both; this folder comes first.
sys.path.append(str(Path(__file__).resolve().parents[1] / "pqi"))
from clock import Clock
from made_with import made_with
from round_files import About, Folder, arrays_of, read_rounds, rounds_files

from combsearch.commands.settings import command_settings, flag
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.dimensionality.config import CONFIGS, ImpConfig
from combsearch.studies.dimensionality.imp import dense_masks, run_round
from combsearch.studies.dimensionality.plan import ImpPlan, command_of
from combsearch.studies.masks import Masks, pack, unpack

_RESUMABLE = 75


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code: 0 all done, 75 run it again to go on."""
    began = time.monotonic()
    given = _parser().parse_args(arguments)
    try:
        return _run(given, Clock(60 * given.minutes, began))
    except CombsearchError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return error.exit_code


@dataclass
class State:
    """Where a setting stands.

    Attributes:
        number: of the next round.
        masks: that it trains, as ``run_round`` takes them.
    """

    number: int
    masks: Masks


def _run(given: argparse.Namespace, clock: Clock) -> int:
    if torch.cuda.is_available():
        # Weights that rounds rewind to are trained again in every piece: they must be the same.
        torch.backends.cudnn.deterministic = True
    config = command_settings(given.experiment, CONFIGS[given.experiment], vars(given)).config
    _check_setting(given.setting, config)
    _check_generator(getattr(config, "generator", ""))
    plan = plan_of(config, given.tf32)
    about = About(
        plan.identity(), given.setting, given.tf32, _made_with(plan, given.tf32), "setting"
    )
    state = take_up(plan, about, [given.out, *given.source])
    folder = Folder(given.out, about)
    with tempfile.TemporaryDirectory() as spare:
        root = given.halfway / about.digest if given.halfway else Path(spare)
        seconds = _rounds(plan, state, folder, clock, root, given.room * 1e6)
    print(json.dumps(_summary(plan, state, seconds, folder)))
    return 0 if state.number > config.rounds else _RESUMABLE


def _check_setting(number: int, config: ImpConfig) -> None:
    count = len(config.widths) * len(config.dimensions)
    if not 0 <= number < count:
        raise UsageError(
            f"--setting is {number}, it must be from 0 to {count - 1}: --widths has"
            f" {len(config.widths)}, --dimensions {len(config.dimensions)}, and the dimensions of"
            " the first width come first"
        )


def _check_generator(path: str) -> None:
    if path.endswith(".safetensors") and importlib.util.find_spec("safetensors") is None:
        raise UsageError(
            f"--generator {path}: the library safetensors, which reads it, is not here; gpu.md says"
            " how it comes along"
        )


def plan_of(config: ImpConfig, tf32: bool = False) -> ImpPlan:
    """What is trained, by a trainer that is there.

    Raises:
        UsageError: as ``ImpPlan.of``, or the trainer needs more than PyTorch, or has no TF32.
    """
    plan = ImpPlan.of(config)
    if tf32:
        plan = dataclasses.replace(plan, options={"tf32": True})
    try:
        plan.get_trainer()
    except ImportError as error:
        raise UsageError(
            f"trainer {plan.trainer!r} cannot run here ({error}): give --trainer vmap, in all"
            " pieces of a run"
        ) from error
    return plan


def take_up(plan: ImpPlan, about: About, folders: Sequence[Path]) -> State:
    """Where a setting stands, by the last of its rounds in these folders.

    Raises:
        RunMismatchError: a file is of another run.
        CorruptDataError: a file is damaged.
        UsageError: a folder is not there, or has no rounds of the setting.
    """
    for folder in folders[1:]:
        if not rounds_files(folder, about.unit, about.number):
            raise UsageError(
                f"--from {folder} has no rounds of setting {about.number}; name folders that were"
                " --out before"
            )
    files = [path for folder in folders for path in rounds_files(folder, about.unit, about.number)]
    found = [(max(rounds.columns), rounds) for rounds in map(read_rounds, files)]
    for _, rounds in found:
        about.check_same(rounds.about, rounds.path)
    full = dense_masks(plan, plan.load(plan.settings[about.number]))
    if not found:
        return State(0, full)
    number, rounds = max(found, key=lambda pair: pair[0])
    words = rounds.columns[number].get("mask", np.zeros(0))
    if words.dtype != np.uint64 or words.shape != pack(full).shape:
        raise CorruptDataError(f"{rounds.path} has no masks of this network; fetch it again")
    return State(number + 1, unpack(words, full))


def _rounds(
    plan: ImpPlan, state: State, folder: Folder, clock: Clock, root: Path, room: float
) -> dict[int, float]:
    """Train and save rounds while there is time and room; the seconds of each."""
    seconds: dict[int, float] = {}
    place, last, grown = folder.about.number, plan.config.rounds, 0
    setting = plan.settings[place]
    while state.number <= last:
        networks = plan.chains if state.number else plan.config.seeds
        if seconds and (clock.over(networks) or folder.size + grown > room):
            break
        _say(f"round {state.number} of {last}, width {setting.width}, dimension"
             f" {setting.dimension}: {networks} networks")  # fmt: skip
        began, before = time.monotonic(), folder.size
        _one_round(plan, state, folder, root)
        seconds[state.number] = round(time.monotonic() - began, 3)
        clock.note(time.monotonic() - began, networks)
        grown = folder.size - before
        state.number += 1
    return seconds


def _one_round(plan: ImpPlan, state: State, folder: Folder, root: Path) -> None:
    place, number = folder.about.number, state.number
    columns = run_round(plan, place, number, state.masks, root)
    found = arrays_of(columns, plan.chains)
    folder.add(number, found)
    state.masks = unpack(found["mask"], state.masks)
    for step in plan.config.rewinds if number else (0,):
        Halfway.of(root, f"{place}-{step}", number).clear()
    _say(f"round {number}: mean accuracy {found['accuracy'].mean():.4f}, saved")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _made_with(plan: ImpPlan, tf32: bool) -> dict[str, Any]:
    """As the summary of a run names it, and the settings that no row depends on."""
    command, script = command_of(plan.config), "results/dimensionality/gpu.py"
    found = made_with(command, plan.config, plan.trainer, tf32, script)
    return {**found, "tolerances": list(plan.config.tolerances)}


def _summary(
    plan: ImpPlan, state: State, seconds: dict[int, float], folder: Folder
) -> dict[str, Any]:
    """What was done, as JSON."""
    return {
        "run": plan.name(),
        "setting": folder.about.number,
        **vars(plan.settings[folder.about.number]),
        "device": folder.about.made_with["machine"].get("gpus") or "cpu",
        "rounds_done": state.number - 1,
        "rounds": plan.config.rounds,
        "complete": state.number > plan.config.rounds,
        "seconds": seconds,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.path.glob("*.npz"))},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    experiments = parser.add_subparsers(dest="experiment", metavar="EXPERIMENT", required=True)
    for name, kind in CONFIGS.items():
        _options(experiments.add_parser(name, allow_abbrev=False), kind)
    return parser


def _options(parser: argparse.ArgumentParser, kind: type[ImpConfig]) -> None:
    add = parser.add_argument
    text = "which width and dimension, from 0, the dimensions of a width together (default 0)"
    add("--setting", type=int, default=0, metavar="N", help=text)
    add("--out", type=Path, default=Path("out"), help="folder that the rounds go to")
    add("--from", dest="source", type=Path, action="append", default=[], metavar="FOLDER",
        help="folder of earlier rounds to go on from; the last one is enough")  # fmt: skip
    add("--minutes", type=float, default=9.0, help="time after which to stop (default 9)")
    add("--room", type=float, default=60.0, help="MB in --out after which to stop (default 60)")
    text = "keep a round halfway there, on this machine's disk, and take it up again"
    add("--halfway", type=Path, metavar="FOLDER", help=text)
    add("--tf32", action="store_true", help="let a GPU round to TF32: quicker, noted in the files")
    for spec in dataclasses.fields(kind):
        text, default = spec.metadata["help"], spec.default
        if isinstance(default, bool):
            add(flag(spec.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            add(flag(spec.name), help=text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

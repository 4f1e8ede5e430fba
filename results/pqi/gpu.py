"""Rounds of the PQ-index study of one seed, on a machine that has only PyTorch and numpy.

    PYTHONPATH=. python3 results/pqi/gpu.py --network resnet18 --epochs 20 --scopes global \
        --seed-number 0 --minutes 9 --out pieces/2 --from pieces/1

Trains whole rounds, as many as fit the minutes and at least one, and ends with 75 while there are
more: run it again, there or elsewhere, with --from naming the folder that came back. ``collect.py``
makes a run folder of all of them, gpu.md says how it goes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clock import Clock
from made_with import made_with
from one_shot import check_rounds, goes_of, is_needed
from round_files import About, Folder, arrays_of, one_shot_path, write_one_shot
from seed_state import State, check_size, take_up

from combsearch.commands.settings import command_settings, flag
from combsearch.errors import CombsearchError, UsageError
from combsearch.nets import NetBatch
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.masks import unpack
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import run_round

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


def _run(given: argparse.Namespace, clock: Clock) -> int:
    config = command_settings("pqi", PqiConfig, vars(given)).config
    if not 0 <= given.seed_number < config.seeds:
        raise UsageError(
            f"--seed-number is {given.seed_number}, it must be from 0 to {config.seeds - 1}:"
            f" --seeds is {config.seeds}"
        )
    plan = PqiPlan.of(config)
    if given.tf32:
        plan = dataclasses.replace(plan, options={"tf32": True})
    check_rounds(plan)
    check_size(plan)
    made = made_with("study pqi", plan.config, plan.trainer, given.tf32, "results/pqi/gpu.py")
    about = About(plan.identity(), given.seed_number, given.tf32, made)
    state = take_up(plan, about, [given.out, *given.source])
    folder = Folder(given.out, about)
    if state.goes is not None and not one_shot_path(given.out, about.number).exists():
        write_one_shot(one_shot_path(given.out, about.number), about, state.goes)
    halfway = given.halfway and given.halfway / about.digest
    seconds = _rounds(plan, state, folder, clock, halfway, given.room * 1e6)
    print(json.dumps(_summary(plan, state, seconds, folder)))
    return 0 if state.number > config.rounds else _RESUMABLE


def _rounds(
    plan: PqiPlan, state: State, folder: Folder, clock: Clock, halfway: Path | None, room: float
) -> dict[int, float]:
    """Train rounds while there is time and room; the seconds of each."""
    seconds: dict[int, float] = {}
    dense = state.dense(plan, folder.about.number)
    grown = 0
    while state.number <= plan.config.rounds:
        count = state.networks()
        if seconds and (clock.over(count) or folder.size + grown > room):
            break
        began, before = time.monotonic(), folder.size
        _say(f"round {state.number} of {plan.config.rounds}: {count} networks")
        dense = _one_round(plan, state, folder, dense, halfway)
        seconds[state.number] = round(time.monotonic() - began, 3)
        clock.note(time.monotonic() - began, count)
        grown = folder.size - before
        state.number += 1
    return seconds


def _one_round(
    plan: PqiPlan, state: State, folder: Folder, dense: NetBatch | None, halfway: Path | None
) -> NetBatch | None:
    """Train and save a round; what one-shot pruning goes by in the next."""
    seed, number = folder.about.number, state.number
    kept = None if halfway is None else Halfway(halfway / f"{seed}-{number}.npz")
    columns, nets = run_round(plan, seed, number, state.masks, dense, kept)
    if number == 0 and is_needed(plan):
        state.goes = goes_of(plan, nets[np.array([0])])
        write_one_shot(one_shot_path(folder.path, seed), folder.about, state.goes)
        dense = state.dense(plan, seed)
    found = arrays_of(columns, len(plan.chains))
    folder.add(number, found)  # last: what a round needs is there before the round is
    state.masks = unpack(found["mask"], state.masks)
    if kept is not None:
        kept.clear()
    _say(f"round {number}: best {found['best_accuracy'].max():.4f}, saved")
    return dense


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _summary(
    plan: PqiPlan, state: State, seconds: dict[int, float], folder: Folder
) -> dict[str, Any]:
    """What was done, as JSON."""
    return {
        "run": plan.name(),
        "seed": folder.about.number,
        "device": folder.about.made_with["machine"].get("gpus") or "cpu",
        "rounds_done": state.number - 1,
        "rounds": plan.config.rounds,
        "complete": state.number > plan.config.rounds,
        "seconds": seconds,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.path.glob("*.npz"))},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--seed-number", type=int, default=0, metavar="N", help="which seed, from 0 (default 0)")
    add("--out", type=Path, default=Path("out"), help="folder that the rounds go to")
    add("--from", dest="source", type=Path, action="append", default=[], metavar="FOLDER",
        help="folder of earlier rounds to go on from; the last one is enough")  # fmt: skip
    add("--minutes", type=float, default=9.0, help="time after which to stop (default 9)")
    add("--room", type=float, default=60.0, help="MB in --out after which to stop (default 60)")
    text = "keep a round halfway there, on this machine's disk, and take it up again"
    add("--halfway", type=Path, metavar="FOLDER", help=text)
    add("--tf32", action="store_true", help="let a GPU round to TF32: quicker, noted in the files")
    for spec in dataclasses.fields(PqiConfig):
        text, default = spec.metadata["help"], spec.default
        if isinstance(default, bool):
            add(flag(spec.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            add(flag(spec.name), help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

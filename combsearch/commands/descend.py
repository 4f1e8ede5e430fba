"""``combsearch descend``: search, prove, report."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.options import Options
from combsearch.commands.output import say
from combsearch.commands.provenance import provenance
from combsearch.commands.running import compile_kernel, log, sessions
from combsearch.commands.tables import shape_text
from combsearch.engines import cores, local_engine
from combsearch.errors import CombsearchError, InterruptedRunError, UsageError
from combsearch.frontier import KEPT, PRUNABLE
from combsearch.mask import NetShape
from combsearch.nets import MLP
from combsearch.progress import Progress, duration
from combsearch.prune_config import PAPER_TARGETS
from combsearch.runfile import identity_digest
from combsearch.saved_network import load_network, network_bytes, run_facts
from combsearch.search import devices
from combsearch.search.descend import (
    FOLDER,
    DescendPlan,
    DescendWork,
    Proved,
    proved,
    read_state,
)
from combsearch.search.running import Failure
from combsearch.search.training import use_one_thread
from combsearch.store import RunStore, Shard, run_folder, write_json

BEST, FRONTIER = "best.npz", "frontier"
TARGETS = (*PAPER_TARGETS, 1.0)  # those of the paper, and every point
_PARAMETER_SAMPLES = 1.2e10  # of training, a second of a core: measured, for the estimate


def descend_command(config: Any, options: Options) -> dict[str, Any]:
    """Run or continue a descent; the object that ``--json`` prints.

    Args:
        config: a ``DescendConfig``.
        options: how and where to run.
    """
    if options.ranks is not None or options.engine != "local":
        raise UsageError(
            "descend has no ranks to share out: it runs in processes of one machine; leave out"
            " --ranks and --engine"
        )
    # Standard output is for the result, whatever a user's task may print.
    with contextlib.redirect_stdout(sys.stderr):
        plan = DescendPlan.of(config)
        folder = run_folder(plan.name() if options.run is None else options.run, options.runs)
        jobs = options.jobs or min(cores(), len(plan.shapes))
        report = _estimate(plan, folder, jobs)
        if options.dry_run:
            text = _estimate_text(report)
        else:
            log(_estimate_text(report))
            report, text = _run(plan, folder, jobs, options)
    say(json.dumps(report) if options.json else text)
    return report


def _estimate(plan: DescendPlan, folder: Path, jobs: int) -> dict[str, Any]:
    """About how long it takes: deletion and scoring cost as much as half of the training."""
    config, samples = plan.config, float(plan.task.points)
    dense = sum(50 * config.restarts * shape.parameters for shape in plan.shapes)
    below = sum(shape.parameters**2 / 4 for shape in plan.shapes)  # half the levels, half dense
    retrained = 3 * config.retrain_epochs * config.beam * below
    # A GPU leaves of all that the deletions and their scores.
    share = 0.5 if devices.on_gpu(plan.trainer) else 1.5
    return {
        "command": "descend",
        "dry_run": True,
        "shapes": [shape.to_json() for shape in plan.shapes],
        "dense_runs": config.restarts * len(plan.shapes),
        "core_seconds": round(share * samples * (dense + retrained) / _PARAMETER_SAMPLES),
        "trainer": plan.trainer,
        "jobs": jobs,
        "run_folder": str(folder),
    }


def _estimate_text(report: dict[str, Any]) -> str:
    count = len(report["shapes"])
    return (
        f"{count} starting shape{'s' * (count != 1)}, {report['dense_runs']:,} dense networks;"
        f" about {duration(report['core_seconds'] / report['jobs'])} on {report['jobs']}"
        f" core{'s' * (report['jobs'] != 1)} in all; run folder {report['run_folder']}"
    )


def _run(
    plan: DescendPlan, folder: Path, jobs: int, options: Options
) -> tuple[dict[str, Any], str]:
    """The report, as JSON and for a reader."""
    started = time.monotonic()
    store = RunStore.open(folder, plan.identity())
    store.check_writable()
    for name in (FOLDER, FRONTIER):
        durable.make_folder(folder / name)
        durable.remove_leftovers(folder / name)
    steps = _search(plan, store, jobs, options.train)
    report = _report(plan, folder)
    report["trained_now"], report["seconds"] = steps, round(time.monotonic() - started, 3)
    report["sessions"] = sessions(folder, report, provenance("descend", plan.config, plan.trainer))
    report["made_with"] = report["sessions"][-1]["made_with"]
    write_json(folder / "summary.json", report)
    if options.figures:
        from combsearch.commands.figures import draw_descent

        draw_descent(plan.task, report, load_network(folder / BEST), folder / "figures")
    return report, _text(report)


def _search(plan: DescendPlan, store: RunStore, jobs: int, train: bool) -> int:
    """Do the descents that are not finished, joint ones last; levels done now."""
    paths, singles = plan.paths(store.root), len(plan.shapes)
    todo = []
    for index, (path, shape) in enumerate(paths):
        state = read_state(path, shape)
        if state is None and path.exists():
            log(f"{path} is damaged: its descent starts again")
        if state is None or not state.finished:
            todo.append(Shard(index, index + 1))
    if not todo:
        return 0
    if not train:
        raise InterruptedRunError(
            f"{len(todo)} descents of {store.root} are not finished yet: leave out --no-train"
        )
    compile_kernel(plan.trainer)
    with Progress("descend") as progress:
        watch = _Watch(progress, len(paths), len(paths) - len(todo))
        for part in (
            [shard for shard in todo if shard.first < singles],
            [shard for shard in todo if shard.first >= singles],
        ):
            if part:
                _run_shards(plan, store, part, min(jobs, len(part)), watch)
    return watch.steps


class _Watch:
    """Tells how many descents are done."""

    def __init__(self, progress: Progress, whole: int, done: int) -> None:
        self.progress, self._whole, self._done = progress, whole, done
        self.steps = 0

    def __call__(self, steps: int) -> None:
        self.steps, self._done = self.steps + steps, self._done + 1
        self.progress.show(self._done / self._whole, f"{self._done} of {self._whole} descents")


def _run_shards(
    plan: DescendPlan, store: RunStore, shards: list[Shard], jobs: int, watch: _Watch
) -> None:
    work = DescendWork(plan.settled, store.root, identity_digest(store.identity))
    failed = []
    # Much of a descent is not training: one a core, whatever the number of GPUs.
    engine = local_engine(jobs, watch.progress.say, devices.gpus(plan.trainer))
    with closing(engine.run(work, shards)) as results:
        for shard, result in results:
            if isinstance(result, Failure):
                failed.append((shard, result.reason))
            else:
                watch(result.steps)
    if failed:
        shard, reason = failed[0]
        raise CombsearchError(
            f"{len(failed)} of the descents could not be finished, such as that from"
            f" {plan.paths(store.root)[shard.first][1]}: {reason}; all else is saved, so repeat"
            " the command with fewer --jobs or more memory"
        )


def _report(plan: DescendPlan, folder: Path) -> dict[str, Any]:
    """The result as JSON; writes best.npz and the best network of every level."""
    config, points = plan.config, plan.task.points
    use_one_thread()  # thousands of tiny networks: to share one costs more than it gains
    best: dict[int, tuple[Proved, NetShape]] = {}
    by_shape, digest = [], hashlib.sha256()
    for index, (path, shape) in enumerate(plan.paths(folder)):
        state = read_state(path, shape)
        if state is None or not state.finished:
            raise CombsearchError(f"{path} was damaged or rewritten: repeat the command")
        levels = proved(state, plan.task, config.width)
        for one in levels:
            digest.update(network_bytes(one.nets))
            if one.nonzeros not in best or one.correct > best[one.nonzeros][0].correct:
                best[one.nonzeros] = (one, shape)
        joint = index >= len(plan.shapes)
        summary = _summary(levels, config.target, points)
        by_shape.append({"shape": shape.to_json(), "joint": joint, **summary})
    ordered = [best[level] for level in sorted(best)]
    for one, _ in ordered:
        _save(folder / FRONTIER / f"{one.nonzeros}.npz", plan, one)
    lowest = next((one for one, _ in ordered if _reaches(one, config.target, points)), None)
    shown = lowest or max((one for one, _ in ordered), key=lambda one: one.correct)
    _save(folder / BEST, plan, shown)
    return {
        "command": "descend",
        "task": plan.task.name,
        "target": config.target,
        "counting": PRUNABLE if config.prune_biases else KEPT,
        "prune_biases": config.prune_biases,
        "lowest": None if lowest is None else _json(lowest, points),
        "best": _json(shown, points),
        "lowest_by_target": {
            f"{target:g}": next(
                (_json(one, points) for one, _ in ordered if _reaches(one, target, points)), None
            )
            for target in sorted({*TARGETS, config.target})
        },
        "by_shape": by_shape,
        "frontier": [{**_json(one, points), "start": shape.to_json()} for one, shape in ordered],
        "beam": config.beam,
        "restarts": config.restarts,
        "seed": config.seed,
        "run_folder": str(folder),
        "digest": digest.hexdigest(),
    }


def _summary(levels: list[Proved], target: float, points: int) -> dict[str, Any]:
    """What one starting shape gave: lowest at the target, accuracy by nonzeros."""
    lowest = next((one for one in levels if _reaches(one, target, points)), None)
    return {
        "lowest": None if lowest is None else _json(lowest, points),
        "frontier": {str(one.nonzeros): one.correct / points for one in levels},
    }


def _reaches(one: Proved, target: float, points: int) -> bool:
    return one.correct >= math.ceil(target * points)


def _json(one: Proved, points: int) -> dict[str, Any]:
    assert isinstance(one.nets.network, MLP)
    return {
        "nonzeros": one.nonzeros,
        "shape": one.nets.network.shape.to_json(),
        "accuracy": one.correct / points,
    }


def _save(path: Path, plan: DescendPlan, one: Proved) -> None:
    """Write a network with what is known about it."""
    facts = run_facts(
        task=plan.task.name, accuracy=one.correct / plan.task.points, seed=plan.config.seed
    )
    durable.write_bytes(path, network_bytes(one.nets, about=facts))


def _text(report: dict[str, Any]) -> str:
    """The result for a reader."""
    target, lowest = f"{report['target']:g}", report["lowest"]
    if lowest is None:
        head = f"no network reached {target}; the best was at {report['best']['accuracy']:.5f}"
    else:
        head = (
            f"{lowest['nonzeros']} nonzeros, shape ({shape_text(lowest['shape'])}), reach {target}:"
            f" accuracy {lowest['accuracy']:.5f} in plain PyTorch, {report['counting']}"
        )
    lines = [f"{'start':>10} {'lowest':>7} {'accuracy':>9}"]
    for row in report["by_shape"]:
        found = row["lowest"]
        cells = ("-", "-") if found is None else (found["nonzeros"], f"{found['accuracy']:.5f}")
        start = "joint" if row["joint"] else shape_text(row["shape"])
        lines.append(f"{start:>10} {cells[0]:>7} {cells[1]:>9}")
    return "\n".join([head, "", *lines, "", f"run folder {report['run_folder']}"])

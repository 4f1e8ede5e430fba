"""A run of 100 million orbits x 16 restarts: time, memory, files and bytes, by rows made up.

The plan is real: every orbit of every shape up to 38 nonzeros. So are the shards, written by
``RunStore.write`` and read by what the commands read them with; only nobody trained the rows.
They rise to 10 million, once in the shards of a CPU and once in those of a GPU; each size is
measured in a process of its own, and the slope says what all rows of the plan would take.

    python tests/soak/scale.py [--count ROWS] [-o FILE.json]
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

if __name__ in ("__main__", "__mp_main__"):
    sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from soaking import soak

from combsearch.commands.mask_report import make_report
from combsearch.commands.mask_search import begin
from combsearch.rng import mix64
from combsearch.search.mask_plan import MaskPlan, Segment
from combsearch.search.tally import tally_of
from combsearch.search_config import ExhaustConfig
from combsearch.shards import Shard, list_shards
from combsearch.store import RunStore, rows_table

SPACE = 38  # nonzeros of the largest orbits: 99,564,750 up to there
RESTARTS = 16
PARTS = (0.1, 0.3, 1.0)  # of the rows, to measure at
_RARE = 1e-6  # share of the runs that reach the target
_GPUS, _GPU_RATE = 8, 34_000  # networks of (7,3,3) a second that a H200 is expected to train
_HOST_RATE = 130_000  # networks a second that a core prepares and saves: results/gpu/search.md
_MASKS = 2**16  # masks to time the enumeration of


class Layout(NamedTuple):
    """Shards of consecutive ranks at the end of the plan, and the lots that they are made of."""

    shards: list[Shard]
    lots: list[Shard]


def plan_of(space: int) -> MaskPlan:
    """Every orbit of every shape up to so many nonzeros, 16 restarts each."""
    config = ExhaustConfig(
        target=0.995, max_nonzeros=space, restarts=RESTARTS, min_restarts=RESTARTS, race=False,
        trainer="fused",
    )  # fmt: skip
    return MaskPlan.of(config)


def gpu_shards(plan: MaskPlan) -> list[Shard]:
    """Those that the same plan has where a GPU trains."""
    return dataclasses.replace(plan, trainer="cuda").shards


# ---- rows that nobody trained ----------------------------------------------------------


def made_up_rows(plan: MaskPlan, lots: list[Shard]) -> pa.Table:
    """Rows of some lots as training writes them, in size and variety; a function of their keys."""
    pieces = [piece for lot in lots for piece in plan.pieces(lot)]
    return pa.concat_tables(_piece_rows(plan, *piece) for piece in pieces)


def _piece_rows(plan: MaskPlan, segment: Segment, ranks: range) -> pa.Table:
    restarts, points = segment.restarts, plan.task.points
    rank = np.repeat(np.arange(ranks.start, ranks.stop), restarts)
    restart = np.tile(np.arange(restarts), len(ranks))
    draw = mix64(mix64(rank.astype(np.uint64)) + restart.astype(np.uint64))
    chance = (draw >> np.uint64(11)) * 2.0**-53
    correct = np.round(points * np.where(chance < _RARE, 1.0, 0.5 + 0.45 * chance**2))
    return rows_table(
        rank=rank,
        shape=",".join(map(str, segment.shape.widths)),
        mask=mix64(rank.astype(np.uint64)),
        nonzeros=segment.nonzeros,
        cell=plan.config.cells[0],
        restart=restart,
        accuracy=correct / points,
        status="ok",
        parameters=_kept(plan, segment, rank, correct),
        seconds=0.25,
    )


def _kept(
    plan: MaskPlan, segment: Segment, rank: npt.NDArray[np.int64], correct: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.float32] | None]:
    """Of the best run of the lot, and of every run that reached the target."""
    found: list[npt.NDArray[np.float32] | None] = [None] * len(rank)
    good = correct >= plan.config.target * plan.task.points
    for row in {int(correct.argmax()), *np.flatnonzero(good).tolist()}:
        rng = np.random.default_rng(int(rank[row]))
        found[row] = rng.standard_normal(segment.shape.parameters).astype(np.float32)
    return found


# ---- what is measured ------------------------------------------------------------------


def in_own_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """``function(*arguments)`` in a fresh process, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _peak_mb() -> float:
    """Most memory that this process ever had, MB."""
    # What getrusage says begins with the memory of the process that started this one.
    text = Path("/proc/self/status").read_text()
    return round(int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6, 1)


class _Clock:
    """Seconds since the last question, elapsed and of all threads of this process."""

    def __init__(self) -> None:
        self._last = self._now()

    def __call__(self) -> dict[str, float]:
        """See the class."""
        before, self._last = self._last, self._now()
        elapsed, used = (b - a for a, b in zip(before, self._last, strict=True))
        return {"seconds": round(elapsed, 6), "cpu_seconds": round(used, 6)}

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time()


def planned(space: int) -> dict[str, Any]:
    """What the plan itself takes, before anything is trained."""
    start, clock = _peak_mb(), _Clock()
    plan = plan_of(space)
    figures: dict[str, Any] = {"masks": plan.masks, "segments": len(plan.segments)}
    figures["runs"] = sum(plan.runs(s) * s.masks for s in plan.segments)
    figures["plan"] = clock()
    figures["shards_of_a_cpu"], figures["cut"] = len(plan.shards), clock()
    figures["shards_of_a_gpu"], figures["join"] = len(gpu_shards(plan)), clock()
    segment = max(plan.segments, key=lambda s: s.masks)
    first = segment.rank
    plan.piece_masks(segment, range(first, first + 1))  # tables and kernels, made once
    clock()
    masks = min(_MASKS, segment.masks)
    plan.piece_masks(segment, range(first, first + masks))
    figures["canonical_masks_a_second"] = round(masks / max(1e-6, clock()["cpu_seconds"]))
    return {**figures, "peak_mb_before": start, "peak_mb": _peak_mb()}


def listed(folder: Path, count: int) -> dict[str, Any]:
    """Time to list a folder of so many shards, by names alone."""
    folder.mkdir()
    for number in range(count):
        name = f"{number:012d}-{number + 1:012d}.{number:064x}.parquet"
        (folder / name).touch()
    clock = _Clock()
    files, _ = list_shards(folder)
    assert len(files) == count
    return {"files": count, "list": clock(), "file_name_bytes": len(files[0].path.name)}


def used(space: int, root: Path) -> dict[str, Any]:
    """Time and memory to list, verify, resume and merge what a run folder holds."""
    plan, store = plan_of(space), RunStore.attach(root)
    figures: dict[str, Any] = {"shards": len(plan.shards), "peak_mb_before": _peak_mb()}
    clock = _Clock()
    files, _ = list_shards(root / "shards")
    figures |= {"files": len(files), "list": clock()}
    found = store.verify(quarantine=False)
    figures |= {"rows": found.rows, "verify": clock(), "peak_mb_verify": _peak_mb()}
    clock()
    course = begin(plan, store, quarantine=False)
    figures |= {"resume": clock(), "peak_mb_resume": _peak_mb()}
    tally = tally_of(plan, store, course.end)
    report = make_report(plan, tally, None)
    figures |= {"merge": clock(), "peak_mb_merge": _peak_mb()}
    assert report["rows"] == found.rows and course.found == report["bound"]
    return {**figures, "digest": report["digest"], "bound": report["bound"]}


# ---- the folders -----------------------------------------------------------------------


def layouts(plan: MaskPlan, rows: int) -> dict[str, Layout]:
    """The last shards of the plan that hold so many rows, as a GPU has them and as a CPU does."""
    large: list[Shard] = []
    for shard in reversed(gpu_shards(plan)):
        large.insert(0, shard)
        if sum(map(plan.started, large)) >= rows:
            break
    lots = [lot for lot in plan.lots if lot.first >= large[0].first]
    return {"cpu": Layout(lots, lots), "gpu": Layout(large, lots)}


def written(plan: MaskPlan, store: RunStore, layout: Layout, rows: int) -> dict[str, Any]:
    """Add shards until the folder holds ``rows``; how long writing took, not making them up."""
    total, seconds, cpu, sizes = 0, 0.0, 0.0, []
    present = set(store.saved())
    for shard in layout.shards:
        total += plan.started(shard)
        if shard not in present:
            lots = [lot for lot in layout.lots if shard.first <= lot.first < shard.last]
            table, clock = made_up_rows(plan, lots), _Clock()
            sizes.append(store.write(shard, table).stat().st_size)
            taken = clock()
            seconds, cpu = seconds + taken["seconds"], cpu + taken["cpu_seconds"]
        if total >= rows:
            break
    return {"new_shards": len(sizes), "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}


def folder_bytes(root: Path) -> int:
    """Of all shards."""
    return sum(item.stat().st_size for item in os.scandir(root / "shards"))


def at_rows(points: list[dict[str, Any]], stage: str, rows: int) -> dict[str, float]:
    """Seconds of a core that a stage would take, by the line through all sizes (least squares)."""
    x = np.array([point["rows"] for point in points], np.float64)
    y = np.array([point[stage]["cpu_seconds"] for point in points])
    slope, start = np.polyfit(x, y, 1).tolist()
    return {
        "microseconds_a_row": round(slope * 1e6, 4),
        "cpu_seconds": round(start + slope * rows, 1),
    }


def extrapolated(
    points: list[dict[str, Any]], rows: int, shards: int, names: dict[str, Any]
) -> dict[str, Any]:
    """All rows of the plan: files, bytes and, by the slope, times."""
    last = points[-1]
    each = last["bytes"] / last["rows"]
    verify, merge = (at_rows(points, stage, rows) for stage in ("verify", "merge"))
    # To resume is to verify, and to see where the whole plan stands, however many rows there are.
    more = [point["resume"]["cpu_seconds"] - point["verify"]["cpu_seconds"] for point in points]
    resume = {"cpu_seconds": round(verify["cpu_seconds"] + sum(more) / len(more), 1)}
    return {
        "rows": rows,
        "files_in_one_folder": shards,
        "rows_a_file": round(rows / shards),
        "bytes_a_row": round(each, 3),
        "bytes_a_file": round(rows / shards * each),
        "bytes": round(rows * each),
        "list": names["list"],
        "verify": verify,
        "resume": resume,
        "merge": merge,
    }


def feeding(plan: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """What eight GPUs need a second, at the rate that one is expected to have."""
    rate = _GPUS * _GPU_RATE
    return {
        "gpus": _GPUS,
        "networks_a_second_each": _GPU_RATE,
        "hours": round(run["rows"] / rate / 3600, 2),
        "masks_a_second": round(rate / RESTARTS),
        "cores_to_make_masks": round(rate / RESTARTS / plan["canonical_masks_a_second"], 3),
        "rows_a_second": rate,
        "bytes_a_second": round(rate * run["bytes_a_row"]),
        "shards_a_second": round(rate / run["rows_a_file"], 3),
        "cores_to_write": round(rate * run["write"]["microseconds_a_row"] * 1e-6, 3),
        "cores_to_prepare_and_save": round(rate / _HOST_RATE, 1),
    }


def scale_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    space: int = SPACE,
    measure: Callable[..., dict[str, Any]] = in_own_process,
) -> dict[str, Any]:
    """``count`` rows, written and read; the figures, and what they say of all rows."""
    figures = measure(planned, space)
    say(f"plan: {figures}")
    plan = plan_of(space)
    result: dict[str, Any] = {"plan": figures}
    for name, layout in layouts(plan, count).items():
        store, points = RunStore.open(folder / name, plan.identity()), []
        writing = {"seconds": 0.0, "cpu_seconds": 0.0}
        for part in PARTS:
            rows = sum(map(plan.started, layout.shards)) if part == 1 else int(part * count)
            new = written(plan, store, layout, rows)
            writing = {unit: writing[unit] + new[unit] for unit in writing}
            found = measure(used, space, store.root)
            points.append({**found, "bytes": folder_bytes(store.root)})
            say(f"{name}: {points[-1]}")
        shards = figures[f"shards_of_a_{name}"]
        names = measure(listed, folder / f"names-{name}", shards)
        run = extrapolated(points, figures["runs"], shards, names)
        each = writing["cpu_seconds"] / points[-1]["rows"]
        run["write"] = {
            "microseconds_a_row": round(each * 1e6, 4),
            "cpu_seconds": round(each * run["rows"], 1),
        }
        result[name] = {"measured": points, "writing": writing, "all_rows": run}
    last = [result[name]["measured"][-1] for name in ("cpu", "gpu")]
    assert last[0]["digest"] == last[1]["digest"] and last[0]["rows"] == last[1]["rows"] >= count
    result["eight_gpus"] = feeding(figures, result["gpu"]["all_rows"])
    return result


if __name__ == "__main__":
    soak(__file__, 10_000_000, scale_soak)

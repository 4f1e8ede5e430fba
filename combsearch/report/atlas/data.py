"""What a run has found for every mask of one shape, read from its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.canonical import orbit_sizes
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.search.level_results import best_run
from combsearch.search.mask_plan import MaskPlan, Segment
from combsearch.search.results import ok_rows, successes
from combsearch.search.saved_plan import KINDS, saved_plan
from combsearch.search.tally import tally_of
from combsearch.store import RunStore, Shard

MOST_MASKS = 60_000
"""Masks that a page shows; more are no map to look at any more."""

MOST_NETWORKS = 400
"""Networks that are kept of a level, and of a map."""

_COLUMNS = ["rank", "nonzeros", "cell", "restart", "accuracy", "status", "shape", "parameters"]
_NEAREST = 12  # shapes that a message names


@dataclass(frozen=True, eq=False)
class Results:
    """What is known of masks: arrays [mask].

    Attributes:
        trained: their rows are saved. Such a mask may still be without runs: a race can give
            all of them up.
        runs: that were trained to the end.
        successes: of them, those that reached the target.
        best: accuracy of the best that did not diverge; NaN when there is none.
    """

    trained: npt.NDArray[np.bool_]
    runs: npt.NDArray[np.int64]
    successes: npt.NDArray[np.int64]
    best: npt.NDArray[np.float64]

    @classmethod
    def empty(cls, masks: int) -> Results:
        """Nothing is known."""
        counts = np.zeros((2, masks), np.int64)
        return cls(np.zeros(masks, np.bool_), counts[0], counts[1], np.full(masks, np.nan))

    def part(self, first: int, last: int) -> Results:
        """Of masks ``first`` to ``last - 1``, to read and to write."""
        own = slice(first, last)
        return Results(self.trained[own], self.runs[own], self.successes[own], self.best[own])


@dataclass(frozen=True, eq=False)
class Atlas:
    """All masks of one shape, in the order of their ranks.

    Attributes:
        plan: of the run.
        shape: of the masks.
        segments: levels that are shown, ascending.
        beyond: levels after these that the run has not reached and that would be too many.
        masks: of all segments.
        results: what came of them.
        networks: rows that hold parameters, one a mask and the best of it; first the best of
            each level, then successes, then others, of all levels in turns.
    """

    plan: MaskPlan
    shape: NetShape
    segments: tuple[Segment, ...]
    beyond: tuple[Segment, ...]
    masks: MaskBatch
    results: Results
    networks: pa.Table

    def sizes(self) -> list[int] | None:
        """How many masks each stands for; None where the run trained all of them apart."""
        return orbit_sizes(self.masks) if self.plan.symmetry == "full" else None

    def place(self, rank: int) -> int:
        """Of a rank of the run: which of ``masks`` it is."""
        start = 0
        for segment in self.segments:
            if segment.rank <= rank < segment.rank + segment.masks:
                return start + rank - segment.rank
            start += segment.masks
        raise ValueError(f"rank {rank} is of another shape")


def read_atlas(store: RunStore, shape: str) -> Atlas:
    """All masks of a shape, with what ``store`` holds of them.

    Args:
        store: a run of phase two or exhaust.
        shape: hidden widths; empty for the run's, or for that of its best network.

    Raises:
        UsageError: it is another run, does not train that shape, holds no mask of it yet, or
            there are too many for a page.
        CorruptDataError: a shard is damaged.
    """
    if store.identity.get("command") not in KINDS:
        raise UsageError(
            f"{store.root} is a run of {store.identity.get('command')}; an atlas shows the masks"
            f" that {' or '.join(KINDS)} trained: leave out --atlas, or name such a run"
        )
    plan = saved_plan(store)
    wanted = _shape(plan, store, shape)
    own = [segment for segment in plan.segments if segment.shape == wanted]
    shown, beyond = _fitting(store, own)
    ends = np.cumsum([0, *(segment.masks for segment in shown)]).tolist()
    results = Results.empty(ends[-1])
    held = [
        _level(store, plan.config.target, segment, results.part(first, last))
        for segment, (first, last) in zip(shown, itertools.pairwise(ends), strict=True)
    ]
    words = [plan.piece_masks(s, range(s.rank, s.rank + s.masks)).words for s in shown]
    return Atlas(
        plan, wanted, shown, beyond, MaskBatch(wanted, np.concatenate(words)), results,
        _in_turns(held, plan.config.target),
    )  # fmt: skip


def _shape(plan: MaskPlan, store: RunStore, text: str) -> NetShape:
    """The shape that ``text`` names, or the run's."""
    first = plan.segments[0].shape
    there = sorted({segment.shape for segment in plan.segments}, key=lambda shape: shape.widths)
    if text:
        wanted = NetShape.parse(text, first.inputs, first.outputs)
        if wanted not in there:
            raise UsageError(
                f"{store.root} trains no masks of shape ({wanted}); {_named(there, wanted)}"
            )
        return wanted
    if len(there) == 1:
        return first
    row = best_run(tally_of(plan, store, plan.masks, digested=False).best, plan.config.target)
    if row is None:
        raise UsageError(
            f"{store.root} holds no network yet that would choose one of its {len(there)} shapes:"
            f" name it, such as --atlas {there[-1]}"
        )
    return NetShape(tuple(map(int, row["shape"].split(","))))


def _named(shapes: Sequence[NetShape], wanted: NetShape) -> str:
    """Which there are; of many those that are most alike."""

    def far(shape: NetShape) -> int:
        pairs = itertools.zip_longest(shape.hidden, wanted.hidden, fillvalue=0)
        return sum(abs(a - b) for a, b in pairs)

    near = sorted(sorted(shapes, key=far)[:_NEAREST], key=lambda shape: shape.widths)
    names = ", ".join(f"({shape})" for shape in near)
    if len(near) == len(shapes):
        return f"there {'is' if len(near) == 1 else 'are'} {names}"
    return f"there are {len(shapes)} shapes, near it {names}"


def _fitting(
    store: RunStore, segments: Sequence[Segment]
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """(levels to show, levels to leave out): all, or those that the run has reached."""
    saved = store.saved()
    reached = max((n + 1 for n, s in enumerate(segments) if _touched(s, saved)), default=0)
    if not reached:
        raise UsageError(
            f"{store.root} holds no finished mask of shape ({segments[0].shape}) yet: there is"
            " nothing to show"
        )
    shown = len(segments) if sum(s.masks for s in segments) <= MOST_MASKS else reached
    masks = sum(s.masks for s in segments[:shown])
    if masks > MOST_MASKS:
        raise UsageError(
            f"shape ({segments[0].shape}) has {masks:,} masks up to the last level that"
            f" {store.root} has reached, and an atlas shows at most {MOST_MASKS:,}"
        )
    return tuple(segments[:shown]), tuple(segments[shown:])


def _touched(segment: Segment, saved: Iterable[Shard]) -> bool:
    end = segment.rank + segment.masks
    return any(one.first < end and segment.rank < one.last for one in saved)


def _level(store: RunStore, target: float, segment: Segment, out: Results) -> pa.Table:
    """Enter a level's rows into ``out``, table by table; the best rows that hold parameters."""
    first, last = segment.rank, segment.rank + segment.masks
    pieces = store.pieces(_COLUMNS, first, last)
    for saved in pieces.ranges:
        out.trained[max(saved.first, first) - first : min(saved.last, last) - first] = True
    held: list[pa.Table] = []
    for rows in pieces:
        place = rows["rank"].to_numpy() - first
        sound = ok_rows(rows)
        out.runs[:] += np.bincount(place, minlength=segment.masks)
        good = place[successes(rows, target)]
        out.successes[:] += np.bincount(good, minlength=segment.masks)
        np.fmax.at(out.best, place[sound], rows["accuracy"].to_numpy()[sound])
        held = [_best_held(pa.concat_tables([*held, rows.filter(_kept(rows, sound))]))]
    return held[0] if held else store.read(_COLUMNS, first, first)


def _kept(rows: pa.Table, sound: npt.NDArray[np.bool_]) -> pa.ChunkedArray:
    return pc.and_(pc.is_valid(rows["parameters"]), pa.array(sound))


def _best_held(held: pa.Table) -> pa.Table:
    """The best row of each mask, the first of equals; of many masks the best ones. Best first."""
    accuracy, rank = held["accuracy"].to_numpy(), held["rank"].to_numpy()
    order = np.lexsort((-accuracy, rank))
    best = order[np.unique(rank[order], return_index=True)[1]]
    best = best[np.argsort(-accuracy[best], kind="stable")][:MOST_NETWORKS]
    return held.take(pa.array(best))


def _in_turns(levels: Sequence[pa.Table], target: float) -> pa.Table:
    """Those that a page carries, in the order that ``Atlas`` states."""
    rows = pa.concat_tables(levels)
    turn = np.concatenate([np.arange(len(level)) for level in levels])
    failed = rows["accuracy"].to_numpy() < target
    order = np.lexsort((rows["nonzeros"].to_numpy(), turn, failed & (turn > 0), turn > 0))
    return rows.take(pa.array(order[:MOST_NETWORKS]))

"""Phase two from the published initialisations: the fewest nonzeros that still train from them.

Every mask is trained from the published weights themselves. Two ways to choose the masks:

* upwards: all row-sorted masks of a small shape (``none``: every mask, since relabelled ones
  train apart from fixed weights), in increasing nonzeros, to the first level with a success
  and one beyond;
* downwards, for spaces too large for that: from the dense mask take one weight away at a
  time; the best masks of a level, a beam of them judged by the accuracy they reach from the
  published weights, are those that the next level is made from. That finds networks and
  excludes none.

    python results/initialisations/phase2.py
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from published import HERE, TARGETS, alive_masks, from_published, matrices, spiral, train, write

from combsearch.config import CELLS
from combsearch.enumeration import mask_space
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import NetBatch
from combsearch.saved_network import save_network
from combsearch.search.certify import certify

SEED, PATIENCE = 202, 2
QUICK = ("0.05:cosine", "0.05:step", "0.1:cosine", "0.1:step")
# (initialisation, shape, beam)
DOWNWARDS = (
    ("bench-995", "6,2,2", 12),
    ("bench-995", "6,3,2", 12),
    ("bench-95", "3,3,2", 12),
    ("bench-95", "4,2,2", 12),
    ("bench-95", "3,3,3", 12),
    ("bench-995", "7,3,2", 12),
    ("bench-995", "6,2,2", 48),
)
# (initialisation, shape, masks, orders, last level): to the first success and one beyond.
UPWARDS = (
    ("bench-95", "3,2,2", "rows", 4, 26),
    ("bench-95", "3,3,2", "rows", 1, 24),
    ("bench-95", "3,3,3", "rows", 1, 25),
    ("bench-95", "4,2,2", "rows", 1, 24),
    ("bench-95", "3,2,2", "none", 1, 25),
)
MOST = 40000  # runs trained at once


class Lowest:
    """The success with the fewest nonzeros from one initialisation, and its network."""

    def __init__(self, name: str) -> None:
        self.name, self.target = name, TARGETS[name]
        self.found: dict[str, object] | None = None
        self.nets: NetBatch | None = None

    def note(self, nonzeros: int, accuracy: float, fact: dict[str, object], net: NetBatch) -> None:
        """Keep it if it is a success with fewer nonzeros, or as many and more accurate."""
        worse = self.found and (self.found["nonzeros"], -self.found["accuracy"]) <= (  # type: ignore[operator]
            nonzeros,
            -accuracy,
        )
        if accuracy >= self.target and not worse:
            self.found = {"nonzeros": nonzeros, "accuracy": accuracy} | fact
            self.nets = net


def level(
    lowest: Lowest, masks: MaskBatch, cells: Sequence[str], orders: range
) -> tuple[npt.NDArray[np.float64], dict[str, object]]:
    """The best accuracy of every mask, float64 [mask] (0 for dead ones), and the level's row."""
    lively = np.flatnonzero(alive_masks(lowest.name, masks))
    best = np.zeros(len(masks))
    good = np.zeros(len(masks), np.int64)
    nonzeros = int(masks.nonzeros()[0])
    step = MOST // len(cells)
    for order in orders:
        for part in (lively[i : i + step] for i in range(0, len(lively), step)):
            start = from_published(lowest.name, masks[np.repeat(part, len(cells))])
            nets, scores, sound = train(start, list(cells) * len(part), SEED, order)
            table = np.where(sound, scores.accuracy, 0).reshape(len(part), len(cells))
            best[part] = np.maximum(best[part], table.max(axis=1))
            good[part] += (table >= lowest.target).sum(axis=1)
            place, cell = np.unravel_index(int(table.argmax()), table.shape)
            fact = {"shape": str(masks.shape), "mask": matrices(masks, int(part[place]))}
            fact |= {"cell": cells[cell], "order": order}
            top = int(table.argmax())
            lowest.note(nonzeros, float(table.max()), fact, nets[top : top + 1])
    row = {"nonzeros": nonzeros, "masks": len(masks), "alive": len(lively)}
    row |= {"runs": len(masks) * len(cells) * len(orders), "successes": int(good.sum())}
    row |= {"successful_masks": int((good > 0).sum()), "best_accuracy": float(best.max())}
    return best, row


def upwards(lowest: Lowest, text: str, symmetry: str, orders: int, last: int) -> dict[str, object]:
    """All masks, level by level."""
    shape = NetShape.parse(text)
    space, rows, first = mask_space(shape, symmetry), [], None
    for nonzeros, count in space.levels().items():
        if nonzeros > last or (first is not None and nonzeros > first + 1):
            break
        start = space.level_start(nonzeros)
        _, row = level(lowest, space.masks(start, start + count), CELLS, range(orders))
        rows.append(row)
        if row["successes"] and first is None:
            first = nonzeros
        print(lowest.name, text, row, flush=True)
    report = {"init": lowest.name, "shape": text, "target": lowest.target, "orders": orders}
    report |= {"symmetry": symmetry}
    return report | {"cells": CELLS, "first_level": first, "levels": rows}


def downwards(lowest: Lowest, text: str, beam: int) -> dict[str, object]:
    """The walk down from the dense mask; ends ``PATIENCE`` levels after the last success."""
    shape = NetShape.parse(text)
    masks, rows, last = MaskBatch.dense_of(shape), [], shape.dense_nonzeros
    while len(masks):
        nonzeros = int(masks.nonzeros()[0])
        order = 1000 + nonzeros  # each level another, none of them of the search upwards
        best, row = level(lowest, masks, QUICK, range(order, order + 1))
        rows.append(row)
        if row["successes"]:
            last = nonzeros
        print(lowest.name, text, "down", row, flush=True)
        if last - nonzeros > PATIENCE:
            break
        masks = children(masks[np.argsort(-best, kind="stable")[:beam]])
    won = [row["nonzeros"] for row in rows if row["successes"]]
    report = {"init": lowest.name, "shape": text, "target": lowest.target, "beam": beam}
    return report | {"cells": QUICK, "lowest": min(won, default=None), "levels": rows}  # type: ignore[type-var]


def children(masks: MaskBatch) -> MaskBatch:
    """The eligible masks with one weight less than one of these, each once."""
    found = []
    dense = masks.dense()
    for layer, array in enumerate(dense):
        for index, row, col in np.argwhere(array):
            parts = [a[index : index + 1].copy() for a in dense]
            parts[layer][0, row, col] = 0
            found.append(MaskBatch.from_dense(masks.shape, parts).words)
    unique = np.unique(np.concatenate(found), axis=0)
    batch = MaskBatch(masks.shape, unique)
    return batch[batch.eligible()]


def certified(lowest: Lowest) -> dict[str, object]:
    """Save the network, and what plain PyTorch says of it."""
    assert lowest.nets is not None and lowest.found is not None
    path = HERE / f"best-{lowest.name}.npz"
    save_network(path, lowest.nets)
    checked, points = certify(path, spiral()), spiral().points
    found = {"file": path.name, "effective_nonzeros": checked.effective_nonzeros}
    found |= {"pytorch_float32": checked.correct_float32 / points}
    return lowest.found | found | {"pytorch_float64": checked.correct_float64 / points}


def main() -> None:
    """Train, and write phase2.json and the best networks beside this file."""
    started = time.process_time()
    best = {name: Lowest(name) for name in TARGETS}
    reports: dict[str, list[dict[str, object]]] = {"upwards": [], "downwards": []}
    for name, text, beam in DOWNWARDS:
        reports["downwards"].append(downwards(best[name], text, beam))
        save(best, reports, started)
    for name, text, symmetry, orders, last in UPWARDS:
        reports["upwards"].append(upwards(best[name], text, symmetry, orders, last))
        save(best, reports, started)


def save(
    best: dict[str, Lowest], reports: dict[str, list[dict[str, object]]], started: float
) -> None:
    """What there is so far."""
    found = {name: certified(lowest) for name, lowest in best.items() if lowest.nets}
    seconds = round(time.process_time() - started, 1)
    write("phase2", {"seconds": seconds, "lowest": found} | reports)


if __name__ == "__main__":
    main()

"""Does success depend only on the signs of the initial weights (the paper's appendix E)?

For each pair of a published initialisation and a mask that succeeds from it: how often do
runs reach the target from

* ``published``: the very weights,
* ``signs``: the published signs, magnitudes drawn afresh from the same distribution,
* ``magnitudes``: the published magnitudes, signs drawn afresh,
* ``weight signs``: the published signs of the weights alone, all else drawn afresh,
* ``fresh``: everything drawn afresh,

each run of ``published`` with other minibatches, and each run of the others with other
draws too. If only the signs counted, ``signs`` would succeed as often as ``published``. The cell
of a pair is the best of a pilot, the orders of which are not used again.

    python results/initialisations/signs.py          # reads phase1.json and phase2.json
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from published import HERE, TARGETS, WIDTH, block, from_published, train, with_params, write
from scipy.stats import fisher_exact

from combsearch.config import CELLS
from combsearch.frontier import success_interval
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys

ORDERS, PILOT, SEED = 512, 16, 303
# Runs of each arm an order; together they fill the 16 lanes of a call.
ARMS = {"published": 1, "signs": 4, "magnitudes": 3, "weight signs": 4, "fresh": 4}
LARGER = {
    "bench-95": [("3,3,3", "the paper's shape from random weights, dense", CELLS[1])],
    "bench-995": [
        ("6,3,2", "the paper's shape from this initialisation, dense", CELLS[1]),
        ("7,3,2", "a larger shape, dense", CELLS[1]),
    ],
}
TESTS = (
    ("published", "signs"),
    ("signs", "fresh"),
    ("magnitudes", "fresh"),
    ("weight signs", "signs"),
    ("weight signs", "fresh"),
)


@dataclass
class Pair:
    """An initialisation and a mask, its cell, and the successes of each order.

    ``cell`` is at first the one in which the search had its best run.
    """

    init: str
    what: str
    mask: MaskBatch
    cell: str
    pilot: dict[str, int] = field(default_factory=dict)
    good: dict[str, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    accuracy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ARMS, 0.0))


def pairs() -> list[Pair]:
    """Of each initialisation: the dense shape of phase one, the lowest mask, larger shapes."""
    phase1 = json.loads((HERE / "phase1.json").read_text())
    phase2 = json.loads((HERE / "phase2.json").read_text())
    found = []
    for name in TARGETS:
        good = [row for row in phase1[name]["shapes"] if row["successes"]]
        first = min(good, key=lambda row: (row["nonzeros"], -row["successes"]))
        own = (first["shape"], "phase one's shape, dense", first["cell"])
        for text, what, cell in (own, *LARGER[name]):
            found.append(Pair(name, what, MaskBatch.dense_of(NetShape.parse(text)), cell))
        low = phase2["lowest"][name]
        layers = [np.array(layer)[None] for layer in low["mask"]]
        mask = MaskBatch.from_dense(NetShape.parse(low["shape"]), layers)
        if mask.keys()[0] not in [pair.mask.keys()[0] for pair in found]:
            found.append(Pair(name, "phase two's lowest mask", mask, low["cell"]))
    return found


def starts(pair: Pair, order: int) -> tuple[list[str], NetBatch]:
    """The arm of every network, and the networks at their start."""
    arms = [arm for arm, runs in ARMS.items() for _ in range(runs)]
    names = [f"{pair.init} {arm}" for arm in arms]
    draws = order * len(arms) + np.arange(len(arms))
    masks = pair.mask[np.zeros(len(arms), np.intp)]
    keys = RunKeys.make(SEED, masks.keys(), names, draws)
    nets = NetBatch.create(MLP(masks.shape, WIDTH), keys, masks)
    own = block(pair.init, pair.mask)
    mixed = {name: mix(arms, name, own[name], fresh) for name, fresh in nets.params.items()}
    return arms, with_params(nets, mixed)


def mix(
    arms: list[str], name: str, own: npt.NDArray[np.float32], fresh: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Initial values of one parameter, by arm: float32 [net, ...]; ``own`` is [1, ...]."""
    out = fresh.copy()
    for i, arm in enumerate(arms):
        if arm == "published":
            out[i] = own[0]
        elif arm == "signs" or (arm == "weight signs" and name.startswith("weight")):
            out[i] = np.copysign(fresh[i], own[0])
        elif arm == "magnitudes":
            out[i] = np.copysign(own[0], fresh[i])
    return out


def choose_cells(found: list[Pair]) -> None:
    """The cell of each pair: the most successes in the pilot; as it was if there are none."""
    totals = {id(pair): np.zeros((2, len(CELLS))) for pair in found}
    for order in range(PILOT):
        for pair in found:
            masks = pair.mask[np.zeros(len(CELLS), np.intp)]
            _, scores, sound = train(from_published(pair.init, masks), CELLS, SEED, 10**6 + order)
            totals[id(pair)][0] += (scores.accuracy >= TARGETS[pair.init]) & sound
            totals[id(pair)][1] += scores.accuracy
    for pair in found:
        good, mean = totals[id(pair)]
        pair.pilot = {cell: int(count) for cell, count in zip(CELLS, good, strict=True)}
        if good.any():
            pair.cell = CELLS[max(range(len(CELLS)), key=lambda c: (good[c], mean[c]))]
        print(pair.init, pair.what, pair.mask.shape, pair.cell, good, flush=True)


def run(pair: Pair, order: int) -> None:
    """Train all arms with the minibatches of one order; adds the successes to the pair."""
    arms, nets = starts(pair, order)
    _, scores, sound = train(nets, [pair.cell] * len(nets), SEED, order)
    good = (scores.accuracy >= TARGETS[pair.init]) & sound
    for arm in ARMS:
        mine = np.array([a == arm for a in arms])
        pair.good[arm].append(int(good[mine].sum()))
        best = float(np.where(sound, scores.accuracy, 0)[mine].max())
        pair.accuracy[arm] = max(pair.accuracy[arm], best)


def summary(pair: Pair) -> dict[str, Any]:
    """Shares with 95% intervals, and Fisher's exact test (two-sided) of pairs of arms."""
    arms, counts = {}, {}
    for arm, per_order in ARMS.items():
        good, runs = sum(pair.good[arm]), per_order * len(pair.good[arm])
        low, high = success_interval(good, runs)
        counts[arm] = [good, runs - good]
        arms[arm] = {"runs": runs, "successes": good, "share": good / runs}
        arms[arm] |= {"interval": [low, high], "best_accuracy": pair.accuracy[arm]}
        arms[arm] |= {"dispersion": dispersion(pair.good[arm], per_order)}
    tests = {f"{a} against {b}": fisher_exact([counts[a], counts[b]])[1] for a, b in TESTS}
    report = {"init": pair.init, "what": pair.what, "shape": str(pair.mask.shape)}
    report |= {"nonzeros": int(pair.mask.nonzeros()[0]), "cell": pair.cell}
    report |= {"pilot_successes": pair.pilot, "pilot_orders": PILOT}
    mask = [layer[0].tolist() for layer in pair.mask.dense()]
    return report | {"target": TARGETS[pair.init], "mask": mask, "arms": arms, "p_values": tests}


def dispersion(good: list[int], runs: int) -> float | None:
    """Variance of an order's successes over the binomial one: 1 if its runs are independent."""
    share = sum(good) / (runs * len(good))
    if runs < 2 or share in (0, 1):
        return None
    return float(np.var(good, ddof=1) / (runs * share * (1 - share)))


def main() -> None:
    """Train, and write signs.json beside this file."""
    started = time.process_time()
    found = pairs()
    choose_cells(found)
    for order in range(ORDERS):
        for pair in found:
            run(pair, order)
        if (order + 1) % 64 == 0:
            print(order + 1, [{a: sum(g) for a, g in p.good.items()} for p in found], flush=True)
            write(
                "signs",
                {"orders": order + 1, "seconds": round(time.process_time() - started, 1)}
                | {"pairs": [summary(pair) for pair in found]},
            )


if __name__ == "__main__":
    main()

"""Do restarts that share minibatches succeed independently? Successes by mask and pool of a run.

    python results/dispersion.py results/race-loss-3x2x2 0.95

Prints successes of each mask, and the variance of the pools' successes over the binomial one.
"""

from __future__ import annotations

import sys

import numpy as np

from combsearch.search.mask_plan import POOL
from combsearch.search.results import successes
from combsearch.store import RunStore


def main(folder: str, target: float) -> None:
    """See the module."""
    rows = RunStore.attach(folder).read()
    good = successes(rows, target)
    rank, pool = rows["rank"].to_numpy(), rows["restart"].to_numpy() // POOL
    squares, freedom = 0.0, 0
    for one in np.unique(rank):
        runs, wins = (np.bincount(pool[own]) for own in (rank == one, good & (rank == one)))
        wins = np.resize(np.append(wins, np.zeros(len(runs))), len(runs))
        share = wins.sum() / runs.sum()
        nonzeros = rows["nonzeros"][int(np.argmax(rank == one))].as_py()
        print(f"rank {one}, {nonzeros} nonzeros: {int(wins.sum())} of {runs.sum()} runs")
        if share:
            squares += float(((wins - share * runs) ** 2 / (share * (1 - share) * runs)).sum())
            freedom += len(runs) - 1
    if freedom:
        print(f"variance of pools over binomial: {squares / freedom:.3f} ({freedom} degrees)")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))

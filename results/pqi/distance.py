"""Does the PQ index see how far a network is from the sparsest one? Numbers for README.md.

    python results/pqi/distance.py results/pqi/spiral-16.parquet results/pqi/spiral-8.parquet

Every row is a network of the Cubist Spiral while it is pruned. Its distance is the logarithm of
its nonzeros over those of the sparsest network trained for the same target (25 at 95%, 36 at
99.5%). SAP's bound r, as a share of the weights, times the nonzeros is what the index says must
stay. Prints Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from combsearch.studies.pqi.published import published
from combsearch.studies.pqi.table import method_name

PAIR = "0.5:1"
BOUNDS = {0.95: 25, 0.995: 36}


def networks(path: Path) -> dict[str, np.ndarray]:
    """Columns of all rows of a file."""
    config, rows = published(path)
    pair = config.grid.index(PAIR)
    found = {name: rows[name].to_numpy() for name in ("nonzeros", "accuracy", "kept", "round")}
    found["pqi"] = np.array(rows["pqi"].to_pylist())[:, pair]
    stays = np.array(rows["retain"].to_pylist())[:, pair] / np.maximum(found["kept"], 1)
    found["stays"] = stays * found["nonzeros"]
    found["method"] = np.array([method_name(row) for row in rows.to_pylist()])
    found["width"] = np.full(len(rows), int(config.network.partition(",")[0]))
    return found


def main(files: list[str]) -> None:
    """Print the tables."""
    parts = [networks(Path(file)) for file in files]
    every = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    print(
        "| target | method | networks | nonzeros over bound | what the index says over bound |"
        " rank correlation of index and distance | the same by width |"
    )
    print("|---|---|---|---|---|---|---|")
    for target, bound in BOUNDS.items():
        for method in dict.fromkeys(every["method"]):
            own = (every["accuracy"] >= target) & (every["method"] == method)
            print(line(target, method, bound, {n: a[own] for n, a in every.items()}))
    print()
    print("| nonzeros | width | networks at 95% | PQ index, mean ± sd | says must stay |")
    print("|---|---|---|---|---|")
    for low, high in ((60, 90), (90, 130), (130, 180), (180, 225), (225, 350), (350, 610)):
        for width in np.unique(every["width"]):
            own = (every["accuracy"] >= 0.95) & (every["width"] == width)
            own &= (every["nonzeros"] >= low) & (every["nonzeros"] < high)
            if own.sum() > 1:
                pqi, stays = every["pqi"][own], every["stays"][own]
                print(
                    f"| {low} to {high - 1} | {width} | {own.sum()} |"
                    f" {pqi.mean():.3f} ± {pqi.std(ddof=1):.3f} | {stays.mean():.0f} |"
                )


def line(target: float, method: str, bound: int, own: dict[str, np.ndarray]) -> str:
    """A row of the first table."""
    distance = np.log(own["nonzeros"] / bound)
    whole = stats.spearmanr(own["pqi"], distance).statistic
    within = [
        stats.spearmanr(own["pqi"][own["width"] == w], distance[own["width"] == w]).statistic
        for w in np.unique(own["width"])
        if (own["width"] == w).sum() > 10
    ]
    shown = ", ".join(f"{value:.2f}" for value in within)
    ratio, says = own["nonzeros"] / bound, own["stays"] / bound
    spread = f"{np.median(says):.1f} ({says.min():.1f} to {says.max():.1f})"
    cells = [
        f"{100 * target:g}%",
        method,
        f"{len(distance)}",
        f"{ratio.min():.1f} to {ratio.max():.1f}",
        spread,
        f"{whole:.2f}",
        shown,
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])

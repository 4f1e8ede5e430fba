"""Every figure that there is, of small made-up rows, into a folder: a program of its own.

python tests/draw_all_figures.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import draw_dctps_rows
import draw_pqi_rows
import pyarrow as pa
from test_comparison import ring_net, run_of, table_of
from test_draw_dctps import allocation
from test_draw_dctps import report as bench_report
from test_plots import rings, with_networks
from test_plots_bound import FOUR
from test_plots_dimension import some_rows as dimension_rows
from test_plots_dimension import some_sizes

from combsearch.commands import compare_figures, figures, prune_figures
from combsearch.commands.study_disconnection import draw_curves as draw_disconnection
from combsearch.comparison import SearchRun, groups
from combsearch.comparison.tries import PruneRun
from combsearch.figure_formats import FIGURE_FORMATS
from combsearch.frontier import KEPT, Found
from combsearch.plots.draw_dctps import draw_dctps
from combsearch.plots.draw_dctps_allocation import draw_allocations
from combsearch.plots.draw_dctps_bench import draw_dctps_bench
from combsearch.plots.draw_dctps_spiral import Series, spiral_figure
from combsearch.plots.draw_dimension import draw_curves, draw_prunability, draw_true_size
from combsearch.plots.draw_pqi import draw_against_bound, draw_pqi
from combsearch.plots.pqi_curves import PAPER
from combsearch.plots.style import save
from combsearch.studies import random_masks
from combsearch.studies.dimensionality.matching import table_records

Draw = Callable[[Path, str], object]
BOUNDS = {0.95: (25, 22), 0.995: (36, 29)}


def of_runs() -> Iterator[Draw]:
    """Those of searches and sweeps."""
    task, nets = rings(100), with_networks(((2, 1, 1, 1), 0.5), ((2, 2, 2, 1), 0.7))
    yield lambda folder, kind: figures.draw_run(nets, task, 0.6, folder / "phase1", kind)
    best = {"accuracy": 0.96}
    masks = {"task": "rings", "space": "shape (2,2)", "target": 0.95, "levels": FOUR, "best": best}
    yield lambda folder, kind: figures.draw_masks(nets, None, masks, None, folder, kind)
    descent = {"shape": [2, 2, 2, 1], "joint": False, "frontier": {"9": 0.6, "13": 0.97}}
    descend = {"by_shape": [descent], "best": best}
    yield lambda folder, kind: figures.draw_descent(None, descend, ring_net(), folder, kind)
    yield lambda folder, kind: prune_figures.draw_sweep(sweep(), folder / "sweep", kind)


def sweep() -> pa.Table:
    """Two runs of a pruner, one of them with its network."""
    return table_of([run_of("gmp", 0.97, 40), run_of("gmp", 0.9, 35)], {0: ring_net()})


def of_comparisons() -> Iterator[Draw]:
    """Those of a comparison."""
    task = rings(100)
    found = groups([PruneRun("runs/a", sweep(), 0, "", {}, {}, "", "fused", 1)])
    search = SearchRun("runs/b", "phase2", "", 9, KEPT, (Found(30, 0.96, (2, 3, 3, 3, 1)),))
    said = {"targets": [0.95]}
    yield lambda folder, kind: compare_figures.draw_comparison(
        folder / "compare", said, found, [search], task, kind
    )


def of_studies() -> Iterator[Draw]:
    """Those of the side studies."""
    grid, layers = draw_pqi_rows.GRID[:1], draw_pqi_rows.LAYERS
    small: dict[str, Any] = {"scopes": ("global",), "seeds": 2, "rounds": 3, "grid": grid}
    pqi = draw_pqi_rows.table(draw_pqi_rows.some_rows(PAPER[:1], **small))
    yield lambda folder, kind: draw_pqi(pqi, folder / "pqi", grid, layers, kind)
    limits = {"95%": (25.0, 22.0)}
    yield lambda folder, kind: draw_against_bound({"(4,4)": pqi}, limits, folder, grid, suffix=kind)
    rows = draw_dctps_rows.some_rows(("dctps+epl", "epl"), (5.0, 1.0), seeds=2)
    dctps = draw_dctps_rows.table(rows)
    yield lambda folder, kind: draw_dctps(dctps, folder / "dctps", kind)
    few = [allocation("synflow", name) for name in ("vgg19", "resnet50")]
    yield lambda folder, kind: draw_allocations(few, folder, kind)
    yield lambda folder, kind: draw_dctps_bench(bench_report(), folder, kind)
    lines = [{"parameters": n, "best": 0.8 + n / 100, "median": 0.7} for n in (5, 9, 14)]
    series: list[Any] = [Series("3,3,3", search, True, lines) for search in (True, False)]
    yield lambda folder, kind: save(
        spiral_figure(series, BOUNDS, (0.95,)), folder / f"spiral.{kind}"
    )
    imp = pa.Table.from_pylist(dimension_rows(("16",), (16, 32), seeds=2, rounds=4))
    records = {"extrinsic": {0.0: table_records(imp)}}
    yield lambda folder, kind: draw_curves(imp, "extrinsic", 0.005, folder / f"curves.{kind}")
    yield lambda folder, kind: draw_prunability(records, None, folder / f"prunability.{kind}")
    yield lambda folder, kind: draw_true_size(some_sizes(), folder / f"sizes.{kind}")
    apart = random_masks.apart_curves((3, 5))
    whole = [{"allocation": "epl", "drawn": "EPL", "width": 3, "kept": [15, 20],
              "whole": [0.1, 0.4], "bound": [0.3, 0.8], "disconnected": [6.0, 4.0],
              "simulated": []}]  # fmt: skip
    report = {"curves": whole, "two_layers": apart}
    yield lambda folder, kind: draw_disconnection(report, folder, kind)


def draw_all(folder: Path) -> None:
    """In every format."""
    for draw in (*of_runs(), *of_comparisons(), *of_studies()):
        for kind in FIGURE_FORMATS:
            draw(folder, kind)


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))

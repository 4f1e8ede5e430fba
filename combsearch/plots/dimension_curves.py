"""Test accuracy against weights left, by dimension of the data (the paper's figures 1 to 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from combsearch.errors import UsageError
from combsearch.numerals import count
from combsearch.plots.dimension_axes import (
    Experiment,
    error_axis,
    experiment_named,
    figure_width,
    heading_lines,
    points,
    sequence_looks,
    width_label,
    write_lines,
)
from combsearch.plots.methods import Look
from combsearch.plots.pqi_axes import share_axis
from combsearch.plots.pqi_panels import ROW, Frames, draw_mean, key_rows, write_key
from combsearch.plots.style import styled
from combsearch.studies.dimensionality.matching import (
    Rows,
    Run,
    checked_tolerance,
    runs_of,
    single_setting,
    width_order,
)
from combsearch.studies.pqi.table import over_seeds

F64 = npt.NDArray[np.float64]

_STRICT, _TOLERANT = 4.6, 6.4  # points: sizes of the marks, so that one shows around the other


@dataclass(frozen=True, eq=False)
class Line:
    """The runs of one width and dimension.

    Attributes:
        runs: one a seed.
        shares, errors: [seed, round], NaN where there is no row or it diverged.
    """

    runs: Sequence[Run]
    shares: F64
    errors: F64

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Line:
        """Lay out ``runs`` by seed and round."""
        length = max(int(run.rounds[-1]) for run in runs) + 1
        shares, errors = np.full((2, len(runs), length), np.nan)
        for seed, run in enumerate(runs):
            there = np.isfinite(run.accuracy)
            shares[seed, run.rounds[there]] = run.shares[there]
            errors[seed, run.rounds[there]] = 1 - run.accuracy[there]
        return cls(runs, shares, errors)

    def matching(self, tolerance: float, least: float) -> tuple[float, float] | None:
        """Mean share of the sparsest matching subnetworks, and the mean error there.

        The latter is read off the line, between rounds by the logarithm of the share, since seeds
        match in different rounds.
        """
        places = [run.sparsest(tolerance) for run in self.runs]
        shares = [
            run.shares[place]
            for run, place in zip(self.runs, places, strict=True)
            if place is not None
        ]
        if not shares:
            return None
        share = float(np.mean(shares))
        x, y = over_seeds(self.shares)[0], over_seeds(np.maximum(self.errors, least))[0]
        x, y = x[np.isfinite(x)][::-1], y[np.isfinite(y)][::-1]
        return share, float(np.exp(np.interp(np.log(share), np.log(x), np.log(y))))


@styled()
def dimension_curves(
    rows: Rows,
    experiment: str,
    tolerance: float = 0.0,
    *,
    rewind: int | None = None,
    cell: str | None = None,
) -> Figure:
    """A panel a width, a line a dimension: mean over seeds, with a band of one deviation.

    A filled mark on a line stands at the mean share of weights left by the sparsest matching
    subnetworks of its seeds; a hollow one at the same with ``tolerance``.

    Args:
        rows: the study's, of one experiment.
        experiment: of ``dimension_axes.EXPERIMENTS``.
        tolerance: in accuracy; 0: no hollow marks.
        rewind, cell: only runs with these.

    Raises:
        UsageError: there is no such experiment or nothing to draw, or see ``table_records``.
    """
    named, tolerance = experiment_named(experiment), checked_tolerance(tolerance)
    panels = _panels(single_setting(runs_of(rows, rewind=rewind, cell=cell)))
    dimensions = sorted({dimension for lines in panels.values() for dimension in lines})
    looks = dict(zip(dimensions, sequence_looks(len(dimensions)), strict=True))
    every = [line for lines in panels.values() for line in lines.values()]
    if not any(np.isfinite(line.errors).any() for line in every):
        raise UsageError("no rows to draw: all diverged")
    figure, frames = _open(named, looks, every, tolerance, len(panels))
    means = np.concatenate([over_seeds(line.errors)[0] for line in every])
    least = error_axis(frames, 1 - means, "test accuracy (log scale of the error)")
    lowest = min(float(np.nanmin(line.shares, initial=1.0)) for line in every)
    for frame, (width, lines) in zip(frames, panels.items(), strict=True):
        frame.set_title(width_label(width), loc="left", pad=3)
        share_axis(frame, lowest)
        for place, (dimension, line) in enumerate(lines.items()):
            _draw(frame, line, looks[dimension], place, least, tolerance)
    return figure


def _panels(runs: Sequence[Run]) -> dict[str, dict[int, Line]]:
    """By width and dimension, both rising."""
    groups: dict[str, dict[int, list[Run]]] = {}
    for run in runs:
        groups.setdefault(run.width, {}).setdefault(run.dimension, []).append(run)
    return {
        width: {dimension: Line.of(own) for dimension, own in sorted(groups[width].items())}
        for width in sorted(groups, key=width_order)
    }


def _open(
    named: Experiment,
    looks: Mapping[int, Look],
    lines: Sequence[Line],
    tolerance: float,
    frames: int,
) -> tuple[Figure, list[Axes]]:
    """The figure with its heading and key, and its frames."""
    width = figure_width(frames)
    head = heading_lines(f"{named.title}, by {named.dimension}: {_seeds(lines)}", width)
    head += heading_lines(_note(tolerance), width)
    labels = [f"{named.sign} {dimension}" for dimension in looks]
    if key_rows(labels, width - 0.2) > 1:
        labels = [str(dimension) for dimension in looks]
    rows = key_rows(labels, width - 0.2)
    top = 0.06 + ROW * (len(head) + rows + 1) + 0.1
    layout = Frames(1, frames, tall=1.9, left=0.62, apart=0.28, foot=0.4)
    figure, [axes] = layout.open(top, width)
    write_lines(figure, head)
    corner = (0.1, figure.get_figheight() - 0.08 - ROW * len(head))
    write_key(figure, list(zip(labels, looks.values(), strict=True)), corner, width - 0.2)
    return figure, axes


def _seeds(lines: Sequence[Line]) -> str:
    """How many seeds the means are of, and what they leave out."""
    counted = np.concatenate([np.isfinite(line.errors).sum(axis=0) for line in lines])
    fewest, most = int(counted[counted > 0].min(initial=99)), int(counted.max())
    seeds = count(most, "seed") if fewest >= most else f"{fewest} to {count(most, 'seed')}"
    lost = sum(int(np.isnan(run.accuracy).sum()) for line in lines for run in line.runs)
    left_out = f", {count(lost, 'diverged round')} left out" if lost else ""
    return f"{'mean ± standard deviation of ' if most > 1 else ''}{seeds}{left_out}"


def _note(tolerance: float) -> str:
    filled = "Filled: sparsest subnetwork as accurate as the dense one"
    return f"{filled}; hollow: {points(tolerance)} less at most" if tolerance else filled


def _draw(axes: Axes, line: Line, look: Look, place: int, least: float, tolerance: float) -> None:
    errors = np.maximum(line.errors, least)
    draw_mean(axes, line.shares, errors, dataclasses.replace(look, marker=""), place)
    for allowed, size, depth in ((tolerance, _TOLERANT, 4), (0.0, _STRICT, 5)):
        at = line.matching(allowed, least)
        if at is None or (allowed == 0) != (size == _STRICT):
            continue
        hollow = {"mfc": "white", "mec": look.colour, "mew": 1.0} if size == _TOLERANT else {}
        axes.plot(
            [at[0]], [at[1]], zorder=depth + place / 100, clip_on=False,
            gid="tolerant" if hollow else "strict", **(look.mark(size) | hollow),
        )  # fmt: skip

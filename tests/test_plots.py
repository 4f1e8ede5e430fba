"""Figures: what they show against plain loops over the rows, and that they read well anywhere."""

from __future__ import annotations

import io
import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import binomtest

from combsearch import plots
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.plots import forward, runs, style
from combsearch.plots import success as success_module
from combsearch.rng import RunKeys
from combsearch.rows import rows_table
from combsearch.tasks import Task

F32: TypeAlias = npt.NDArray[np.float32]
CELLS = tuple(f"{lr}:{name}" for lr in ("0.05", "0.1") for name in ("constant", "cosine", "step"))
POINTS = 49_982


def synthetic(
    width: int, restarts: int, *, most: int = 10**9, diverged: float = 0.002, seed: int = 0
) -> pa.Table:
    """Rows like a phase one's: shapes to ``width``, six cells, wider shapes more accurate."""
    random = np.random.default_rng(seed)
    shapes = [
        NetShape.from_hidden(hidden) for hidden in itertools.product(range(1, width + 1), repeat=3)
    ]
    shapes = [shape for shape in shapes if shape.dense_nonzeros <= most]
    shapes.sort(key=lambda shape: (shape.dense_nonzeros, shape.widths))
    size = (len(shapes), len(CELLS) * restarts)
    # The best a shape can do, as -log10 of the error; bottlenecks bound it.
    room = np.array([min(sum(map(math.log2, s.hidden)), 1.6 * min(s.hidden)) for s in shapes])
    best = 0.3 + 0.45 * room[:, None]
    height = 0.3 + (best - 0.3) * random.beta(1.5, 2.5, size) + random.normal(0, 0.02, size)
    accuracy = 1 - 10 ** -np.maximum(height, 0.3)
    accuracy[random.random(size) < 0.5 * np.exp(-room / 3)[:, None]] = 0.5
    lost = random.random(size) < diverged
    return rows_table(
        rank=np.repeat(np.arange(size[0]), size[1]),
        shape=np.repeat([",".join(map(str, shape.widths)) for shape in shapes], size[1]),
        mask=np.uint64(0),
        nonzeros=np.repeat([shape.dense_nonzeros for shape in shapes], size[1]),
        cell=np.tile(np.repeat(CELLS, restarts), size[0]),
        restart=np.tile(np.arange(restarts), size[0] * len(CELLS)),
        accuracy=np.round(accuracy.ravel() * POINTS) / POINTS,
        status=np.where(lost.ravel(), "diverged", "ok"),
    )


def few(*entries: tuple[str, int, float, str]) -> pa.Table:
    """Rows from (widths, nonzeros, accuracy, status)."""
    shape, nonzeros, accuracy, status = zip(*entries, strict=True)
    count = np.arange(len(entries))
    return rows_table(
        rank=count, shape=shape, mask=np.uint64(0), nonzeros=nonzeros, cell="0.05:cosine",
        restart=count, accuracy=accuracy, status=status,
    )  # fmt: skip


def draw(widths: Sequence[int], seed: int = 0) -> F32:
    """Flat parameters of a random network."""
    size = sum(a * b + b for a, b in itertools.pairwise(widths))
    return np.random.default_rng(seed).normal(0, 1, size).astype(np.float32)


def rings(n: int = 400) -> Task:
    """Two rings: the inner one class 1."""
    angle = np.linspace(0, 2 * np.pi, n // 2, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.concatenate([ring * 1.6, ring * 0.7]).astype(np.float32)
    return Task("rings", x, np.repeat([0, 1], n // 2).astype(np.uint8))


def with_networks(*entries: tuple[tuple[int, ...], float]) -> pa.Table:
    """Rows that hold random parameters, from (widths, accuracy)."""
    count = np.arange(len(entries))
    return rows_table(
        rank=count,
        shape=[",".join(map(str, widths)) for widths, _ in entries],
        mask=np.uint64(0),
        nonzeros=[NetShape(widths).dense_nonzeros for widths, _ in entries],
        cell="0.05:cosine",
        restart=count,
        accuracy=[accuracy for _, accuracy in entries],
        parameters=[draw(widths, seed) for seed, (widths, _) in enumerate(entries)],
    )


def found(figure: Figure, gid: str) -> list[Any]:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def only(figure: Figure, gid: str) -> Any:
    (artist,) = found(figure, gid)
    return artist


def texts(figure: Figure) -> list[str]:
    shown = figure.findobj(lambda a: isinstance(a, Text) and a.get_visible())
    return [text for a in shown if isinstance(a, Text) and (text := a.get_text())]


def assert_readable(figure: Figure) -> None:
    """Every text lies within the figure, and no two overlap by more than a pixel."""
    figure.draw_without_rendering()
    renderer: Any = figure.canvas
    boxes: list[tuple[str, Any]] = []
    for axes in figure.axes:
        # Ticks beyond the limits have texts that are never drawn.
        for axis in axes._axis_map.values() if axes.axison else ():  # type: ignore[attr-defined]
            for tick in axis._update_ticks():
                if tick.label1.get_visible() and tick.label1.get_text():
                    boxes.append((tick.label1.get_text(), tick.label1))
            boxes.append((axis.label.get_text(), axis.label))
        boxes += [(t.get_text(), t) for t in axes.texts]
        boxes += [(axes.get_title(loc), getattr(axes, name)) for loc, name in TITLES]
    boxes += [(t.get_text(), t) for t in figure.texts]
    for legend in figure.findobj(matplotlib.legend.Legend):
        boxes += [(t.get_text(), t) for t in legend.get_texts()]  # type: ignore[attr-defined]
    extents = [
        (text, artist.get_window_extent(renderer.get_renderer())) for text, artist in boxes if text
    ]
    assert extents
    for text, box in extents:
        inside = box.x0 >= -1 and box.y0 >= -1
        assert inside and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
    for (text, box), (other, beside) in itertools.combinations(extents, 2):
        apart = (
            min(box.x1, beside.x1) - max(box.x0, beside.x0) <= 1
            or min(box.y1, beside.y1) - max(box.y0, beside.y0) <= 1
        )
        assert apart, f"{text!r} overlaps {other!r}"


TITLES = (("left", "_left_title"), ("center", "title"), ("right", "_right_title"))

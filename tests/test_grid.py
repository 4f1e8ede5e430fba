"""The grid of dense shapes against itertools, and its cut into shards."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from naive import dense_shapes

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch
from combsearch.search.grid import MAX_WIDTHS, Grid, dense_grid, shard_starts, shards

SIZES = [(16, 1, 2, 1), (5, 2, 2, 1), (6, 3, 2, 1), (3, 4, 3, 1), (3, 5, 2, 4), (1, 7, 16, 1)]


def widths_of(grid: Grid) -> list[tuple[int, ...]]:
    return [grid.shape(rank).widths for rank in range(len(grid))]


@pytest.mark.parametrize("size", SIZES)
def test_shapes_and_their_order_are_those_of_brute_force(size: tuple[int, int, int, int]) -> None:
    grid = dense_grid(*size)
    assert widths_of(grid) == dense_shapes(*size)
    assert len(grid) == size[0] ** size[1]
    assert [grid.shape(r).dense_nonzeros for r in range(len(grid))] == grid.nonzeros.tolist()


def test_nonzeros_are_what_the_paper_counts_and_what_a_dense_mask_has() -> None:
    grid = dense_grid(4, 3, 2, 1)
    for rank in range(len(grid)):
        d1, d2, d3 = (int(d) for d in grid.hidden[rank])
        assert grid.nonzeros[rank] == 3 * d1 + d1 * d2 + d2 + d2 * d3 + d3 + d3 + 1
        assert MaskBatch.dense_of(grid.shape(rank)).nonzeros().tolist() == [grid.nonzeros[rank]]


def test_the_whole_grid_of_the_paper() -> None:
    grid = dense_grid(16, 3, 2, 1)
    assert len(grid) == 4096
    shapes = widths_of(grid)
    assert shapes[0] == (2, 1, 1, 1, 1) and shapes[-1] == (2, 16, 16, 16, 1)
    assert grid.nonzeros[shapes.index((2, 7, 3, 3, 1))] == 61
    assert grid.nonzeros[shapes.index((2, 3, 3, 3, 1))] == 37


@pytest.mark.parametrize("size", SIZES)
def test_levels(size: tuple[int, int, int, int]) -> None:
    grid = dense_grid(*size)
    nonzeros = grid.nonzeros.tolist()
    assert grid.levels().tolist() == sorted(set(nonzeros))
    for bound in (0, *nonzeros, nonzeros[-1] + 1):
        assert grid.level_end(bound) == sum(n <= bound for n in nonzeros)


def test_the_work_of_a_sample_counts_multiply_adds() -> None:
    grid = dense_grid(3, 3, 2, 1)
    work = grid.sample_work()
    for rank, (a, d1, d2, d3, b) in enumerate(widths_of(grid)):
        forward = a * d1 + d1 * d2 + d2 * d3 + d3 * b
        gradients, deltas = forward, d1 * d2 + d2 * d3 + d3 * b
        assert work[rank] - work[0] == forward + gradients + deltas - (2 * 2 + 3 * 3)
    assert work[0] > 2 * 2 + 3 * 3  # a tiny network costs more than its multiply-adds


def naive_shards(grid: Grid, work: npt.NDArray[np.float64], size: float) -> list[tuple[int, int]]:
    """Each level by itself; a shape opens a shard when it starts past a multiple of the size."""
    found = []
    for _, level in itertools.groupby(range(len(grid)), key=lambda r: int(grid.nonzeros[r])):
        ranks, before, slots = list(level), 0.0, []
        for rank in ranks:
            slots.append(int(before // size))
            before += float(work[rank])
        for _, part in itertools.groupby(zip(ranks, slots, strict=True), key=lambda p: p[1]):
            members = [rank for rank, _ in part]
            found.append((members[0], members[-1] + 1))
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shard_size", [1e-9, 50.0, 1234.5, 1e4, 1e30])
def test_shards_partition_the_ranks_and_never_cross_a_level(
    size: tuple[int, int, int, int], shard_size: float
) -> None:
    grid = dense_grid(*size)
    work = grid.sample_work()
    cut = list(shards(shard_starts(grid, work, shard_size)))
    assert [(s.first, s.last) for s in cut] == naive_shards(grid, work, shard_size)
    assert [rank for s in cut for rank in range(s.first, s.last)] == list(range(len(grid)))
    for shard in cut:
        assert len(set(grid.nonzeros[shard.first : shard.last].tolist())) == 1
        assert work[shard.first : shard.last].sum() < shard_size + work.max()
    if shard_size > work.sum():
        assert len(cut) == len(grid.levels())
    if shard_size < work.min():
        assert len(cut) == len(grid)


def test_a_million_shapes_take_little_memory_and_are_cut_lazily() -> None:
    grid = dense_grid(16, 5, 2, 1)
    assert len(grid) == 1_048_576
    assert grid.hidden.nbytes + grid.nonzeros.nbytes < 32e6
    assert (np.diff(grid.nonzeros) >= 0).all()
    first = next(shards(shard_starts(grid, grid.sample_work(), 1.0)))
    assert (first.first, first.last) == (0, 1)


@pytest.mark.parametrize(
    ("width", "depth", "message"),
    [
        (1000, 3, r"width 1000 and depth 3 make 1000\^3 shapes.*the width must be at most 140"),
        (10**30, 2, "the width must be at most 2048"),
        (MAX_WIDTHS + 1, 1, f"the width must be at most {MAX_WIDTHS}"),
        (2, 60, "the width must be at most 1"),
        (1, 10**9, "depth is 1000000000, it must be at most 100"),
    ],
)
def test_what_cannot_be_listed_is_refused_at_once(width: int, depth: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dense_grid(width, depth, 2, 1)


def test_the_largest_widths_that_are_advised_are_taken() -> None:
    for depth in (4, 17, 100):
        with pytest.raises(UsageError, match="must be at most") as caught:
            dense_grid(10**6, depth, 2, 1)
        most = int(str(caught.value).rsplit(maxsplit=1)[1])
        assert len(dense_grid(most, depth, 2, 1)) == most**depth

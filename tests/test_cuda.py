"""The kernels for a GPU, executed on the CPU from their own source, and what is around them.

tests/cuda_on_cpu has the GPU; tests/test_compiled_trainers.py what the trainer shares with the
other compiled ones, the comparison with the plain loop among it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import OnCpu, cpu_gpu, driver
from test_fused import Widths, assert_same_bits, make_nets, make_task, recipes

from combsearch.config import CELLS
from combsearch.kernels.cuda.driver import Driver
from combsearch.kernels.cuda.gpu import Gpu
from combsearch.kernels.cuda.source import Build, Layout
from combsearch.nets import NetBatch
from combsearch.trainers.fused import FusedTrainer

FUSED = FusedTrainer()


@dataclasses.dataclass(frozen=True)
class On(OnCpu):
    """The trainer on a GPU of the test's own."""

    own: Any = None

    @property
    def gpu(self) -> Gpu:
        found: Gpu = self.own
        return found


def with_layout(widths: Widths, layout: Layout, gpu: Gpu | None = None) -> On:
    gpu = gpu or cpu_gpu()
    gpu._best[widths] = gpu.load(Build(widths, layout))
    return On(own=gpu)


def fitted(trainer: Any, widths: Widths, cells: Any = CELLS, **fields: Any) -> NetBatch:
    """Networks of several restart blocks after 30 steps in an epoch of 26."""
    task, (nets, keys) = make_task(widths[0], points=330), make_nets(widths, cells)
    fields = {"epochs": 6, "batch_size": 12, **fields}
    found: NetBatch = trainer.fit(nets, task, recipes(cells, **fields), keys, slice(0, 30))
    return found


# ---- the bits of the CPU kernel ----------------------------------------------------------

SHAPES = [(2, 3, 2, 2, 1), (2, 7, 3, 3, 1), (2, 5, 1), (4, 6, 9, 1), (3, 2, 3, 4, 2, 3, 1)]


@pytest.mark.parametrize("layout", ["thread", "warp"])
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_both_layouts_have_the_bits_of_the_fused_trainer(widths: Widths, layout: Layout) -> None:
    assert_same_bits(fitted(with_layout(widths, layout), widths), fitted(FUSED, widths))


@pytest.mark.parametrize(
    ("widths", "batch"),
    [((2, 16, 16, 16, 1), 128), ((2, 32, 5, 1), 130), ((16, 9, 17, 1), 300), ((15, 3, 1), 37)],
    ids=str,
)
def test_wide_shapes_and_batches_of_several_chunks(widths: Widths, batch: int) -> None:
    fields = {"batch_size": batch, "epochs": 30}
    found = fitted(with_layout(widths, "warp"), widths, CELLS[:4], **fields)
    assert_same_bits(found, fitted(FUSED, widths, CELLS[:4], **fields))


@pytest.mark.parametrize("layout", ["thread", "warp"])
def test_scores_are_those_of_the_fused_trainer(layout: Layout) -> None:
    widths: Widths = (2, 7, 3, 3, 1)
    cells = ["0.05:cosine", "300:constant", "500:constant"] * 15
    task, nets = make_task(points=700), fitted(FUSED, widths, cells, epochs=12)
    found, expected = with_layout(widths, layout).score(nets, task), FUSED.score(nets, task)
    np.testing.assert_array_equal(found.correct, expected.correct)
    np.testing.assert_array_equal(found.diverged, expected.diverged)
    assert 0 < found.diverged.sum() < len(cells)


def test_a_whole_run_of_the_paper_s_recipe_ends_in_the_same_bits() -> None:
    # 4,700 steps: longer than any rounding error takes to grow to the size of a weight.
    widths: Widths = (2, 7, 3, 3, 1)
    task, (nets, keys) = make_task(points=12_100), make_nets(widths, CELLS * 4)
    recipe = recipes(CELLS * 4, epochs=50)
    assert recipe[0].total_steps(task.points) == 4700
    found = OnCpu().fit(nets, task, recipe, keys)
    assert_same_bits(found, FUSED.fit(nets, task, recipe, keys))


class Backwards(Driver):
    """Threads of a warp take turns backwards."""

    def launch(self, kernel: Any, blocks: int, arguments: Any, stream: int) -> None:
        Driver.launch(self, kernel, blocks, arguments, 1)


def backwards(change: tuple[str, str] = ("", "")) -> Gpu:
    own = driver()
    return dataclasses.replace(cpu_gpu(change=change), driver=Backwards(own.library, own.context))


@pytest.mark.parametrize("layout", ["thread", "warp"])
def test_the_order_of_threads_makes_no_difference(layout: Layout) -> None:
    widths: Widths = (2, 6, 5, 1)
    trainer = with_layout(widths, layout, backwards())
    found = fitted(trainer, widths, batch_size=150, epochs=15)
    assert_same_bits(found, fitted(FUSED, widths, batch_size=150, epochs=15))


BARRIERS = [  # what stands before each
    "gradients<K>(all, g, lane, count);\n    ",
    "deltas<K>(shared, all + lane * EACH);\n        ",
    "wrong.store(values + NEURONS * ROW);\n            ",
    "int count = min(batch - start, CHUNK);\n            ",
]


@pytest.mark.parametrize("before", BARRIERS, ids=["gradients", "deltas", "output", "load"])
def test_every_barrier_of_a_warp_is_needed(before: str) -> None:
    widths: Widths = (2, 6, 5, 1)
    barrier = (f"{before}__syncwarp();", before)
    expected = fitted(FUSED, widths, batch_size=150, epochs=15)
    mutants = [cpu_gpu(change=barrier), backwards(barrier)]
    found = [
        fitted(with_layout(widths, "warp", gpu), widths, batch_size=150, epochs=15)
        for gpu in mutants
    ]
    assert any(differs(one, expected) for one in found)


@pytest.mark.parametrize(
    "change",
    [
        ("v = fma_(momentum, v, gradient)", "v = momentum * v + gradient"),
        ("fmaxf(z, -LIMIT)", "fmaxf(z, -LIMIT / 900)"),
        ("kept ? fma_(-rate, v, w) : 0.0f", "fma_(-rate, v, w)"),
        ("rates[at / steps]", "rates[0]"),
    ],
    ids=["fma", "sigmoid", "mask", "rate"],
)
def test_the_comparison_sees_a_change_of_the_arithmetic(change: tuple[str, str]) -> None:
    widths: Widths = (2, 5, 3, 1)
    found = fitted(with_layout(widths, "thread", cpu_gpu(change=change)), widths)
    assert differs(found, fitted(FUSED, widths))


def differs(found: NetBatch, expected: NetBatch) -> bool:
    return any(not np.array_equal(a, expected.params[name]) for name, a in found.params.items())

"""The benchmark's yardsticks compute what they claim; no timed assertions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from combsearch.commands import bench, bmm
from combsearch.config import Recipe, Schedule
from combsearch.kernels import bench as peak
from combsearch.mask import NetShape
from combsearch.rng import RunKeys
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer


def test_batched_products_take_the_same_step() -> None:
    """The hand-written step, uncompiled, against the loop trainer over five steps."""
    task, shape, recipe = (
        cubist_spiral(),
        NetShape.parse("7,3,3"),
        Recipe(schedule=Schedule("constant")),
    )
    nets, keys = bench._networks(shape, 3)
    expected = get_trainer("loop").fit(nets, task, recipe, keys, slice(0, 5))
    names = [f"{kind}{layer}" for layer in range(4) for kind in ("weight", "bias")]
    w = [torch.tensor(nets.params[name]) for name in names]
    w = [p if p.ndim == 3 else p[:, :, None] for p in w]
    v, m = [torch.zeros_like(p) for p in w], [torch.ones_like(p) for p in w]
    from combsearch.trainers.base import minibatch

    for step in range(5):
        rows = minibatch(recipe, task.points, step, 0, 0)
        x = torch.from_numpy(task.x[rows].T.copy()).expand(3, -1, -1)
        y = torch.from_numpy(task.y[rows].astype(np.float32))
        w, v = bmm._step(w, v, m, x, y, torch.full((3, 1, 1), 0.05))
    for name, p in zip(names, w, strict=True):
        np.testing.assert_allclose(
            p.numpy().reshape(expected.params[name].shape), expected.params[name], atol=1e-6
        )


def test_networks_differ() -> None:
    """The networks that are timed are not copies of one."""
    nets, keys = bench._networks(NetShape.parse("3,2,2"), 4)
    assert isinstance(keys, RunKeys)
    for a, b in itertools.pairwise(nets.params["weight1"]):
        assert not np.array_equal(a, b)


def test_multiply_adds_by_hand() -> None:
    """(7,3,3): 14 + 21 + 9 + 3 weights, three passes but no deltas of the inputs."""
    assert bench.multiply_adds(NetShape.parse("7,3,3")) == 3 * (14 + 21 + 9 + 3) - 14
    assert bench.multiply_adds(NetShape.parse("16,16,16")) == 1648


@pytest.mark.usefixtures("kernel_cache")
def test_peak_is_a_plausible_rate() -> None:
    """More than a scalar core does, less than any core could."""
    assert 1e9 < peak.fma_rate(20_000) < 1e12


def test_report_reads_well() -> None:
    """The table names every bar, also where there is no compiler."""
    report = {
        "machine": {"processor": "P", "cores": 2},
        "fma_peak_gflops": 117.0,
        "sgemm_gflops": 90.0,
        "fma_peak_fraction": dict.fromkeys(bench.SHAPES, 0.61),
        "fused_ms_per_model": dict.fromkeys(bench.SHAPES, 8.0),
        "speedup_vs_eager": 900.0,
        "speedup_vs_vmap": 40.0,
        "speedup_vs_compiled_bmm": None,
        "two_process_scaling": 1.95,
        "search_overhead": 0.1,
        "mask_search_overhead": 0.02,
        "enumerated_masks_per_second": 98_000_000,
    }
    text = bench._text(report)
    assert all(
        word in text for word in ("16,16,16", "bar 800", "bar 1.9", "10.0%", "2.0%", "98.0", "-x")
    )

"""The stream of linear problems: its formula, what streams share, and what is drawn afresh."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from combsearch.errors import UsageError
from combsearch.tasks.linear_stream import LinearStream

SMALL = LinearStream(task_dimension=3, latent=6, inputs=20, seed=4, points=400, test_points=300)


def change(stream: LinearStream = SMALL, **changes: Any) -> LinearStream:
    return dataclasses.replace(stream, **changes)


def naive(stream: LinearStream, z: Any) -> tuple[Any, Any]:
    """x in float64 and y, number by number."""
    a, h = stream.embedding().astype(np.float64), stream.direction()
    x = [[sum(row[k] * point[k] for k in range(len(h))) for row in a] for point in z]
    y = [int(sum(h[k] * point[k] for k in range(stream.task_dimension)) > 0) for point in z]
    return np.array(x), np.array(y)


@pytest.mark.parametrize("scale", [True, False])
def test_against_sums_number_by_number(scale: bool) -> None:
    stream = change(scale=scale, points=40)
    task = stream.epoch(2)
    x, y = naive(stream, stream.latents(2).astype(np.float64))
    assert task.x.dtype == np.float32 and task.x.shape == (40, 20)
    assert task.y.dtype == np.uint8 and task.classes == 2
    np.testing.assert_allclose(task.x, x, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(task.y, y)
    test = stream.test
    assert test.x.shape == (300, 20)
    np.testing.assert_array_equal(test.y, naive(stream, stream.test_latents().astype(float))[1])


def test_scale_is_the_deviation_of_the_papers_inputs() -> None:
    plain, scaled = change(scale=False), SMALL
    factor = math.sqrt(6 / 3)
    np.testing.assert_allclose(plain.embedding() / factor, scaled.embedding(), rtol=1e-6)
    np.testing.assert_allclose(plain.test.x / factor, scaled.test.x, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(plain.test.y, scaled.test.y)
    assert np.abs(plain.embedding()).max() <= 1


def test_moments_at_the_sizes_of_the_study() -> None:
    stream = LinearStream(seed=1, points=4000, test_points=10)
    z, a, h = stream.latents(0).astype(float), stream.embedding(), stream.direction()
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert z.var() == pytest.approx(1, abs=4 * math.sqrt(2 / z.size))
    assert (z**4).mean() == pytest.approx(3, abs=0.1)
    covariance = z.T @ z / len(z)
    assert np.abs(covariance - np.eye(128)).max() < 6 * math.sqrt(2 / len(z))
    raw = change(stream, scale=False).embedding().astype(float)
    assert raw.min() < -0.9999 and raw.max() > 0.9999 and abs(raw.mean()) < 0.01
    assert raw.var() == pytest.approx(1 / 3, rel=0.01)
    np.testing.assert_allclose(a * math.sqrt(128 / 3), raw, rtol=1e-5)
    whole = change(stream, task_dimension=128).direction()
    assert np.abs(whole).max() <= 1 and whole.var() == pytest.approx(1 / 3, rel=0.2)
    assert (h[:16] == whole[:16]).all() and not h[16:].any() and h[:16].all()
    task = stream.epoch(0)
    assert task.x.var() == pytest.approx(1, rel=0.03)
    assert abs(task.y.mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)
    assert (task.name, stream.test.name) == (
        "linear t=16 d=128 D=1024, epoch 0",
        "linear t=16 d=128 D=1024, test",
    )


def test_points_fill_the_latent_space_and_labels_are_linear_in_it() -> None:
    for t in (1, 3, 6):
        stream = change(task_dimension=t)
        task = stream.epoch(0)
        singular = np.linalg.svd(task.x.astype(float), compute_uv=False)
        assert singular[5] > 1 and singular[6] < 1e-4  # rank 6
        z = task.x.astype(float) @ np.linalg.pinv(stream.embedding().astype(float)).T
        np.testing.assert_allclose(z, stream.latents(0), atol=1e-4)
        margin = z @ stream.direction()
        clear = np.abs(margin) > 1e-3
        assert clear.mean() > 0.98
        np.testing.assert_array_equal((margin > 0)[clear], task.y[clear] == 1)
        # Numbers of z beyond t do not matter.
        z[:, t:] = 9.0
        np.testing.assert_array_equal((z @ stream.direction() > 0)[clear], task.y[clear] == 1)


def test_streams_of_one_seed_share_all_but_labels() -> None:
    tasks = [change(task_dimension=t).epoch(5) for t in (1, 2, 6)]
    for task in tasks[1:]:
        np.testing.assert_array_equal(task.x, tasks[0].x)
    agree = [(task.y == tasks[2].y).mean() for task in tasks]
    assert agree[0] < 0.97 and agree[1] < 0.97 and agree[2] == 1
    tests = [change(task_dimension=t).test for t in (1, 6)]
    np.testing.assert_array_equal(tests[0].x, tests[1].x)
    wide = change(task_dimension=6).direction()
    for t in (1, 2, 3):
        np.testing.assert_array_equal(change(task_dimension=t).direction()[:t], wide[:t])
    # More inputs are the same ones and others; h knows nothing of them.
    more = change(inputs=30)
    np.testing.assert_array_equal(more.embedding()[:20], SMALL.embedding())
    np.testing.assert_array_equal(more.epoch(5).y, SMALL.epoch(5).y)


def test_epochs_differ_and_come_again_in_any_order() -> None:
    forth = [SMALL.epoch(number) for number in (0, 1, 2, 10**6)]
    back = [change().epoch(number) for number in (10**6, 2, 1, 0)][::-1]
    assert [task.digest() for task in forth] == [task.digest() for task in back]
    assert SMALL.test.digest() == SMALL.test.digest()
    drawn = [*(SMALL.latents(number)[:300] for number in (0, 1, 2, 10**6)), SMALL.test_latents()]
    other = change(seed=5)
    drawn += [other.latents(0)[:300], other.latents(1)[:300], other.test_latents()]
    rows = np.concatenate(drawn)
    assert len(np.unique(rows, axis=0)) == len(rows) == 2400
    flat = np.stack([z.ravel() for z in drawn])
    assert np.abs(np.corrcoef(flat) - np.eye(8)).max() < 5 / math.sqrt(flat.shape[1])
    assert not np.array_equal(other.embedding(), SMALL.embedding())
    assert (other.direction()[:3] != SMALL.direction()[:3]).all()


def test_more_points_begin_with_the_same_ones() -> None:
    np.testing.assert_array_equal(change(points=500).latents(3)[:400], SMALL.latents(3))


def test_draws_stay_what_they_are() -> None:
    """Rows of published runs are of these numbers."""
    np.testing.assert_allclose(
        SMALL.direction()[:3], [-0.9201183777, -0.8043581821, -0.5262993784], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        SMALL.latents(0)[0, :3], [-0.73635006, -0.03924828, -0.03013257], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        SMALL.embedding()[0, :3], [-0.32386401, 0.28736955, 0.28620657], rtol=0, atol=1e-6
    )


def test_identity_names_the_stream() -> None:
    known = SMALL.identity()
    assert known == json.loads(json.dumps(known))
    assert known["kind"] == "combsearch linear stream 1"
    assert LinearStream(**{k: v for k, v in known.items() if k != "kind"}) == SMALL
    changes: list[dict[str, Any]] = [
        {"task_dimension": 4}, {"latent": 7}, {"inputs": 21}, {"seed": 5},
        {"points": 401}, {"test_points": 301}, {"scale": False},
    ]  # fmt: skip
    others = [change(**other) for other in changes]
    assert len({stream.digest() for stream in (SMALL, *others)}) == 8
    assert SMALL.digest() == change().digest() and len(SMALL.digest()) == 64
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL  # noqa: S301


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task_dimension": 0}, "task_dimension is 0, it must be a whole number from 1 up"),
        ({"task_dimension": 7}, "task_dimension 7 is larger than its space, latent 6"),
        ({"latent": 21}, "latent 21 is larger than its space, inputs 20"),
        ({"points": 0}, "points is 0, it must be a whole number from 1 up"),
        ({"test_points": -1}, "test_points is -1"),
        ({"seed": -1}, r"seed is -1, it must be in 0..2\^64-1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
    ],
)
def test_what_cannot_be_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^linear stream: {message}") as caught:
        change(**fields)
    assert "\n" not in str(caught.value)


def test_other_types_and_epochs_are_named() -> None:
    with pytest.raises(UsageError, match=r"latent is 6\.5, it must be a whole number"):
        change(latent=6.5)
    with pytest.raises(UsageError, match="epoch is -1, it must be 0 to"):
        SMALL.epoch(-1)
    assert change(seed=2**64 - 1, points=2).epoch(2**63 - 1).points == 2
    one = LinearStream(1, 1, 1, points=5, test_points=1).epoch(0)
    assert one.x.shape == (5, 1)


def test_import_stays_light() -> None:
    code = (
        "import sys, combsearch.tasks.linear_stream;"
        "print([m for m in ('torch', 'numba', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

"""Intrinsic dimension: by definition, of known manifolds, and what may not matter to it."""

from __future__ import annotations

from collections.abc import Callable

import naive_dimension as naive
import numpy as np
import numpy.typing as npt
import pytest

from combsearch.errors import UsageError
from combsearch.studies.dimensionality import intrinsic_dimension as module
from combsearch.studies.dimensionality.intrinsic_dimension import (
    KS,
    IntrinsicDimension,
    intrinsic_dimension,
)

Floats = npt.NDArray[np.float64]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sphere(n: int, d: int, seed: int = 0) -> Floats:
    x = random(seed).normal(size=(n, d + 1))
    on_it: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return on_it


def turned(x: Floats, features: int, seed: int = 7) -> Floats:
    """``x`` in more dimensions, by columns of a random orthogonal matrix."""
    columns = np.linalg.qr(random(seed).normal(size=(features, features)))[0][:, : x.shape[1]]
    more: Floats = x @ columns.T
    return more


def swiss_roll(n: int) -> Floats:
    angle, height = 1.5 * np.pi * (1 + 2 * random().uniform(size=n)), 21 * random(1).uniform(size=n)
    return np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)


def alike(a: IntrinsicDimension, b: IntrinsicDimension, rel: float = 1e-9) -> bool:
    return all(
        (p.dimension, p.standard_error) == pytest.approx((q.dimension, q.standard_error), rel=rel)
        for p, q in zip(a.estimates, b.estimates, strict=True)
    )


@pytest.mark.parametrize("features", [1, 2, 3, 10, 11, 40])
@pytest.mark.parametrize("n", [22, 60])
def test_by_definition(features: int, n: int) -> None:
    """Both ways to the neighbours: a tree for few features, products for more."""
    x = random(features).normal(size=(n, features)) * np.linspace(0.1, 2, features)
    found = intrinsic_dimension(x, (2, *KS))
    assert (found.points, found.duplicates, found.features) == (n, 0, features)
    points = x.tolist()
    for one in found.estimates:
        assert one.dimension == pytest.approx(naive.dimension(points, one.k), rel=1e-12)
        expected = naive.standard_error(points, one.k)
        assert one.standard_error == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("tile", [3, 7, 16, 64])
def test_neighbours_of_blocks_of_any_size(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TILE", tile)
    monkeypatch.setattr(module, "_GATHERED", 500)
    x = random().normal(size=(40, 12))
    found = module.nearest_neighbours(module._different(x), 6)
    near = naive.neighbours(x.tolist(), 6)
    assert found[1].tolist() == [[j for _, j in own] for own in near]
    distance = found[0] * 2.0 ** module._different(x).exponent
    assert distance == pytest.approx(np.array([[d for d, _ in own] for own in near]), rel=1e-12)


@pytest.mark.parametrize("features", [2, 11])
def test_equal_distances(features: int) -> None:
    """Points of a lattice have many neighbours at one distance; who counts must not matter."""
    x = random().integers(0, 3, (60, features))
    found = intrinsic_dimension(x, (3, 5)) if features == 11 else None
    kept = np.unique(x, axis=0)
    if features == 2:
        with pytest.raises(UsageError, match=f"k is 9.* of different points, {len(kept)}"):
            intrinsic_dimension(x, (9,))
        found = intrinsic_dimension(x, (3, 5))
    assert found is not None and found.points == len(kept)
    for one in found.estimates:
        expected = naive.dimension(kept.tolist(), one.k)
        assert one.dimension == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5, 10])
@pytest.mark.parametrize("features", [0, 60])
def test_spheres_within_the_standard_error(d: int, features: int) -> None:
    """Against what the estimator must give of so many points, low as that is for large d."""
    n = 1500
    x = sphere(n, d, seed=d)
    found = intrinsic_dimension(turned(x, features) if features else x)
    for one in found.estimates:
        expected = 1 / naive.inverse_on_sphere(d, n, one.k)
        assert abs(one.dimension - expected) < 3 * one.standard_error, (one, expected)
        independent = one.dimension / np.sqrt(n * (one.k - 1))
        assert 0.9 < one.standard_error / independent < 2
        if d <= 2:
            assert abs(one.dimension - d) < 3 * one.standard_error
        else:
            assert 0.85 * d < one.dimension < d + 2 * one.standard_error


def test_the_standard_error_is_the_deviation_of_repeated_samples() -> None:
    found = [intrinsic_dimension(sphere(250, 2, seed)).estimates for seed in range(120)]
    for place in range(len(KS)):
        values = np.array([one[place].dimension for one in found])
        errors = np.array([one[place].standard_error for one in found])
        assert 0.8 < errors.mean() / values.std(ddof=1) < 1.25
        assert (abs(values - 2) < 2 * errors).mean() > 0.88


LOWEST = {1: 0.98, 2: 0.97, 5: 0.88, 10: 0.8}  # of d: the bias of 1,500 points at k = 20


@pytest.mark.parametrize("d", LOWEST)
@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_planes_in_a_hundred_dimensions(d: int, draw: str) -> None:
    x = getattr(random(d), draw)(size=(1500, d))
    for one in intrinsic_dimension(turned(x, 100)).estimates:
        assert LOWEST[d] * d < one.dimension + one.standard_error
        assert one.dimension < 1.02 * d + 3 * one.standard_error
        if d <= 2:
            assert abs(one.dimension - d) < 0.02 * d + 3 * one.standard_error


def test_a_swiss_roll_is_a_surface() -> None:
    for one in intrinsic_dimension(swiss_roll(2500)).estimates:
        assert abs(one.dimension - 2) < 0.02 * 2 + 3 * one.standard_error


def test_the_estimate_grows_with_the_dimension_long_after_it_is_low() -> None:
    found = [intrinsic_dimension(random().normal(size=(400, d))) for d in (8, 16, 32, 64, 128)]
    for place in range(len(KS)):
        values = [one.estimates[place].dimension for one in found]
        assert values == sorted(values) and values[-1] < 64


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 3e5 * x,
        lambda x: 1e-9 * x,
        lambda x: 1e300 * x,
        lambda x: 1e-300 * x,
        lambda x: -x[:, ::-1],
        lambda x: turned(x, x.shape[1]),
        lambda x: turned(x, 2 * x.shape[1]),
        lambda x: x.reshape(len(x), 1, -1, 1),
        np.asfortranarray,
        lambda x: x[random(3).permutation(len(x))],
        lambda x: x.astype(np.longdouble),
    ],
)
@pytest.mark.parametrize("features", [4, 13])
def test_what_does_not_matter(change: Callable[[Floats], Floats], features: int) -> None:
    x = random().uniform(1, 2, size=(200, features))
    assert alike(intrinsic_dimension(x), intrinsic_dimension(change(x)))


@pytest.mark.parametrize("features", [4, 13])
def test_a_move_far_away_only_rounds(features: int) -> None:
    """Products of points far from 0 would cancel: they are centred, and their order checked."""
    x = random().uniform(size=(200, features)).round(6)
    assert alike(intrinsic_dimension(x), intrinsic_dimension(x + 1e6), rel=1e-4)


def test_close_neighbours_of_points_far_apart() -> None:
    """Two clusters, each of the size at which products of float64 only round."""
    x = random().normal(size=(80, 12))
    clusters = np.concatenate([1e-8 * x[:40], 1e-8 * x[40:] + 1])
    exact = [naive.dimension(half.tolist(), 5) for half in (clusters[:40], clusters[40:])]
    found = intrinsic_dimension(clusters, (5,)).estimates[0].dimension
    assert found == pytest.approx(2 / (1 / exact[0] + 1 / exact[1]), rel=1e-6)


@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<f2", "<f4", "<i8"])
def test_dtypes(dtype: str) -> None:
    x = random().integers(0, 2 if dtype == "?" else 200, (50, 4, 5)).astype(dtype)
    found = intrinsic_dimension(x)
    assert found.features == 20
    assert alike(found, intrinsic_dimension(x.astype(np.float64).reshape(50, 20)))


def test_duplicates_are_left_out() -> None:
    for features in (3, 20):
        x = random().normal(size=(40, features))
        x[0, 0] = 0.0
        more = np.concatenate([x[:7], x, x[:1], x[:1]])
        more[0, 0] = -0.0
        found = intrinsic_dimension(more)
        assert (found.points, found.duplicates) == (40, 9)
        assert alike(found, intrinsic_dimension(x))


def bad(value: float) -> Floats:
    x = np.ones((3, 4))
    x[1, 2] = value
    return x


@pytest.mark.parametrize(
    ("x", "ks", "message"),
    [
        (np.ones((5, 3)), (3,), "all 5 points coincide: there is no distance"),
        (np.ones((1, 3)), (3,), "all 1 points coincide"),
        (np.zeros((3, 0)), (2,), r"points of shape \[3, 0\] and dtype float64, expected real"),
        (np.zeros(3), (2,), r"points of shape \[3\]"),
        (np.zeros((3, 2), complex), (2,), "dtype complex128"),
        (np.array([["a", "b"]]), (2,), "dtype <U1"),
        (np.eye(4), (), "no k: name at least one"),
        (np.eye(4), (3, 1), "k is 1, it must be at least 2"),
        (np.eye(4), (2, 4), "k is 4, it must be below the number of different points, 4"),
        (np.eye(4), (3,), "the 3 nearest neighbours of every point are equally far"),
        (bad(np.nan), (2,), "feature 2 of point 1 is nan, every value must be finite"),
        (bad(-np.inf), (2,), "feature 2 of point 1 is -inf"),
        (np.array([[0.0], [1e-200], [1], [2]]), (2,), "two different points are too close"),
        (1e-200 * np.arange(30.0)[:, None] + np.eye(30, 1), (2,), "two different points are too c"),
        (1e-200 * np.arange(30.0)[:, None] + np.eye(30, 20), (2,), "two different points are too"),
    ],
)
def test_bad_points(x: Floats, ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        intrinsic_dimension(x, ks)

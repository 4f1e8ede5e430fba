"""combsearch.tasks.embedded_spiral: what the columns are, that they nest, names and errors."""

from __future__ import annotations

import math
from typing import Any

import naive
import numpy as np
import pytest

from combsearch.errors import UsageError
from combsearch.tasks import TASKS, cubist_spiral, load_task
from combsearch.tasks.embedded_spiral import KINDS, _normals, _orthogonal, embedded_spiral

SPIRAL = cubist_spiral()


def test_points_and_labels_are_those_of_the_spiral() -> None:
    points, labels = naive.cubist_spiral()
    assert SPIRAL.y.tolist() == labels and np.allclose(SPIRAL.x, points, atol=1e-6)
    for kind in KINDS:
        for dimension in (2, 5, 16):
            task = load_task(f"spiral_{kind}_{dimension}")
            assert task.name == f"spiral_{kind}_{dimension}" and task.classes == 2
            assert task.x.shape == (49_982, dimension) and task.x.dtype == np.float32
            assert np.array_equal(task.y, SPIRAL.y)
            wide = task.x.astype(np.float64)
            assert np.abs(wide.mean(axis=0)).max() < 2e-6
            assert np.abs(wide.std(axis=0, ddof=1) - 1).max() < 1e-5


@pytest.mark.parametrize("kind", ["linear", "distractors"])
def test_one_input_more_adds_a_column_and_changes_none(kind: str) -> None:
    wide = embedded_spiral(kind, 16).x
    for dimension in (2, 3, 15):
        assert np.array_equal(embedded_spiral(kind, dimension).x, wide[:, :dimension])


def test_linear_is_a_plane_and_any_two_columns_determine_the_point() -> None:
    x = embedded_spiral("linear", 6).x.astype(np.float64)
    values = np.linalg.svd(x, compute_uv=False)
    assert values[1] > 10 and values[2] < 0.01
    for first in range(6):
        for second in range(first):
            pair = x[:, [first, second]]
            solved, *_ = np.linalg.lstsq(pair, SPIRAL.x.astype(np.float64), rcond=None)
            assert np.abs(pair @ solved - SPIRAL.x).max() < 1e-3


def test_distractors_are_independent_noise_beside_the_spiral() -> None:
    task = embedded_spiral("distractors", 16)
    assert embedded_spiral("distractors", 2).digest() == SPIRAL.digest()
    assert np.array_equal(task.x[:, :2], SPIRAL.x)
    noise = task.x[:, 2:].astype(np.float64)
    limit = 4.5 / math.sqrt(len(noise))
    between: Any = np.corrcoef(task.x.T)
    assert np.abs(between[2:] - np.eye(16)[2:]).max() < limit
    with_label: Any = np.corrcoef(noise.T, task.y)
    assert np.abs(with_label[-1, :-1]).max() < limit
    # normal: share within 1 and 2, and fourth moment 3
    for edge in (1, 2):
        share = (np.abs(noise) < edge).mean(axis=0)
        assert np.abs(share - math.erf(edge / math.sqrt(2))).max() < 0.01
    assert np.abs((noise**4).mean(axis=0) - 3).max() < 0.2
    # from one point to the next of an arm too
    assert np.abs((noise[1:] * noise[:-1]).mean(axis=0)).max() < limit


def test_both_is_the_distractors_turned_and_needs_every_column() -> None:
    plain = embedded_spiral("distractors", 5).x.astype(np.float64)
    x = embedded_spiral("both", 5).x.astype(np.float64)
    turned, *_ = np.linalg.lstsq(plain, x, rcond=None)
    assert np.abs(plain @ turned - x).max() < 1e-4
    orthogonal = turned / np.linalg.norm(turned, axis=0)
    # columns of noise and spiral are correlated by chance, so scaling leaves it about so
    assert np.abs(orthogonal.T @ orthogonal - np.eye(5)).max() < 0.05
    assert np.linalg.matrix_rank(x) == 5
    back, *_ = np.linalg.lstsq(x, plain[:, :2], rcond=None)
    assert np.abs(back).min() > 0.01  # of every column, for either coordinate
    for column in range(5):
        others = np.delete(x, column, axis=1)
        solved, *_ = np.linalg.lstsq(others, plain[:, :2], rcond=None)
        assert np.abs(others @ solved - plain[:, :2]).max() > 0.1


def test_matrices_are_random_and_rotations_orthogonal() -> None:
    first = np.array([_orthogonal(size)[0, 0] for size in range(2, 40)])
    for size in (2, 7, 16):
        matrix = _orthogonal(size)
        assert np.abs(matrix @ matrix.T - np.eye(size)).max() < 1e-14
        normals = np.stack([_normals(f"rotation {size}", i, size) for i in range(size)])
        q, r = np.linalg.qr(normals.T)
        assert np.allclose((q * np.sign(np.diag(r))).T, matrix, atol=1e-12)
    assert (first > 0).any() and (first < 0).any() and len(set(first.tolist())) == len(first)
    many = _normals("linear", 0, 10**5)
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02


GOLDEN = {  # kind: first words of the digests of D = 2, 3, 16
    "linear": "0040d3f31fee 72cfcbf4d4e5 4d44796c91c5",
    "distractors": "0be0f906a687 528079bac864 cc6f633b0e31",
    "both": "ffb77a3842e3 510718e766ec 8cb84c0c5bb2",
}


@pytest.mark.parametrize("kind", KINDS)
def test_points_stay_the_same_for_ever(kind: str) -> None:
    found = [embedded_spiral(kind, dimension).digest()[:12] for dimension in (2, 3, 16)]
    assert " ".join(found) == GOLDEN[kind]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spiral_linear_1", "embedded in 2 to 16 dimensions, not 1; take one such as spiral_lin"),
        ("spiral_both_17", "'spiral_both_17': .* not 17; take one such as spiral_both_16"),
        ("spiral_distractors_0", "not 0; take one such as spiral_distractors_2"),
        ("spiral_linear_9999999999999999999999", "2 to 16 dimensions, not 9999999999999999999999"),
        ("spiral_linear", "spiral_linear_D, spiral_distractors_D, spiral_both_D with D from 2 to"),
        ("spiral_linear_", "unknown task 'spiral_linear_'"),
        ("spiral_linear_-3", "unknown task 'spiral_linear_-3'"),
        ("spiral_linear_03", "unknown task 'spiral_linear_03'"),
        ("spiral_linear_\u0663", "unknown task"),
        ("spiral_noise_3", "unknown task 'spiral_noise_3'"),
        ("xspiral_linear_3", "unknown task"),
    ],
)
def test_what_is_no_spiral_is_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_task(name)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_is_refused_and_the_table_holds_fixed_tasks_alone() -> None:
    with pytest.raises(UsageError, match="'noise' is none of linear, distractors, both"):
        embedded_spiral("noise", 3)
    assert not any(name.startswith("spiral_") for name in TASKS)

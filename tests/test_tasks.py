"""Built-in tasks, the Task type, and finding a task by what a user types."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest

from combsearch.errors import UsageError
from combsearch.tasks import TASKS, Task, load_task

DIGESTS = {
    "cubist_spiral": "0be0f906a68713c77aa3da0c55de4adb6c4bc716125b9bcef247daf87c7b12f0",
    "smooth_spiral": "78471b26c584bb0c2ecb5f1dddfe9976b5d0d975be51ce2f6f492e24e6716f90",
    "xor": "37f5c45de906cc9e89d795a0ba4e10dafb8f9f9a967085d37476c1a3905fca1c",
    "circles": "9666ac5dc0bf47a6a2e1c77a3de3518a519dbb55336dfdfe02caf4317d9efb1f",
    "moons": "01df3b19eef15132957463604e9c3e7b243f83b4b94fcab0489253fec3ce17d6",
    "checkerboard": "f45cec0b0de48ad86bd13b4176cf9caf26648b32744133ce753b4ec8636edac9",
}
TOYS = ("xor", "circles", "moons", "checkerboard")

# Every 4,166th of the authors' points, to seven digits.
AUTHORS_POINTS = [
    (0.5845569, -0.8009657),
    (-0.1347643, 1.035287),
    (-0.4721192, -1.234569),
    (1.012231, -1.374045),
    (-0.4628913, 1.717168),
    (-1.654253, -0.7897725),
    (0.4235491, -0.4783936),
    (0.3717443, 0.6829556),
    (-0.6595341, -0.5560089),
    (1.441247, 0.1945492),
    (0.04777531, 1.394606),
    (-1.343349, -0.4423234),
]


@pytest.fixture(scope="module", params=list(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    made: Task = TASKS[request.param]()
    return made


def test_cubist_spiral_is_the_authors(shared: Path) -> None:
    task = load_task("cubist_spiral")
    with np.load(shared / "golden" / "cubist_spiral.npz", allow_pickle=False) as golden:
        np.testing.assert_allclose(task.x, golden["x"], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(task.y, golden["y"])


def test_cubist_spiral_against_a_plain_loop() -> None:
    task = load_task("cubist_spiral")
    points, labels = naive.cubist_spiral()
    assert task.points == len(points) == 49_982
    np.testing.assert_allclose(task.x, np.array(points), rtol=0, atol=1e-6)
    assert task.y.tolist() == labels


def test_cubist_spiral_has_these_points_of_the_authors() -> None:
    task = load_task("cubist_spiral")
    np.testing.assert_allclose(task.x[::4166], AUTHORS_POINTS, rtol=0, atol=2e-6)
    assert task.y[::4166].tolist() == [0] * 6 + [1] * 6


def test_smooth_spiral_against_its_formula() -> None:
    task = load_task("smooth_spiral")
    assert task.points == load_task("cubist_spiral").points
    # Undo the standardisation: the outer arm begins and ends at known places.
    theta = np.array([1.4, 5.4]) * np.pi
    ends = (10 * theta + np.pi + 15)[:, None] * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    outer = task.x[task.y == 0]
    scale = (ends[1] - ends[0]) / (outer[-1] - outer[0])
    for label, push in enumerate((15, -15)):
        arm = (task.x[task.y == label] - outer[0]) * scale + ends[0]
        radius = np.hypot(arm[:, 0], arm[:, 1])
        angle = np.unwrap(np.arctan2(arm[:, 1], arm[:, 0]))
        angle += 1.4 * np.pi - angle[0]
        np.testing.assert_allclose(radius, 10 * angle + np.pi + push, atol=1e-2)
        assert angle[-1] == pytest.approx(5.4 * np.pi, abs=1e-4)
        # Chords of a hundred points: the same all along, so the points are even by length.
        chords = np.linalg.norm(np.diff(arm[::100], axis=0), axis=1)
        assert chords.min() > 0.998 * chords.max()


def test_every_task_is_ready_for_training(task: Task) -> None:
    assert task.x.dtype == np.float32 and task.y.dtype == np.uint8
    assert task.x.flags.c_contiguous and task.x.shape == (task.points, task.inputs)
    assert task.inputs == task.classes == 2
    assert np.bincount(task.y).tolist() == [task.points // 2] * 2
    np.testing.assert_allclose(task.x.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(task.x.std(axis=0, ddof=1, dtype=np.float64), 1, atol=1e-6)


def test_digests_never_change(task: Task) -> None:
    assert task.digest() == DIGESTS[task.name]
    assert TASKS[task.name]().digest() == DIGESTS[task.name]


def test_a_second_call_gives_arrays_of_its_own() -> None:
    first = load_task("xor")
    first.x[:] = 0
    assert load_task("xor").digest() == DIGESTS["xor"]


@pytest.mark.parametrize("name", TOYS)
def test_toys_keep_their_classes_apart(name: str) -> None:
    task = load_task(name)
    assert task.points == 4096
    zero, one = task.x[task.y == 0], task.x[task.y == 1]
    nearest = min(float(np.linalg.norm(one - point, axis=1).min()) for point in zero)
    assert nearest > 0.1
    assert len(np.unique(task.x, axis=0)) == task.points


def test_toys_by_their_rules() -> None:
    xor, board = load_task("xor"), load_task("checkerboard")
    assert (xor.y == (np.sign(xor.x[:, 0]) != np.sign(xor.x[:, 1]))).mean() == 1
    cells = np.floor((board.x - board.x.min(0)) / np.ptp(board.x, axis=0) * 3.999).astype(int)
    assert (board.y == cells.sum(1) % 2).all()
    assert (np.bincount(cells @ [1, 4]) == 256).all()
    circles = load_task("circles")
    radius = np.linalg.norm(circles.x, axis=1)
    assert radius[circles.y == 1].max() < radius[circles.y == 0].min()
    moons = load_task("moons")
    assert moons.x[moons.y == 0, 1].mean() > 0.5 > -0.5 > moons.x[moons.y == 1, 1].mean()


def test_import_stays_light() -> None:
    code = (
        "import sys, combsearch.tasks;"
        "print([m for m in ('torch', 'numba', 'scipy', 'pyarrow', 'matplotlib') "
        "if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ---- Task -----------------------------------------------------------------------------


def arrays(**changes: Any) -> dict[str, Any]:
    good = dict(name="t", x=np.eye(3, 2, dtype=np.float32), y=np.array([0, 1, 1], np.uint8))
    return good | changes


def test_task_properties_and_digest() -> None:
    task = Task(**arrays())
    assert (task.points, task.inputs) == (3, 2)
    numbers = struct.pack("<6f", 1, 0, 0, 1, 0, 0)
    content = b"classes=2;x:float32[3, 2]:" + numbers + b";y:uint8[3]:" + bytes([0, 1, 1])
    assert task.digest() == hashlib.sha256(content).hexdigest()
    assert task.digest() == "24b3f0713294e9b7df1da4c9128449788c6ad7fb519a42c14955649b352e5e07"
    assert Task(**arrays(name="other")).digest() == task.digest()


def test_digest_tells_apart() -> None:
    x, y = arrays()["x"], arrays()["y"]
    variants = [
        arrays(),
        arrays(x=x + np.float32(1e-6)),
        arrays(x=x.reshape(3, 2)[:, ::-1]),
        arrays(y=y[::-1]),
        arrays(classes=3),
        arrays(x_test=x, y_test=y),
        arrays(x=x[:2], y=y[:2], x_test=x[2:], y_test=y[2:]),
    ]
    assert len({Task(**kwargs).digest() for kwargs in variants}) == len(variants)


def test_arrays_out_of_order_are_made_contiguous() -> None:
    x = np.asfortranarray(arrays()["x"])
    task = Task(**arrays(x=x, y=np.array([1, 9, 1, 9, 0, 9], np.uint8)[::2]))
    assert task.x.flags.c_contiguous and task.y.flags.c_contiguous
    np.testing.assert_array_equal(task.x, x)
    assert task.y.tolist() == [1, 1, 0]


BAD_TASKS: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name must be a non-empty text, found ''"),
    ({"classes": 1}, "classes must be 2 to 256, found 1"),
    ({"classes": 257}, "classes must be 2 to 256, found 257"),
    ({"x": np.eye(3, 2)}, r"x must be float32 \[n, in\].*found float64 \[3, 2\]"),
    ({"x": np.eye(3, 2, dtype=">f4")}, "x must be float32"),
    ({"x": np.zeros(3, np.float32)}, r"x must be float32 \[n, in\].*found float32 \[3\]"),
    ({"x": [[1.0], [2.0], [3.0]]}, "x must be float32.*found list"),
    ({"x": np.zeros((3, 0), np.float32)}, r"found float32 \[3, 0\]"),
    ({"x": np.zeros((0, 2), np.float32)}, r"at least one point, found float32 \[0, 2\]"),
    ({"x": np.zeros((4, 2), np.float32)}, "x has 4 rows, y has 3"),
    ({"x": np.array([[0, 0], [0, np.nan], [0, 0]], np.float32)}, r"x\[1, 1\] is nan.*finite"),
    ({"x": np.array([[0, 0], [0, 0], [-np.inf, 0]], np.float32)}, r"x\[2, 0\] is -inf.*finite"),
    ({"y": np.array([0, 1, 1])}, r"y must be uint8 \[n\].*found int64 \[3\]"),
    ({"y": np.zeros((3, 1), np.uint8)}, r"y must be uint8 \[n\].*found uint8 \[3, 1\]"),
    ({"y": np.array([0, 2, 1], np.uint8)}, r"y\[1\] is 2, valid classes are 0 to 1"),
    ({"x_test": np.eye(3, 2, dtype=np.float32)}, "x_test and y_test belong together"),
    ({"y_test": np.zeros(3, np.uint8)}, "x_test and y_test belong together"),
    (
        {"x_test": np.eye(3, dtype=np.float32), "y_test": np.zeros(3, np.uint8)},
        "x_test must have the 2 columns of x, found 3",
    ),
    (
        {"x_test": np.eye(3, 2, dtype=np.float32), "y_test": np.full(3, 2, np.uint8)},
        r"y_test\[0\] is 2",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD_TASKS)
def test_a_bad_task_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Task(**arrays(**changes))


# ---- load_task ------------------------------------------------------------------------


def test_load_task_by_name(task: Task) -> None:
    assert load_task(task.name).digest() == task.digest()


def test_unknown_name_tells_the_nearest_and_all_ways() -> None:
    with pytest.raises(UsageError) as caught:
        load_task("cubist_spirla")
    message = str(caught.value)
    assert "unknown task 'cubist_spirla', did you mean 'cubist_spiral'?" in message
    assert all(name in message for name in TASKS)
    assert ".npz" in message and ".csv" in message and "pkg.module:Name" in message


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write the text as an importable module and return the module's name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def write(text: str) -> str:
        name = f"users_own_{abs(hash(str(tmp_path))):x}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


OWN = """
import numpy as np
from combsearch.tasks import Task
from combsearch.errors import UsageError
ready = Task("own", np.eye(2, dtype=np.float32), np.array([0, 1], np.uint8))
def make(): return ready
def fails(): raise KeyError("two\\nlines")
def refuses(): raise UsageError("no data here")
number = 3
"""


def test_load_task_of_a_users_module(module: Callable[[str], str]) -> None:
    name = module(OWN)
    assert load_task(f"{name}:ready").name == "own"
    assert load_task(f"{name}:make") is load_task(f"{name}:ready")
    for attribute, message in {
        "number": "is of type int, expected a combsearch Task",
        "fails": r"failed: KeyError: 'two\\nlines'",
        "refuses": "no data here",
        "redy": "did you mean 'ready'",
    }.items():
        with pytest.raises(UsageError, match=message):
            load_task(f"{name}:{attribute}")
    with pytest.raises(UsageError, match="cannot import task 'no_such_module_at_all:x'"):
        load_task("no_such_module_at_all:x")


def test_load_task_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "Mine.CSV").write_text("0.5,0\n1.5,1\n")
    task = load_task(str(tmp_path / "Mine.CSV"))
    assert task.name == "Mine" and task.x.tolist() == [[0.5], [1.5]]

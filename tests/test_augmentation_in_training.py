"""Augmentation in the torch trainers: against pixels that are moved first and normalised then."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from test_graphs import FakeCuda
from test_graphs import cuda as fake_cuda
from test_images import PIECES
from training import TASK as POINTS
from training import assert_same, distances
from training import make_nets as make_mlps

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.nets import NetBatch, score
from combsearch.networks import CNN, Dense, ImageNetwork
from combsearch.pruning import budget as budgets
from combsearch.rng import RunKeys, as_philox_key, mix64
from combsearch.tasks.augmentation import Augmentation
from combsearch.tasks.base import Task
from combsearch.tasks.images import ImageSet, draw_moves, load_images, move_images
from combsearch.trainers import Trainer, get_trainer, vmap
from combsearch.trainers.auto import AutoTrainer
from combsearch.trainers.base import ALL_STEPS, fused_obstacle, plan_fit
from combsearch.trainers.flat import Minibatches
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

cuda = fake_cuda
CPU = torch.device("cpu")
CLASSES, SHAPE = 4, (3, 8, 6)
RECIPE = Recipe(epochs=9, batch_size=16, lr=0.05, schedule=Schedule("cosine"))
STEPS = slice(0, 36)  # of 6 an epoch
KINDS = ("own", "shared")

kinds = pytest.mark.parametrize("kind", KINDS)


def make_images(points: int = 100, flip: bool = True, pad: int = 2) -> ImageSet:
    """Noise with a bright patch, whose place is the class; normalised black is not 0."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, CLASSES, points).astype(np.uint8)
    x = rng.integers(0, 200, (points, *SHAPE), dtype=np.uint8)
    for image, label in zip(x, y, strict=True):
        image[:, 2 * label : 2 * label + 2] += 55
    means, deviations = (0.49, 0.48, 0.44), (0.24, 0.25, 0.26)
    return ImageSet("patches", x, y, x[:9], y[:9], CLASSES, (), means, deviations, flip, pad)


IMAGES = make_images()
PLAIN = IMAGES.task()
TASKS = {kind: IMAGES.task(augment=True, shared=kind == "shared") for kind in KINDS}


def make_nets(n: int, name: str = "cnn") -> tuple[NetBatch, RunKeys]:
    """Networks of two blocks, 0 and 1, in turn."""
    architecture = CNN((4, 6)) if name == "cnn" else Dense((5,))
    keys = RunKeys.make(7, np.arange(n) + 3, ["a"] * n, 9 * np.arange(n) % 32)
    return NetBatch.create(ImageNetwork(architecture, SHAPE, CLASSES), keys), keys


def naive_minibatch(
    task: Task, step: int, keys: RunKeys, number: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """x [batch, in] and y of network ``number``: pixels are moved, then normalised."""
    assert task.augmentation is not None
    block = int(keys.restart[number]) // 16
    nets, _ = make_nets(1)
    rows = plan_fit(nets, task, RECIPE, keys[:1], ALL_STEPS).batch(step, block)
    if task.augmentation.shared:
        word = mix64(mix64(mix64(np.uint64(7)) ^ np.uint64(0x736861726564)) ^ np.uint64(block))
        key = as_philox_key(word)[None]
    else:
        key = keys[number : number + 1].philox_keys()
    moves = draw_moves(key, step // 6, rows, flip=IMAGES.flip, pad=IMAGES.pad)
    moved = move_images(IMAGES.x[rows], moves, IMAGES.pad)[0]
    return IMAGES.normalised(moved).reshape(16, -1), IMAGES.y[rows]


# ---- what a trainer sees ---------------------------------------------------------


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_minibatches_are_those_of_moved_pixels_exactly(kind: str, dtype: torch.dtype) -> None:
    nets, keys = make_nets(6)
    task = TASKS[kind]
    batches = Minibatches(task, plan_fit(nets, task, RECIPE, keys, ALL_STEPS), CPU, dtype)
    assert batches.own == (kind == "own")
    for step in (0, 5, 6, 53, 0):
        for block in (0, 1):
            members = np.flatnonzero(keys.blocks() == block)
            x, y = batches(step, block, members)
            assert x.shape == ((len(members), 16, 144) if batches.own else (16, 144))
            for place, number in enumerate(members):
                expected, labels = naive_minibatch(task, step, keys, int(number))
                found = x[place] if batches.own else x
                assert found.dtype == dtype
                np.testing.assert_array_equal(found.numpy(), expected.astype(found.numpy().dtype))
                np.testing.assert_array_equal(y.numpy(), labels)
            torch.testing.assert_close(batches(step, block)[0], x, rtol=0, atol=0)


def test_own_moves_differ_between_copies_and_images_between_epochs() -> None:
    nets, keys = make_nets(2)
    keys = dataclasses.replace(keys, restart=np.array([0, 1]))
    task = TASKS["own"]
    batches = Minibatches(task, plan_fit(nets, task, RECIPE, keys, ALL_STEPS), CPU)
    x, _ = batches(0, 0)
    assert (x[0] != x[1]).any(dim=1).sum() > 12  # of 16 images
    part, _ = batches(0, 0, np.array([1]))
    torch.testing.assert_close(part[0], x[1], rtol=0, atol=0)


# ---- training --------------------------------------------------------------------


def trained_naively(task: Task, nets: NetBatch, keys: RunKeys, number: int) -> NetBatch:
    """One network by the plain loop, every step on a task of its 16 images alone."""
    one = nets[number : number + 1]
    for step in range(12):
        x, y = naive_minibatch(task, step, keys, number)
        batch = Task("one", x, y, classes=CLASSES)
        recipe = dataclasses.replace(
            RECIPE, epochs=1, lr=float(RECIPE.rates()[step // 6]), schedule=Schedule("constant")
        )
        one = LoopTrainer("float64").fit(one, batch, recipe, keys[number : number + 1])
    return one


@kinds
def test_loop_trains_on_moved_images(kind: str) -> None:
    nets, keys = make_nets(3)
    found = LoopTrainer("float64").fit(nets, TASKS[kind], RECIPE, keys, slice(0, 12))
    plain = LoopTrainer("float64").fit(nets, PLAIN, RECIPE, keys, slice(0, 12))
    for number in range(3):
        expected = trained_naively(TASKS[kind], nets, keys, number)
        assert distances(found[number : number + 1], expected).max() < 1e-9
    assert distances(plain, found).min() > 1e-3


@kinds
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_vmap_equals_loop(kind: str, name: str) -> None:
    nets, keys = make_nets(6, name)
    loop = LoopTrainer().fit(nets, TASKS[kind], RECIPE, keys, STEPS)
    found = VmapTrainer("cpu").fit(nets, TASKS[kind], RECIPE, keys, STEPS)
    assert distances(found, loop).max() < 1e-5
    for key, array in loop.state.items():
        np.testing.assert_allclose(found.state[key], array, 1e-4, 1e-4)


@kinds
def test_neither_chunks_nor_neighbours_nor_segments_matter(kind: str) -> None:
    nets, keys = make_nets(6)
    whole = VmapTrainer("cpu").fit(nets, TASKS[kind], RECIPE, keys, STEPS)
    for chunk in (1, 2):
        chunks = VmapTrainer("cpu", chunk=chunk).fit(nets, TASKS[kind], RECIPE, keys, STEPS)
        assert distances(chunks, whole).max() < 1e-5
    some = np.array([5, 0, 3])
    alone = VmapTrainer("cpu").fit(nets[some], TASKS[kind], RECIPE, keys[some], STEPS)
    assert distances(alone, whole[some]).max() < 1e-5
    halfway = VmapTrainer("cpu").fit(nets, TASKS[kind], RECIPE, keys, slice(0, 8))
    resumed = VmapTrainer("cpu").fit(halfway, TASKS[kind], RECIPE, keys, slice(8, 36))
    assert_same(resumed, whole)


@kinds
def test_a_captured_step_is_given_every_copys_images(kind: str, cuda: FakeCuda) -> None:
    nets, keys = make_nets(6)
    found = VmapTrainer("cpu", chunk=2).fit(nets, TASKS[kind], RECIPE, keys, STEPS)
    assert len(cuda.pools) == 3  # of two blocks, one of four networks
    assert distances(found, LoopTrainer().fit(nets, TASKS[kind], RECIPE, keys, STEPS)).max() < 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graphs", [True, False])
@kinds
def test_cuda_equals_loop(kind: str, graphs: bool) -> None:
    nets, keys = make_nets(6)
    found = VmapTrainer("cuda", graphs=graphs).fit(nets, TASKS[kind], RECIPE, keys, STEPS)
    assert distances(found, LoopTrainer().fit(nets, TASKS[kind], RECIPE, keys, STEPS)).max() < 1e-4


@pytest.mark.parametrize("trainer", [LoopTrainer(), VmapTrainer("cpu")], ids=["loop", "vmap"])
@kinds
def test_what_moves_nothing_changes_no_bit(kind: str, trainer: Trainer) -> None:
    nets, keys = make_nets(4)
    still = make_images(flip=False, pad=0).task(augment=True, shared=kind == "shared")
    found = trainer.fit(nets, still, RECIPE, keys, STEPS)
    assert_same(found, trainer.fit(nets, PLAIN, RECIPE, keys, STEPS))


def test_scores_are_of_images_as_they_are() -> None:
    nets, _ = make_nets(3)
    plain = score(nets, PLAIN).correct
    for trainer in (LoopTrainer(), VmapTrainer("cpu"), AutoTrainer()):
        np.testing.assert_array_equal(trainer.score(nets, TASKS["own"]).correct, plain)


def test_networks_with_moves_of_their_own_are_not_trained_as_one() -> None:
    nets, keys = make_nets(2)
    keys = dataclasses.replace(keys, restart=np.array([0, 1]))
    same = nets[np.array([0, 0])]

    def twins(task: Task) -> Any:
        weights = np.full(2, 9, np.int64)
        return budgets._twins(
            same, budgets.Budget(weights, task, (RECIPE,) * 2, keys, AutoTrainer())
        )

    assert twins(TASKS["own"]) is None
    for task in (PLAIN, TASKS["shared"]):
        assert twins(task)[1].tolist() == [0, 0]


# ---- what a task says of it --------------------------------------------------------


def test_an_image_set_gives_the_usual_augmentation_when_asked() -> None:
    found = TASKS["own"].augmentation
    assert found is not None
    assert found == Augmentation(SHAPE, True, 2, found.black, False)
    black = IMAGES.normalised(np.zeros((3, 1, 1), np.uint8)).ravel()
    np.testing.assert_array_equal(np.array(found.black, np.float32), black)
    assert dataclasses.replace(found, shared=True) == TASKS["shared"].augmentation
    assert PLAIN.augmentation is None
    assert make_images(flip=False, pad=0).task(augment=True).augmentation is None


@pytest.mark.parametrize(
    ("name", "usual"),
    [("fashion-mnist", None), ("cifar10", (True, 4)), ("tiny-imagenet", (True, 8))],
)
def test_a_data_set_is_augmented_as_is_usual(name: str, usual: tuple[bool, int] | None) -> None:
    images = load_images(name, PIECES)
    found = images.task(augment=True).augmentation
    assert (found and (found.flip, found.pad)) == usual
    assert found is None or found.image_shape == images.x.shape[1:]


def test_the_digest_of_a_task_tells_its_augmentation_and_is_else_as_it_was() -> None:
    assert Task("a", np.zeros((2, 3), np.float32), np.zeros(2, np.uint8)).digest() == (
        "dde4ca92f2e83fa3c74643bf55a19a4a0bce94ebbdd7e0e8f5a2546ce35699c5"
    )
    tasks = [
        PLAIN,
        *TASKS.values(),
        make_images(flip=False).task(augment=True),
        make_images(pad=3).task(augment=True),
    ]
    assert len({task.digest() for task in tasks}) == 5
    still = make_images(flip=False, pad=0)
    assert still.task(augment=True).digest() == still.task().digest() == PLAIN.digest()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_shape": (8, 6)}, r"image_shape is \[8, 6\], it must be \[channels, height"),
        ({"image_shape": (3, 0, 6)}, r"image_shape is \[3, 0, 6\], it must be .* from 1 up"),
        ({"pad": -1}, "pad is -1, it must be from 0 pixels up"),
        ({"black": (0.0,)}, r"black is \[0.0\], it must be one finite value for each of the 3"),
        ({"black": (0.0, np.nan, 0.0)}, r"black is \[0.0, nan, 0.0\], it must be one finite"),
    ],
)
def test_an_augmentation_that_cannot_be_is_named(fields: dict[str, Any], message: str) -> None:
    good = {"image_shape": SHAPE, "flip": True, "pad": 2, "black": (0.0, 0.0, 0.0)}
    with pytest.raises(UsageError, match=f"augmentation: {message}"):
        Augmentation(**{**good, **fields})


def test_an_augmentation_of_other_images_is_named() -> None:
    message = r"'{}': augmentation moves images \[1, 2, 2\], which are 4 inputs, x has {}; give"
    other = Augmentation((1, 2, 2), True, 0, (0.0,))
    with pytest.raises(UsageError, match=message.format("patches", 144)):
        dataclasses.replace(PLAIN, augmentation=other)
    with pytest.raises(UsageError, match=message.format("arms", 2) + ".* none where they are no"):
        dataclasses.replace(POINTS, augmentation=other)


def test_compiled_trainers_refuse_it_and_auto_takes_vmap() -> None:
    nets, keys = make_mlps("3", 1)
    moved = Augmentation((1, 1, 2), True, 0, (0.0,))
    task = dataclasses.replace(POINTS, augmentation=moved)
    assert fused_obstacle(nets, POINTS, None) is None
    obstacle = "it trains on points as they are, without augmentation"
    assert fused_obstacle(nets, task, None) == obstacle
    assert AutoTrainer().choose(nets, task).name == "vmap"
    for name in ("fused", "sparse"):
        with pytest.raises(UsageError, match=f"'{name}' cannot do this: {obstacle}; 'vmap' and"):
            get_trainer(name).fit(nets, task, Recipe(), keys)


@kinds
@pytest.mark.parametrize("lockstep", [False, True])
def test_halves_of_a_chunk_keep_their_own_images(
    kind: str, lockstep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets, keys = make_nets(6, "mlp")
    whole = VmapTrainer("cpu").fit(nets, TASKS[kind], RECIPE, keys, slice(0, 12))
    real, sizes = vmap._Chunk.gradients, []

    def gradients(chunk: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
        sizes.append(len(chunk.index))
        if len(chunk.index) > 1 and chunk.step == 5:
            raise MemoryError
        return real(chunk, x, y)

    monkeypatch.setattr(vmap._Chunk, "gradients", gradients)
    on_step = (lambda step, batch: None) if lockstep else None
    found = VmapTrainer("cpu").fit(nets, TASKS[kind], RECIPE, keys, slice(0, 12), on_step)
    assert set(sizes) == {1, 2, 4}
    assert distances(found, whole).max() < 1e-5

"""The data of each experiment, by dimension: points that stay, or fresh ones every epoch.

Needs numpy only, beside what a generator needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from combsearch.errors import UsageError
from combsearch.studies.dimensionality.config import (
    ExtrinsicConfig,
    ImpConfig,
    IntrinsicConfig,
    LinearConfig,
    SpiralConfig,
)
from combsearch.tasks import Task, load_task
from combsearch.tasks.images import DATA_SETS, load_images
from combsearch.tasks.linear_stream import LinearStream

if TYPE_CHECKING:
    from combsearch.generators.base import Generator

Shape = tuple[int, int, int]


class Source(Protocol):
    """Where training points come from."""

    @property
    def points(self) -> int:
        """Points an epoch."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether every epoch has points of its own."""
        ...

    @property
    def test(self) -> Task:
        """The points that accuracy is measured on."""
        ...

    @property
    def image_shape(self) -> Shape | None:
        """(channels, height, width) where points are images."""
        ...

    def epoch(self, number: int) -> Task:
        """The points of an epoch, from 0."""
        ...


@dataclass(frozen=True, eq=False)
class Fixed:
    """The same points every epoch; see ``Source``.

    Attributes:
        task: them, and held-out ones where there are any.
        image_shape: of images.
    """

    task: Task
    image_shape: Shape | None = None

    @property
    def points(self) -> int:
        """See ``Source``."""
        return self.task.points

    @property
    def fresh(self) -> bool:
        """No."""
        return False

    @cached_property
    def test(self) -> Task:
        """The held-out points; all points where there are none."""
        task = self.task
        if task.x_test is None or task.y_test is None:
            return task
        return Task(f"{task.name}, test", task.x_test, task.y_test, classes=task.classes)

    def epoch(self, number: int) -> Task:
        """See ``Source``."""
        return self.task


@dataclass(frozen=True, eq=False)
class Fresh:
    """Points of a stream; see ``Source``."""

    stream: LinearStream

    @property
    def points(self) -> int:
        """See ``Source``."""
        return self.stream.points

    @property
    def fresh(self) -> bool:
        """Yes."""
        return True

    @cached_property
    def test(self) -> Task:
        """See ``Source``."""
        return self.stream.test

    @property
    def image_shape(self) -> Shape | None:
        """They are no images."""
        return None

    def epoch(self, number: int) -> Task:
        """See ``Source``."""
        return self.stream.epoch(number)


def load_source(config: ImpConfig, dimension: int) -> Source:
    """The data of one dimension.

    Raises:
        UsageError: a data set or generator that is not there, or a dimension that it has not.
    """
    if isinstance(config, ExtrinsicConfig):
        return _resized(config, dimension)
    if isinstance(config, IntrinsicConfig):
        return _generated(config, dimension)
    if isinstance(config, LinearConfig):
        return Fresh(_stream(config, dimension))
    if isinstance(config, SpiralConfig):
        return Fixed(load_task(spiral_name(config, dimension)))
    raise TypeError(f"no experiment {type(config).__name__}")


def data_identity(config: ImpConfig) -> dict[str, Any]:
    """What the data of all dimensions are made of, as JSON, found without making them.

    Raises:
        UsageError: as ``load_source``.
    """
    if isinstance(config, ExtrinsicConfig):
        _check_data_set(config.task)
        return {"images": load_images(config.task).task().digest()}
    if isinstance(config, IntrinsicConfig):
        _generator(config)  # what does not fit shows before anything is trained
        return {"generator": hashlib.sha256(_read(config.generator)).hexdigest()}
    if isinstance(config, LinearConfig):
        return _stream(config, 1).identity()
    if isinstance(config, SpiralConfig):
        tasks = (load_task(spiral_name(config, d)) for d in config.dimensions)
        return {"tasks": [task.digest() for task in tasks]}
    raise TypeError(f"no experiment {type(config).__name__}")


def spiral_name(config: SpiralConfig, inputs: int) -> str:
    """The name of the embedded spiral, as ``load_task`` knows it."""
    return f"spiral_{config.embedding}_{inputs}"


def _stream(config: LinearConfig, dimension: int) -> LinearStream:
    return LinearStream(
        task_dimension=dimension,
        latent=config.latent,
        inputs=config.inputs,
        seed=config.seed,
        points=config.points,
        test_points=config.test_points,
        scale=config.scale,
    )


def _resized(config: ExtrinsicConfig, side: int) -> Source:
    _check_data_set(config.task)
    images = load_images(config.task)
    if config.points > len(images.x):
        raise UsageError(
            f"points is {config.points}, {config.task} has {len(images.x)} training images"
        )
    count = config.points or len(images.x)
    images = dataclasses.replace(images, x=images.x[:count], y=images.y[:count]).resized(side)
    return Fixed(images.task(augment=config.augment, shared=True), _shape(images.x.shape[1:]))


def _generated(config: IntrinsicConfig, dimension: int) -> Source:
    from combsearch.generators import generated_task

    generator = _generator(config)
    task = generated_task(generator, dimension, config.points, config.test_points, config.seed)
    return Fixed(task, _shape(generator.image_shape))


def _generator(config: IntrinsicConfig) -> Generator:
    """The generator, which has all latent coordinates that the dimensions need."""
    from combsearch.generators import load_generator

    if not config.generator:
        raise UsageError(
            "no generator: name its weights with --generator FILE; combsearch study"
            " dimensionality generator train makes a small one"
        )
    generator = load_generator(config.generator)
    most = max(config.dimensions)
    if most > generator.latent:
        raise UsageError(
            f"dimensions holds {most}, {config.generator} has {generator.latent} latent coordinates"
        )
    return generator


def _check_data_set(name: str) -> None:
    if name not in DATA_SETS:
        raise UsageError(
            f"task {name!r} is not an image data set, which resizing needs"
            f" (known: {', '.join(DATA_SETS)})"
        )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the generator {path!r}: {reason}") from None


def _shape(shape: tuple[int, ...]) -> Shape:
    channels, height, width = shape
    return int(channels), int(height), int(width)

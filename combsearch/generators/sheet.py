"""Sample sheets: what a generator makes, by class or by latent dimension, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from combsearch.durable import make_folder, write_bytes
from combsearch.errors import UsageError
from combsearch.generators.base import U8, Generator, keep_first
from combsearch.generators.generated import latent_vectors

MAX_ROWS, MAX_COLUMNS = 20, 100
_TILE = 56  # pixels that an image takes at least, enlarged by a whole number
_GAP = 2
_TEXT = 12  # pixels
_GREY, _RGB = 1, 3


def class_sheet(generator: Generator, columns: int, seed: int, dimension: int = 0) -> bytes:
    """A PNG of ``columns`` samples of every class, a row each.

    Args:
        dimension: latent coordinates that are not 0; 0 for all. Vectors do not depend on it.

    Raises:
        UsageError: a dimension that the generator has not, a seed that is none, or columns that
            are not 1 to ``MAX_COLUMNS``.
    """
    rows = np.unique(np.linspace(0, generator.classes - 1, MAX_ROWS).round().astype(np.int64))
    _check_columns(columns)
    z = latent_vectors(seed, "sheet", 0, len(rows) * columns, generator.latent)
    labels = np.repeat(rows, columns)
    images = generator.images(keep_first(z, dimension or generator.latent), labels)
    names = generator.class_names or tuple(map(str, range(generator.classes)))
    tiles = images.reshape(len(rows), columns, *generator.image_shape)
    return sheet(tiles, [names[row] for row in rows])


def dimension_sheet(
    generator: Generator, columns: int, seed: int, dimensions: Sequence[int]
) -> bytes:
    """A PNG of the same ``columns`` samples at every latent dimension, a row each.

    Columns go through the classes. All rows have the same vectors, of which only the first
    coordinates are used.

    Raises:
        UsageError: as ``class_sheet``, or no dimensions.
    """
    if not dimensions:
        raise UsageError("no dimensions, name at least one such as 16,32,64,128")
    _check_columns(columns)
    z = latent_vectors(seed, "sheet", 0, columns, generator.latent)
    labels = np.arange(columns) % generator.classes
    tiles = np.stack([generator.images(keep_first(z, d), labels) for d in dimensions])
    return sheet(tiles, [f"d = {d}" for d in dimensions])


def sheet(tiles: U8, names: Sequence[str]) -> bytes:
    """A PNG of uint8 [rows, columns, channels, height, width], 1 or 3 channels, named by row."""
    from PIL import Image, ImageDraw, ImageFont

    if tiles.shape[2] not in (_GREY, _RGB):
        raise UsageError(f"images have {tiles.shape[2]} channels, a sheet shows 1 or 3")
    grid = _grid(tiles)
    font = ImageFont.load_default(size=_TEXT)
    left = 2 * _GAP + max(int(font.getlength(name)) + 1 for name in names)
    page = np.full((grid.shape[0], left + grid.shape[1], _RGB), 255, np.uint8)
    page[:, left:] = grid
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    step = grid.shape[0] / len(names)
    for row, name in enumerate(names):
        draw.text((_GAP, (row + 0.5) * step), name, fill=(0, 0, 0), font=font, anchor="lm")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def write_sheet(path: Path, png: bytes) -> None:
    """Write a sheet.

    Raises:
        UsageError: a name that does not end in .png, or a place that cannot be written.
        NoSpaceError: the disk is full.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path} must end in .png, sheets are written as such")
    make_folder(path.parent)
    write_bytes(path, png)


def _check_columns(columns: int) -> None:
    if not 1 <= columns <= MAX_COLUMNS:
        raise UsageError(f"a sheet of {columns} columns, there must be 1 to {MAX_COLUMNS}")


def _grid(tiles: U8) -> U8:
    """The tiles, enlarged and with white between them: uint8 [height, width, 3]."""
    rows, columns, _, height, width = tiles.shape
    scale = -(-_TILE // max(height, width))
    big = tiles.repeat(scale, axis=3).repeat(scale, axis=4)
    full = np.full(
        (rows, columns, _RGB, height * scale + _GAP, width * scale + _GAP), 255, np.uint8
    )
    full[..., : height * scale, : width * scale] = big  # one channel serves all three
    return np.ascontiguousarray(full.transpose(0, 3, 1, 4, 2)).reshape(
        rows * full.shape[3], columns * full.shape[4], _RGB
    )

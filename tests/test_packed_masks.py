"""Packed masks: what is read is what the enumerator makes, in its order; damage is noticed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.canonical import canonical_form
from combsearch.counting import smallest_nonzeros
from combsearch.enumeration import mask_space
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.packed_masks import BLOCK, PackedMasks, write_packed

SMALL = NetShape.parse("3,2,2")
WIDE = NetShape.parse("17,2,2")  # 74 weights: two words


def levels(shape: NetShape, most: int | None = None) -> Iterator[MaskBatch]:
    """The canonical masks of a shape, a level at a time."""
    space = mask_space(shape, "full", most)
    for nonzeros, count in space.levels().items():
        start = space.level_start(nonzeros)
        yield canonical_form(space.masks(start, start + count))


def batches() -> list[MaskBatch]:
    return [*levels(SMALL), *levels(WIDE, smallest_nonzeros(WIDE) + 1), *levels(SMALL)]


@pytest.mark.parametrize("block", [150, BLOCK])
def test_any_range_is_read_as_it_was_enumerated(tmp_path: Path, block: int) -> None:
    wanted = batches()
    packed = write_packed(tmp_path / "x.masks", wanted, {"seed": 7}, block)
    assert packed.facts == {"seed": 7} and packed.block == block
    assert (
        len(packed)
        == sum(map(len, wanted))
        == 2 * len(mask_space(SMALL)) + len(mask_space(WIDE, "full", smallest_nonzeros(WIDE) + 1))
    )
    shapes = [batch.shape for batch in wanted for _ in range(len(batch))]
    rows = [row.tolist() for batch in wanted for row in batch.words]
    rng = np.random.default_rng(0)
    cuts = rng.integers(0, len(packed), (20, 2))
    for first, last in [(0, 0), (0, len(packed)), *np.sort(cuts, axis=1).tolist()]:
        found, at = [], first
        for piece, masks in packed.read(first, last):
            assert piece.rank == at and piece.masks == len(masks) and piece.shape == masks.shape
            assert (masks.nonzeros() == piece.nonzeros).all()
            assert shapes[at : piece.last] == [masks.shape] * len(masks)
            found += [row.tolist() for row in masks.words]
            at = piece.last
        assert found == rows[first:last] and at == last


def test_stretches_of_one_level_that_came_in_parts_are_one(tmp_path: Path) -> None:
    level = next(levels(SMALL))
    packed = write_packed(tmp_path / "x.masks", [level[:1], level[1:]])
    assert [(s.rank, s.masks) for s in packed.stretches] == [(0, len(level))]


def test_a_batch_has_one_number_of_nonzeros(tmp_path: Path) -> None:
    mixed = mask_space(SMALL).masks(0, len(mask_space(SMALL)))
    with pytest.raises(UsageError, match="18 to 26 nonzeros: give the masks of each number in"):
        write_packed(tmp_path / "x.masks", [mixed])
    assert not list(tmp_path.iterdir())


def test_ranks_that_are_not_there(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "x.masks", levels(SMALL))
    with pytest.raises(UsageError, match="ranks 5 to 274 are not all among the 273 masks"):
        next(packed.read(5, 274))


def test_a_file_that_replaced_another_is_read_afresh(tmp_path: Path) -> None:
    path = tmp_path / "x.masks"
    for batch in levels(SMALL):
        packed = write_packed(path, [batch])
        ((_, found),) = packed.read(0, len(batch))
        assert np.array_equal(found.words, batch.words)


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.masks"
    write_packed(path, levels(SMALL), block=100)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 30)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            packed = PackedMasks.open(path)
            words = [masks.words.tolist() for _, masks in packed.read(0, len(packed))]
        except CorruptDataError:
            continue
        # a byte that says nothing, such as a date
        assert words == [batch.words.tolist() for batch in levels(SMALL)]


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip file at all" * 9])
def test_no_file_of_masks(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.masks"
    with pytest.raises(UsageError, match=r"x\.masks"):
        PackedMasks.open(path)
    path.write_bytes(data)
    with pytest.raises(CorruptDataError, match="no file of packed masks"):
        PackedMasks.open(path)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"format": 2}, UsageError, "has format 2, this combsearch reads 1"),
        ({"format": 2, "block": None}, UsageError, "has format 2, this combsearch reads 1"),
        ({"block": 0}, CorruptDataError, "a block or a stretch of no masks"),
        ({"stretches": [[18, [2, 3, 2, 2, 1], -5]]}, CorruptDataError, "a stretch of no masks"),
        ({"stretches": [[18, [2, 3, 2, 2, 1], 300]]}, CorruptDataError, "block 0 has 4 words"),
        ({"facts": None}, CorruptDataError, "cannot be parsed"),
    ],
)
def test_what_about_json_may_not_say(
    change: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.masks"
    write_packed(path, [next(levels(SMALL))])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["about.json"]) | change
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, json.dumps(about) if name == "about.json" else data)
    with pytest.raises(error, match=said):
        list(PackedMasks.open(path).read(0, 1))

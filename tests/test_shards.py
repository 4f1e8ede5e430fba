from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combsearch.errors import UsageError
from combsearch.shards import (
    Shard,
    ShardFile,
    list_shards,
    merged,
    owned,
    parse_name,
    touches,
    uncovered,
)

SHARD = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda p: Shard(p[0], p[0] + p[1]))
SHA = "0123456789abcdef" * 4


def files_of(shards: list[Shard]) -> list[ShardFile]:
    files = [ShardFile(s, SHA, Path(f"{k:03d}")) for k, s in enumerate(shards)]
    return sorted(files, key=lambda f: (f.shard.first, -f.shard.last, f.path.name))


@given(st.lists(SHARD, max_size=8), st.lists(SHARD, max_size=8))
def test_a_shard_is_uncovered_when_a_rank_of_it_is_in_no_file(
    wanted: list[Shard], present: list[Shard]
) -> None:
    ranks = {rank for shard in present for rank in range(shard.first, shard.last)}
    expected = [s for s in wanted if not set(range(s.first, s.last)) <= ranks]
    assert uncovered(wanted, sorted(present)) == expected


@given(SHARD, st.lists(SHARD, max_size=8))
def test_a_shard_touches_ranges_that_hold_a_rank_of_it(shard: Shard, ranges: list[Shard]) -> None:
    ranks = {rank for one in ranges for rank in range(one.first, one.last)}
    expected = not ranks.isdisjoint(range(shard.first, shard.last))
    assert touches(shard, merged(sorted(ranges))) == expected


@given(st.lists(SHARD, max_size=8), st.integers(0, 40), st.integers(0, 40))
def test_each_rank_is_owned_once_in_order(shards: list[Shard], first: int, last: int) -> None:
    pieces = owned(files_of(shards), first, last)
    ranks = [rank for piece in pieces for rank in range(piece.first, piece.last)]
    present = {rank for shard in shards for rank in range(shard.first, shard.last)}
    assert ranks == sorted(present & set(range(first, last)))
    for file, start, stop in pieces:
        assert file.shard.first <= start < stop <= file.shard.last


def test_of_two_files_of_one_range_the_first_by_name_is_taken() -> None:
    [piece] = owned(files_of([Shard(0, 5), Shard(0, 5), Shard(0, 3)]))
    assert piece.file.path.name == "000"


@pytest.mark.parametrize(("first", "last"), [(3, 3), (4, 3), (-1, 3), (0, 10**18)])
def test_a_bad_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(UsageError, match=f"shard {first}..{last}"):
        Shard(first, last)


@pytest.mark.parametrize(
    ("name", "shard"),
    [
        (f"000000000000-000000000010.{SHA}.parquet", Shard(0, 10)),
        (f"999999999999-1000000000005.{SHA}.parquet", Shard(10**12 - 1, 10**12 + 5)),
        (f"000000000010-000000000010.{SHA}.parquet", None),
        (f"000000000010-000000000009.{SHA}.parquet", None),
        (f"0000000000000-000000000010.{SHA}.parquet", None),
        (f"0-10.{SHA}.parquet", None),
        (f"000000000000-000000000010.{SHA.upper()}.parquet", None),
        (f"000000000000-000000000010.{SHA[:-1]}.parquet", None),
        (f"000000000000-000000000010.{SHA}.parquet~", None),
        (f"000000000000-00000000001٣.{SHA}.parquet", None),
        (f"._000000000000-000000000010.{SHA}.parquet", None),
        ("000000000000-000000000010.parquet", None),
    ],
)
def test_names(name: str, shard: Shard | None) -> None:
    found = parse_name(Path("x") / name)
    assert (None if found is None else found.shard) == shard


def test_listing_puts_the_widest_first_and_names_what_is_foreign(tmp_path: Path) -> None:
    for first, last in ((10**12, 10**12 + 1), (0, 5), (0, 20), (999, 1000)):
        (tmp_path / f"{first:012d}-{last:012d}.{SHA}.parquet").touch()
    (tmp_path / f"000000000001-000000000002.{SHA}.parquet").mkdir()
    (tmp_path / ".DS_Store").touch()
    (tmp_path / ".combsearch-01234567-1-01234567.tmp").touch()
    files, foreign = list_shards(tmp_path)
    assert [f.shard.first for f in files] == [0, 0, 999, 10**12]
    assert files[0].shard.last == 20
    assert foreign == [".DS_Store", f"000000000001-000000000002.{SHA}.parquet"]

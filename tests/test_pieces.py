"""Rows read piece by piece: the same rows, in order, in memory that does not grow with them."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_worker import IDENTITY, make_rows

from combsearch import pieces as pieces_module
from combsearch import shards as shards_module
from combsearch.errors import CorruptDataError, UsageError
from combsearch.rows import Digest, canonical
from combsearch.search.results import first_success, saved_success
from combsearch.shards import open_shard
from combsearch.store import RunStore, Shard, digest, rows_table

ROWS_20 = make_rows(0, 20)


def filled(root: Path, bounds: list[tuple[int, int]]) -> RunStore:
    store = RunStore.open(root, IDENTITY)
    for first, last in bounds:
        store.write(Shard(first, last), make_rows(first, last))
    return store


def joined(tables: Any) -> pa.Table:
    return pa.concat_tables([make_rows(0, 1).schema.empty_table(), *tables])


# ---- the digest -----------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 20), max_size=5), seed=st.integers(0, 99))
def test_a_digest_of_tables_in_turn_is_that_of_all_rows(cuts: list[int], seed: int) -> None:
    rng, gathered = np.random.default_rng(seed), Digest()
    ends = [0, *sorted(cuts), 20]
    rank = ROWS_20["rank"].to_numpy()
    for first, last in itertools.pairwise(ends):
        own = ROWS_20.filter(pa.array((rank >= first) & (rank < last)))
        gathered.update(own.take(rng.permutation(len(own))))
    assert gathered.hexdigest() == digest(ROWS_20)


def test_a_digest_takes_rows_of_one_rank_in_two_tables_but_in_order() -> None:
    gathered = Digest()
    for start in (0, 2, 5):
        gathered.update(ROWS_20.slice(start, {0: 2, 2: 3, 5: 999}[start]))
    assert gathered.hexdigest() == digest(ROWS_20)
    assert Digest().hexdigest() == digest(ROWS_20.slice(0, 0))


def test_a_digest_refuses_rows_out_of_order_and_twice() -> None:
    gathered = Digest()
    gathered.update(ROWS_20.slice(12, 6))
    with pytest.raises(UsageError, match=r"one run twice: \{'rank': 2, 'cell': '0.1:step'"):
        gathered.update(ROWS_20.slice(17, 3))
    for start in (0, 14):
        with pytest.raises(UsageError, match="come after rows that they stand before"):
            gathered.update(ROWS_20.slice(start, 3))


# ---- pieces ---------------------------------------------------------------------------

OVERLAPPING = [(20, 30), (0, 12), (10, 20), (25, 45), (40, 50), (60, 70)]


@pytest.mark.parametrize("rows", [1, 100, 1 << 16])
def test_pieces_are_the_rows_of_read(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces_module, "_ROWS", rows)
    store = filled(tmp_path, OVERLAPPING)
    for span in ((None, None), (5, 27), (None, 41), (44, None), (50, 60), (69, 70)):
        for columns in (None, ["accuracy", "rank"]):
            pieces = store.pieces(columns, *span)
            tables = list(pieces)
            whole = store.read(columns, *span)
            assert pa.concat_tables([whole.slice(0, 0), *tables]).equals(whole)
            ranks = [set(table["rank"].to_pylist()) for table in tables]
            assert sum(map(len, ranks)) == len(set().union(*ranks))  # no rank in two tables
            held = {rank for shard in pieces.ranges for rank in range(shard.first, shard.last)}
            assert held == set(whole["rank"].to_pylist())
            assert all(len(table) >= rows for table in tables[:-1])
    assert list(store.pieces().ranges) == [Shard(0, 50), Shard(60, 70)]
    assert len(list(store.pieces())) == {1: 6, 100: 3}.get(rows, 1)


def test_pieces_of_some_files_and_of_none(tmp_path: Path) -> None:
    store = filled(tmp_path, [(0, 10), (10, 20), (20, 30)])
    files = store.verify().files
    assert joined(store.pieces(files=files[::2])).equals(
        pa.concat_tables([make_rows(0, 10), make_rows(20, 30)])
    )
    assert list(store.pieces(files=[])) == [] and store.pieces(files=[]).ranges == []
    with pytest.raises(UsageError, match="unknown column 'acuracy'"):
        store.pieces(["acuracy"])


def test_a_damaged_file_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    store = filled(tmp_path, [(0, 10), (10, 20), (20, 30)])
    file = store.verify().files[1]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptDataError, match=f"{file.name}.*combsearch verify"):
        list(store.pieces())
    pieces = store.pieces()
    file.unlink()  # by another process that has set it aside meanwhile
    with pytest.raises(CorruptDataError, match="cannot be read"):
        list(pieces)


def test_few_files_are_read_ahead_and_memory_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces_module, "_ROWS", 1)
    store, count = RunStore.open(tmp_path, IDENTITY), 64
    for k in range(count):
        rank = np.repeat(np.arange(k * 100, (k + 1) * 100), 20)
        noise = np.random.default_rng(k).random(len(rank))
        rows = rows_table(
            rank=rank, shape="2,3,1", mask=rank, nonzeros=9, cell="0.1:step",
            restart=np.tile(np.arange(20), 100), accuracy=noise,
        )  # fmt: skip
        store.write(Shard(k * 100, (k + 1) * 100), rows)
    size = max(file.stat().st_size for file in (tmp_path / "shards").iterdir())
    opened, lock = [], threading.Lock()

    def counting(*arguments: Any) -> Any:
        with lock:
            opened.append(time.monotonic())
        return open_shard(*arguments)

    monkeypatch.setattr(shards_module, "open_shard", counting)
    whole, before = store.read().nbytes, pa.total_allocated_bytes()
    for ahead, most in ((1 << 30, pieces_module.READERS + 2), (1, 3), (3 * size, 6)):
        monkeypatch.setattr(pieces_module, "_AHEAD", ahead)
        opened.clear()
        peak = lead = 0
        for number, _ in enumerate(store.pieces()):
            time.sleep(0.002)  # so that whoever could read ahead does
            lead = max(lead, len(opened) - number)
            peak = max(peak, pa.total_allocated_bytes() - before)
        assert len(opened) == count and lead <= most
        assert peak < whole / 3


def test_to_stop_reading_leaves_no_thread(tmp_path: Path) -> None:
    store = filled(tmp_path, [(k, k + 1) for k in range(30)])
    threads, tables = threading.active_count(), iter(store.pieces())
    next(tables)
    tables.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads


# ---- what checking tells beside ---------------------------------------------------------


def test_a_check_tells_where_a_success_may_be(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    for k in range(6):
        rows = make_rows(k * 10, k * 10 + 10)
        rank = rows["rank"].to_numpy()
        levels = pa.array((9 + rank // 3).astype(np.int32))  # ranks ascend in nonzeros
        field = rows.schema.field("nonzeros")
        store.write(Shard(k * 10, k * 10 + 10), rows.set_column(3, field, levels))
    store.write(Shard(60, 70), make_rows(0, 0))
    found = store.verify()
    assert found.rows == len(store.read())
    for file, best in zip(found.files, found.best, strict=True):
        accuracy = pa.concat_tables(store.pieces(["accuracy"], files=[file]))["accuracy"].to_numpy()
        assert best == accuracy.max(initial=-np.inf)
    rows = store.read()
    for target in (0.5, 0.9, 0.99, float(rows["accuracy"].to_numpy().max()), 1.0):
        holding = found.reaching(target)
        assert saved_success(store, target, holding) == first_success(rows, target)
        assert saved_success(store, target) == first_success(rows, target)
    assert found.reaching(1.1) == [] and len(found.reaching(0.5)) == 6


def test_accuracies_that_are_no_number_hide_none(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    rows = canonical(make_rows(0, 2))
    column = rows["accuracy"].to_numpy().copy()
    for name, values in {"some": [np.nan, 1.0], "all": [np.nan] * 2}.items():
        column[:] = np.resize(values, len(column))
        changed = rows.set_column(6, rows.schema.field("accuracy"), pa.array(column))
        store = RunStore.open(tmp_path / name, IDENTITY)
        store.write(Shard(0, 2), changed)
        [best] = store.verify().best
        assert best >= 1.0  # of "all" nothing is known, so it is looked into

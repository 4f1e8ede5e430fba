from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_worker
from store_worker import IDENTITY, RANKS, make_rows, shards

from combsearch import durable
from combsearch.errors import CorruptDataError, NoSpaceError, RunMismatchError, UsageError
from combsearch.store import ROWS, RunStore, Shard, digest, run_folder, write_bytes, write_json


def filled(root: Path, count: int = 4) -> RunStore:
    store = RunStore.open(root, IDENTITY)
    write_all(store, shards(count))
    return store


def write_all(store: RunStore, todo: list[Shard]) -> None:
    for shard in todo:
        store.write(shard, make_rows(shard.first, shard.last))


def shard_file(store: RunStore, k: int) -> Path:
    [path] = (store.root / "shards").glob(f"{k * RANKS:012d}-*")
    return path


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


# ---- rows come back ------------------------------------------------------------------


def test_rows_come_back_in_canonical_order_with_the_digest_of_their_run(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "run", IDENTITY)
    todo = shards(5)
    assert store.missing(todo) == todo
    for shard in (todo[3], todo[0], todo[4], todo[1]):
        rows = make_rows(shard.first, shard.last, seconds=1.5)
        order = np.random.default_rng(0).permutation(len(rows))
        path = store.write(shard, rows.take(order))
        assert path == shard_file(store, shard.first // RANKS)
        assert path.name.split(".")[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert store.missing(todo) == [todo[2]]
    store.write(todo[2], make_rows(20, 30))
    table = store.read()
    expected = make_rows(0, 50)
    assert table.schema.equals(ROWS, check_metadata=True)
    assert table.drop_columns(["seconds"]).equals(expected.drop_columns(["seconds"]))
    assert digest(table) == naive.rows_digest(expected.to_pylist())
    assert table["rank"].num_chunks == 1  # many little shards do not make many little chunks
    assert RunStore.attach(tmp_path / "run").read().equals(table)
    assert sorted(os.listdir(store.root)) == ["run.json", "shards"]


def test_columns_and_ranges_are_read_alone(tmp_path: Path) -> None:
    store = filled(tmp_path)
    expected = make_rows(0, 40)
    rank = expected["rank"].to_numpy()
    for first, last in ((None, None), (13, None), (None, 27), (13, 27), (15, 16), (30, 99), (9, 9)):
        kept = (rank >= (first or 0)) & (rank < (99 if last is None else last))
        rows = expected.filter(pa.array(kept))
        assert store.read(first=first, last=last).equals(rows)
        some = store.read(["accuracy", "shape"], first, last)
        assert some.equals(rows.select(["accuracy", "shape"]))
    with pytest.raises(UsageError, match=r"'acuracy', did you mean 'accuracy'\? \(known: rank, "):
        store.read(["acuracy"])


def test_an_empty_run_and_an_empty_shard_have_no_rows(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    assert store.read().equals(ROWS.empty_table())
    assert store.read(["rank"]).schema.names == ["rank"]
    store.write(Shard(0, 10), ROWS.empty_table())
    assert store.missing([Shard(0, 10)]) == []
    assert store.verify().valid == [Shard(0, 10)] and len(store.read()) == 0


def test_the_digest_does_not_depend_on_shard_bounds(tmp_path: Path) -> None:
    digests = set()
    for name, bounds in {"a": (0, 40), "b": (0, 1, 39, 40), "c": range(0, 41, 4)}.items():
        store = RunStore.open(tmp_path / name, IDENTITY)
        for first, last in zip(bounds, list(bounds)[1:], strict=False):
            store.write(Shard(first, last), make_rows(first, last, seconds=first))
        digests.add(digest(store.read()))
    assert digests == {digest(make_rows(0, 40))}


def test_large_shards_come_back_too(tmp_path: Path) -> None:
    few = make_rows(0, 10)
    ranks = 800
    many = pa.concat_tables([few] * (ranks // 10))
    many = many.set_column(0, ROWS.field("rank"), pa.array(np.repeat(np.arange(ranks), 6)))
    store = RunStore.open(tmp_path, IDENTITY)
    path = store.write(Shard(0, ranks), many)
    assert store.read().equals(many)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(k) for k in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    encoded = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert encoded == {*ROWS.names} - {"parameters", "seconds"}


def test_shards_of_other_bounds_count_and_each_rank_is_read_once(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert store.missing([Shard(5, 35), Shard(0, 40), Shard(35, 41)]) == [Shard(35, 41)]
    for shard in (Shard(35, 60), Shard(5, 12), Shard(0, 25)):
        store.write(shard, make_rows(shard.first, shard.last))
    assert digest(store.read()) == digest(make_rows(0, 60))
    found = store.verify()
    assert len(found.valid) == 7
    assert [path.name[:25] for path in found.files] == [
        "000000000000-000000000025",
        "000000000020-000000000030",
        "000000000030-000000000040",
        "000000000035-000000000060",
    ]


def test_verified_files_can_be_queried_as_a_list(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (store.root / "shards" / "copy of a shard.parquet").write_bytes(b"PAR1")
    found = store.verify()
    assert found.rows == len(make_rows(0, 40))
    assert found.foreign == ["copy of a shard.parquet"]
    table = pa.concat_tables([pq.read_table(path) for path in found.files])
    assert digest(table) == digest(store.read())
    duckdb = pytest.importorskip("duckdb")
    best = duckdb.sql(
        "select nonzeros, max(accuracy) from read_parquet($files) where status = 'ok' group by all",
        params={"files": [str(path) for path in found.files]},
    ).fetchall()
    rows = [row for row in store.read().to_pylist() if row["status"] == "ok"]
    levels = {row["nonzeros"] for row in rows}
    assert dict(best) == {
        n: max(row["accuracy"] for row in rows if row["nonzeros"] == n) for n in levels
    }


def test_a_store_travels_to_another_process(tmp_path: Path) -> None:
    store = pickle.loads(pickle.dumps(filled(tmp_path)))  # noqa: S301
    store.write(Shard(40, 50), make_rows(40, 50))
    assert digest(store.read()) == digest(make_rows(0, 50))


# ---- what write refuses --------------------------------------------------------------


def test_write_refuses_rows_that_are_none_of_the_shard(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    rows = make_rows(0, 10)
    with pytest.raises(UsageError, match="rank 9 is outside of the shard 0 <= rank < 9"):
        store.write(Shard(0, 9), rows)
    with pytest.raises(UsageError, match="rank 0 is outside of the shard 1 <= rank < 11"):
        store.write(Shard(1, 11), rows)
    with pytest.raises(UsageError, match="twice"):
        store.write(Shard(0, 10), pa.concat_tables([rows, rows.slice(4, 1)]))
    with pytest.raises(UsageError, match="lacks column 'status'"):
        store.write(Shard(0, 10), rows.drop_columns(["status"]))
    odd = rows.set_column(7, ROWS.field("status"), pa.array(["fine"] * len(rows)))
    with pytest.raises(UsageError, match=r"unknown status 'fine' \(known: ok, diverged, spared\)"):
        store.write(Shard(0, 10), odd)
    assert os.listdir(store.root / "shards") == []


def test_a_shard_that_is_there_stays_unless_it_is_damaged(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    first = store.write(Shard(0, 10), make_rows(0, 10, seconds=1))
    assert store.write(Shard(0, 10), make_rows(0, 10, seconds=2)) == first
    assert set(store.read(["seconds"])["seconds"].to_pylist()) == {1.0}
    first.write_bytes(first.read_bytes()[:-1])
    second = store.write(Shard(0, 10), make_rows(0, 10, seconds=2))
    assert [path.name for path in (store.root / "shards").iterdir()] == [second.name]
    assert os.listdir(store.root / "quarantine") == [first.name]
    assert set(store.read(["seconds"])["seconds"].to_pylist()) == {2.0}


def test_a_shard_that_another_process_has_mended_meanwhile_stays(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, IDENTITY)
    path = store.write(Shard(0, 10), make_rows(0, 10))
    [file] = store._files()  # seen damaged a moment ago, then computed again by another
    store._set_aside(file, "its sha256 is not the one in its name")
    assert path.exists() and not (store.root / "quarantine").exists()


# ---- identity ------------------------------------------------------------------------


def test_another_identity_is_refused_and_nothing_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 1)
    (store.root / "shards" / f".combsearch-{'0' * 8}-1-01234567.tmp").touch()
    os.utime(next((store.root / "shards").glob(".comb*")), (0, 0))
    before = tree(tmp_path)
    other = {**IDENTITY, "numerics": 4, "config": {**IDENTITY["config"], "width": 8}}
    with pytest.raises(
        RunMismatchError,
        match=r"config\.width: this command 8, run folder 16; "
        r"numerics: this command 4, run folder 3;",
    ):
        RunStore.open(store.root, other)
    with pytest.raises(UsageError, match="numerics"):
        RunStore.open(tmp_path / "new", {"command": "phase1"})
    assert tree(tmp_path) == before
    assert RunStore.open(store.root, IDENTITY).identity == IDENTITY
    assert len(tree(tmp_path)) == len(before) - 1  # the leftover has gone


def test_a_lost_run_json_is_made_again_by_the_same_command_only(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "run.json").write_bytes(b"{")
    with pytest.raises(CorruptDataError, match=r"run\.json.*delete that file"):
        RunStore.open(tmp_path, IDENTITY)
    (tmp_path / "run.json").unlink()
    before = tree(tmp_path)
    with pytest.raises(RunMismatchError, match=r"has no run\.json, and its shards"):
        RunStore.open(tmp_path, {**IDENTITY, "numerics": 4})
    assert tree(tmp_path) == before
    shard_file(store, 0).write_bytes(b"no Parquet file")
    again = RunStore.open(tmp_path, IDENTITY)
    assert again.missing(shards(4)) == []
    assert len(again.verify().valid) == 3


def test_attach_reads_and_names_runs_nearby(tmp_path: Path) -> None:
    filled(tmp_path / "phase1-95", 1)
    store = RunStore.attach(str(tmp_path / "phase1-95"))
    assert store.identity == IDENTITY and len(store.verify().valid) == 1
    for refused in (lambda: store.write(Shard(0, 9), make_rows(0, 9)), store.check_writable):
        with pytest.raises(UsageError, match="attached to be read"):
            refused()
    with pytest.raises(UsageError, match=r"no run in .*phase-95.*did you mean 'phase1-95'"):
        RunStore.attach(tmp_path / "phase-95")
    for bad in ("a\0b", ""):
        with pytest.raises(UsageError, match="no path"):
            RunStore.attach(bad)
    (tmp_path / "file").touch()
    for use in (RunStore.attach, lambda root: RunStore.open(root, IDENTITY)):
        with pytest.raises(UsageError, match=r"file/run\.json: Not a directory"):
            use(tmp_path / "file")


# ---- damage --------------------------------------------------------------------------


def assert_found(store: RunStore, k: int, count: int, reason: str) -> None:
    """Damage in shard ``k`` is found, named and set aside; only that shard is missing then."""
    name, kept = shard_file(store, k).name, len(os.listdir(store.root / "shards")) - 1
    with pytest.raises(CorruptDataError, match=f"{name}.*combsearch verify"):
        store.read(["rank"])
    [(found, why)] = store.verify().quarantined
    assert found == name and reason in why
    assert store.missing(shards(count)) == [shards(count)[k]]
    assert len(os.listdir(store.root / "shards")) == kept
    again = store.verify()
    assert again.quarantined == [] and len(again.valid) == count - 1


def test_200_flips_are_found_wherever_they_are(tmp_path: Path) -> None:
    store, rng = filled(tmp_path, 3), np.random.default_rng(5)
    for trial in range(200):
        path = shard_file(store, trial % 3)
        good = path.read_bytes()
        bad = bytearray(good)
        bad[int((trial + rng.random()) / 200 * len(good))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        assert_found(store, trial % 3, 3, "its sha256 is not the one in its name")
        path.write_bytes(good)
    assert digest(store.read()) == digest(make_rows(0, 30))
    assert len(os.listdir(tmp_path / "quarantine")) == 200  # numbered, none overwritten


def test_truncated_emptied_and_longer_shards_are_found(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    good = shard_file(store, 1).read_bytes()
    for bad in (b"", good[:1], good[: len(good) // 2], good[:-1], good + b"\0", good[1:]):
        path = shard_file(store, 1)
        path.write_bytes(bad)
        assert_found(store, 1, 3, f"({len(bad)} bytes)")
        path.write_bytes(good)
    assert store.verify().quarantined == []


def resealed(path: Path, data: bytes, first: int, last: int) -> Path:
    """Put ``data`` in place of ``path`` under a name whose checksum is right."""
    path.unlink()
    name = f"{first:012d}-{last:012d}.{hashlib.sha256(data).hexdigest()}.parquet"
    path.with_name(name).write_bytes(data)
    return path.with_name(name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"numerics": 4}, "its numerics is 4, not 3"),
        ({"command": "exhaust"}, 'its identity is "'),
    ],
)
def test_a_shard_of_another_run_is_found(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    store = filled(tmp_path / "a", 3)
    other = RunStore.open(tmp_path / "b", {**IDENTITY, **change})
    strange = other.write(Shard(10, 20), make_rows(10, 20))
    shard_file(store, 1).unlink()
    shutil.copy(strange, store.root / "shards")
    assert_found(store, 1, 3, reason)


def test_a_renamed_a_foreign_and_an_incomplete_shard_are_found(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    good = shard_file(store, 1).read_bytes()
    table, name = pq.read_table(pa.BufferReader(good)), shard_file(store, 1).name

    def encoded(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        return bytes(sink.getvalue())

    facts = table.schema.metadata
    for data, reason in (
        (shard_file(store, 2).read_bytes(), "its range is [20, 30], not [10, 20]"),
        (b"PAR1 no more", "it is not a Parquet file"),
        (encoded(table.replace_schema_metadata(None)), "its format is not there, not 1"),
        (encoded(table.slice(1)), "its rows is 60, not 59"),
        (
            encoded(table.replace_schema_metadata({**facts, b"combsearch.numerics": b"4"})),
            "its numerics is 4, not 3",
        ),
        (
            encoded(table.replace_schema_metadata({**facts, b"combsearch.format": b"\xff"})),
            "its format is \ufffd, not 1",
        ),
    ):
        resealed(shard_file(store, 1), data, 10, 20)
        assert_found(store, 1, 3, reason)
        (tmp_path / "shards" / name).write_bytes(good)
    assert store.verify().quarantined == []


def test_page_checksums_are_written_and_verified(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    path = shard_file(store, 0)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(6)
    assert chunk.path_in_schema == "accuracy"
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 1
    path = resealed(path, bytes(data), 0, 10)  # as if the sha256 had missed it
    assert store.verify().quarantined == []
    with pytest.raises(CorruptDataError, match=r"(?i)pages cannot be read.*crc"):
        store.read()


def test_a_check_without_quarantine_moves_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    path = shard_file(store, 1)
    path.write_bytes(b"")
    before = tree(tmp_path)
    found = store.verify(quarantine=False)
    assert [name for name, _ in found.quarantined] == [path.name]
    assert found.valid == [Shard(0, 10)] and found.files == [shard_file(store, 0)]
    assert tree(tmp_path) == before


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    name = shard_file(store, 0).name
    foreign = [".DS_Store", "Thumbs.db", f"{name}~", f"#{name}#", f".{name}.swp", "notes.txt"]
    for other in foreign:
        (tmp_path / "shards" / other).write_bytes(b"x")
    (tmp_path / "shards" / "folder").mkdir()
    (tmp_path / "shards" / "dangling").symlink_to("nowhere")
    found = RunStore.open(tmp_path, IDENTITY).verify()
    assert sorted(found.foreign) == sorted([*foreign, "folder", "dangling"])
    assert found.quarantined == [] and len(found.valid) == 2
    assert digest(store.read()) == digest(make_rows(0, 20))


# ---- processes -----------------------------------------------------------------------


def worker(root: Path, count: int, log: Path, order: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, store_worker.__file__, str(root), str(count), str(log), str(order)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()


def test_processes_on_one_folder_leave_one_run(tmp_path: Path) -> None:
    workers = [worker(tmp_path / "run", 12, tmp_path / f"log{k}", k % 2) for k in range(3)]
    for process in workers:
        finish(process)
    store = RunStore.attach(tmp_path / "run")
    found = store.verify()
    assert found.valid == shards(12) and found.quarantined == [] and found.foreign == []
    assert len(found.files) == 12
    assert digest(store.read()) == digest(make_rows(0, 120))


def test_kill_9_loses_no_committed_shard(tmp_path: Path) -> None:
    log, pick, count = tmp_path / "log", random.Random(3), 60
    log.touch()
    for _ in range(5):
        before, process = log.stat().st_size, worker(tmp_path / "run", count, log)
        deadline = time.monotonic() + 30
        while log.stat().st_size < before + 100 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(pick.random() * 0.02)
        process.kill()
        process.communicate()
        committed = log.read_text().split()
        assert set(committed) <= set(os.listdir(tmp_path / "run" / "shards"))
    # What a kill leaves half-written, named as a process that is now dead would name it.
    half = f".combsearch-{durable._machine()}-{process.pid}-01234567.tmp"
    (tmp_path / "run" / "shards" / half).write_bytes(b"half")
    assert RunStore.attach(tmp_path / "run").verify().quarantined == []
    finish(worker(tmp_path / "run", count, log))
    store = RunStore.attach(tmp_path / "run")
    found = store.verify()
    assert found.valid == shards(count) and found.quarantined == []
    assert len(os.listdir(tmp_path / "run" / "shards")) == count
    assert digest(store.read()) == digest(make_rows(0, count * RANKS))


# ---- disks ---------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_a_full_disk_keeps_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = filled(tmp_path, 2)
    before = tree(tmp_path)

    def full(*_args: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(NoSpaceError, match="free some space and repeat the command"):
            store.write(Shard(20, 30), make_rows(20, 30))
        if call != "link":
            with pytest.raises(NoSpaceError):
                store.check_writable()
    assert tree(tmp_path) == before
    store.write(Shard(20, 30), make_rows(20, 30))
    assert digest(store.read()) == digest(make_rows(0, 30))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte; skipped where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=512k", "combsearch-test", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_really_full_disk(small_disk: Path) -> None:
    store = RunStore.open(small_disk / "run", IDENTITY)
    (small_disk / "ballast").write_bytes(bytes(400_000))
    todo = shards(20)
    with pytest.raises(NoSpaceError):
        write_all(store, todo)
    found = store.verify()
    assert found.quarantined == [] and 0 < len(found.valid) < 20
    assert len(os.listdir(store.root / "shards")) == len(found.valid)
    (small_disk / "ballast").unlink()
    write_all(store, RunStore.open(small_disk / "run", IDENTITY).missing(todo))
    assert digest(store.read()) == digest(make_rows(0, 200))


def test_a_read_only_disk_fails_before_training_and_still_reads(small_disk: Path) -> None:
    filled(small_disk / "run", 3)
    path = shard_file(RunStore.attach(small_disk / "run"), 2)
    good = path.read_bytes()
    path.write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = RunStore.open(small_disk / "run", IDENTITY)
    with pytest.raises(UsageError, match="Read-only file system"):
        store.check_writable()
    with pytest.raises(UsageError, match="Read-only file system"):
        store.write(Shard(30, 40), make_rows(30, 40))
    with pytest.raises(UsageError, match="Read-only file system"):
        RunStore.open(small_disk / "new", IDENTITY)
    [(name, reason)] = store.verify().quarantined
    assert name == path.name and "left in place (Read-only file system)" in reason
    assert digest(store.read(last=20)) == digest(make_rows(0, 20))
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    path.write_bytes(good)
    assert digest(store.read()) == digest(make_rows(0, 30))


def test_a_folder_that_refuses_files_fails_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = filled(tmp_path, 1), os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(UsageError, match="Permission denied"):
            store.check_writable()
        assert RunStore.open(tmp_path, IDENTITY).verify().valid == [Shard(0, 10)]
    store.check_writable()


def test_the_store_offers_what_its_users_need(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"a": 1})
    write_bytes(tmp_path / "best.npz", b"x")
    assert json.loads((tmp_path / "summary.json").read_text()) == {"a": 1}
    assert run_folder("a", tmp_path) == tmp_path / "a"

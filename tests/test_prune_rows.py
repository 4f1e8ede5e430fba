"""Rows of a sweep: columns, digest, networks, and a store that knows two kinds of rows."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from store_worker import IDENTITY, make_rows

from combsearch.connectivity import nonzeros
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.prune_rows import (
    COLUMNS,
    PRUNE_ROWS,
    kept_parameters,
    prune_table,
    saved_net,
    within_budget,
)
from combsearch.pruning import masked
from combsearch.rng import RunKeys
from combsearch.rows import digest
from combsearch.store import RunStore, Shard

PRUNE = {**IDENTITY, "command": "prune"}


def made(first: int, last: int, seconds: float = 0.5) -> pa.Table:
    """Two cells of each rank, the first of which keeps its network."""
    ranks = np.repeat(np.arange(first, last), 2)
    rng = np.random.default_rng(first)
    networks: list[Any] = [None] * len(ranks)
    for place in range(0, len(ranks), 2):
        size = int(ranks[place])
        networks[place] = (
            np.arange(size, dtype=np.int32), rng.standard_normal(size).astype(np.float32)
        )  # fmt: skip
    columns = {
        "rank": ranks, "method": "snip", "width": 3, "budget": 15 + ranks, "shape": "2,3,3,3,1",
        "cell": ["0.05:cosine", "0.1:step"] * (last - first), "restart": 0,
        "accuracy": ranks / 50, "status": "ok", "weight_nonzeros": 15 + ranks,
        "nonzeros": 20 + ranks, "effective_nonzeros": 18 + ranks, "flops": ranks * 1e6,
        "prune_seconds": seconds, "seconds": None,
    }  # fmt: skip
    return prune_table(columns, networks)


def plain_digest(rows: list[dict[str, Any]]) -> str:
    """The digest from its definition, row by row."""
    letters = {"int64": "q", "int32": "i", "double": "d", "string": "s"}
    total = hashlib.sha256(f"combsearch prune rows 1\n{len(rows)}\n".encode())
    for field in COLUMNS:
        if field.name in ("prune_seconds", "seconds"):
            continue
        sizes, values = b"", b""
        for row in rows:
            value = row[field.name]
            if pa.types.is_list(field.type):
                letter = letters.get(str(field.type.value_type), "f")
                sizes += struct.pack("<i", -1 if value is None else len(value))
                values += b"".join(struct.pack("<" + letter, entry) for entry in value or [])
            elif pa.types.is_string(field.type):
                sizes += struct.pack("<i", len(value.encode()))
                values += value.encode()
            else:
                values += struct.pack("<" + letters[str(field.type)], value)
        parts = (sizes, values) if sizes else (values, b"")
        total.update(field.name.encode() + b"\n")
        total.update(b"".join(hashlib.sha256(part).digest() for part in parts))
    return total.hexdigest()


def test_the_digest_is_the_plain_one_and_leaves_times_out() -> None:
    table = made(3, 9)
    expected = plain_digest(table.to_pylist())
    assert digest(table, PRUNE_ROWS) == expected
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert digest(shuffled, PRUNE_ROWS) == expected
    assert digest(made(3, 9, seconds=7.0), PRUNE_ROWS) == expected
    assert digest(made(3, 8), PRUNE_ROWS) != expected


def test_columns_never_change() -> None:
    # Raise FORMAT when one of these has to change: saved runs depend on them.
    assert PRUNE_ROWS.title == "combsearch prune rows 1"
    assert digest(made(0, 20), PRUNE_ROWS) == GOLDEN
    text = "rank method width budget shape cell restart accuracy status weight_nonzeros nonzeros"
    text += " effective_nonzeros flops index parameters prune_seconds seconds"
    assert COLUMNS.names == text.split()


GOLDEN = "65196b92676762941cd3f166c032d6a846c424322968332748f18c96f712489f"


def test_a_store_keeps_two_kinds_of_rows_apart(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "p", PRUNE)
    for a, b in ((5, 9), (0, 5)):
        store.write(Shard(a, b), made(a, b))
    table = store.read()
    assert table.schema.equals(COLUMNS) and digest(table, PRUNE_ROWS) == plain_digest(
        table.to_pylist()
    )
    again = RunStore.attach(tmp_path / "p")
    assert again.kind is PRUNE_ROWS and again.read().equals(table)
    assert again.read(["budget", "index"], 2, 4).equals(table.select(["budget", "index"])[4:8])
    assert again.verify().rows == 18 and not again.verify().quarantined
    with pytest.raises(UsageError, match="unknown column 'mask', did you mean 'rank'"):
        again.read(["mask"])
    with pytest.raises(UsageError, match="lacks column 'method'"):
        store.write(Shard(10, 12), make_rows(10, 12))
    search = RunStore.open(tmp_path / "s", IDENTITY)
    with pytest.raises(UsageError, match="lacks column 'mask'"):
        search.write(Shard(0, 5), made(0, 5))
    odd = made(0, 2).set_column(8, COLUMNS.field("status"), pa.array(["spared"] * 4))
    with pytest.raises(UsageError, match="unknown status 'spared'"):
        store.write(Shard(0, 2), odd)


def test_a_row_without_a_number_is_refused(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, PRUNE)
    holed = made(0, 1).set_column(2, "width", pa.array([3, None], pa.int32()))
    with pytest.raises(UsageError, match="only index and parameters and prune_seconds and seconds"):
        store.write(Shard(0, 1), holed)


def test_large_shards_have_dictionaries(tmp_path: Path) -> None:
    store = RunStore.open(tmp_path, PRUNE)
    columns = {
        name: "x" if COLUMNS.field(name).type == pa.string() else 1 for name in COLUMNS.names
    }
    for name in ("index", "parameters"):
        del columns[name]
    many = prune_table(columns | {"status": "ok", "rank": np.arange(5000)}, [None] * 5000)
    store.write(Shard(0, 5000), many)
    assert store.read().equals(many)


def test_the_network_of_a_row_comes_back() -> None:
    shape = NetShape.from_hidden((4, 4, 4))
    keys = RunKeys.make(1, [5, 6, 7], ["0.1:step"] * 3, [0, 1, 2])
    rng = np.random.default_rng(2)
    nets = masked(NetBatch.create(MLP(shape, 4), keys), rng.random((3, shape.weights)) < 0.4)
    for place in range(3):
        index, parameters = kept_parameters(nets, place)
        row = {"shape": "2,4,4,4,1", "index": index.tolist(), "parameters": parameters.tolist()}
        found = saved_net(row)
        assert found.network == nets.network
        for name, array in nets.params.items():
            assert np.array_equal(found.params[name][0], array[place])
            assert np.array_equal(found.masks[name][0], nets.masks[name][place])
        assert nonzeros(found)[0] == len(index) == nonzeros(nets)[place]


def test_a_run_keeps_to_its_budget_up_to_one_weight_a_layer() -> None:
    shapes = np.array(["2,3,3,3,1", "2,3,3,3,1", "2,3,1", "2,3,1", "2,256,256,256,1"])
    columns = {
        "budget": np.array([20, 20, 4, 4, 60], np.int32),
        "weight_nonzeros": np.array([24, 25, 6, 7, 3], np.int32),
        "shape": shapes,
    }
    wanted = [True, False, True, False, True]
    assert within_budget(columns).tolist() == wanted
    table = pa.table({**columns, "shape": pa.chunked_array([shapes[:2], shapes[2:]])})
    assert within_budget(table).tolist() == wanted
    assert within_budget(table.slice(0, 0)).tolist() == []
    largest = {
        "budget": np.array([2**31 - 1], np.int32), "shape": shapes[:1],
        "weight_nonzeros": np.array([2**31 - 1], np.int32),
    }  # fmt: skip
    assert within_budget(largest).all()


def test_a_row_without_its_network_says_so() -> None:
    row: dict[str, Any] = {"shape": "2,3,3,3,1", "index": None, "parameters": None}
    with pytest.raises(UsageError, match="only the best run of a rank"):
        saved_net(row)
    for index, parameters in (([1], [1.0, 2.0]), ([37], [1.0]), ([-1], [1.0])):
        with pytest.raises(UsageError, match="does not fit its shape 2,3,3,3,1"):
            saved_net({**row, "index": index, "parameters": parameters})

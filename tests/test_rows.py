from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_worker import make_rows

from combsearch.errors import UsageError
from combsearch.rows import FORMAT, ROWS, canonical, conform, digest, rows_table

CELLS = ("0.05:cosine", "0.1:step", "é", "𝛼", "z", "")
FLOATS = st.floats(width=32, allow_nan=False)
ROW = st.fixed_dictionaries(
    {
        "rank": st.integers(0, 5),
        "shape": st.sampled_from(["2,3,1", "2,7,3,3,1"]),
        "mask": st.integers(0, 2**64 - 1),
        "nonzeros": st.integers(0, 2**31 - 1),
        "cell": st.sampled_from(CELLS),
        "restart": st.integers(0, 3),
        "accuracy": st.floats(0, 1),
        "status": st.sampled_from(["ok", "diverged"]),
        "parameters": st.none() | st.lists(FLOATS, max_size=4),
        "seconds": st.none() | st.floats(0, 9),
    }
)
RUNS = st.lists(ROW, max_size=12, unique_by=lambda row: (row["rank"], row["cell"], row["restart"]))


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, ROWS)


def one_row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": 4,
        "shape": "2,3,1",
        "mask": 2**64 - 1,
        "nonzeros": 9,
        "cell": "0.1:step",
        "restart": 2,
        "accuracy": 0.75,
        "status": "ok",
        "parameters": [1.0, -0.0],
        "seconds": 0.5,
    }
    return row | changes


@settings(deadline=None, max_examples=60)
@given(rows=RUNS, cut=st.integers(0, 12), seed=st.integers(0, 99), encoded=st.booleans())
def test_digest_is_the_plain_one_whatever_the_order_chunks_and_encoding(
    rows: list[dict[str, Any]], cut: int, seed: int, encoded: bool
) -> None:
    expected = naive.rows_digest(rows)
    shuffled = [rows[k] for k in np.random.default_rng(seed).permutation(len(rows))]
    table = pa.concat_tables([table_of(shuffled[:cut]), table_of(shuffled[cut:])])
    if encoded:
        for name in ("shape", "cell", "status"):
            table = replaced(table, name, table[name].dictionary_encode())
    assert digest(table) == expected
    assert digest(table.slice(0, len(rows))) == expected
    assert digest(canonical(table) if not encoded else table.combine_chunks()) == expected


def test_digest_of_a_slice_is_that_of_its_rows() -> None:
    table = make_rows(0, 8)
    assert digest(table.slice(13, 20)) == naive.rows_digest(table.slice(13, 20).to_pylist())


def test_digest_reads_large_types_and_ignores_other_columns() -> None:
    table = make_rows(0, 3)
    large = table.append_column("host", pa.array(["n1"] * len(table)))
    kinds = {"cell": pa.large_string(), "parameters": pa.large_list(pa.float32())}
    for name, kind in kinds.items():
        large = replaced(large, name, large[name].cast(kind))
    assert digest(large.select(large.column_names[::-1])) == digest(table)
    assert digest(table.drop_columns(["seconds"])) == digest(table)


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 5},
        {"shape": "2,3,2"},
        {"mask": 2**64 - 2},
        {"nonzeros": 8},
        {"cell": "0.1:stop"},
        {"restart": 1},
        {"accuracy": float(np.nextafter(0.75, 1))},
        {"accuracy": float("nan")},
        {"status": "diverged"},
        {"parameters": None},
        {"parameters": []},
        {"parameters": [1.0, 0.0]},
        {"parameters": [float(np.nextafter(np.float32(1), np.float32(2))), -0.0]},
    ],
)
def test_digest_tells_every_value_apart(change: dict[str, Any]) -> None:
    assert digest(table_of([one_row(**change)])) != digest(table_of([one_row()]))


def test_digest_tells_null_from_empty_and_where_a_list_or_text_ends() -> None:
    def of(first: Any, second: Any, name: str = "parameters") -> str:
        return digest(table_of([one_row(**{name: first}), one_row(rank=5, **{name: second})]))

    assert of(None, []) != of([], None) != of([], [])
    assert of([1.0], [2.0, 3.0]) != of([1.0, 2.0], [3.0])
    assert of("ab", "c", "shape") != of("a", "bc", "shape")


def test_digest_keeps_the_bits_of_parameters_and_has_one_nan_for_accuracy() -> None:
    def with_bits(bits: int) -> str:
        values = pa.array(np.array([bits], np.uint32).view(np.float32))
        column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), values)
        return digest(replaced(table_of([one_row()]), "parameters", column))

    assert with_bits(0x7FC00000) != with_bits(0x7FC00001)
    accuracies = [np.array([b], np.uint64).view(np.float64) for b in (0x7FF8 << 48, 0x7FF9 << 48)]
    tables = [rows_table(**{**SMALL, "accuracy": accuracy}) for accuracy in accuracies]
    assert digest(tables[0]) == digest(tables[1])


SMALL: dict[str, Any] = {
    "rank": [7],
    "shape": "2,3,1",
    "mask": np.array([2**64 - 1], np.uint64),
    "nonzeros": np.array([9]),
    "cell": "0.05:cosine",
    "restart": [0],
    "accuracy": [0.5],
}


def test_digest_and_columns_never_change() -> None:
    # Raise FORMAT when one of these has to change: saved runs depend on them.
    assert FORMAT == 1
    assert digest(make_rows(0, 20)) == GOLDEN
    assert digest(ROWS.empty_table()) == naive.rows_digest([])
    assert {field.name: str(field.type).replace("item", "element") for field in ROWS} == {
        "rank": "int64",
        "shape": "string",
        "mask": "uint64",
        "nonzeros": "int32",
        "cell": "string",
        "restart": "int32",
        "accuracy": "double",
        "status": "string",
        "parameters": "list<element: float>",
        "seconds": "double",
    }


GOLDEN = "6cdb8680ac0d86a5e7c67b516d185402d807624baf7a1617c720c2a850ff94d8"


def test_a_run_that_is_there_twice_is_named() -> None:
    table = pa.concat_tables([make_rows(3, 5), make_rows(4, 5)])
    with pytest.raises(UsageError, match=r"one run twice.*'rank': 4, 'cell': '0.05:cosine'"):
        digest(table)
    with pytest.raises(UsageError, match="twice"):
        canonical(pa.concat_tables([table_of([one_row()])] * 2))


def test_canonical_sorts_cells_by_their_bytes_and_leaves_sorted_tables_alone() -> None:
    rows = [one_row(rank=rank, cell=cell) for rank in (2, 1) for cell in CELLS]
    table = canonical(table_of(rows))
    expected = sorted(rows, key=lambda row: (row["rank"], row["cell"].encode()))
    assert table.to_pylist() == expected
    assert canonical(table) is table


def test_rows_table_builds_what_it_is_given() -> None:
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = rows_table(
        rank=np.array([3, 4], np.int64),
        shape="2,3,1",
        mask=np.array([0, 2**64 - 1], np.uint64),
        nonzeros=np.array([5, 6], np.int32),
        cell=np.array(["a", "b"]),
        restart=np.array([0, 1]),
        accuracy=np.array([0.5, 1.0]),
        status=["ok", "diverged"],
        parameters=[None, weights],
        seconds=np.array([1.5, 2.5]),
    )
    assert table.schema.equals(ROWS)
    assert table.to_pylist() == [
        dict(zip(ROWS.names, row, strict=True))
        for row in (
            (3, "2,3,1", 0, 5, "a", 0, 0.5, "ok", None, 1.5),
            (4, "2,3,1", 2**64 - 1, 6, "b", 1, 1.0, "diverged", [0, 1, 2, 3, 4, 5], 2.5),
        )
    ]


def test_rows_table_keeps_empty_tables_and_the_bits_of_parameters() -> None:
    empty = rows_table(**{name: [] for name in SMALL}, parameters=[])
    assert len(empty) == 0 and empty.schema.equals(ROWS)
    bits = np.array([0x7FC00001, 0x80000000, 1], np.uint32)
    table = rows_table(**SMALL, parameters=[bits.view(np.float32)])
    values = table["parameters"].chunk(0).flatten().to_numpy()
    assert values.view(np.uint32).tolist() == bits.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nonzeros": [1, 2]}, r"column 'nonzeros' has shape \(2,\)"),
        ({"mask": [[1]]}, r"column 'mask' has shape \(1, 1\)"),
        ({"nonzeros": [2**31]}, "column 'nonzeros' does not fit int32"),
        ({"restart": [0.5]}, "column 'restart' does not fit int32"),
        ({"rank": [-1], "mask": [-1]}, "column 'mask' does not fit uint64"),
        ({"rank": ["x"]}, "column 'rank' does not fit int64"),
        ({"parameters": [np.zeros(3)]}, "parameters are float64, not float32"),
        ({"parameters": []}, "column 'parameters' has 0 entries, not 1"),
    ],
)
def test_rows_table_names_the_column_that_does_not_fit(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        rows_table(**{**SMALL, **change})


def test_conform_names_what_is_wrong() -> None:
    table = make_rows(0, 1)
    with pytest.raises(UsageError, match="lacks column 'mask'"):
        conform(table.drop_columns(["mask"]))
    for name, kind in {
        "accuracy": pa.float32(),
        "parameters": pa.list_(pa.float64()),
        "restart": pa.list_(pa.int32()),
    }.items():
        values = [[0]] * len(table) if name == "restart" else table[name].to_pylist()
        with pytest.raises(UsageError, match=rf"'{name}' holds|cast from list"):
            conform(replaced(table, name, pa.array(values, kind)))
    for column in ("rank", "cell"):
        holed = pa.array([None, *table[column].to_pylist()[1:]], ROWS.field(column).type)
        with pytest.raises(UsageError, match=f"column '{column}' holds a null"):
            conform(replaced(table, column, holed))
    odd = pa.array([[None]] * len(table), pa.list_(pa.float32()))
    with pytest.raises(UsageError, match="null inside a list"):
        conform(replaced(table, "parameters", odd))


def replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)

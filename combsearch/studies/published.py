"""Rows of a run in one file, to publish: all but the masks, with the configuration.

Parquet, so that any table tool reads it; the configuration stands in its metadata as JSON
under ``combsearch``.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from combsearch import durable
from combsearch.errors import CorruptDataError, UsageError

SUFFIX = ".parquet"
_KEY = b"combsearch"
_FORMAT = 1

C = TypeVar("C")


def publish(rows: pa.Table, study: str, facts: Mapping[str, object], path: Path) -> None:
    """Write rows of a study with further facts (JSON), the configuration among them.

    Raises:
        UsageError: the path has another suffix, or cannot be written.
        NoSpaceError: the disk is full.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: the name must end in {SUFFIX}")
    about = {"format": _FORMAT, "study": study, **facts}
    table = rows.replace_schema_metadata({_KEY: json.dumps(about).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=19)
    durable.write_bytes(path, buffer.getbuffer())


def published(
    path: Path, study: str, columns: Sequence[str], config_of: Callable[[dict[str, Any]], C]
) -> tuple[C, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote.

    Args:
        path: of the file.
        study: whose rows it must hold.
        columns: of the rows.
        config_of: makes the configuration of the facts.

    Raises:
        UsageError: there is no such file, or it is none of these.
        CorruptDataError: it is damaged.
    """
    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        about = json.loads((table.schema.metadata or {})[_KEY])
        if about["study"] != study or about["format"] != _FORMAT:
            raise UsageError(f"it holds {about['study']} rows of format {about['format']}")
        return config_of(about), table.select(list(columns))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(
            f"{path} holds no rows of the study; combsearch study {study} export writes such a file"
        ) from error
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise CorruptDataError(f"{path} is damaged or no Parquet file: {error}") from error


def joined(
    found: Sequence[tuple[C, pa.Table]],
    names: Sequence[str],
    free: Sequence[str],
    who: Sequence[str],
) -> tuple[C, pa.Table]:
    """The rows of several files as one, with the configuration of the first.

    Args:
        found: configuration, a dataclass, and rows of each.
        names: of the files.
        free: fields in which their configurations may differ.
        who: columns that name what is trained; what two have comes from the first.

    Raises:
        UsageError: they differ in more.
    """
    first, _ = found[0]
    for (config, _), name in zip(found, names, strict=True):
        for field in dataclasses.fields(first):  # type: ignore[arg-type]
            mine, other = getattr(first, field.name), getattr(config, field.name)
            if mine != other and field.name not in free:
                raise UsageError(
                    f"{names[0]} and {name} cannot be drawn together: {field.name} is"
                    f" {mine!r} in one and {other!r} in the other"
                )
    kept, known = [], set[str]()
    for _, rows in found:
        keys = [repr(one) for one in zip(*(rows[n].to_pylist() for n in who), strict=True)]
        kept.append(rows.filter(pa.array([key not in known for key in keys])))
        known |= set(keys)
    return first, pa.concat_tables(kept)

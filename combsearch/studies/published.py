"""Rows of a run in one file, to publish: all but the masks, with the configuration.

Parquet, so that any table tool reads it; the configuration stands in its metadata as JSON
under ``combsearch``.
"""

from __future__ import annotations

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
            raise UsageError(f"{path} holds {about['study']} rows of format {about['format']}")
        return config_of(about), table.select(list(columns))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(
            f"{path} holds no rows of the study; combsearch study {study} export writes such a file"
        ) from error
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise CorruptDataError(f"{path} is damaged or no Parquet file: {error}") from error

"""Rows of a run in one file, to publish: all but the masks, with the configuration.

Parquet, so that any table tool reads it; the configuration stands in its metadata as JSON
under ``combsearch``.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from combsearch import durable, fields
from combsearch.errors import CorruptDataError, UsageError
from combsearch.pqi_rows import SHOWN
from combsearch.studies.pqi.config import PqiConfig

SUFFIX = ".parquet"
_KEY = b"combsearch"
_FORMAT = 1


def publish(rows: pa.Table, config: PqiConfig, facts: dict[str, object], path: Path) -> None:
    """Write rows with their configuration, and further facts (JSON), to ``path``.

    Raises:
        UsageError: the path has another suffix, or cannot be written.
        NoSpaceError: the disk is full.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: the name must end in {SUFFIX}")
    about = {"format": _FORMAT, "study": "pqi", "config": config.to_json(), **facts}
    table = rows.select(list(SHOWN)).replace_schema_metadata({_KEY: json.dumps(about).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=19)
    durable.write_bytes(path, buffer.getbuffer())


def published(path: Path) -> tuple[PqiConfig, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote.

    Raises:
        UsageError: there is no such file, or it is none of these.
        CorruptDataError: it is damaged.
    """
    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        about = json.loads((table.schema.metadata or {})[_KEY])
        if about["study"] != "pqi" or about["format"] != _FORMAT:
            raise UsageError(f"{path} holds {about['study']} rows of format {about['format']}")
        return fields.from_json(PqiConfig, about["config"]), table.select(list(SHOWN))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(
            f"{path} holds no rows of the study; combsearch study pqi export writes such a file"
        ) from error
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise CorruptDataError(f"{path} is damaged or no Parquet file: {error}") from error

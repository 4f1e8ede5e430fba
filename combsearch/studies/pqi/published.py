"""Rows of the PQ-index study in one file; see ``studies.published``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from combsearch import fields
from combsearch.pqi_rows import SHOWN
from combsearch.studies import published as files
from combsearch.studies.pqi.config import PqiConfig

SUFFIX = files.SUFFIX


def publish(rows: pa.Table, config: PqiConfig, facts: dict[str, object], path: Path) -> None:
    """Write rows with their configuration, and further facts (JSON), to ``path``."""
    files.publish(rows.select(list(SHOWN)), "pqi", {"config": config.to_json(), **facts}, path)


def published(path: Path) -> tuple[PqiConfig, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote."""
    return files.published(
        path, "pqi", SHOWN, lambda about: fields.from_json(PqiConfig, about["config"])
    )

"""Rows of the study of DCT plus sparse in one file; see ``studies.published``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from combsearch import fields
from combsearch.dctps_rows import SHOWN
from combsearch.studies import published as files
from combsearch.studies.dctps.config import DctpsConfig


def publish(rows: pa.Table, config: DctpsConfig, facts: dict[str, object], path: Path) -> None:
    """Write rows with their configuration, and further facts (JSON), to ``path``."""
    files.publish(rows.select(list(SHOWN)), "dctps", {"config": config.to_json(), **facts}, path)


def published(path: Path) -> tuple[DctpsConfig, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote."""
    return files.published(
        path, "dctps", SHOWN, lambda about: fields.from_json(DctpsConfig, about["config"])
    )

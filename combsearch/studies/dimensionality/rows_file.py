"""Rows of the dimensionality study in one file; see ``studies.published``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from combsearch import fields
from combsearch.dimension_rows import SHOWN
from combsearch.studies import published as files
from combsearch.studies.dimensionality.config import CONFIGS, ImpConfig

_STUDY = "dimensionality"


def publish(rows: pa.Table, config: ImpConfig, facts: dict[str, object], path: Path) -> None:
    """Write rows, without masks, with their configuration and further facts (JSON)."""
    about = {"experiment": config.experiment, "config": config.to_json(), **facts}
    files.publish(rows.select(list(SHOWN)), _STUDY, about, path)


def published(path: Path) -> tuple[ImpConfig, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote."""
    return files.published(path, _STUDY, SHOWN, _config)


def _config(about: dict[str, Any]) -> ImpConfig:
    return fields.from_json(CONFIGS[about["experiment"]], about["config"])

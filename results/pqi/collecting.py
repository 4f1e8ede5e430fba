"""What run folders of pieces have in common, whatever study they are of."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from round_files import Columns, Rounds


def plain_columns(columns: Columns, lists: Collection[str]) -> dict[str, Any]:
    """The columns of a round as tables take them; those in ``lists`` hold an array a row."""
    return {
        name: list(a) if name in lists else a.tolist() if a.dtype.kind == "U" else a
        for name, a in columns.items()
    }


def differing(a: Columns, b: Columns) -> list[str]:
    """The columns that differ, the time apart."""
    return [
        name
        for name in a
        if name != "seconds" and not np.array_equal(a[name], b[name], a[name].dtype.kind == "f")
    ]


def sessions_of(
    folder: Path, files: Sequence[Rounds], found: Sequence[tuple[Rounds, Columns]]
) -> dict[str, Any]:
    """What the report of a study has beside its rows; a file is a session.

    Args:
        folder: of the run, whose earlier sessions stay.
        files: all.
        found: every round once, with the file that it comes from.
    """
    sessions = _earlier(folder)
    for file in files:
        own = [columns for kept, columns in found if kept is file]
        if not own:
            continue
        ranks = np.concatenate([columns["rank"] for columns in own])
        session = {
            # By these a session that is known is told from another that took as long.
            "ranks": [int(ranks.min()), int(ranks.max()) + 1],
            "trained": len(ranks),
            "seconds": round(sum(float(columns["seconds"].sum()) for columns in own), 3),
            "made_with": file.about.made_with,
        }
        if session not in sessions:
            sessions.append(session)
    return {
        "trained_now": sum(session["trained"] for session in sessions),
        "seconds": round(sum(session["seconds"] for session in sessions), 3),
        "sessions": sessions,
        "made_with": sessions[-1]["made_with"],
    }


def _earlier(folder: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads((folder / "summary.json").read_bytes())["sessions"])
    except (OSError, ValueError, LookupError, TypeError):
        return []

"""The networks that the page of a run opens: the best of its groups, as far as they are saved."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from combsearch.errors import UsageError
from combsearch.report.run.rows import Best
from combsearch.store import RunStore

MOST_NETWORKS = 600
MOST_BYTES = 2_200_000
"""Of the networks of a page as JSON; fewer where the rest of it is large."""

NOT_SAVED, LEFT_OUT = -1, -2
"""What stands in place of a network's number where a run has none, or the page has no room."""

Row = Mapping[str, Any]
Key = tuple[int, str, int]


@dataclass
class Networks:
    """Networks as ``Network.open`` takes them.

    Attributes:
        items: in the order of their numbers.
        places: number of a run's network, by what tells the run from others.
        room: bytes that are left for more.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    places: dict[Key, int] = field(default_factory=dict)
    room: int = MOST_BYTES

    def add(self, key: Key, make: Callable[[], dict[str, Any]]) -> None:
        """Take one more where there is room, and where a page can draw it."""
        if len(self.items) >= MOST_NETWORKS or self.room <= 0:
            return
        try:
            item = make()
        except UsageError:  # wider than a page draws
            return
        size = len(json.dumps(item))
        if size <= self.room:
            self.room -= size
            self.places[key] = len(self.items)
            self.items.append(item)

    def place(self, best: Best | None) -> int:
        """The number of a run's network, or why it has none."""
        if best is None or not best.held:
            return NOT_SAVED
        return self.places.get(best.key, LEFT_OUT)


def saved_networks(
    store: RunStore,
    wanted: Iterable[Best | None],
    make: Callable[[Row], dict[str, Any]],
    room: int = MOST_BYTES,
) -> Networks:
    """The networks of those runs that are saved.

    Args:
        store: the run.
        wanted: runs, the most important first.
        make: an item of a row with all columns.
        room: bytes that they may take together.

    Raises:
        CorruptDataError: a shard is damaged.
    """
    keys = list(dict.fromkeys(best.key for best in wanted if best and best.held))[:MOST_NETWORKS]
    found = _rows(store, keys)
    networks = Networks(room=room)
    for key in keys:
        if key in found:
            networks.add(key, partial(make, found[key]))
    return networks


def _rows(store: RunStore, keys: list[Key]) -> dict[Key, Row]:
    """The rows of these runs; only files that hold one of them are read."""
    ranks = sorted({rank for rank, _, _ in keys})
    files = [
        part.file.path
        for part in store.pieces(["rank"]).parts
        if bisect.bisect_left(ranks, part.first) < bisect.bisect_left(ranks, part.last)
    ]
    found: dict[Key, Row] = {}
    wanted = set(keys)
    among = pa.array(ranks, pa.int64())
    for table in store.pieces(files=files):
        own = pc.and_(pc.is_in(table["rank"], value_set=among), pc.is_valid(table["parameters"]))
        for row in table.filter(own).to_pylist():
            key = (row["rank"], row["cell"], row["restart"])
            if key in wanted:
                found[key] = row
    return found

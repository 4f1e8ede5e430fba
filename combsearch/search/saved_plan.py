"""The plan of a saved run of phase two or exhaust."""

from __future__ import annotations

import dataclasses
from typing import Any

from combsearch import fields
from combsearch.search.mask_plan import MaskConfig, MaskPlan
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.store import RunStore

KINDS = {"phase2": Phase2Config, "exhaust": ExhaustConfig}
"""Of the commands whose runs train masks, what configures them."""


def saved_plan(store: RunStore) -> MaskPlan:
    """The plan of a saved run; its task must be there, initial weights need not."""
    kind: Any = KINDS[store.identity["command"]]
    config: MaskConfig = fields.from_json(kind, store.identity["config"])
    # Where nothing is trained no GPU is looked for, which would take seconds.
    known = store.identity["trainer"] == "fused"
    plan = MaskPlan.of(dataclasses.replace(config, trainer="fused") if known else config)
    return dataclasses.replace(plan, config=config, fixed="init_digest" in store.identity)

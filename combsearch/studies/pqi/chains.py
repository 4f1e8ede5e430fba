"""Chains: the methods, settings and scopes that a run prunes by, in order; see ``pqi_rows``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from combsearch.sparsity.rules import SapRule, ShareRule
from combsearch.studies.pqi.config import PqiConfig, parse_pair

SETTINGS = ("p", "q", "eta", "gamma", "share")


@dataclass(frozen=True)
class Chain:
    """A method with its settings, in a scope.

    Attributes:
        method: ``sap``, ``lt`` or ``one_shot``.
        scope: ``global``, ``layer`` or ``neuron``.
        rule: how many weights of a vector a round prunes.
    """

    method: str
    scope: str
    rule: SapRule | ShareRule

    @property
    def by_dense(self) -> bool:
        """Whether weights are ranked as the dense network's training left them."""
        return self.method == "one_shot"

    def settings(self) -> dict[str, float]:
        """The columns ``SETTINGS`` of its rows; NaN where the method has no such setting."""
        return {name: float(getattr(self.rule, name, math.nan)) for name in SETTINGS}


def chains_of(config: PqiConfig) -> tuple[Chain, ...]:
    """All chains of a seed, by method, then its settings, then scope."""
    found: list[Chain] = []
    for method in config.methods:
        rules = _sap_rules(config) if method == "sap" else [ShareRule(config.share)]
        found += [Chain(method, scope, rule) for rule in rules for scope in config.scopes]
    return tuple(found)


def _sap_rules(config: PqiConfig) -> list[SapRule]:
    return [
        SapRule(*parse_pair("powers", powers), eta=eta, gamma=gamma, beta=config.beta)
        for powers in config.powers
        for eta in config.etas
        for gamma in config.gammas
    ]


def all_rows(config: PqiConfig) -> int:
    """Rows of the whole run: chains, seeds and rounds, that of the dense network included."""
    return len(chains_of(config)) * config.seeds * (config.rounds + 1)

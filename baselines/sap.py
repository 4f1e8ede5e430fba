"""SAP: sparsity-informed adaptive pruning, as much a round as the PQ index allows.

"Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023), its algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from combsearch.baselines.rounds import in_rounds
from combsearch.nets import NetBatch
from combsearch.pruning import Budget
from combsearch.sparsity.rounds import check_scope
from combsearch.sparsity.rules import SapRule


@dataclass(frozen=True)
class Sap:
    """Trains, prunes by the PQ index of the trained weights, rewinds; until the budget is met.

    Attributes:
        scope: of what the index is taken: ``global``, ``layer`` or ``neuron``.
        rule: its powers and factors, the paper's unless said.

    Raises:
        UsageError: there is no such scope.
    """

    scope: str = "global"
    rule: SapRule = field(default_factory=SapRule)

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return in_rounds(nets, budget, self.rule, self.scope)


def sap_by_layer() -> Sap:
    """SAP with an index for each layer."""
    return Sap("layer")


def sap_by_neuron() -> Sap:
    """SAP with an index for each neuron."""
    return Sap("neuron")

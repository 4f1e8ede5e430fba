"""LT: the lottery ticket in rounds, a fixed share of what is left in each.

As "Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023) sets it beside SAP.
``lth`` is the one of "Sparsest Models Elude Pruning": four prunings, whatever the budget.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from combsearch.baselines.rounds import in_rounds
from combsearch.nets import NetBatch
from combsearch.pruning import Budget
from combsearch.sparsity.rounds import check_scope
from combsearch.sparsity.rules import ShareRule


@dataclass(frozen=True)
class LotteryTicket:
    """Trains, prunes the smallest weights, rewinds; until the budget is met.

    Attributes:
        scope: of what the share is taken: ``global``, ``layer`` or ``neuron``.
        rule: how large it is, the paper's unless said.

    Raises:
        UsageError: there is no such scope.
    """

    scope: str = "global"
    rule: ShareRule = field(default_factory=ShareRule)

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return in_rounds(nets, budget, self.rule, self.scope)


def lt_by_layer() -> LotteryTicket:
    """The lottery ticket with the share taken of each layer."""
    return LotteryTicket("layer")


def lt_by_neuron() -> LotteryTicket:
    """The lottery ticket with the share taken of each neuron."""
    return LotteryTicket("neuron")

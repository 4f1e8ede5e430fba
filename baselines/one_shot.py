"""One-shot: every round prunes by the weights of one training, that of the dense network.

As "Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023) sets it beside SAP.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from combsearch.baselines.rounds import above_budget, next_round
from combsearch.nets import NetBatch
from combsearch.pruning import Bits, Budget, Integers, flatten, masked, note_collapse
from combsearch.sparsity.rounds import check_scope
from combsearch.sparsity.rules import ShareRule


@dataclass(frozen=True)
class OneShot:
    """Trains the dense network, prunes down to the budget, rewinds and trains once more.

    The paper trains after every round to measure how the network does; ranks come from the
    dense one all the same, so here only what the budget leaves is trained.

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
        kept = flatten(nets, nets.masks) != 0
        over = above_budget(kept, budget)
        if len(over):
            trained = budget.fit_some(masked(nets[over], kept[over]), over)
            note_collapse(flatten(trained, trained.params), budget, over)
            kept[over] = self._left(trained, kept[over], budget.weight_nonzeros[over])
        return budget.fit(masked(nets, kept))

    def _left(self, trained: NetBatch, kept: Bits, goal: Integers) -> Bits:
        """bool [net, weight]: what ``goal`` [net] leaves of ``kept``."""
        while (kept.sum(axis=1) > goal).any():
            kept = next_round(trained, kept, goal, self.rule, self.scope)
        return kept


def one_shot_by_layer() -> OneShot:
    """One-shot pruning with the share taken of each layer."""
    return OneShot("layer")


def one_shot_by_neuron() -> OneShot:
    """One-shot pruning with the share taken of each neuron."""
    return OneShot("neuron")

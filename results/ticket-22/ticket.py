"""The initial network of the lottery ticket of 22 nonzeros: ``ticket.py FILE.npz``.

The lottery ticket in rounds left 28 nonzeros at width 16 (results/prune-sap-16, the run of 18
weights, cell 0.1:cosine, restart 2). Two of its neurons have no inputs: they send a constant,
which is folded into the initial biases behind them. What counts of the rest lies in three, one
and three neurons of the hidden layers. Their initial weights and biases, all of them, are saved.
"""

from __future__ import annotations

import sys

import numpy as np

from combsearch import fields
from combsearch.connectivity import connected
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.prune_config import PruneConfig
from combsearch.prune_rows import saved_net
from combsearch.saved_network import save_network
from combsearch.store import RunStore
from combsearch.sweep.plan import PrunePlan

RUN, METHOD, BUDGET, CELL, RESTART = "results/prune-sap-16", "lt", 18, "0.1:cosine", 2


def folded(start: NetBatch, masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Initial parameters of one network, constants added to the biases that they feed."""
    params = {name: (a * masks[name])[0].copy() for name, a in start.params.items()}
    constant, value = np.zeros(0, bool), np.zeros(0, np.float32)
    for layer in range(len(params) // 2):
        weight, bias = params[f"weight{layer}"], params[f"bias{layer}"]
        if layer:
            bias += weight[:, constant] @ value[constant]
            weight[:, constant] = 0
        constant, value = ~weight.any(axis=1), np.maximum(bias, 0)
    return params


def main(file: str) -> None:
    """See the module."""
    store = RunStore.attach(RUN)
    config = fields.from_json(PruneConfig, store.identity["config"])
    plan = PrunePlan.of(config)
    [row] = [
        row
        for row in store.read().to_pylist()
        if (row["method"], row["budget"], row["cell"], row["restart"])
        == (METHOD, BUDGET, CELL, RESTART)
    ]
    dense, _ = plan.dense_nets(plan.group_of(row["rank"]))
    place = config.cells.index(CELL) * config.restarts + RESTART
    start, net = dense[place : place + 1], saved_net(row)
    params, counted = folded(start, net.masks), connected(net.masks)
    rows = [np.flatnonzero(counted[f"weight{layer}"][0].any(axis=1)) for layer in range(4)]
    shape = NetShape.from_hidden([len(own) for own in rows[:3]], 2, 1)
    small: dict[str, np.ndarray] = {}
    before = np.arange(2)
    for layer, own in enumerate(rows):
        # Weights that were pruned have their initial values too: a search may try them.
        weight = start.params[f"weight{layer}"][0][np.ix_(own, before)]
        small[f"weight{layer}"] = weight[None]
        small[f"bias{layer}"] = params[f"bias{layer}"][None, own]
        before = own
    ones = {name: np.ones_like(a) for name, a in small.items()}
    zeros = {name: np.zeros_like(a) for name, a in small.items()}
    save_network(file, NetBatch(MLP(shape), small, ones, zeros))
    print(f"({','.join(map(str, shape.hidden))}): {shape.parameters} parameters in {file}")


if __name__ == "__main__":
    main(sys.argv[1])

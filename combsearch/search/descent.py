"""The beam search from one starting shape, level by level, as states that can be saved.

Turn 0 starts from trained dense networks and goes down. Every later turn starts from the
best networks of all levels near the frontier: polished by hill-climbing, each with one
weight more, each with one less, and goes down again. What a level is left with depends
on the state before it alone, so a descent that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from combsearch.config import Recipe
from combsearch.mask import NetShape
from combsearch.search.beam import (
    Scored,
    dense_start,
    distinct,
    retrained,
    scored,
    varied,
)
from combsearch.search.deletions import children, grown
from combsearch.search.polish import polished
from combsearch.search.sparse_nets import SparseNets
from combsearch.search_config import DescendConfig
from combsearch.tasks.base import Task
from combsearch.trainers import Trainer, get_trainer

DENSE_CELL = "0.05:cosine"  # of the paper's six, the one in which most restarts succeed
RETRAIN_CELLS = ("0.05:cosine", "0.02:cosine", "0.005:cosine")
TURNS = 6  # after the first
_COPIES = 2  # networks of one mask in a level: they lie in different basins
_ELITE = 8  # one in so many of the beam is kept for later turns
_PATIENCE = 4  # levels below the target in a row before a turn ends
_BELOW, _ABOVE = 4, 6  # levels around the lowest that reaches the target: a turn starts there
_POLISH, _LAST_POLISH = 150, 1000  # moves: before each turn, after the last
_MEANS = 2000  # points over which mean activations are taken, about


@dataclass(frozen=True, eq=False)
class State:
    """A descent between two steps.

    Attributes:
        turn: which one is going on.
        missed: levels in a row that did not reach the target.
        finished: there is nothing left to do.
        pools: nonzeros -> candidates that are not yet retrained.
        elites: nonzeros -> the best that were found, best first.
    """

    turn: int = 0
    missed: int = 0
    finished: bool = False
    pools: dict[int, Scored] = field(default_factory=dict)
    elites: dict[int, Scored] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Descent:
    """One starting shape, its task and the configuration."""

    shape: NetShape
    task: Task
    config: DescendConfig

    def start(self) -> State:
        """Dense networks, trained and scored, the best of them as candidates."""
        config = self.config
        batch = min(128, self.task.points)
        recipe = Recipe(batch_size=batch).with_cell(DENSE_CELL)
        nets = dense_start(
            self.shape, self.task, recipe, config.restarts, config.width, config.seed,
            self._trainer,
        )  # fmt: skip
        best = scored(nets, self.task, self._trainer).best_first()[: max(1, config.beam // 4)]
        return State(pools={self.shape.parameters: best})

    def join(self, states: Sequence[State]) -> State:
        """The best of several finished descents, whose shapes fit into this one."""
        elites: dict[int, Scored] = {}
        for level in sorted({level for state in states for level in state.elites}):
            there = [state.elites[level] for state in states if level in state.elites]
            parts = [Scored(one.nets.resized(self.shape), one.correct) for one in there]
            elites[level] = self._elite(parts)
        return State(elites=elites)

    def step(self, state: State) -> State:
        """The state after one more level, or after the preparation of the next turn."""
        if state.finished:
            return state
        return self._level(state) if state.pools else self._turn(state)

    def run(self) -> State:
        """From the dense networks to the end."""
        state = self.start()
        while not state.finished:
            state = self.step(state)
        return state

    def _level(self, state: State) -> State:
        """Retrain the candidates with the most nonzeros and give their children to the pools."""
        level = max(state.pools)
        pools, elites = dict(state.pools), dict(state.elites)
        found = varied(pools.pop(level), self.config.beam)
        if level < self.shape.parameters:
            block = level + state.turn * (self.shape.parameters + 1)
            found = retrained(
                found, self.task, self._recipes, self.config.seed, block, self._trainer
            )
        found = found.best_first()
        elites[level] = self._elite([*([elites[level]] if level in elites else []), found])
        missed = 0 if self._reaches(elites[level]) else state.missed + 1
        if missed > _PATIENCE and not self.config.lowest:
            pools = {}
        else:
            self._pool(pools, children(found.nets, self._sample, self.config.prune_biases))
        pools = {k: pool for k, pool in pools.items() if k >= self.config.lowest}
        return State(state.turn, missed, False, pools, elites)

    def _turn(self, state: State) -> State:
        """Polish the best of the levels near the frontier and start the next turn from them."""
        last = state.turn == TURNS
        elites = self._polished(state, _LAST_POLISH if last else _POLISH)
        if last:
            return State(state.turn, 0, True, {}, elites)
        pools: dict[int, Scored] = {}
        for level in self._band(elites):
            nets = elites[level].nets
            self._pool(pools, grown(nets, self.config.prune_biases))
            self._pool(pools, children(nets, self._sample, self.config.prune_biases))
        kept = {level: pool for level, pool in pools.items() if level >= self.config.lowest}
        return State(state.turn + 1, 0, False, kept, elites)

    def _polished(self, state: State, steps: int) -> dict[int, Scored]:
        """The elites, those near the frontier polished."""
        elites, band = dict(state.elites), self._band(state.elites)
        if not band:
            return elites
        better = polished(
            Scored.concat([elites[level] for level in band]), self.task, steps,
            self.config.seed, state.turn, self._trainer,
        )  # fmt: skip
        ends = np.cumsum([len(elites[level]) for level in band])
        for level, end in zip(band, ends, strict=True):
            elites[level] = better[end - len(elites[level]) : end].best_first()
        return elites

    def _band(self, elites: dict[int, Scored]) -> list[int]:
        """Levels near the lowest that reaches the target."""
        good = [level for level, elite in elites.items() if self._reaches(elite)]
        if not good:
            return sorted(elites)[:0]
        low = min(good)
        return [k for k in sorted(elites) if low - _BELOW <= k <= low + _ABOVE]

    def _pool(self, pools: dict[int, Scored], nets: SparseNets) -> None:
        """Score ``nets`` and add them to the pools of their levels."""
        found = scored(nets, self.task, self._trainer)
        nonzeros = nets.nonzeros()
        for level in np.unique(nonzeros).tolist():
            part = found[np.flatnonzero(nonzeros == level)]
            both = Scored.concat([pools[level], part]) if level in pools else part
            pools[level] = varied(distinct(both, _COPIES), 2 * self.config.beam)

    def _elite(self, parts: list[Scored]) -> Scored:
        count = -(-self.config.beam // _ELITE)
        return varied(distinct(Scored.concat(parts), _COPIES), count)

    def _reaches(self, found: Scored) -> bool:
        return int(found.correct[0]) >= math.ceil(self.config.target * self.task.points)

    @cached_property
    def _trainer(self) -> Trainer:
        return get_trainer(self.config.trainer)

    @property
    def _recipes(self) -> list[Recipe]:
        # Without weight decay: it holds back the large weights that sharp corners need.
        base = Recipe(
            epochs=self.config.retrain_epochs,
            batch_size=min(128, self.task.points),
            weight_decay=0.0,
        )
        return [base.with_cell(cell) for cell in RETRAIN_CELLS]

    @property
    def _sample(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return self.task.x[:: max(1, self.task.points // _MEANS)]


def best_of(state: State) -> dict[int, Scored]:
    """Nonzeros -> the one best network found with so many, ascending."""
    return {level: state.elites[level][:1] for level in sorted(state.elites)}


def lowest_at(state: State, accuracy: float, points: int) -> int | None:
    """Fewest nonzeros that reach ``accuracy``."""
    needed = math.ceil(accuracy * points)
    good = [level for level, found in state.elites.items() if found.correct[0] >= needed]
    return min(good, default=None)

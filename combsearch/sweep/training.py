"""The work on one shard of a sweep: prune, train and score its networks, commit their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.baselines import get_pruner
from combsearch.connectivity import effective_nonzeros, neurons, nonzeros
from combsearch.errors import CombsearchError, UsageError
from combsearch.nets import NetBatch
from combsearch.prune_config import PruneConfig
from combsearch.prune_rows import Kept, kept_parameters, prune_table
from combsearch.pruning import Budget, weights_of
from combsearch.registry import USERS_FAULT, fault_text
from combsearch.runfile import identity_digest
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, clock, fewer, give_way
from combsearch.search.training import committed, use_one_thread
from combsearch.store import RunStore, Shard
from combsearch.sweep.plan import Group, PrunePlan
from combsearch.trainers import get_trainer
from combsearch.trainers.memory import is_out_of_memory

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PruneWork:
    """Prunes and trains the networks of a shard and commits their rows; travels to processes."""

    config: PruneConfig
    store: RunStore

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity))
        table = committed(self.store, shard)
        if table is None:
            table = train_shard(plan, shard)
            self.store.write(shard, table)
        diverged = np.array(table["status"].to_pylist()) == "diverged"
        accuracy = np.where(diverged, 0.0, table["accuracy"].to_numpy())
        return Outcome(len(table), 0, float(accuracy.max(initial=0.0)))


@lru_cache(maxsize=1)
def _loaded_plan(config: PruneConfig, identity: str) -> PrunePlan:
    """The plan of the run with this identity, loaded once a process."""
    plan = PrunePlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    use_one_thread()  # scores are torch's, whatever trains
    return plan


def train_shard(plan: PrunePlan, shard: Shard) -> pa.Table:
    """The rows of all ranks of a shard."""
    group = plan.group_of(shard.first)
    return pa.concat_tables(
        _train(plan, group, ranks) for chunk in plan.shard_chunks(shard) for ranks in _fewer(chunk)
    )


def _fewer(ranks: range) -> list[range]:
    """The ranks of a chunk in pieces, smaller ones where memory has run out."""
    size = fewer(len(ranks))
    return [ranks[first : first + size] for first in range(0, len(ranks), size)]


def _parts(plan: PrunePlan, group: Group, ranks: int) -> Iterator[slice]:
    """The runs of a rank that are trained at once with those of so many ranks.

    Where memory has run out and ranks are too few to be halved any more, parts are.
    """
    for part in plan.parts(group):
        runs = part.stop - part.start
        size = runs if ranks > 1 else fewer(runs)
        for first in range(part.start, part.stop, size):
            yield slice(first, min(first + size, part.stop))


def _train(plan: PrunePlan, group: Group, ranks: range) -> pa.Table:
    """The rows of some ranks of a group, trained together or, where they are large, in parts."""
    parts = []
    for part in _parts(plan, group, len(ranks)):
        give_way()
        dense, keys = plan.dense_nets(group)
        place = np.arange(plan.runs_per_rank)[part]
        run = np.tile(place, len(ranks))
        rank = np.repeat(np.array(ranks, np.int64), len(place))
        own = plan.config.recipes()
        budget = Budget(
            np.repeat([plan.budget(r) for r in ranks], len(place)),
            plan.task,
            tuple(own[r // plan.config.restarts] for r in run),
            keys[run],
            get_trainer(plan.trainer),
            plan.config.compat,
            # As the authors' code: never where runs start from given weights.
            reinitialise=plan.config.compat == "paper" and plan.initial is None,
        )
        parts.append(_prune(plan, group, _Runs(rank, run), dense[run], budget))
    return _rows(plan, group, parts)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Which runs: rank int64 [run], and the place of each among the runs of its rank."""

    rank: Integers
    place: Integers


@dataclass(frozen=True, eq=False)
class _Part:
    """What became of some runs: arrays [run], and networks of those that may be a rank's best."""

    runs: _Runs
    columns: dict[str, Any]
    networks: dict[int, Kept]


def _prune(plan: PrunePlan, group: Group, runs: _Runs, dense: NetBatch, budget: Budget) -> _Part:
    started = clock()
    pruned = pruned_nets(group.method, dense, budget)
    middle = clock()
    nets = budget.finish(pruned)
    scores = budget.trainer.score(nets, plan.task)
    ended = clock()
    fed = np.asarray(neurons(nets.masks).fed[-1].any(axis=1))
    status = np.where(budget.spent.collapsed | ~fed, "collapsed", "ok")
    columns = {
        "correct": scores.correct,
        "budget": budget.weight_nonzeros,
        "status": np.where(scores.diverged, "diverged", status),
        "weight_nonzeros": kept_weights(nets),
        "nonzeros": nonzeros(nets),
        "effective_nonzeros": effective_nonzeros(nets),
        "flops": budget.spent.flops,
        "prune_seconds": np.full(len(dense), (middle - started) / len(dense)),
        "seconds": np.full(len(dense), (ended - middle) / len(dense)),
    }
    best = _best(runs, columns)
    return _Part(runs, columns, {int(i): kept_parameters(nets, int(i)) for i in best})


def pruned_nets(method: str, dense: NetBatch, budget: Budget) -> NetBatch:
    """What a method makes of ``dense``, checked.

    In ``exact`` mode the masks keep exactly the budget, or fewer where the method says that
    it collapsed. In ``paper`` mode they keep what the authors' code keeps, which may be a few
    more or fewer: rows say how many; of a user's own never more than the budget.

    Raises:
        UsageError: the method failed, or gave something else; the message names it.
    """
    try:
        nets = get_pruner(method).prune(dense, budget)
    except MemoryError:
        raise  # the engine tries the shard again, and so where torch says it
    except CombsearchError as error:
        raise UsageError(f"{_what(method, dense)} failed: {error}") from error
    except USERS_FAULT as error:
        if ":" not in method or is_out_of_memory(error):
            raise
        raise UsageError(f"{_what(method, dense)} failed: {fault_text(error)}") from error
    nets = _checked_kind(method, nets, dense)
    _check_masks(method, nets)
    if budget.exact or ":" in method:
        _check_kept(method, nets, budget)
    return nets


def kept_weights(nets: NetBatch) -> Integers:
    """int64 [net]: prunable parameters that the masks keep."""
    masks = [nets.masks[name] for name in nets.network.prunable]
    kept = [np.count_nonzero(m.reshape(len(m), -1), axis=1) for m in masks]
    return np.asarray(np.sum(kept, axis=0, dtype=np.int64))


def _what(method: str, dense: NetBatch) -> str:
    """``pruner 'my:Pruner' on networks of 609 weights``."""
    return f"pruner {method!r} on networks of {weights_of(dense)} weights"


def _checked_kind(method: str, nets: Any, dense: NetBatch) -> NetBatch:
    """``nets`` as numpy arrays, if they are as many networks of the same kind."""
    if not isinstance(nets, NetBatch):
        raise UsageError(
            f"{_what(method, dense)} returned a {type(nets).__name__}, it must return a NetBatch"
        )
    if nets.network == dense.network:
        _check_names(method, nets, dense)
    if nets.network != dense.network or len(nets) != len(dense):
        raise UsageError(
            f"{_what(method, dense)} returned {len(nets)} networks {nets.network}, it must"
            f" return the {len(dense)} networks {dense.network} that it was given, with masks"
        )
    given: NetBatch = nets.numpy()
    found = {name: (a.shape, a.dtype) for name, a in given.params.items()}
    if found != {name: (a.shape, a.dtype) for name, a in dense.params.items()}:
        raise UsageError(
            f"{_what(method, dense)} returned parameters of other shapes or types than those"
            " that it was given (float32)"
        )
    return given


def _check_names(method: str, nets: NetBatch, dense: NetBatch) -> None:
    """A dictionary changed in place may have lost an entry, or gained one."""
    for kind in ("params", "masks", "momenta"):
        found, names = set(getattr(nets, kind)), set(dense.params)
        if found != names:
            lost = [f"lacks {name!r}" for name in dense.params if name not in found]
            more = [f"holds {name!r}" for name in sorted(found - names, key=str)]
            raise UsageError(
                f"{_what(method, dense)} returned {kind} of other names than those that it was"
                f" given: {kind} {', '.join(lost + more)}"
            )


def _check_masks(method: str, nets: NetBatch) -> None:
    for name, mask in nets.masks.items():
        if not ((mask == 0) | (mask == 1)).all():
            raise UsageError(
                f"{_what(method, nets)} returned a mask of {name} with other values than 0 and 1"
            )
        if (nets.params[name][mask == 0] != 0).any():
            raise UsageError(
                f"{_what(method, nets)} returned masked parameters of {name} that are not 0"
            )


def _check_kept(method: str, nets: NetBatch, budget: Budget) -> None:
    """Exactly the budget; fewer only on collapse, since no result may flatter a method."""
    kept = kept_weights(nets)
    few = (kept < budget.weight_nonzeros) & ~budget.spent.collapsed & budget.exact
    wrong = np.flatnonzero((kept > budget.weight_nonzeros) | few)
    if len(wrong):
        first = int(wrong[0])
        raise UsageError(
            f"{_what(method, nets)} kept {kept[first]} of them for the budget"
            f" {budget.weight_nonzeros[first]}: it must keep exactly the budget"
        )


def _best(runs: _Runs, columns: dict[str, Any]) -> Integers:
    """int64 [rank]: the best run of each rank; none of a rank where all diverged."""
    lost = columns["status"] == "diverged"
    order = np.lexsort((runs.place, columns["nonzeros"], -columns["correct"], lost, runs.rank))
    _, first = np.unique(runs.rank[order], return_index=True)
    best = order[first]
    return np.asarray(best[~lost[best]], np.int64)


def _rows(plan: PrunePlan, group: Group, parts: list[_Part]) -> pa.Table:
    runs = _Runs(*(np.concatenate([getattr(p.runs, f) for p in parts]) for f in ("rank", "place")))
    columns = {
        name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns
    }
    best = set(_best(runs, columns).tolist())
    networks = [net if i in best else None for i, net in enumerate(_networks(parts))]
    cells = np.array(plan.config.cells)
    return prune_table(
        {
            "rank": runs.rank,
            "method": group.method,
            "width": group.width,
            "shape": ",".join(map(str, group.shape.widths)),
            "cell": cells[runs.place // plan.config.restarts],
            "restart": runs.place % plan.config.restarts,
            "accuracy": columns.pop("correct") / plan.task.points,
            **columns,
        },
        networks,
    )


def _networks(parts: list[_Part]) -> Iterator[Kept | None]:
    for part in parts:
        for run in range(len(part.runs.rank)):
            yield part.networks.get(run)

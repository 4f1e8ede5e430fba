"""Means over seeds: what a method, with its settings and scope, comes to round by round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.studies.pqi.chains import SETTINGS

WHO = ("method", "scope", *SETTINGS)
"""The columns that name a chain, its seed apart."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """A chain over its rounds; seeds whose training diverged in a round do not count there.

    Attributes:
        who: method, scope and settings, by column.
        rounds: int64 [round], those that are saved.
        seeds: int64 [round], how many count.
        columns: column -> (mean, standard deviation), float64 [round] each; the latter of a
            sample, NaN for a single seed.
    """

    who: dict[str, object]
    rounds: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    columns: dict[str, tuple[Floats, Floats]]

    @property
    def name(self) -> str:
        """As ``SAP p=0.5 q=1, layer``."""
        return f"{method_name(self.who)}, {self.who['scope']}"


def curves(rows: pa.Table, pairs: tuple[str, ...]) -> list[Curve]:
    """The curves of all chains in ``rows``, in the order of their chains.

    Columns are ``accuracy``, ``best_accuracy``, ``pruned_accuracy``, ``pruned_less_retrained``
    (the difference, seed by seed), ``kept_share`` (of the dense network's weights), ``gini``,
    and ``pqi p:q`` for each of ``pairs``, the grid.
    """
    if not len(rows):
        return []
    values = _values(rows, pairs)
    who = list(zip(*(rows[name].to_pylist() for name in WHO), strict=True))
    keys = np.array([repr(one) for one in who])
    _, first = np.unique(keys, return_index=True)
    return [_curve(values, keys == keys[at], dict(zip(WHO, who[at], strict=True)))
            for at in sorted(first)]  # fmt: skip


def over_seeds(values: Floats) -> tuple[Floats, Floats]:
    """Mean and sample standard deviation over the first axis, what is not finite left out.

    NaN where there is no value (mean) or fewer than two (deviation).
    """
    there = np.isfinite(values)
    count = there.sum(axis=0)
    mean = np.where(there, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    squares = np.where(there, values - mean, 0.0) ** 2
    return mean, np.sqrt(squares.sum(axis=0) / np.where(count > 1, count - 1, np.nan))


def csv_table(rows: pa.Table, pairs: tuple[str, ...]) -> str:
    """All curves as CSV: a line a chain and round, with mean and standard deviation (sd)."""
    lines: list[str] = []
    for curve in curves(rows, pairs):
        if not lines:
            numbers = [f"{name},{name} sd" for name in curve.columns]
            lines.append(",".join([*WHO, "round", "seeds", *numbers]))
        who = [
            f"{value:g}" if isinstance(value, float) else str(value) for value in curve.who.values()
        ]
        for place, number in enumerate(curve.rounds):
            cells = [f"{a[place]:.6g}" for pair in curve.columns.values() for a in pair]
            lines.append(",".join([*who, str(number), str(curve.seeds[place]), *cells]))
    return "\n".join(lines).replace("nan", "") + "\n"


def method_name(who: dict[str, object]) -> str:
    """A method with its settings, as figures and tables call it."""
    if who["method"] != "sap":
        return {"lt": "LT", "one_shot": "One-shot"}[str(who["method"])]
    more = [f"{name}={who[name]:g}" for name in ("eta", "gamma")
            if who[name] != {"eta": 0.0, "gamma": 1.0}[name]]  # fmt: skip
    return " ".join([f"SAP p={who['p']:g} q={who['q']:g}", *more])


def _values(rows: pa.Table, pairs: tuple[str, ...]) -> dict[str, npt.NDArray[np.float64]]:
    names = ("round", "accuracy", "best_accuracy", "pruned_accuracy", "gini")
    found = {name: rows[name].to_numpy().astype(np.float64) for name in names}
    found["pruned_less_retrained"] = found["pruned_accuracy"] - found["accuracy"]
    found["kept_share"] = rows["kept"].to_numpy() / rows["weights"].to_numpy()
    pqi = np.array(rows["pqi"].to_pylist(), np.float64).reshape(len(rows), len(pairs))
    found |= {f"pqi {pair}": pqi[:, place] for place, pair in enumerate(pairs)}
    found["ok"] = np.array(rows["status"].to_pylist()) == "ok"
    return found


def _curve(
    values: dict[str, npt.NDArray[np.float64]], own: npt.NDArray[np.bool_], who: dict[str, object]
) -> Curve:
    rounds = np.unique(values["round"][own]).astype(np.int64)
    counted = [own & (values["round"] == number) & values["ok"].astype(bool) for number in rounds]
    columns = {
        name: _moments([column[rows] for rows in counted])
        for name, column in values.items()
        if name not in ("round", "ok")
    }
    return Curve(who, rounds, np.array([int(rows.sum()) for rows in counted]), columns)


def _moments(samples: list[Floats]) -> tuple[Floats, Floats]:
    mean, spread = zip(*map(over_seeds, samples), strict=True)
    return np.array(mean), np.array(spread)

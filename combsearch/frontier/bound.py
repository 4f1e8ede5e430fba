"""How few nonzeros reach a target, and what was tried below: ``Bound``, ``Level``, ``Trial``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from combsearch.errors import CorruptDataError, UsageError
from combsearch.frontier.best import (
    KEPT,
    PRUNABLE,
    Found,
    Frontier,
    check_counting,
    check_same,
)
from combsearch.frontier.chances import excluded_by_groups

_KEPT_RISK = 0.01  # that a trial's ``kept`` is not a lower limit


@dataclass(frozen=True)
class Trial:
    """What one set of restarts did on a level.

    Attributes:
        restarts: begun for every orbit of the level, the least that any of them got; 0 as
            long as some orbit has none.
        started: runs begun, all orbits together.
        finished: of those, how many ran to their last step; a race drops the others.
        successes: how many of those reached the target.
        best_accuracy: of any of those; 0 when there is none.
        kept: share of the successes that the race keeps, in (0, 1], a lower limit of it that
            is true with 99%; 1 without a race.
    """

    restarts: int
    started: int
    finished: int
    successes: int
    best_accuracy: float
    kept: float = 1.0

    def __post_init__(self) -> None:
        if (
            not 0 <= self.successes <= self.finished <= self.started >= self.restarts >= 0
            or not 0 <= self.best_accuracy <= 1
            or not 0 < self.kept <= 1
        ):
            raise UsageError(
                f"{self} needs 0 <= successes <= finished <= started, 0 <= restarts <= started,"
                " best_accuracy in [0, 1] and kept in (0, 1]"
            )

    def merge(self, other: Trial) -> Trial:
        """What two states of the same restarts say together; none of them counts twice."""
        return Trial(
            max(self.restarts, other.restarts),
            max(self.started, other.started),
            max(self.finished, other.finished),
            max(self.successes, other.successes),
            max(self.best_accuracy, other.best_accuracy),
            min(self.kept, other.kept),
        )


@dataclass(frozen=True)
class Level:
    """All orbits with one number of nonzeros, and what was tried on them.

    Attributes:
        nonzeros: weights and biases.
        orbits: canonical masks that the level holds, all shapes of the space together.
        trials: what was tried, by the random numbers that the restarts draw from (a text
            such as ``"seed 0, 0.05:cosine, 50 epochs"``): trials of one name are taken for
            the same restarts, those of different names for independent ones.
    """

    nonzeros: int
    orbits: int
    trials: Mapping[str, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.orbits < 1 or self.nonzeros < 1:
            raise UsageError(f"{self} needs nonzeros and orbits from 1 up")
        for trial in self.trials.values():
            if trial.started < trial.restarts * self.orbits:
                raise UsageError(
                    f"{trial}: {trial.restarts} restarts of {self.orbits} orbits are more than"
                    f" the {trial.started} runs that it started"
                )

    @property
    def restarts(self) -> int:
        """Restarts that every orbit got at least, each from random weights of its own."""
        return sum(trial.restarts for trial in self.trials.values())

    @property
    def started(self) -> int:
        """Runs begun."""
        return sum(trial.started for trial in self.trials.values())

    @property
    def finished(self) -> int:
        """Runs that were not dropped by a race."""
        return sum(trial.finished for trial in self.trials.values())

    @property
    def successes(self) -> int:
        """Runs that reached the target."""
        return sum(trial.successes for trial in self.trials.values())

    @property
    def best_accuracy(self) -> float | None:
        """Of all runs; None without any."""
        return max((trial.best_accuracy for trial in self.trials.values()), default=None)

    @property
    def closed(self) -> bool:
        """Whether every orbit was trained, none succeeded, and that excludes something."""
        found = self.excluded()
        return self.restarts > 0 and found is not None and found < 1

    def excluded(self, whole: bool = False, confidence: float = 0.95) -> float | None:
        """Success probability that the restarts exclude; None where there was a success.

        Args:
            whole: for all orbits of the level at once, instead of each by itself.
            confidence: see ``excluded_probability``.
        """
        if self.successes:
            return None
        groups = [(trial.restarts, trial.kept) for trial in self.trials.values()]
        if any(trial.kept < 1 for trial in self.trials.values()):
            confidence -= _KEPT_RISK  # the limit of what a race keeps may be wrong too
        return excluded_by_groups(groups, confidence, self.orbits if whole else 1)

    def merge(self, other: Level) -> Level:
        """What both tried.

        Raises:
            UsageError: they are different levels or disagree on how many orbits there are.
        """
        same = ("nonzeros", "orbits")
        check_same("levels", {name: (getattr(self, name), getattr(other, name)) for name in same})
        trials = dict(self.trials)
        for name, trial in other.trials.items():
            trials[name] = trials[name].merge(trial) if name in trials else trial
        return Level(self.nonzeros, self.orbits, trials)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values: what follows from the trials, then the trials."""
        return {
            "nonzeros": self.nonzeros,
            "orbits": self.orbits,
            "restarts": self.restarts,
            "started": self.started,
            "finished": self.finished,
            "successes": self.successes,
            "best_accuracy": self.best_accuracy,
            "closed": self.closed,
            "excluded_success_probability": self.excluded(),
            "excluded_for_the_level": self.excluded(whole=True),
            "trials": {name: asdict(self.trials[name]) for name in sorted(self.trials)},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Level:
        """The inverse of ``to_json``."""
        trials = {name: Trial(**trial) for name, trial in values["trials"].items()}
        return cls(values["nonzeros"], values["orbits"], trials)


@dataclass(frozen=True)
class Bound:
    """How few nonzeros reach a target: found by training, and known to exist.

    The trained bound is statistical: the lowest level with a success from random weights,
    and what the restarts on the levels below exclude. The existence bound is a fact: a
    saved network, however it was found, that ``certify`` confirms. They are kept apart.

    Attributes:
        task: its name.
        target: accuracy that counts as a success.
        space: which masks the levels hold, such as ``"all shapes, 3 hidden layers"``.
        counting: ``KEPT`` or ``PRUNABLE``; what is enumerated and trained keeps its biases.
        levels: those of the space that are of interest, ascending; one that nobody tried
            has no trials.
        existing: certified networks that reach the target, by nonzeros, one each number.
    """

    task: str
    target: float
    space: str
    counting: str = KEPT
    levels: tuple[Level, ...] = ()
    existing: tuple[Found, ...] = ()

    def __post_init__(self) -> None:
        check_counting(self.counting)
        if not 0 < self.target <= 1:
            raise UsageError(f"target is {self.target}, it must be in (0, 1]")
        if self.levels and self.counting != KEPT:
            raise UsageError(f"a level of {PRUNABLE!r}: the masks that are trained keep biases")
        numbers = [level.nonzeros for level in self.levels]
        if sorted(set(numbers)) != numbers:
            raise UsageError(f"levels {numbers} must ascend, each named once")
        for found in self.existing:
            if found.accuracy < self.target:
                raise UsageError(f"{found} does not reach the target {self.target}")
        best = Frontier.of(self.existing, self.counting).by_nonzeros
        object.__setattr__(self, "existing", best)

    @property
    def trained(self) -> Level | None:
        """The lowest level with a success, or None."""
        return next((level for level in self.levels if level.successes), None)

    @property
    def exists(self) -> Found | None:
        """The certified network with the fewest nonzeros, or None."""
        return self.existing[0] if self.existing else None

    @property
    def below(self) -> tuple[Level, ...]:
        """Levels below the trained bound; all of them when there is no success."""
        top = self.trained
        return self.levels if top is None else self.levels[: self.levels.index(top)]

    @property
    def open(self) -> tuple[int, ...]:
        """Nonzeros of the levels below the trained bound that are not closed."""
        return tuple(level.nonzeros for level in self.below if not level.closed)

    def merge(self, *others: Bound) -> Bound:
        """What all of them know.

        Raises:
            UsageError: they are about different things, or count in different ways.
        """
        levels = {level.nonzeros: level for level in self.levels}
        for other in others:
            same = ("task", "target", "space", "counting")
            pairs = {name: (getattr(self, name), getattr(other, name)) for name in same}
            check_same("bounds", pairs)
            for level in other.levels:
                known = levels.get(level.nonzeros)
                levels[level.nonzeros] = known.merge(level) if known else level
        existing = tuple(found for one in (self, *others) for found in one.existing)
        ordered = tuple(levels[nonzeros] for nonzeros in sorted(levels))
        return Bound(self.task, self.target, self.space, self.counting, ordered, existing)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; ``bound`` is the trained one, or null."""
        return {
            "task": self.task,
            "target": self.target,
            "space": self.space,
            "counting": self.counting,
            "bound": self.trained.nonzeros if self.trained else None,
            "open": list(self.open),
            "exists": self.exists.nonzeros if self.exists else None,
            "levels": [level.to_json() for level in self.levels],
            "existing": [found.to_json() for found in self.existing],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Bound:
        """The inverse of ``to_json``.

        Raises:
            CorruptDataError: ``values`` are not a bound.
        """
        try:
            levels = tuple(map(Level.from_json, values["levels"]))
            existing = tuple(map(Found.from_json, values["existing"]))
            task, space, counting = (values[name] for name in ("task", "space", "counting"))
            return cls(task, values["target"], space, counting, levels, existing)
        except (LookupError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise CorruptDataError(f"not a saved bound: {error!r}") from error

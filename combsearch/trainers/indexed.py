"""Training of masked networks that touches their kept weights only (``networks.indexed``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch, Scores, score
from combsearch.networks.image_network import ImageNetwork
from combsearch.networks.indexed import Places, expanded, indexed, kept_places
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, check_replacement
from combsearch.trainers.loop import LoopTrainer


@dataclass(frozen=True)
class IndexedTrainer:
    """Trains an ``ImageNetwork`` on a CPU as ``loop`` does, its masked weights not at all.

    It takes and returns ordinary networks; momenta of masked weights come back as 0, which no
    training under the same masks can tell apart. Networks are trained one after the other: so
    few numbers are left that lifting their products by ``torch.func`` costs more than it saves.

    Attributes:
        most: share of a layer's weights up to which it is stored by index.
    """

    most: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise UsageError(f"most is {self.most}, it must be a share from 0 to 1")

    @property
    def name(self) -> str:
        """``"indexed"``."""
        return "indexed"

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; ``on_step`` sees ordinary networks."""
        if not isinstance(nets.network, ImageNetwork):
            raise UsageError(
                f"trainer 'indexed' trains networks for images, not a"
                f" {type(nets.network).__name__}; 'sparse' trains MLPs of the searches"
            )
        _check_clip(recipe)
        nets = nets.numpy()
        places = kept_places(nets, self.most)
        small = indexed(nets, places)
        watch = None if on_step is None else _Expanding(on_step, nets, places)
        trained = LoopTrainer().fit(small, task, recipe, keys, steps, watch)
        return expanded(trained, nets, places)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``nets.score``."""
        return score(nets, task)


def _check_clip(recipe: Recipe | Sequence[Recipe]) -> None:
    """Clipping is by the norm of the gradient of all weights, of which this finds a few."""
    clips = [recipe.clip] if isinstance(recipe, Recipe) else [one.clip for one in recipe]
    if any(clips):
        raise UsageError(
            f"trainer 'indexed' cannot clip ({max(clips):g}) as other trainers do: it knows no"
            " gradients of masked weights; take clip 0, or trainer 'loop' or 'vmap'"
        )


class _Expanding:
    """An ``on_step`` that shows ordinary networks to another one."""

    def __init__(self, on_step: OnStep, like: NetBatch, places: Places) -> None:
        self._on_step, self._like, self._places = on_step, like, places

    def wants(self, step: int) -> bool:
        """As the other one."""
        wants = getattr(self._on_step, "wants", None)
        return wants is None or bool(wants(step))

    def __call__(self, step: int, nets: NetBatch) -> NetBatch | None:
        """Show ``nets`` expanded; replacements must keep the masks."""
        changed = self._on_step(step, expanded(nets, self._like, self._places))
        if changed is None:
            return None
        changed = check_replacement(changed, self._like).numpy()
        for name, mask in self._like.masks.items():
            if (changed.masks[name] != mask).any():
                raise UsageError(
                    "trainer 'indexed' cannot change masks in on_step; train a segment, change"
                    " masks, and train on"
                )
        return indexed(changed, self._places).to_torch()

"""The command that ``submit`` is given: what it trains, and the words that an element runs.

An element must do the same wherever and whenever it starts, so its words say everything that
is not at its default, whether it came from a flag, the environment, a file or another run.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.commands.options import Options
from combsearch.commands.reading import blamed, open_search, run_command, settings_of
from combsearch.commands.session import Search, folder_of
from combsearch.commands.settings import Settings, flag, variable
from combsearch.config import changed
from combsearch.engines.slurm_script import Batch
from combsearch.errors import UsageError
from combsearch.search import devices
from combsearch.search.descend import DescendPlan, read_state
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.plan import Plan
from combsearch.slurm_config import SlurmConfig

Read = Callable[[list[str]], argparse.Namespace]

# What elements are told of the machine, where it is set; all other settings are in the words.
_MACHINE = ("COMBSEARCH_CACHE", "COMBSEARCH_DATA", "COMBSEARCH_LANES", "COMBSEARCH_OFFLINE")
_EXAMPLE = "combsearch submit slurm -- phase2 --shape 3,2,2"


@dataclass(frozen=True)
class Inner:
    """A command that trains.

    Attributes:
        command: such as ``study pqi``.
        settings: of it.
        folder: of its run, absolute.
        search: what has shards; None of a descent.
        trainer: that elements are told to take.
        finished: of a descent: nothing of it is left.
    """

    command: str
    settings: Settings
    folder: Path
    search: Search | None
    trainer: str
    finished: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether its shards are trained on a GPU, as searches do it."""
        return self.search is not None and devices.on_gpu(self.search.plan.trainer)

    def train_words(self, slurm: SlurmConfig) -> list[str]:
        """The words of an element, but for its ranks."""
        words = self._words(self.trainer)
        if self.settings.options.jobs or not slurm.gpu_count:
            words.append(f"--jobs={self.settings.options.jobs or slurm.cores}")
        if self.search is not None:
            return [*words, "--no-figures"]
        return words if self.settings.options.figures else [*words, "--no-figures"]

    def report_words(self) -> list[str]:
        """The words of the job that reports; it needs no GPU."""
        figures = [] if self.settings.options.figures else ["--no-figures"]
        return [*self._words(devices.identity_name(self.trainer)), "--no-train", *figures]

    def _words(self, trainer: str) -> list[str]:
        words = self.command.split()
        config = dataclasses.replace(self.settings.config, trainer=trainer)
        for name, value in changed(config).items():
            if isinstance(value, bool):
                words.append(flag(name) if value else flag(f"no_{name}"))
            else:
                items = value if isinstance(value, list) else [value]
                words.append(f"{flag(name)}={','.join(map(str, items))}")
        runs = os.path.abspath(self.settings.options.runs)
        return [*words, f"--run={os.path.relpath(self.folder, runs)}", f"--runs={runs}"]


def read_inner(words: Sequence[str], read: Read, slurm: SlurmConfig) -> Inner:
    """The command that ``words`` name.

    Raises:
        UsageError: it does not train, or has options that are submit's own.
    """
    given = _given(words, read)
    wanted = _trainer_of(given)
    with blamed(settings := settings_of(given)):
        _check_options(settings.options)
        if given.command == "descend":
            plan = DescendPlan.of(settings.config)
            folder = folder_of(plan, settings.options).absolute()
            trainer = _element_trainer(wanted, plan.trainer, slurm)
            finished = _is_finished(plan, folder)
            return Inner("descend", settings, folder, None, trainer, finished)
        search = open_search(given, settings)
    folder = folder_of(search.plan, settings.options).absolute()
    trainer = _element_trainer(wanted, search.plan.trainer, slurm)
    # Both count their work in multiply-adds; only that of masks is cut otherwise for a GPU.
    if isinstance(search.plan, (MaskPlan, Plan)):
        search = _as_of_elements(search, search.plan, wanted, slurm)
    return Inner(search.command, settings, folder, search, trainer)


def _is_finished(plan: DescendPlan, folder: Path) -> bool:
    """Whether all descents of a run are through; refuses a folder of another run."""
    found = runfile.read_identity(folder)
    if found is None:
        return False
    runfile.check_same(folder, runfile.normal_identity(plan.identity()), found)
    states = [read_state(path, shape) for path, shape in plan.paths(folder)]
    return all(state is not None and state.finished for state in states)


def batch_of(inner: Inner, slurm: SlurmConfig, folder: Path) -> Batch:
    """What the scripts in ``folder`` are made from."""
    exports = {name: os.environ[name] for name in _MACHINE if os.environ.get(name)}
    if os.environ.get("PYTHONPATH"):
        paths = os.environ["PYTHONPATH"].split(os.pathsep)
        exports["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths)
    owners: tuple[Any, ...] = (type(inner.settings.config), Options)
    names = ["config", *(f.name for owner in owners for f in dataclasses.fields(owner))]
    return Batch(
        title=f"combsearch {inner.command}",
        name=inner.folder.name,
        folder=folder,
        train=inner.train_words(slurm),
        report=inner.report_words(),
        ranged=inner.search is not None,
        python=sys.executable,
        home=os.getcwd(),
        exports=exports,
        unset=[variable(name) for name in names if variable(name) in os.environ],
        config=slurm,
    )


def _given(words: Sequence[str], read: Read) -> argparse.Namespace:
    if not words:
        raise UsageError(f"submit: no command to submit; write it behind --, as {_EXAMPLE}")
    given = read(list(words))
    if given.command != "descend" and getattr(given, "function", None) is not run_command:
        raise UsageError(
            f"submit: {' '.join(words[:3])!r} does not train a run: submit phase1, phase2, exhaust,"
            f" prune, descend or a study, as {_EXAMPLE}"
        )
    return given


def _trainer_of(given: argparse.Namespace) -> str:
    """The trainer that is asked for; where that needs a GPU, ``given`` asks for its twin.

    A plan is the same for both, and can be made where there is no GPU.
    """
    wanted = str(settings_of(given).config.trainer)
    if devices.on_gpu(wanted):
        given.trainer = devices.identity_name(wanted)
    return wanted


def _element_trainer(wanted: str, planned: str, slurm: SlurmConfig) -> str:
    """What elements are told: without a GPU not to look for one, which would change the shards."""
    if devices.on_gpu(wanted) and not slurm.gpu_count:
        raise UsageError(f"trainer is {wanted!r}, but no GPU is asked for: add --gpus 1")
    if wanted != "auto" or slurm.gpu_count:
        return wanted
    return devices.identity_name(planned)


def _as_of_elements(search: Any, plan: MaskPlan | Plan, wanted: str, slurm: SlurmConfig) -> Search:
    """The search with the shards that its elements will have, whatever this machine is."""
    # Where nothing is said, masks are trained on a GPU if there is one, dense shapes are not.
    gpu = devices.on_gpu(wanted) or (wanted == "auto" and isinstance(plan, MaskPlan))
    fused = devices.identity_name(plan.trainer) == "fused"
    trainer = "cuda" if gpu and fused and slurm.gpu_count else devices.identity_name(plan.trainer)
    found: Search = dataclasses.replace(search, plan=dataclasses.replace(plan, trainer=trainer))
    return found


def _check_options(options: Options) -> None:
    """Refuse what is said before ``--``, or makes no sense behind it."""
    for name, said in (
        ("engine", options.engine != "local"),
        ("ranks", options.ranks is not None),
        ("no_train", not options.train),
        ("dry_run", options.dry_run),
        ("json", options.json),
    ):
        if said:
            where = " (write it before --)" if name in ("dry_run", "json") else ""
            raise UsageError(f"submit: the command behind -- takes no {flag(name)}{where}")

"""Copies of a network trained side by side against one after the other, by the same trainer.

python results/pqi/side_by_side.py --device cuda

Every figure is optimiser steps a second, summed over the copies, of noise in the shape of
Fashion-MNIST. Both ways are measured in turn, in windows of some steps; each is given at its
best window. Needs PyTorch and numpy only.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from combsearch.config import Recipe
from combsearch.nets import NetBatch
from combsearch.networks import NETWORKS, get_network
from combsearch.rng import RunKeys
from combsearch.tasks.augmentation import Augmentation
from combsearch.tasks.base import Task
from combsearch.trainers.vmap import VmapTrainer

SHAPE, CLASSES, BATCHES = (1, 28, 28), 10, 8
AUGMENTED = ("none", "shared", "own")
CASES = "linear:64:40:none,shared,own mlp:16:10:none,shared,own cnn:4:1:none,own resnet18:2:1:none"


@dataclass(frozen=True)
class Case:
    """One network, how many copies (0: as many as are planned), steps a window, augmentation."""

    network: str
    copies: int
    steps: int
    augmented: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Case:
        """``network:copies:steps:augmentation[,augmentation]``."""
        try:
            network, copies, steps, augmented = text.split(":")
            case = cls(network, int(copies), int(steps), tuple(augmented.split(",")))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not as cnn:4:1:none,own") from error
        if network not in NETWORKS or not set(case.augmented) <= set(AUGMENTED):
            known = f"{', '.join(NETWORKS)}; {', '.join(AUGMENTED)}"
            raise argparse.ArgumentTypeError(f"{text!r}: known are {known}")
        return case


class Clock:
    """An ``on_step`` that notes the seconds of windows of some steps, the first left out."""

    def __init__(self, steps: int, seconds: Callable[[], float]) -> None:
        self._steps, self._seconds = steps, seconds
        self._since = 0.0
        self.best = float("inf")

    def wants(self, step: int) -> bool:
        """Whether ``step`` ends a window."""
        return (step + 1) % self._steps == 0

    def __call__(self, step: int, nets: NetBatch) -> None:
        """Note a window."""
        if next(iter(nets.params.values())).is_cuda:
            torch.cuda.synchronize()
        now = self._seconds()
        if step + 1 > self._steps:
            self.best = min(self.best, now - self._since)
        self._since = now


def make_task(batch: int, augmented: str) -> Task:
    """Noise, flipped and cropped out of a frame of 4 pixels as CIFAR-10 usually is."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCHES * batch, SHAPE[1] * SHAPE[2])).astype(np.float32)
    y = rng.integers(0, CLASSES, len(x)).astype(np.uint8)
    moves = Augmentation(SHAPE, True, 4, (-0.81,), augmented == "shared")
    return Task("noise", x, y, classes=CLASSES, augmentation=None if augmented == "none" else moves)


def measured(case: Case, augmented: str, args: argparse.Namespace) -> str:
    """A row of the table."""
    task, network = make_task(args.batch, augmented), get_network(case.network, SHAPE, CLASSES)
    steps = case.steps * (args.windows + 1)
    recipe = Recipe(epochs=-(-steps // BATCHES), batch_size=args.batch, lr=0.01)

    def batch_of(copies: int) -> tuple[NetBatch, RunKeys]:
        keys = RunKeys.make(0, np.arange(copies), ["a"] * copies, [0] * copies)
        return NetBatch.create(network, keys), keys

    planned = VmapTrainer(args.device).planned_chunk(batch_of(1)[0], task, recipe)
    copies = case.copies or planned
    ways = {"side": (copies, copies), "one": (min(copies, args.most_alone), 1)}
    best = dict.fromkeys(ways, 0.0)
    for _ in range(args.rounds):
        for way, (count, chunk) in ways.items():
            nets, keys = batch_of(count)
            clock = Clock(case.steps, time.process_time if alone(args) else time.perf_counter)
            trainer = VmapTrainer(args.device, chunk=chunk)
            trainer.fit(nets, task, recipe, keys, slice(0, steps), clock)
            best[way] = max(best[way], count * case.steps / clock.best)
    return (
        f"| {case.network} | {augmented} | {copies} | {planned} | {number(best['side'])}"
        f" | {number(best['one'])} | {best['side'] / best['one']:.2f} |"
    )


def alone(args: argparse.Namespace) -> bool:
    """Whether all work is that of one thread: its own time leaves out what others take."""
    return bool(args.device == "cpu" and args.threads == 1)


def clock_of(args: argparse.Namespace) -> str:
    """What seconds are of."""
    return "of the thread's own time" if alone(args) else "of the clock"


def number(value: float) -> str:
    """Three digits of ``value``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine(device: str) -> str:
    """Processor, or GPU, and what runs on it."""
    names = [f"torch {torch.__version__}", f"numpy {np.__version__}"]
    names.append(f"Python {platform.python_version()}, threads: {torch.get_num_threads()}")
    if device.startswith("cuda"):
        names.insert(0, torch.cuda.get_device_name(device))
    return ", ".join([processor(), *names])


def processor() -> str:
    """What the processor calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(args: argparse.Namespace) -> Iterator[str]:
    """The lines of the report, as they are measured."""
    yield f"    python results/pqi/side_by_side.py {' '.join(sys.argv[1:])}".rstrip() + "\n"
    yield f"Machine: {machine(args.device)}. Batches of {args.batch} images 1 x 28 x 28.\n"
    yield (
        f"Optimiser steps a second {clock_of(args)}, summed over copies, by the `vmap` trainer;\n"
        "`one after the other` is the same trainer with one copy at a time. Both were measured in\n"
        f"turn, each is given at the best of {args.rounds * args.windows} windows, since the"
        " machine may be shared\nand noisy. `planned` is what the trainer would take side by side"
        " by itself. Augmentation is\nnone, shared by all copies, or each copy's own: flips, and"
        " crops from a frame of 4 pixels.\n"
    )
    yield (
        "| network | augmentation | copies | planned | side by side | one after the other"
        " | ratio |\n|---|---|---|---|---|---|---|"
    )
    for case in args.cases:
        for augmented in case.augmented:
            yield measured(case, augmented, args)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the CPU")
    parser.add_argument("--batch", type=int, default=250, help="images of a minibatch")
    parser.add_argument("--rounds", type=int, default=3, help="times that both ways are measured")
    parser.add_argument("--windows", type=int, default=3, help="of a round that count")
    parser.add_argument("--most-alone", type=int, default=4, help="copies trained one by one")
    parser.add_argument(
        "--cases", nargs="+", type=Case.parse, default=[Case.parse(text) for text in CASES.split()],
        help=f"network:copies:steps a window:augmentation; copies 0: as planned; default: {CASES}",
    )  # fmt: skip
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for line in report(args):
        print(line, flush=True)


if __name__ == "__main__":
    main()

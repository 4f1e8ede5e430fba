"""What can happen to an array of jobs while it runs, on a real SLURM.

Each fault is a function of a `Site` and a `Trial`: it disturbs the run that was submitted,
checks what is to be seen at once, and notes what it did among the facts of the trial.
"""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from slurm_cluster import NODES, Cluster, send
from slurm_trial import PATIENCE_S, Fault, Site, Trial


def nothing(site: Site, trial: Trial) -> None:
    """No fault: one submission is enough."""
    trial.check_reported()


ODD = '$(touch x) %a "q"'
"""A run's name that the shell, sbatch and its log patterns must all leave as it is."""


def odd_name(site: Site, trial: Trial) -> None:
    """A GPU an element, two elements at once at most, and the name above."""
    cluster = site.cluster
    cluster.wait(lambda: len(trial.training()) >= 2, "two elements", PATIENCE_S)
    said = (cluster.variables(pid) for pid in trial.training())
    gpus = [(v["SLURMD_NODENAME"], v["CUDA_VISIBLE_DEVICES"]) for v in said if v]
    assert len(set(gpus)) == len(gpus) <= 2, gpus
    trial.check_reported()
    assert not (site.folder / "x").exists() and not (trial.run / "x").exists()
    logs = [log.name for log in (trial.run / "slurm" / "1" / "logs").iterdir()]
    assert len(logs) == trial.elements[0] + 1, logs
    trial.facts["name"] = trial.name


def requeue(site: Site, trial: Trial) -> None:
    """``scontrol requeue`` of all that runs, twice."""
    hit = 0
    for shards in (1, 3):
        trial.started(shards)
        running = trial.running()
        for job in running:
            site.cluster.run("scontrol", "requeue", job, check=False)  # it may just have ended
        hit += len(running)
    trial.check_reported()
    trial.facts["elements_requeued"] = hit


def cancel(site: Site, trial: Trial) -> None:
    """``scancel`` of half of what runs and half of what waits; a second submit has the rest."""
    trial.started()
    queued = trial.queued()
    chosen = queued[::2]
    site.cluster.run("scancel", *chosen)
    trial.settle()
    missing = trial.missing()
    again = trial.submit()
    assert again["shards"] == missing and bool(again["elements"]) == bool(missing), again
    trial.settle()
    trial.facts |= {"elements_cancelled": len(chosen), "shards_missing_then": missing}


def preempt(site: Site, trial: Trial) -> None:
    """A job of the urgent partition that takes both nodes for some seconds."""
    trial.started()
    script = site.folder / "urgent.sh"
    script.write_text("#!/bin/sh\nsleep 5\n")
    running = trial.running()
    urgent = site.cluster.run(
        "sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive",
        f"--output={site.folder}/urgent.log", str(script),
    ).strip()  # fmt: skip
    site.cluster.wait(lambda: urgent in site.cluster.jobs("RUNNING"), "urgent job", PATIENCE_S)
    assert not trial.running()
    trial.check_reported()
    trial.facts["elements_preempted"] = len(running)


def kill_slurmd(site: Site, trial: Trial) -> None:
    """kill -9 of a node's daemon: at once restarted, then away until its jobs go elsewhere.

    The second time an element of the lost node sleeps until SLURM has started it on the other
    one, and wakes up then: two workers on one shard.
    """
    cluster = site.cluster
    trial.started()
    cluster.kill(NODES[0])
    time.sleep(2)
    cluster.start(NODES[0])
    _lose_node(site, trial)
    trial.facts["slurmd_killed"] = 2


def _lose_node(site: Site, trial: Trial) -> None:
    cluster = site.cluster
    orphan = next(iter(trial.put_to_sleep(1).values()))
    node = cluster.variables(orphan)["SLURMD_NODENAME"]
    known = trial.training()
    try:
        cluster.kill(node)
        cluster.wait(lambda: cluster.states()[node].startswith("down"), "lost node", 90)
        assert trial.requeues(), "the elements of a lost node are queued again"
        cluster.wait(lambda: set(trial.training()) - set(known), "element elsewhere", 90)
    finally:
        trial.facts["elements_orphaned"] = send(trial.training(node), signal.SIGCONT)
    time.sleep(4)
    cluster.start(node)


def kill_slurmctld(site: Site, trial: Trial) -> None:
    """kill -9 of the controller while elements run and wait; what is asked of it then fails."""
    cluster = site.cluster
    for shards in (1, 2):
        trial.started(shards)
        cluster.kill("slurmctld")
        if shards == 1:
            _check_unanswered(site, trial)
        time.sleep(8)
        cluster.start("slurmctld")
        cluster.wait(cluster.states, "controller", 60)
    trial.facts["slurmctld_killed"] = 2


def _check_unanswered(site: Site, trial: Trial) -> None:
    """Without a controller ``submit`` says so in a line, and ``status`` still answers."""
    words = ("submit", "slurm", "--json", f"--minutes={site.minutes}", "--", *trial.words())
    refused = site.call(*words)
    assert refused.code != 0 and refused.error, refused
    assert site.call("status", f"runs/{trial.name}").code == 0
    trial.facts["submit_without_controller"] = refused.error.splitlines()[0]


def walltime(site: Site, trial: Trial) -> None:
    """The walltime is cut to two minutes: told before its end, an element requeues itself.

    The last of an array sleeps until it has been told, while the others end: its number is
    that of the whole array, which must not be queued again with it.
    """
    started = time.time()
    asleep = trial.put_to_sleep(site.cluster.array)
    last = f"{trial.jobs[0]}_{site.cluster.array - 1}"
    others = [pid for element, pid in asleep.items() if element != last]
    send(others, signal.SIGCONT)
    site.cluster.wait(lambda: trial.running() == [last], "end of the others", PATIENCE_S)
    try:
        # SLURM looks every 30 s and tells an element 60 s before its end.
        minutes = int(time.time() - started) // 60 + 2
        site.cluster.run("scontrol", "update", f"job={last}", f"TimeLimit={minutes}")
        site.cluster.wait(lambda: _is_told(asleep[last]), "word of the walltime's end", 150)
    finally:
        send([asleep[last]], signal.SIGCONT)
    trial.check_reported()
    notes = list((trial.run / "slurm" / "1" / "requeued").iterdir())
    requeued = sum(len(note.read_text().splitlines()) for note in notes)
    assert requeued == trial.requeues() == 1, (requeued, trial.requeues())
    trial.facts["elements_that_requeued_themselves"] = requeued


def kill_elements(site: Site, trial: Trial) -> None:
    """kill -9 of the processes that train: each element is marked failed, with its log."""
    trial.started()
    killed = send(trial.training(), signal.SIGKILL)
    trial.settle()
    failed = site.call("status", f"runs/{trial.name}", "--json").report["failed"]
    assert len(failed) == killed, failed
    assert all(Path(each["log"]).is_file() and "137" in each["reason"] for each in failed), failed
    trial.facts |= {"elements_killed": killed, "failures_that_status_shows": len(failed)}


def storm(left: Counter[str], count: int, rng: random.Random) -> Fault:
    """Faults of all kinds at random times until there were ``count`` or the run is whole.

    Args:
        left: how many of each there were; counted on here, as one run is too short for many.
        count: of all runs together.
        rng: draws times and faults.
    """

    def fault(site: Site, trial: Trial) -> None:
        before = left.total()
        while left.total() < count:
            time.sleep(rng.uniform(1, 5))
            if not trial.queued() and not trial.submit()["elements"]:
                break
            name = min(_BLOWS, key=lambda name: (left[name], rng.random()))  # each as often
            left[name] += _BLOWS[name](site, trial, rng)
        trial.facts["faults"] = left.total() - before

    return fault


Blow = Callable[[Site, Trial, random.Random], bool]


def _requeue_one(site: Site, trial: Trial, rng: random.Random) -> bool:
    running = trial.running()
    for job in running[:1]:
        site.cluster.run("scontrol", "requeue", job, check=False)
    return bool(running)


def _cancel_one(site: Site, trial: Trial, rng: random.Random) -> bool:
    queued = trial.queued()
    if queued:
        site.cluster.run("scancel", rng.choice(queued))
    return bool(queued)


def _kill_one(site: Site, trial: Trial, rng: random.Random) -> bool:
    training = trial.training()
    return bool(training) and send([rng.choice(training)], signal.SIGKILL) > 0


def _node_away(site: Site, trial: Trial, rng: random.Random) -> bool:
    return _daemon_away(site.cluster, rng.choice(NODES), rng)


def _controller_away(site: Site, trial: Trial, rng: random.Random) -> bool:
    return _daemon_away(site.cluster, "slurmctld", rng)


def _daemon_away(cluster: Cluster, name: str, rng: random.Random) -> bool:
    cluster.kill(name)
    time.sleep(rng.uniform(0, 4))
    cluster.start(name)
    cluster.wait(cluster.states, "controller", 60)
    return True


_BLOWS: dict[str, Blow] = {
    "requeue": _requeue_one,
    "scancel": _cancel_one,
    "kill -9 combsearch": _kill_one,
    "kill -9 slurmd": _node_away,
    "kill -9 slurmctld": _controller_away,
}
FAULTS: dict[str, Fault] = {
    "undisturbed": nothing,
    "requeue": requeue,
    "cancel": cancel,
    "preempt": preempt,
    "slurmd": kill_slurmd,
    "slurmctld": kill_slurmctld,
    "walltime": walltime,
    "kill": kill_elements,
}


def _is_told(pid: int) -> bool:
    """Whether SIGUSR1 waits for a process that sleeps, or the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    pending = [int(mask, 16) for mask in re.findall(r"^S[ih][gd]Pnd:\s*(\w+)", status, re.M)]
    return any(mask >> (signal.SIGUSR1 - 1) & 1 for mask in pending)

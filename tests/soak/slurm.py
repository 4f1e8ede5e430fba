"""What happens to jobs on a cluster, on a real SLURM: requeue, cancel, preemption, lost daemons.

Debian's SLURM runs on this machine as two nodes with fake GPUs (see ``slurm_cluster``). The
same search goes through ``combsearch submit`` once for each fault, and through a storm of
``--count`` of them at random; the rows must have the digest of an undisturbed local run.

    python tests/soak/slurm.py [--count 20] [-o FILE.json]
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from slurm_cluster import ARRAY, GPUS, NODES, Cluster
from slurm_faults import FAULTS, ODD, odd_name, storm
from slurm_programs import NoSlurm, find_programs
from slurm_trial import SEARCH, endure, undisturbed
from soaking import soak

MINUTES = 0.03  # wanted length of an element: half a dozen of them


def slurm_soak(folder: Path, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every fault once and a storm of ``count``; the figures."""
    # Not below `folder`: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="slurm-") as place:
        programs = find_programs(Path(place) / "programs")
        with Cluster(Path(place), programs) as cluster:
            site = undisturbed(cluster, folder, SEARCH, MINUTES)
            found: dict[str, Any] = {}
            for name, fault in FAULTS.items():
                found[name] = endure(site, name, fault)
                say(f"{name}: {found[name]}")
            found["odd name"] = endure(site, ODD, odd_name, "--gpus=1", "--max-running=2")
            blows, rng = Counter[str](), random.Random(0)
            storms: list[dict[str, Any]] = []
            while blows.total() < count:
                name = f"storm-{len(storms)}"
                storms.append(endure(site, name, storm(blows, count, rng)))
                say(f"{name}: {storms[-1]}")
            version = cluster.run("scontrol", "--version").strip()
        left = cluster.processes()
    assert not left, left
    return {
        "slurm": version,
        "cluster": {"nodes": len(NODES), "gpus_of_a_node": GPUS, "elements_of_an_array": ARRAY},
        "search": " ".join(("combsearch", *SEARCH)),
        "shards": site.shards,
        "digest": site.digest,
        "faults": found,
        "faults_of_the_storm": dict(blows),
        "runs_of_the_storm": storms,
        "digests_equal_to_the_undisturbed_run": len(found) + len(storms),
        "digests_that_differ": 0,  # each is asserted
        "processes_left": len(left),
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all is stopped
    try:
        soak(__file__, 20, slurm_soak)
    except NoSlurm as error:
        print(error, file=sys.stderr)

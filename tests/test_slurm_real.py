"""One search through a real SLURM, disturbed in three ways; tests/soak/slurm.py has the rest."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, send
from slurm_faults import ODD
from slurm_programs import CLIENTS, DAEMONS, NoSlurm, Programs, find_programs, unpack_programs
from slurm_trial import SEARCH, Site, Trial, endure, undisturbed
from soaking import prepare

pytestmark = pytest.mark.slow

QUICK = tuple(word.replace("--restarts=60", "--restarts=10") for word in SEARCH)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        try:
            programs = find_programs(folder / "programs")
            found = stack.enter_context(Cluster(folder, programs, array=2))
        except NoSlurm as reason:
            pytest.skip(str(reason))
        yield found
        stack.close()
        assert found.processes() == []


def disturb(site: Site, trial: Trial) -> None:
    """The controller dies under elements that run, one is killed, another queued again.

    They sleep meanwhile, so that none ends too early to be disturbed.
    """
    cluster = site.cluster
    asleep = trial.put_to_sleep(2)
    time.sleep(6)  # the controller saves its state late, and ends elements that it has forgotten
    cluster.kill("slurmctld")
    cluster.start("slurmctld")
    cluster.wait(cluster.states, "controller", 60)
    killed, requeued = sorted(asleep)[:2]
    send([asleep[killed]], signal.SIGKILL)
    job, _, index = killed.partition("_")
    element = trial.jobs.index(job) * cluster.array + int(index)
    failed = trial.run / "slurm" / "1" / "failed" / str(element)
    cluster.wait(failed.exists, "note of the element that was killed", 30)
    assert "code 137" in failed.read_text()
    cluster.run("scontrol", "requeue", requeued)
    send(asleep.values(), signal.SIGCONT)


def test_a_disturbed_array_has_the_rows_of_a_local_run(cluster: Cluster, tmp_path: Path) -> None:
    site = undisturbed(cluster, prepare(tmp_path / "work"), QUICK, 0.008)
    found = endure(site, ODD, disturb, "--gpus=1")
    assert found["arrays"] >= 2
    assert found["elements_started_again_by_slurm"] >= 1
    assert len(found["elements_of_each_submission"]) == 2  # what the killed one left undone
    assert found["reported_by_the_last_job"]
    assert not (site.folder / "x").exists()


def test_without_apt_there_is_a_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSlurm, match=r"^no SLURM here: .* there is no apt-get to get it$"):
        unpack_programs(tmp_path / "programs")


def test_daemons_that_do_not_start_are_a_plain_line_and_leave_nothing(tmp_path: Path) -> None:
    programs = Programs({name: Path("/bin/false") for name in (*DAEMONS, *CLIENTS)})
    cluster = Cluster(tmp_path / "s", programs)
    (tmp_path / "s").mkdir()
    with pytest.raises(NoSlurm, match=r"^no SLURM here: munged ended at once"), cluster:
        pass
    assert cluster.processes() == []

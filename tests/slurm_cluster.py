"""A SLURM of two nodes with fake GPUs on this machine, for the tests of ``combsearch submit``.

    munged        says who sent a message, by a key of its own
    slurmctld     the controller
    slurmd n1     two processors and two GPUs each, whatever the machine has;
    slurmd n2     a GPU is a link to /dev/null

All of it lives in one private folder on free ports of 127.0.0.1 and runs as the user that
started it, root or not. Every process carries the folder in its environment, which is how the
last ones, jobs' among them, are found and ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from slurm_programs import CLIENTS, NoSlurm, Programs

NODES = ("n1", "n2")
PARTITIONS = ("spare", "urgent")  # a job of the second sends one of the first back to the queue
GPUS = 2  # of a node
ARRAY = 4  # elements that an array may have, so that a search takes several

_CONF = """\
ClusterName=soak
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits until its old credential has expired: 5 s instead of 2 minutes.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
{plugins}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=15
KillWait=5
MinJobAge=300
MaxArraySize={max_array}
GresTypes=gpu
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} \
CPUs=2 RealMemory=4000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=spare Nodes=ALL Default=YES PriorityTier=1 DefMemPerCPU=500 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=9 DefMemPerCPU=500 State=UP
"""


class Cluster:
    """SLURM in ``folder`` (a short path: a socket's is at most 107 bytes), as a context.

    Entering it raises NoSlurm where the daemons do not start.

    Attributes:
        environment: variables for a process that is to find this cluster's ``sbatch`` on PATH.
    """

    def __init__(self, folder: Path, programs: Programs, array: int = ARRAY) -> None:
        self.folder = folder
        self.programs = programs
        self.array = array
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        self._own = {**programs.environment(), "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Cluster:
        try:
            self._write()
            for name in ("munged", "slurmctld", *NODES):
                self.start(name)
            self.wait(self._ready, "idle nodes", 40)
        except TimeoutError as error:
            self.stop()
            raise NoSlurm(f"no SLURM here: it does not start: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def _write(self) -> None:
        """Folders, settings, key and GPUs; ``bin/`` with the clients, told where to look."""
        for part in ("bin", "munge", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / part).mkdir(mode=0o755)
        ports = free_ports(1 + len(NODES))
        plugins = f"PluginDir={self.programs.plugins}" if self.programs.plugins else ""
        settings = _CONF.format(
            host=socket.gethostname(), user=_user(), folder=self.folder, plugins=plugins,
            port=ports[0], ports=",".join(map(str, ports[1:])), nodes=",".join(NODES), gpus=GPUS,
            max_array=self.array,
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(settings)
        for number in range(GPUS):
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        gpus = f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n"
        (self.folder / "gres.conf").write_text(f"AutoDetect=off\n{gpus}")
        self._write_clients()
        (self.folder / "munge" / "key").touch(mode=0o600)
        (self.folder / "munge" / "key").write_bytes(os.urandom(128))

    def _write_clients(self) -> None:
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._own.items())
        for name in CLIENTS:
            client = self.folder / "bin" / name
            program = shlex.quote(str(self.programs.paths[name]))
            client.write_text(f'#!/bin/sh\n{settings} exec {program} "$@"\n')
            client.chmod(0o755)

    def start(self, name: str) -> None:
        """The daemon ``munged`` or ``slurmctld``, or the slurmd of a node."""
        at, paths = self.folder, self.programs.paths
        if name == "munged":
            files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
            given = [f"--{option}={at}/munge/{file}" for option, file in files.items()]
            words = ["--foreground", "--force", *given]
        elif name == "slurmctld":
            words = ["-D"]
        else:
            words = ["-D", "-N", name, "-d", str(paths["slurmstepd"])]
        program = paths.get(name, paths["slurmd"])
        with (at / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [program, *words], env={**self.environment, **self._own}, cwd=at,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  it takes no lock
            )  # fmt: skip
        if name == "munged":
            self.wait(self._munged, "munged's socket", 10)

    def _munged(self) -> bool:
        self._check_alive()
        return (self.folder / "munge" / "socket").exists()

    def _ready(self) -> bool:
        self._check_alive()
        return self.states() == dict.fromkeys(NODES, "idle")

    def _check_alive(self) -> None:
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                said = _tail(self.folder / f"{name}.out", 1)
                raise NoSlurm(f"no SLURM here: {name} ended at once: {' '.join(said)}")

    def kill(self, name: str) -> None:
        """kill -9 of one daemon, by its number; its jobs are left to themselves."""
        self.daemons[name].kill()
        self.daemons[name].wait()

    def run(self, name: str, *words: str, check: bool = True) -> str:
        """What a client says, for example ``run("squeue", "--noheader")``."""
        command = [str(self.folder / "bin" / name), *words]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """State of every node, such as ``idle`` or ``down*``; none while no controller answers."""
        said = self.run("sinfo", "--noheader", "--Node", "--format=%N %t", check=False)
        return dict(line.split() for line in said.splitlines())

    def jobs(self, *states: str) -> list[str]:
        """Jobs and elements in the queue, ``12`` or ``12_3``, of these states or all."""
        chosen = [f"--states={','.join(states)}"] if states else []
        return self.run("squeue", "--noheader", "--array", "--format=%i", *chosen).split()

    def wait(self, reached: Callable[[], object], what: str, seconds: float) -> None:
        """Until ``reached()``; an error with the ends of the logs where that takes too long."""
        stop = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > stop:
                raise TimeoutError(f"no {what} within {seconds:g} s\n{self.ends()}")
            time.sleep(0.2)

    def ends(self, lines: int = 8) -> str:
        """The last lines of every daemon's log, or of what it said before it had one."""
        logs = [self.folder / f"{name}.log" for name in self.daemons]
        logs = [log if log.is_file() else log.with_suffix(".out") for log in logs]
        return "\n".join(f"{log.name}: {line}" for log in logs for line in _tail(log, lines))

    def stop(self) -> None:
        """All processes of this cluster, its jobs' too."""
        for name, daemon in self.daemons.items():
            if name != "munged":
                daemon.kill()
        self.wait(self._ended, "end of all processes", 60)

    def _ended(self) -> bool:
        """Whether all have ended; those that have not are killed."""
        for daemon in self.daemons.values():
            daemon.poll()  # so that it is no zombie
        return send(self.processes(), signal.SIGKILL) == 0

    def processes(self, variable: str = "") -> list[int]:
        """Every live process of this cluster, daemons and jobs; those with some text in theirs.

        Args:
            variable: beginning of a variable and its value, such as ``SLURMD_NODENAME=n1``.
        """
        # A job has both PATH and SLURM_CONF from us, the daemon that watches it the latter alone.
        marks = [f"{self.folder}/".encode(), f"\0{variable}".encode()]
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        known = {pid: _environment(pid) for pid in found if pid != os.getpid()}
        return [pid for pid, text in known.items() if all(mark in text for mark in marks)]

    def variables(self, pid: int) -> dict[str, str]:
        """The environment of a process; nothing where it has ended."""
        text = _environment(pid).decode(errors="replace")
        return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when what started it ends, ``kill -9`` included."""
    _LIBC.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def send(processes: Iterable[int], number: signal.Signals) -> int:
    """A signal to processes; how many were still there."""
    sent = 0
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            sent += 1
    return sent


def _environment(pid: int) -> bytes:
    """Of a live process, a zero before each; nothing of one that has ended or is another's."""
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _tail(log: Path, lines: int) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:]

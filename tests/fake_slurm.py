"""A scheduler for tests: programs called sbatch, squeue and scontrol that keep jobs in a folder.

``sbatch`` only takes a job down; ``FakeSlurm.run`` really runs the elements, in order, as slurmd
does: a copy of the script, from another folder, with an environment that has little in it, its
output appended to the file that ``--output`` names. It reads ``#SBATCH`` lines by SLURM's rules.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -IS
import json, os, re, sys
from pathlib import Path

state = Path({state!r})
jobs = json.loads(state.read_text())
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]


def fail(text):
    print(f"{{name}}: error: {{text}}", file=sys.stderr)
    sys.exit(1)


if jobs["down"]:
    fail("Unable to contact slurm controller (connect failure)")
options = {{}}
while words and words[0].startswith("--"):
    key, _, value = words.pop(0)[2:].partition("=")
    options[key] = value
if name == "sbatch":
    text = Path(words[0]).read_text()
    number = 100 + len(jobs["jobs"])
    if len(jobs["jobs"]) >= jobs["most_jobs"]:
        fail("Batch job submission failed: Job violates accounting/QOS policy")
    first, last = re.fullmatch(r"(\\d+)-(\\d+)(?:%\\d+)?", options.get("array", "0-0")).groups()
    if int(last) >= jobs["max_array"]:
        fail("Batch job submission failed: Invalid job array specification")
    after = options.get("dependency", "afterany")
    if not re.fullmatch(r"afterany(:\\d+)*", after):
        fail("Batch job submission failed: Job dependency problem")
    jobs["jobs"][str(number)] = {{
        "script": text, "words": words, "options": options, "array": "array" in options,
        "after": after.split(":")[1:],
        "elements": dict.fromkeys(map(str, range(int(first), int(last) + 1)), "PENDING"),
    }}
    print(number)
elif name == "squeue":
    known = [number for number in options["jobs"].split(",") if number in jobs["jobs"]]
    if not known:
        fail("slurm_load_jobs error: Invalid job id specified")
    assert options["format"] == "%F %K %T %r" and "array" in options and "noheader" in options
    for number in known:
        job = jobs["jobs"][number]
        for index, now in job["elements"].items():
            if now in ("PENDING", "RUNNING"):
                print(number, index if job["array"] else "N/A", now, "Priority")
elif words == ["show", "config"]:
    print("MaxArraySize            =", jobs["max_array"])
elif words[0] == "requeue":
    # The last element of an array has the array's own number: that alone means all of them.
    number, _, index = words[1].partition("_")
    if number not in jobs["jobs"]:  # an element's own number, see FakeSlurm.start
        number, index = map(str, divmod(int(number), 10000))
    elements = jobs["jobs"][number]["elements"]
    elements.update(dict.fromkeys([index] if index else elements, "PENDING"))
else:
    fail(f"what is {{words}}?")
state.write_text(json.dumps(jobs))
"""


class FakeSlurm:
    """A cluster whose programs lie in ``bin``.

    Args:
        folder: an empty one.
        max_array: an index is smaller.
        most_jobs: that sbatch takes.
    """

    def __init__(self, folder: Path, max_array: int = 1001, most_jobs: int = 1000) -> None:
        self.bin, self._state = folder / "bin", folder / "jobs.json"
        self.bin.mkdir(parents=True)
        self._elsewhere = folder / "elsewhere"
        self._elsewhere.mkdir()
        self.set(jobs={}, down=False, max_array=max_array, most_jobs=most_jobs)
        program = _PROGRAM.format(python=sys.executable, state=str(self._state))
        for name in ("sbatch", "squeue", "scontrol"):
            (self.bin / name).write_text(program)
            (self.bin / name).chmod(0o755)

    def set(self, **changes: Any) -> None:
        """Change the state of the cluster."""
        old = json.loads(self._state.read_text()) if self._state.exists() else {}
        self._state.write_text(json.dumps({**old, **changes}))

    @property
    def jobs(self) -> dict[str, Any]:
        """The jobs that sbatch took, by number."""
        return dict(json.loads(self._state.read_text())["jobs"])

    def states(self) -> list[str]:
        """The states of all elements, in order."""
        return [state for job in self.jobs.values() for state in job["elements"].values()]

    def change(self, number: str, index: str, state: str) -> None:
        """Put an element into a state."""
        jobs = self.jobs
        jobs[number]["elements"][index] = state
        self.set(jobs=jobs)

    def pending(self) -> Iterator[tuple[str, str]]:
        """(job, index) of what may start: all that it depends on has ended."""
        for number, job in self.jobs.items():
            for index, state in job["elements"].items():
                jobs = self.jobs
                before = [s for n in job["after"] for s in jobs[n]["elements"].values()]
                if state == "PENDING" and not {"PENDING", "RUNNING"} & set(before):
                    yield number, index

    def run(self) -> dict[tuple[str, str], int]:
        """Run what waits, one after the other, each once; exit codes."""
        return {
            (number, index): self.finish(number, index, self.start(number, index))
            for number, index in self.pending()
        }

    def _own_number(self, number: str, index: str) -> str:
        """``SLURM_JOB_ID`` of an element: the last one of an array has that of the array."""
        last = index == list(self.jobs[number]["elements"])[-1]
        return number if last else str(int(number) * 10000 + int(index))

    def start(self, number: str, index: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start one element, with further variables of the environment."""
        job = self.jobs[number]
        self.change(number, index, "RUNNING")
        options = sbatch_options(job["script"])
        own = self._own_number(number, index)
        log = log_file(options["output"], number, index, own)
        environment = {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._elsewhere),
            "SLURM_JOB_ID": own,
            "SLURMD_NODENAME": "n1",
            **(
                {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if job["array"] else {}
            ),
            **variables,
        }
        script = self._elsewhere / f"slurm_script-{number}-{index}"
        script.write_text(job["script"])
        with log.open("ab" if options["open-mode"] == "append" else "wb") as file:
            return subprocess.Popen(
                ["bash", str(script), *job["words"][1:]],
                cwd=self._elsewhere, env=environment, stdout=file, stderr=file,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def finish(
        self, number: str, index: str, process: subprocess.Popen[bytes], timeout: float = 180
    ) -> int:
        """Wait for an element; what was not queued again meanwhile has ended."""
        code = process.wait(timeout)
        if self.jobs[number]["elements"][index] == "RUNNING":
            self.change(number, index, "COMPLETED" if code == 0 else "FAILED")
        return code


def sbatch_options(script: str) -> dict[str, str]:
    """The options that sbatch reads from a script: up to the first line that is no comment."""
    found = {}
    for line in script.splitlines()[1:]:
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            for word in shlex.split(line.removeprefix("#SBATCH"), comments=True):
                key, _, value = word.removeprefix("--").partition("=")
                found[key] = value
    return found


def log_file(pattern: str, number: str, index: str, own: str) -> Path:
    """What SLURM makes of ``--output``."""
    known = {"A": number, "a": index, "j": own, "%": "%"}
    assert "\\" not in pattern  # else it would take the pattern as it stands
    return Path(re.sub(r"%(.)", lambda match: known[match[1]], pattern))

"""The text of the scripts that SLURM runs: one for the elements of an array, one that reports.

They are written to be read, and to be submitted by hand where someone wishes. Every value of
a user is quoted, for the shell or for sbatch; ``setup`` alone is the user's own shell.

An element, from outside to inside:

    sbatch --array=0-999 job.sh 1000          takes line 1000 + index of ranks.txt: 0:640,900:960
      └─ combsearch phase2 ... --ranks=...    trains what is missing there; 0 done, 75 interrupted
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from combsearch.errors import UsageError
from combsearch.slurm_config import SIGNAL_SECONDS, SlurmConfig

REQUEUES = 20
"""How often an element queues itself again at the end of its walltime, before that is a fault."""


@dataclass(frozen=True)
class Batch:
    """What the two scripts of a submission are made from.

    Attributes:
        title: what is computed, in a line.
        name: of the run, for people who look at the queue.
        folder: of the submission, absolute: scripts, ``ranks.txt``, ``logs/`` and ``failed/``.
        train: the words after ``python -m combsearch`` of an element, but ``--ranks``.
        report: likewise of the job that reports.
        ranged: whether an element is given ranks; else there is one element, of all.
        python: the interpreter.
        home: the folder to work in, as paths in the words may be relative to it.
        exports: variables to set.
        unset: variables to forget: settings that are not to reach the elements.
        config: what is asked of SLURM.
    """

    title: str
    name: str
    folder: Path
    train: Sequence[str]
    report: Sequence[str]
    ranged: bool
    python: str
    home: str
    exports: dict[str, str]
    unset: Sequence[str]
    config: SlurmConfig


def element_script(batch: Batch) -> str:
    """The script that every element of the array runs."""
    config = batch.config
    lines = [
        f"--output={log_pattern(batch.folder)}/logs/%A_%a.log",
        f"--cpus-per-task={config.cores}",
        *([f"--gres=gpu:{config.gpus}"] if config.gpu_count else []),
        f"--signal=B:USR1@{SIGNAL_SECONDS}",
        *_places(config, config.partition),
    ]
    words = [*batch.train, *(["--ranks="] if batch.ranged else [])]
    return "\n".join(
        [
            *_head(
                batch,
                f"{batch.title}: train what is missing, a line of ranks.txt an element.",
                lines,
            ),
            "# Submit it as: sbatch --array=0-N job.sh OFFSET   (line OFFSET + index, from 0)",
            *_variables(batch),
            _ELEMENT_START.strip("\n"),
            *_setup(batch.config, _ENDS),
            f"cd -- {shlex.quote(batch.home)} || failed 1 'cannot enter the folder to work in'",
            f"export OMP_NUM_THREADS={config.cores}",
            "",
            *_command(words),
            "",
            _ELEMENT_END.replace("REQUEUES", str(REQUEUES)).strip("\n"),
            "",
        ]
    )


def report_script(batch: Batch) -> str:
    """The script of the job that waits for all elements, and reports."""
    config = batch.config
    lines = [
        f"--output={log_pattern(batch.folder)}/logs/report-%j.log",
        "--cpus-per-task=1",
        *_places(config, config.report_partition or config.partition),
    ]
    return "\n".join(
        [
            *_head(batch, f"{batch.title}: report, once no element is left", lines),
            *_variables(batch),
            _REPORT_START.strip("\n"),
            *_setup(batch.config, "exit"),
            f"cd -- {shlex.quote(batch.home)} || exit 1",
            "export OMP_NUM_THREADS=1",
            "",
            *_command(batch.report),
            "",
            _REPORT_END.strip("\n"),
            "",
        ]
    )


def sbatch_value(option: str) -> str:
    """An option as sbatch reads it from a script: quoted where it must be.

    Raises:
        UsageError: it cannot be written there.
    """
    if not option.isprintable():
        raise UsageError(f"{option!r} has a character that no line of a SLURM script can hold")
    if re.fullmatch(r"[A-Za-z0-9_.,:@+/=%-]+", option):
        return option
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def log_pattern(folder: Path) -> str:
    """``folder`` as a pattern of sbatch's file names, in which ``%`` begins a placeholder.

    Raises:
        UsageError: SLURM could not name files there.
    """
    text = str(folder)
    if "\\" in text or not text.isprintable():
        raise UsageError(
            f"{text!r}: SLURM cannot write logs below a folder whose name has a backslash or a"
            " control character; choose another one with --runs"
        )
    return text.replace("%", "%%")


def _head(batch: Batch, purpose: str, lines: Sequence[str]) -> list[str]:
    """From ``#!`` to the last option."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", batch.name)[:60]
    options = [
        f"--job-name=combsearch-{name}",
        "--open-mode=append",
        "--requeue",
        "--nodes=1",
        "--ntasks=1",
        *lines,
        *batch.config.lines,
    ]
    written = [f"#SBATCH {sbatch_value(option)}" for option in options]
    return ["#!/bin/bash", f"# {purpose}", *written]


def _places(config: SlurmConfig, partition: str) -> list[str]:
    named = {
        "partition": partition,
        "account": config.account,
        "time": config.time,
        "mem": config.memory,
    }
    return [f"--{name}={value}" for name, value in named.items() if value]


def _variables(batch: Batch) -> list[str]:
    """Those that are set, and those that are forgotten."""
    return [
        "",
        f"folder={shlex.quote(str(batch.folder))}",
        f"python={shlex.quote(batch.python)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in batch.exports.items()),
        *([f"unset {' '.join(batch.unset)}"] if batch.unset else []),
        "",
    ]


def _setup(config: SlurmConfig, otherwise: str) -> list[str]:
    """The user's own lines; the first that fails ends the job by ``otherwise``."""
    lines: list[str] = []
    for line in config.setup:
        why = f" {shlex.quote(f'setup: {line}')}" if otherwise == _ENDS else ""
        lines += [f"{{ {line}", f'}} || {otherwise} "$?"{why}']
    if lines and otherwise == _ENDS:  # what is sourced may end the script itself
        lines = ['trap \'failed "$?" "a line of setup ended the script"\' EXIT', *lines]
        lines.append("trap - EXIT")
    return [*lines, ""]


def _command(words: Sequence[str]) -> list[str]:
    """The command as an array of bash, an option a line."""
    plain = [word for word in words if not word.startswith("-")]
    shown = [shlex.quote(word) for word in words if word.startswith("-")]
    shown = ['--ranks="$ranks"' if word == "--ranks=" else word for word in shown]
    return [
        "command=(",
        f'    "$python" -m combsearch {shlex.join(plain)}',
        *(f"    {word}" for word in shown),
        ")",
    ]


_ENDS = "failed"  # a function of the script: leaves a note, and ends it

_ELEMENT_START = r"""
element=$((${1:-0} + ${SLURM_ARRAY_TASK_ID:-0}))
ranks=$(sed -n "$((element + 1))p" "$folder/ranks.txt")
export COMBSEARCH_LOG="$folder/logs/${SLURM_ARRAY_JOB_ID:-0}_${SLURM_ARRAY_TASK_ID:-0}.log"

# A note for `combsearch status`: exit code, where, and why if the code does not say it.
note=$folder/failed/$element
failed() {
    trap - EXIT
    printf 'code %s\nnode %s\nlog %s\nwhy %s\n' "$1" "${SLURMD_NODENAME:-$HOSTNAME}" \
        "$COMBSEARCH_LOG" "$2" > "$note.${SLURM_JOB_ID:-$$}" \
        && mv -f -- "$note.${SLURM_JOB_ID:-$$}" "$note"
    exit "$1"
}
"""

_ELEMENT_END = r"""
# USR1: the walltime ends soon. TERM: cancelled or preempted. Both are handed on; combsearch
# drops the shard in hand and ends with 75, all shards before it are saved.
stopped=
trap 'stopped=USR1; kill -USR1 "$work" 2> /dev/null' USR1
trap 'stopped=TERM; kill -TERM "$work" 2> /dev/null' TERM
echo "element $element, ranks $ranks, $(date '+%F %T'), ${SLURMD_NODENAME:-$HOSTNAME}"
"${command[@]}" &
work=$!
[ -z "$stopped" ] || kill "-$stopped" "$work"
while wait "$work"; kill -0 "$work" 2> /dev/null; do :; done  # a signal ends wait early
wait "$work"; code=$?
if [ -n "$stopped" ] && { [ "$code" = -1 ] || [ "$code" = 127 ]; }; then
    code=75  # bash may lose the exit code of what ends while it answers a signal
fi

case $code in
    75 | 138 | 143) [ -n "$stopped" ] || sleep 1 ;;  # SLURM tells one process after the other
esac
if [ "$code" = 0 ]; then
    rm -f -- "$note"
    exit 0
fi
if [ "$stopped" = TERM ]; then  # SLURM knows whether to queue it again
    failed "$code" "stopped by SLURM: cancelled, preempted or out of time"
fi
if [ "$code" != 75 ] && [ "$code" != 138 ]; then  # 138: USR1 before combsearch could answer it
    failed "$code"
fi
date '+%F %T' >> "$folder/requeued/$element"
if [ "$(wc -l < "$folder/requeued/$element")" -gt REQUEUES ]; then
    failed 75 "met the end of its walltime more than REQUEUES times"
fi
# Not by SLURM_JOB_ID: that of an array's last element is the whole array's.
own=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
scontrol requeue "${own:-$SLURM_JOB_ID}" || failed 75 "SLURM did not queue it for another walltime"
exit 75
"""

_REPORT_START = r"""
export COMBSEARCH_LOG="$folder/logs/report-${SLURM_JOB_ID:-0}.log"
"""

_REPORT_END = r"""
exec "${command[@]}"
"""

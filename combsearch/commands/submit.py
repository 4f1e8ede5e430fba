"""``combsearch submit slurm -- COMMAND``: what is missing of a run, as an array of SLURM jobs."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from combsearch import runfile
from combsearch.commands.output import say
from combsearch.commands.running import log
from combsearch.commands.session import Search, begin, standing
from combsearch.commands.submit_arguments import slurm_settings
from combsearch.commands.submit_inner import Inner, Read, batch_of, read_inner
from combsearch.commands.submit_work import Queue, Work, divide, queue_of
from combsearch.engines import slurm
from combsearch.engines.slurm_elements import chunks
from combsearch.engines.slurm_folder import (
    Chunk,
    Submission,
    make_submission,
    next_folder,
    submissions,
    write_jobs,
    write_scripts,
)
from combsearch.engines.slurm_script import Batch, element_script, log_pattern, report_script
from combsearch.errors import CombsearchError
from combsearch.progress import duration
from combsearch.search.course import Course
from combsearch.slurm_config import SlurmConfig
from combsearch.store import RunStore

Report = dict[str, Any]


def submit_command(given: argparse.Namespace, read: Read) -> Report:
    """Submit what is missing of the run that the words behind ``--`` describe.

    Args:
        given: the parsed words before it; ``words`` are those behind it.
        read: parses those, see ``cli``.

    Returns:
        What ``--json`` prints.
    """
    # Standard output is for the result, whatever a user's task may print.
    with contextlib.redirect_stdout(sys.stderr):
        config = slurm_settings(vars(given))
        inner = read_inner(given.words, read, config)
        log_pattern(inner.folder)  # refuses a folder that SLURM could not write to
        _warn_of_idle_gpus(inner, config)
        if given.dry_run:
            report, text = _shown(inner, config)
        else:
            report, text = _submitted(inner, config)
    say(json.dumps(report) if given.json else text)
    return report


def _warn_of_idle_gpus(inner: Inner, config: SlurmConfig) -> None:
    """Say so where GPUs are asked for and nothing would use them."""
    if config.gpu_count and inner.command in ("phase1", "prune") and not inner.on_gpu:
        log(f"{inner.command} uses no GPU unless told --trainer cuda: --gpus would be paid in vain")


def _shown(inner: Inner, config: SlurmConfig) -> tuple[Report, str]:
    """What would be submitted; writes nothing and asks no scheduler."""
    course = None if inner.search is None else _course_as_it_is(inner.search, inner.folder)
    work = divide(inner, config, course, Queue([], []))
    batch = batch_of(inner, config, next_folder(inner.folder))
    report = {**_facts(inner, config, work), "dry_run": True, "script": element_script(batch)}
    return report, f"{report['script']}\n{_would_text(report)}"


def _submitted(inner: Inner, config: SlurmConfig) -> tuple[Report, str]:
    """Submit; what was."""
    limit = slurm.array_limit()  # first of all: is there a scheduler that answers
    course = None if inner.search is None else begin(inner.search, inner.folder).course
    queue = queue_of(submissions(inner.folder))
    work = divide(inner, config, course, queue)
    report = {**_facts(inner, config, work), "dry_run": False}
    if not work.elements:
        return {**report, "jobs": [], "report_job": None}, _nothing_text(inner, work)
    submission = make_submission(inner.folder)
    batch = batch_of(inner, config, submission.folder)
    ranged = inner.search is not None
    write_scripts(
        submission, work.elements, element_script(batch), report_script(batch) if ranged else None
    )
    return _sent(submission, report, batch, work, limit)


def _sent(
    submission: Submission, report: Report, batch: Batch, work: Work, limit: int
) -> tuple[Report, str]:
    """Hand the scripts to SLURM, array by array, and write down what it took."""
    facts = {"command": list(batch.train), "submitted": time.strftime("%F %T"), "report": None}
    sent: list[Chunk] = []
    for offset, count in chunks(len(work.elements), limit):
        # A limit holds for one array, so arrays with one follow each other.
        at_once = batch.config.max_running
        after = [sent[-1].job] if at_once and sent else []
        try:
            job = slurm.send(submission.folder / "job.sh", offset, count, after, at_once)
        except CombsearchError as error:
            raise _refused(error, sent, len(work.elements)) from error
        sent.append(Chunk(job, offset, count))
        write_jobs(submission, facts, sent)
    jobs = [chunk.job for chunk in sent]
    if batch.ranged:
        facts["report"] = _report_job(submission, [*work.waiting, *jobs])
        write_jobs(submission, facts, sent)
    report = {
        **report,
        "jobs": jobs,
        "report_job": facts["report"],
        "script": str(submission.folder / "job.sh"),
    }
    return report, _sent_text(report)


def _report_job(submission: Submission, after: Sequence[str]) -> str | None:
    """The job that reports; None, with a word, where SLURM takes no more."""
    try:
        return slurm.send_report(submission.folder / "report.sh", after)
    except CombsearchError as error:
        log(f"no job reports once all have ended ({error}): repeat the command itself then")
        return None


def _refused(error: CombsearchError, sent: Sequence[Chunk], elements: int) -> CombsearchError:
    """What SLURM did not take is not lost."""
    if not sent:
        return CombsearchError(f"{error}; see --partition, --time, --cpus, --gpus and --memory")
    taken = sum(chunk.elements for chunk in sent)
    return CombsearchError(
        f"SLURM took {taken:,} of {elements:,} elements, then {error}; repeat this command once"
        " there is room in the queue: it submits what is missing"
    )


def _course_as_it_is(search: Search, folder: Path) -> Course:
    """Where a run stands, if there is one yet; nothing is written.

    Raises:
        RunMismatchError: the folder belongs to another run.
    """
    identity = search.plan.identity()
    found = runfile.read_identity(folder)
    if found is None:
        return search.course([])
    runfile.check_same(folder, runfile.normal_identity(identity), found)
    return standing(search, RunStore.attach(folder), quarantine=False)


def _facts(inner: Inner, config: SlurmConfig, work: Work) -> Report:
    return {
        "command": "submit",
        "run_folder": str(inner.folder),
        "elements": len(work.elements),
        "shards": sum(map(len, work.elements)),
        "shards_queued": work.queued,
        "estimated_seconds": round(sum(work.seconds)),
        "longest_element_seconds": round(max(work.seconds, default=0)),
        "cpus": config.cores,
        "gpus": config.gpus,
    }


def _would_text(report: Report) -> str:
    return f"would submit {_size_text(report)} into {report['run_folder']}; nothing was written"


def _size_text(report: Report) -> str:
    """As ``120 elements with 1,440 shards, the longest about 30 min``."""
    elements = f"{report['elements']:,} element{'s' * (report['elements'] != 1)}"
    if not report["shards"]:
        return elements
    return (
        f"{elements} with {report['shards']:,} shards, the longest about"
        f" {duration(report['longest_element_seconds'])}, all together"
        f" {duration(report['estimated_seconds'])}"
    )


def _nothing_text(inner: Inner, work: Work) -> str:
    if work.waiting:
        left = f"the {work.queued:,} shards that are missing wait" if work.queued else "it waits"
        return f"{inner.folder}: {left} or run in the queue already; nothing was submitted"
    return f"{inner.folder}: all is saved, nothing was submitted; its command reports what it found"


def _sent_text(report: Report) -> str:
    jobs = ",".join(job.partition(";")[0] for job in report["jobs"])
    shown = [f"submitted {_size_text(report)} as job {jobs}"]
    if report["report_job"] is not None:
        shown.append(f"job {report['report_job'].partition(';')[0]} reports when these have ended")
    return "\n".join(
        [
            *shown,
            f"  script  {report['script']}",
            f"  queue   squeue --jobs={jobs}",
            f"  state   combsearch status {shlex.quote(report['run_folder'])}",
        ]
    )

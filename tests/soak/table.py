"""The fault table of ``results/reliability/README.md``, with the figures of the soak scripts.

python tests/soak/table.py    # writes the table anew
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / "results" / "reliability"
BEGIN, END = "<!-- made by tests/soak/table.py -->\n", "<!-- end of the table -->\n"

Report = dict[str, Any]


class Row(NamedTuple):
    """A fault: which tests and which soak script have it, and the figure of the script's report."""

    fault: str
    tests: str
    soak: str
    figure: Callable[[Report], str] | None = None


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))


def _kills(r: Report) -> str:
    return (
        f"{r['kills']} kills ({_counts(r['killed'])}; while: {_counts(r['while'])}),"
        f" {r['kills_that_left_a_half_written_file']} left a half-written file;"
        f" {r['runs_completed']} runs completed in {r['commands']} commands:"
        f" {r['committed_shards_lost']} committed shards lost, {r['digests_that_differ']} digests"
        f" differ; last process gone after {r['slowest_end_of_all_processes_s']} s at most"
    )


def _damage(r: Report) -> str:
    return (
        f"{r['damaged_shards']} damaged ({_counts(r['how'])}): {r['found_and_quarantined']} found,"
        f" named and set aside, {r['missed']} missed, {r['sound_shards_computed_again']} sound ones"
        f" computed again; {r['digests_equal_to_the_undisturbed_run']} repairs, each to the digest"
    )


def _full_disk(r: Report) -> str:
    if "skipped" in r:
        return str(r["skipped"])
    more = r["filled_meanwhile"]
    return (
        f"{r['disks']} disks with 0 to {r['bytes_of_the_whole_run']:,} bytes free:"
        f" {r['exit_codes'].get('5', 0)} ended with exit code 5, {r['exit_codes'].get('0', 0)} had"
        f" room; {more['disks']} filled while the search went on:"
        f" {more['exit_codes'].get('5', 0)} with 5;"
        f" {r['shards_committed_on_full_disks'] + more['shards_committed_on_full_disks']} shards"
        " committed on them, none lost or damaged; all continued to the digest"
    )


def _coordinators(r: Report) -> str:
    return (
        f"{r['runs']} runs of 2, 3 and 4: {r['coordinators_that_ended']} coordinators ended with"
        f" the digest, {r['coordinators_killed']} were killed, {r['digests_that_differ']} digests"
        f" differ; {r['networks_trained_twice']:,} networks were trained more than once"
    )


def _signals(r: Report) -> str:
    slowest = ", ".join(f"{name} {seconds} s" for name, seconds in r["slowest_end_s"].items())
    runs = r["runs_continued_to_the_digest_of_the_undisturbed_run"]
    return (
        f"{r['signals']} signals, exit codes {_codes(r['exit_codes'])}"
        f" ({r['before_python_had_begun_the_program']} before Python had begun the program);"
        f" slowest end: {slowest}; {runs} runs went on to the digest"
    )


def _codes(codes: dict[str, int]) -> str:
    return ", ".join(f"{code}: {times}" for code, times in codes.items())


def _configuration(r: Report) -> str:
    found = r["other_configuration"]["refused_with_the_difference_and_nothing_written"]
    return f"{found} changes of phase1 and phase2: exit code 3, field named, no byte written"


def _read_only(r: Report) -> str:
    found = r["read_only"]
    if "skipped" in found:
        return str(found["skipped"])
    return (
        f"{found['searches_refused_before_training']} searches refused,"
        f" {found['reports_that_worked']} reports worked"
    )


def _diverged(r: Report) -> str:
    found = r["diverged"]
    return (
        f"{found['diverged']} of {found['rows']} rows diverged (fused, vmap, sparse),"
        f" {found['diverged_that_count_as_a_success']} count as a success"
    )


def _fuzz(r: Report) -> str:
    return (
        f"{r['files']:,} files of {len(r['kinds'])} kinds: {r['refused_with_a_clear_error']} clear"
        f" errors, {r['read_as_harmless']} read (what is left is a valid file),"
        f" {r['tracebacks_hangs_or_unclear']} tracebacks, hangs or unclear;"
        f" slowest {r['slowest_s']} s"
    )


def _dask(r: Report) -> str:
    equal = r["digests_equal_to_the_undisturbed_local_run"]
    return (
        f"{r['searches']} searches ({_counts(r['killed'])} killed): {equal} digests equal to the"
        " local run's"
    )


def _slurm(r: Report) -> str:
    storms = len(r.get("runs_of_the_storm", ()))
    faults = [*r["faults"], *([f"{storms} of a storm of faults"] if storms else [])]
    return (
        f"{r['slurm']}, {r['cluster']['nodes']} nodes: {len(r['faults']) + storms} searches"
        f" ({', '.join(faults)}): {r['digests_equal_to_the_undisturbed_run']} digests equal to the"
        " local run's"
    )


ROWS = (
    Row("kill -9 of workers or of the coordinator, at random points",
        "test_faults, test_commands, test_sweep, test_store", "kills", _kills),
    Row("a shard flipped, truncated or emptied",
        "test_faults, test_store, test_commands", "damage", _damage),
    Row("full disk (tmpfs of 1 MiB)",
        "test_faults, test_commands, test_store, test_durable", "full_disk", _full_disk),
    Row("two to four coordinators on one run folder",
        "test_commands, test_phase1, test_store", "coordinators", _coordinators),
    Row("another configuration or numerics version on resume",
        "test_faults, test_commands (numerics), test_runfile", "refusals", _configuration),
    Row("read-only folder", "test_commands, test_store", "refusals", _read_only),
    Row("worker out of memory", "test_attempts, test_engines, test_dask, test_marks", ""),
    Row("Ctrl-C, SIGTERM, SIGUSR1; Ctrl-C twice",
        "test_commands, test_signals", "signals", _signals),
    Row("NaN divergence", "test_faults, test_phase1, test_commands", "refusals", _diverged),
    Row("malformed data files",
        "test_faults, test_from_file, test_saved_network, test_bad_images", "fuzz", _fuzz),
    Row(".pt or pickle from a user",
        "test_security, test_generators_weights, test_plain_pickle", "fuzz",
        lambda r: "pickles that would make a file are among the fuzzed ones: none ran"),
    Row("run names that lead out", "test_security, test_runfile", ""),
    Row("Dask: a worker, a machine, the scheduler or the command killed",
        "test_dask", "dask_workers", _dask),
    Row("SLURM: requeue, scancel, preemption, walltime, slurmd, slurmctld or an element killed",
        "test_slurm_real, test_submit, test_slurm", "slurm", _slurm),
)  # fmt: skip


def table(folder: Path = FOLDER) -> str:
    """The table in Markdown, with the figures of the reports that are in ``folder``."""
    lines = ["| fault | in `make test` | in `make soak` | figures |", "|---|---|---|---|"]
    for row in ROWS:
        report = folder / f"{row.soak}.json"
        figure = ""
        if row.soak and row.figure:
            there = report.exists()
            figure = row.figure(json.loads(report.read_text())) if there else "not run yet"
        soak = f"[{row.soak}]({row.soak}.json)" if row.soak else ""
        lines.append(f"| {row.fault} | {row.tests} | {soak} | {figure} |")
    return "\n".join(lines) + "\n"


def renewed(text: str, folder: Path = FOLDER) -> str:
    """``text`` with the table between its marks made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table(folder)}{END}{tail}"


if __name__ == "__main__":
    path = FOLDER / "README.md"
    path.write_text(renewed(path.read_text()))

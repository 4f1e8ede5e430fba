"""A report for a reader."""

from __future__ import annotations

from typing import Any

Result = dict[str, Any]


def text(report: Result) -> str:
    """The report of ``Report.to_json`` as tables."""
    versions = report["versions"]
    lines = [
        f"{report['device']}, driver {report['driver']}, {report['multiprocessors']}"
        f" multiprocessors; PyTorch {versions['torch']}, {versions['compiler']}",
        "",
        "beside the CPU",
        *(f"  {name:<32} {_outcome(found)}" for name, found in report["correctness"].items()),
        *_memory(report["pieces"]),
        "",
        *_speeds(report),
        f"{'search':>12} {_number(report['search_models_per_second']):>10}",
        "",
        *_builds(report["builds"]),
        "",
        *(_bar(name, bar) for name, bar in report["bars"].items()),
        *_failed(report["pieces"]),
    ]
    return "\n".join(lines)


def _outcome(found: Result) -> str:
    if found["problem"] is None and found["passed"]:
        return "the same"
    return f"NOT THE SAME: {found['problem'] or 'not compared'}"


def _memory(pieces: Result) -> list[str]:
    return [
        f"  {name}: {found['networks']} networks at once, planned chunk {found['planned_chunk']},"
        f" {_giga(found['peak_bytes'])} of {_giga(found['planned_bytes'])} GB taken"
        for name, found in pieces.items()
        if "planned_chunk" in found
    ]


def _giga(count: float | None) -> str:
    return "?" if count is None else f"{count / 1e9:.1f}"


def _speeds(report: Result) -> list[str]:
    head = (
        f"{'shape':>12} {'models/s':>10} {'vmap':>8} {'ratio':>7} {'issue rate':>11}"
        f" {'multiply-adds':>14}"
    )
    rates, vmap = report["models_per_second"], report["vmap_models_per_second"]
    return [head] + [
        f"{shape:>12} {_number(rates.get(shape)):>10} {_number(vmap.get(shape)):>8}"
        f" {_number(report['ratio_to_vmap'].get(shape)):>7}"
        f" {_share(report['issue_share'].get(shape)):>11}"
        f" {_share(report['multiply_add_share'].get(shape)):>14}"
        for shape in dict.fromkeys([*rates, *vmap])
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _builds(builds: Result) -> list[str]:
    head = (
        f"{'shape':>12} {'build':<20} {'registers':>9} {'spilled':>8} {'shared':>7} {'blocks':>6}"
        f" {'instructions':>12}  models/s at networks"
    )
    rows = [
        f"{shape:>12} {name:<20} {build['registers']:>9} {build['local_bytes']:>8}"
        f" {build['shared_bytes']:>7} {build['blocks']:>6}"
        f" {_number(build['instructions_per_sample']):>12}  "
        + ", ".join(f"{_number(rate)} at {n}" for n, rate in build["models_per_second"].items())
        + build.get("error", "")
        for shape, found in builds.items()
        for name, build in (found or {}).items()
    ]
    return [head, *rows]


def _bar(name: str, bar: Result) -> str:
    found = bar["found"]
    shown = "not measured" if found is None else f"{found:.3g}" if found < 100 else f"{found:,.0f}"
    verdict = {None: "", True: ", reached", False: ", NOT reached"}[bar["reached"]]
    return f"bar {name:<12} {bar['least']:>8,}: {shown}{verdict}"


def _failed(pieces: Result) -> list[str]:
    return [
        f"{name}: {found.get('error') or 'left out, ' + found['skipped']}"
        for name, found in pieces.items()
        if "error" in found or "skipped" in found
    ]

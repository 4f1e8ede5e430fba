"""The command line: settings and where they come from, errors in one line, quick help."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from searching import SMALL, combsearch, finish, python, run_json, write_task

from combsearch import __version__, cli
from combsearch.commands.options import Options
from combsearch.commands.provenance import repeat_command
from combsearch.commands.settings import command_settings, flag, variable
from combsearch.config import CELLS, SearchConfig
from combsearch.errors import UsageError

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(capsys: Capture, *arguments: str) -> str:
    """The one line on standard error of a command that must end with exit code 2."""
    capsys.readouterr()
    assert cli.main(arguments) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1, found.err
    assert found.err.startswith("combsearch: ")
    return found.err.removeprefix("combsearch: ").rstrip("\n")


# ---- bad values -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--width 0", "--width: width is 0, it must be a whole number from 1 up"),
        ("--width abc", "--width: 'abc' is not a whole number"),
        ("--width 2.5", "--width: '2.5' is not a whole number"),
        ("--width=", "--width: '' is not a whole number"),
        ("--width 1000", "with depth 3 the width must be at most 140"),
        ("--depth 0", "--depth: depth is 0"),
        ("--depth 101", "--depth: depth is 101, it must be at most 100"),
        ("--target 2", "--target: target is 2.0, it must be in (0, 1]"),
        ("--target nan", "--target: target is nan"),
        ("--target 95%", "--target: '95%' is not a number"),
        ("--restarts 0", "--restarts: restarts is 0"),
        ("--restarts 10000000", "--restarts: restarts is 10000000, with 6 cells it must be"),
        ("--cells 0.05:cosin", "--cells: unknown schedule 'cosin', did you mean 'cosine'?"),
        ("--cells 0.05", "--cells: cell '0.05' is not RATE:SCHEDULE"),
        ("--cells 0:step", "--cells: lr is 0.0, it must be positive"),
        ("--cells=,", "--cells: no cells; the default is 0.05:constant,"),
        ("--cells 0.1:step,0.10:step", "--cells: cells ['0.1:step'] are named twice"),
        ("--epochs -3", "--epochs: epochs is -3"),
        ("--batch-size 0", "--batch-size: batch_size is 0"),
        ("--batch-size 50000", "--batch-size: batch_size is 50000, more than the 49982 points"),
        ("--momentum 1", "--momentum: momentum is 1.0, it must be in [0, 1)"),
        ("--weight-decay=-1", "--weight-decay: weight_decay is -1.0"),
        ("--seed -1", "--seed: seed is -1, it must be in 0..2^64-1"),
        ("--trainer fusd", "--trainer: unknown trainer 'fusd', did you mean 'fused'?"),
        ("--trainer no.such:Trainer", "--trainer: cannot import trainer 'no.such:Trainer'"),
        ("--task nosuch", "--task: unknown task 'nosuch' (known: checkerboard, circles,"),
        ("--task cubist_spirl", "did you mean 'cubist_spiral'?"),
        ("--task nofile.csv", "--task: task file 'nofile.csv': cannot be read"),
        ("--task my_tasks:boom", "--task: task 'my_tasks:boom' failed: ValueError: a b"),
        ("--task broken:task", "--task: cannot import task 'broken:task': ValueError: c d"),
        ("--jobs -1", "--jobs: jobs is -1, it must be a whole number from 0 to 1024"),
        ("--jobs two", "--jobs: 'two' is not a whole number"),
        ("--run ../x", "run name '../x'"),
        ("--run /x", "run name '/x': it is absolute"),
        ("--run=", "run name '': it is empty"),
        ("--run a\tb", "it has a backslash or a character that cannot be printed"),
        ("--runs=", "'' is no path of a folder"),
        ("--config no.toml", "cannot read the configuration 'no.toml': No such file"),
        ("--widht 3", "unknown option '--widht', did you mean '--width'?; see combsearch phase1"),
        ("--widht=3", "unknown option '--widht', did you mean '--width'?"),
        ("--wid 3", "unknown option '--wid', did you mean '--width'?"),
        ("3", "unexpected argument '3'; see combsearch phase1 --help"),
        ("--width", "argument --width: expected one argument; see combsearch phase1 --help"),
    ],
)
def test_a_bad_value_gives_one_line_that_names_it_and_what_is_valid(
    arguments: str, message: str, capsys: Capture, in_a_folder: Path
) -> None:
    Path("my_tasks.py").write_text("def boom():\n    raise ValueError('a\\nb')\n")
    Path("broken.py").write_text("raise ValueError('c\\nd')\n")
    assert message in error_of(capsys, "phase1", *arguments.split(" "))
    assert not (in_a_folder / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("phse1", "unknown command 'phse1', did you mean 'phase1'? (known: phase1, phase2, "),
        ("stat --json", "unknown command 'stat', did you mean 'status'?"),
        ("--jsn", "unknown option '--jsn'"),
        ("status", "the following arguments are required: RUN"),
        ("plot x --format eps", "argument --format: invalid choice: 'eps'"),
        ("verify x --jsn", "unknown option '--jsn', did you mean '--json'?"),
    ],
)
def test_a_bad_command_gives_one_line(arguments: str, message: str, capsys: Capture) -> None:
    assert message in error_of(capsys, *arguments.split())


@pytest.mark.parametrize(
    ("task", "obstacle"),
    [("three", "one output for two classes, not 3 for 3"), ("wide", "up to 16 inputs, not 20")],
)
def test_what_fused_cannot_do_is_refused_by_name_and_done_by_auto(
    task: str, obstacle: str, capsys: Capture
) -> None:
    Path("shapes_of_tasks.py").write_text(
        "import numpy as np\n"
        "from combsearch import Task\n"
        "r = np.random.default_rng(0)\n"
        "x, y = r.normal(size=(64, 20)).astype('f4'), np.arange(64)\n"
        "three = Task('three', x[:, :2].copy(), (y % 3).astype('u1'), classes=3)\n"
        "wide = Task('wide', x, (y % 2).astype('u1'))\n"
    )
    given = ("phase1", *SMALL, f"--task=shapes_of_tasks:{task}", "--epochs=1", "--width=1")
    found = error_of(capsys, *given, "--trainer", "fused")
    assert found.startswith("--trainer: trainer 'fused' cannot do this: it ")
    assert found.endswith("; 'vmap' and 'loop' can")
    assert obstacle in found
    report = run_json(capsys, *given, "--jobs=1")
    assert report["trainer"] == "vmap" and report["trained"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[phase1", "t.toml is not TOML: "),
        ("\udcff", "t.toml is not TOML: "),
        ("[phse1]\nwidth = 3", "t.toml has no table [phase1], did you mean 'phse1'?"),
        ("phase1 = 3", "t.toml: phase1 is 3, it must be a table [phase1]"),
        ("seed = 1\n[phase1]\nwidth = 2", "key 'seed' stands outside of [phase1]"),
        ("[phase1]\nwidht = 3", "t.toml: unknown key 'widht', did you mean 'width'?"),
        ("[phase1]\nwidth = 'a'", "t.toml, key width: 'a' is not a whole number"),
        ("[phase1]\nwidth = 2.5", "t.toml, key width: 2.5 is not a whole number"),
        ("[phase1]\nwidth = true", "t.toml, key width: True is not a whole number"),
        ("[phase1]\nwidth = 0", "t.toml, key width: width is 0"),
        ("[phase1]\ntarget = 'x'", "t.toml, key target: 'x' is not a number"),
        ("[phase1]\nfull = 1", "t.toml, key full: 1 is not true or false"),
        ("[phase1]\ntask = 3", "t.toml, key task: 3 is not text"),
        ("[phase1]\ncells = [1]", "t.toml, key cells: cell 1 is not text"),
        ("[phase1]\ncells = []", "t.toml, key cells: no cells"),
        ("[phase1]\nrun = 7", "t.toml, key run: 7 is not text"),
        ("[phase1]\njobs = -2", "t.toml, key jobs: jobs is -2"),
        ("[phase1]\ntask = 'nosuch'", "t.toml, key task: unknown task 'nosuch'"),
        ("[phase1]\nbatch_size = 60000", "t.toml, key batch_size: batch_size is 60000"),
    ],
)
def test_a_bad_file_gives_one_line(text: str, message: str, capsys: Capture) -> None:
    Path("t.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert message in error_of(capsys, "phase1", "--config", "t.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SEED", "x", "COMBSEARCH_SEED: 'x' is not a whole number"),
        ("FULL", "maybe", "COMBSEARCH_FULL: 'maybe' is not true or false"),
        ("TARGET", "0", "COMBSEARCH_TARGET: target is 0.0"),
        ("JOBS", "-1", "COMBSEARCH_JOBS: jobs is -1"),
        ("TASK", "nosuch", "COMBSEARCH_TASK: unknown task 'nosuch'"),
        ("TRAINER", "lop", "COMBSEARCH_TRAINER: unknown trainer 'lop', did you mean 'loop'?"),
        ("CONFIG", "no.toml", "cannot read the configuration 'no.toml'"),
    ],
)
def test_a_bad_variable_gives_one_line(
    name: str, value: str, message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"COMBSEARCH_{name}", value)
    assert message in error_of(capsys, "phase1")


# ---- where a value comes from ---------------------------------------------------------

OTHER: dict[str, tuple[Any, Any, Any]] = {  # field -> three values that are not the default
    "task": ("xor", "moons", "circles"),
    "width": (3, 4, 5),
    "depth": (1, 2, 4),
    "target": (0.5, 0.25, 1.0),
    "restarts": (1, 2, 3),
    "cells": (("0.1:step",), ("0.05:step",), ("1:cosine", "2:cosine")),
    "epochs": (1, 2, 3),
    "batch_size": (1, 2, 3),
    "momentum": (0.0, 0.25, 0.5),
    "weight_decay": (0.0, 0.25, 0.5),
    "seed": (1, 2, 2**64 - 1),
    "trainer": ("loop", "vmap", "fused"),
    "run": ("a", "b", "c"),
    "runs": ("d", "e", "f"),
    "jobs": (1, 2, 3),
    "ranks": ("0:1", "1:2,5:6", "3:40"),
}
FIELDS = [f.name for owner in (SearchConfig, Options) for f in dataclasses.fields(owner)]
PAIR = {"engine", "scheduler"}  # one without the other is refused
SWITCHES = sorted(set(FIELDS) - set(OTHER) - PAIR)


def read(name: str, flags: dict[str, Any]) -> Any:
    settings = command_settings("phase1", SearchConfig, flags)
    owner = settings.config if hasattr(settings.config, name) else settings.options
    return getattr(owner, name), settings.sources.get(name)


def text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def test_the_table_of_this_test_names_every_field() -> None:
    assert set(OTHER) | PAIR <= set(FIELDS)
    assert SWITCHES == ["dry_run", "figures", "full", "json", "train"]


def test_an_engine_and_its_scheduler_go_together(capsys: Capture) -> None:
    found = command_settings("phase1", SearchConfig, {"engine": "dask", "scheduler": "tcp://a:1"})
    assert (found.options.engine, found.options.scheduler) == ("dask", "tcp://a:1")
    for words in (("--engine=dask",), ("--scheduler=tcp://a:1",)):
        message = error_of(capsys, "phase1", *words)
        assert "--engine dask and --scheduler tcp://NODE:PORT go together" in message
    assert "(known: local, dask)" in error_of(capsys, "phase1", "--engine=ray")


@pytest.mark.parametrize("ranks", ["", "5", "5:5", "6:5", "0:3,", "-1:4", "a:b", "0:3;4:6", "٣:٤"])
def test_what_is_no_range_of_ranks_is_refused(ranks: str, capsys: Capture) -> None:
    message = error_of(capsys, "phase1", f"--ranks={ranks}")
    assert "--ranks: ranks has" in message and "FIRST:LAST" in message


def test_ranks_are_trained(capsys: Capture) -> None:
    assert Options(ranks="0:3, 7:9").parts() == [(0, 3), (7, 9)] and Options().parts() == []
    assert "--no-train trains nothing" in error_of(capsys, "phase1", "--ranks=0:3", "--no-train")


@pytest.mark.parametrize("name", sorted(OTHER))
def test_flag_over_environment_over_file_over_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flag, in_variable, in_file = OTHER[name]
    default = getattr(SearchConfig() if hasattr(SearchConfig, name) else Options(), name)
    assert default not in OTHER[name]
    assert read(name, {}) == (default, None)
    Path("t.toml").write_text(f"[phase1]\n{name} = {toml(in_file)}\n")
    flags: dict[str, Any] = {"config": "t.toml"}
    assert read(name, flags) == (in_file, f"t.toml, key {name}")
    monkeypatch.setenv(variable(name), text(in_variable))
    assert read(name, flags) == (in_variable, variable(name))
    flags[name] = text(in_flag)
    assert read(name, flags) == (in_flag, flag(name))
    monkeypatch.setenv(variable(name), "")
    del flags[name]
    assert read(name, flags) == (in_file, f"t.toml, key {name}")  # empty: not set


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_can_be_turned_both_ways_everywhere(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = read(name, {})[0]
    Path("t.toml").write_text(f"[phase1]\n{name} = {toml(not default)}\n")
    assert read(name, {"config": "t.toml"})[0] is not default
    for word in ("yes", "1", "TRUE", "on") if default else ("no", "0", "False", "off"):
        monkeypatch.setenv(variable(name), word)
        assert read(name, {"config": "t.toml"})[0] is default
    assert read(name, {"config": "t.toml", name: not default})[0] is not default


def test_the_file_can_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.toml").write_text("[other]\nx = 1\n[phase1]\nwidth = 7\ncells = '0.1:step, 1:step'\n")
    monkeypatch.setenv("COMBSEARCH_CONFIG", "t.toml")
    settings = command_settings("phase1", SearchConfig, {})
    assert settings.config == SearchConfig(width=7, cells=("0.1:step", "1:step"))


def test_cells_have_one_spelling_and_one_order() -> None:
    given = ",".join(reversed(CELLS)).replace("0.05", "5e-2").replace("0.1:", "0.10:")
    config = command_settings("phase1", SearchConfig, {"cells": given}).config
    assert config == SearchConfig() and config.digest() == SearchConfig().digest()


def test_numbers_of_a_file_may_be_whole_where_any_number_is_meant() -> None:
    Path("t.toml").write_text("[phase1]\ntarget = 1\nweight_decay = 0\n")
    config = command_settings("phase1", SearchConfig, {"config": "t.toml"}).config
    assert config == SearchConfig(target=1.0, weight_decay=0.0)
    assert isinstance(config.target, float)


def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SearchConfig, Options]]:
    """What is searched from now on, in place of searching it."""
    seen: list[tuple[SearchConfig, Options]] = []

    def note(search_of: Callable[[], Any], options: Options) -> None:
        seen.append((search_of(), options))

    monkeypatch.setattr("combsearch.commands.phase1.open_search", lambda config: config)
    monkeypatch.setattr("combsearch.commands.session.run_search", note)
    return seen


def test_every_flag_reaches_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = searches(monkeypatch)
    arguments = [part for name, (value, *_) in OTHER.items() for part in (flag(name), text(value))]
    assert cli.main(["phase1", *arguments, "--full", "--dry-run", "--json", "--no-figures"]) == 0
    [(config, options)] = seen
    for name, (value, *_) in OTHER.items():
        assert getattr(config if hasattr(config, name) else options, name) == value
    assert config.full and options.dry_run and options.json and not options.figures


def test_a_search_can_be_repeated_from_what_its_summary_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {name: value for name, (value, *_) in OTHER.items() if hasattr(SearchConfig, name)}
    seen = searches(monkeypatch)
    for config in (SearchConfig(), SearchConfig(**values, full=True)):
        words = repeat_command("phase1", config).split()
        assert words[0] == "combsearch" and cli.main(words[1:]) == 0
        assert seen.pop()[0] == config


# ---- the program ----------------------------------------------------------------------

CHECK_HELP = """
import sys
from combsearch import cli
try:
    cli.main([*sys.argv[1:], "--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "torch", "numba", "pyarrow", "matplotlib", "scipy", "joblib", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


@pytest.mark.parametrize("command", [(), ("phase1",), ("plot",)])
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    code, out, err = finish(python("-c", CHECK_HELP, *command))
    assert (code, err) == (0, "")
    words = ["phase1", "status", "verify", "plot", "bench", "75 interrupted"]
    if command == ("phase1",):
        words = [flag(name) for name in FIELDS] + ["--no-figures", "COMBSEARCH_TARGET=0.95"]
    if command == ("plot",):
        words = ["--output", "--format", "RUN"]
    assert [word for word in words if word not in " ".join(out.split())] == []


def test_help_is_quick() -> None:
    def seconds(*arguments: str) -> float:
        started = processor_time()
        assert finish(python(*arguments))[0] == 0
        return processor_time() - started

    def processor_time() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    bare = min(seconds("-c", "pass") for _ in range(5))
    assert min(seconds("-m", "combsearch", "--help") for _ in range(5)) < 0.3 + bare


def test_version_and_no_command(capsys: Capture) -> None:
    assert finish(combsearch("--version")) == (0, f"combsearch {__version__}\n", "")
    assert cli.main([]) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.startswith("usage: combsearch [-h]")
    assert "find the smallest dense shape" in found.err


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("combsearch.commands.runs.status_command", mistaken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["status", "x"])


def test_signal_handlers_are_as_before_after_a_call_from_python(capsys: Capture) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    assert cli.main(["phase1", "--width", "0"]) == 2
    assert ([signal.getsignal(number) for number in numbers], sys.unraisablehook) == before


@pytest.fixture
def finished(in_a_folder: Path, capsys: Capture) -> str:
    """The name of a finished run."""
    task = write_task(in_a_folder / "clouds.csv")
    run_json(capsys, "phase1", *SMALL, f"--task={task}", "--jobs=1", "--run=done")
    return "done"


@pytest.mark.parametrize("command", ["--help", "phase1 --help", "status done"])
def test_a_reader_that_leaves_is_no_error(command: str, finished: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = subprocess.run(
        [sys.executable, "-m", "combsearch", *command.split()],
        stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, env=environment(),
    )  # fmt: skip
    os.close(theirs)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(finished: str) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "combsearch", "status", "done"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(),
        )  # fmt: skip
    assert process.returncode == 5
    assert process.stderr == (
        "combsearch: cannot write standard output: No space left on device;"
        " what was saved is whole\n"
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def test_a_task_that_prints_does_not_spoil_the_result(in_a_folder: Path) -> None:
    Path("loud.py").write_text(
        "import numpy as np\n"
        "from combsearch import Task\n"
        "print('hello from the task')\n"
        "def task():\n"
        "    print('hello again')\n"
        "    x = np.random.default_rng(0).normal(size=(64, 2)).astype('f4')\n"
        "    return Task('loud', x, (x[:, 0] > 0).astype('u1'))\n"
    )
    arguments = ("phase1", *SMALL, "--task=loud:task", "--width=2", "--jobs=2", "--json")
    code, out, err = finish(combsearch(*arguments, cwd=in_a_folder))
    assert code == 0, err
    assert json.loads(out)["task"] == "loud" and out.count("\n") == 1
    assert err.count("hello from the task") >= 2  # here and in a worker


def test_errors_are_one_line_even_with_warnings_as_errors(in_a_folder: Path) -> None:
    code, out, err = finish(combsearch("phase1", "--trainer", "fusd", cwd=in_a_folder))
    assert (code, out) == (2, "") and err.startswith("combsearch: --trainer: unknown trainer")
    assert err.count("\n") == 1
    assert UsageError.exit_code == code

"""combsearch.registry: names, the nearest name, and a user's own objects."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from combsearch.errors import UsageError
from combsearch.registry import import_object, lookup, nearest


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder that ``import_object`` searches, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    return tmp_path


def test_nearest_is_a_hint_or_nothing() -> None:
    assert nearest("cosin", ["constant", "cosine", "step"]) == ", did you mean 'cosine'?"
    assert nearest("zzz", ["constant", "cosine", "step"]) == ""
    assert nearest("x", []) == ""


def test_lookup_finds_or_names_all() -> None:
    table = {"vmap": 1, "loop": 2}
    assert lookup("trainer", "loop", table) == 2
    with pytest.raises(UsageError) as error:
        lookup("trainer", "lop", table)
    assert str(error.value) == "unknown trainer 'lop', did you mean 'loop'? (known: loop, vmap)"


def test_import_object_of_the_library() -> None:
    assert import_object("thing", "math:pi") == pytest.approx(3.14159265)
    assert import_object("thing", "combsearch.errors:UsageError") is UsageError


def test_import_object_searches_the_current_folder(user_folder: Path) -> None:
    (user_folder / "my_own_pruner_7.py").write_text("class Mine:\n    answer = 42\n")
    assert getattr(import_object("pruner", "my_own_pruner_7:Mine"), "answer", None) == 42


def test_import_object_prefers_installed_modules(user_folder: Path) -> None:
    (user_folder / "json.py").write_text("dumps = 'not this one'\n")
    assert callable(import_object("thing", "json:dumps"))


def test_import_object_names_a_missing_module() -> None:
    message = "cannot import pruner 'no_such_module_7:X': ModuleNotFoundError"
    with pytest.raises(UsageError, match=message):
        import_object("pruner", "no_such_module_7:X")


def test_import_object_names_the_nearest_attribute(user_folder: Path) -> None:
    (user_folder / "my_own_task_7.py").write_text("Spiral = 1\n")
    with pytest.raises(UsageError, match=r"has no 'Spirale', did you mean 'Spiral'\?"):
        import_object("task", "my_own_task_7:Spirale")


def test_import_object_survives_a_broken_module(user_folder: Path) -> None:
    (user_folder / "my_broken_task_7.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match=r"my_broken_task_7:X.*ZeroDivisionError: division"):
        import_object("task", "my_broken_task_7:X")


def test_an_exit_of_a_module_is_its_error(user_folder: Path) -> None:
    (user_folder / "my_leaving_task_7.py").write_text("raise SystemExit('usage: x\\n  y')\n")
    with pytest.raises(UsageError, match=r"cannot import task .*7:X': SystemExit: usage: x y$"):
        import_object("task", "my_leaving_task_7:X")


@pytest.mark.parametrize("spec", ["math", "math:", ":pi", ""])
def test_import_object_refuses_half_a_name(spec: str) -> None:
    with pytest.raises(UsageError, match=r"pkg\.module:Name"):
        import_object("task", spec)

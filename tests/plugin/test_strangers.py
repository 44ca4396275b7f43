"""A submission neither configures pytest nor is imported by it, however it is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from plugin_project import DEADLINE_S, EXACT, SEARCH, UNRELATED, running

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.given import after_a_space, expanded, given
from pytest_annmodal.strangers.imports import imported_already
from pytest_annmodal.strangers.places import Places

DATA = ("--dataset=digits-64-euclidean", "--collect-only", "-q")
RUNS = 'from pathlib import Path\nPath(__file__).with_name("WAS_RUN").touch()\n'
WITHOUT = (*UNRELATED, "benchmark")
EQUALS = "Put an equals sign between option and path: --submission=subs/eve"


class Class:
    """An organiser's folder, with ``benchmarks/`` and Eve's submission in ``subs/eve/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("benchmarks/test_search.py", SEARCH)
        self.write("subs/eve/index.py", EXACT)
        self.write("subs/bob/index.py", EXACT)
        for name in ("conftest", "evil", "numpy", "test_eve"):
            self.write(f"subs/eve/{name}.py", RUNS)

    def write(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def run(
        self,
        *args: str,
        at: str = ".",
        python: Sequence[str] = ("-P",),
        cold: bool = False,
        **environ: str,
    ) -> tuple[int, str]:
        """Exit status and output of pytest; the folder it starts in is not on Python's path.

        Args:
            cold: whether nothing has been imported, not even numpy, so that hers could be.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANNMODAL_", "PYTEST_", "PYTHONPATH"))
        }
        options = {"options": python, "without": WITHOUT, "cold": cold}
        with running(self.path / at, *DATA, *args, env={**kept, **environ}, **options) as process:
            said, _ = process.communicate(DEADLINE_S)
        assert not list(self.path.rglob("WAS_RUN")), said
        return process.wait(), said

    def is_refused(self, words: str, *args: str, **options: Any) -> None:
        status, said = self.run(*args, **options)
        assert status == 4, said
        assert said.startswith("ERROR: "), said
        assert words in said

    def is_measured(self, *args: str, **options: Any) -> str:
        """Checks that Eve's index would be measured, and that no file of hers is a test."""
        status, said = self.run(*args, **options)
        assert status == 0, said
        assert "test_search[" in said
        assert "test_eve.py" not in said
        return said


@pytest.fixture
def room(tmp_path: Path) -> Class:
    return Class(tmp_path)


HOSTILE = {
    "pytest.ini": "[pytest]\npythonpath = .\naddopts = -p evil --ann-k=3\n",
    "pytest.toml": '[pytest]\npythonpath = ["."]\naddopts = ["-p", "evil"]\n',
    ".pytest.ini": "[pytest]\npythonpath = .\naddopts = -p evil\n",
    "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = "."\naddopts = "-p evil"\n',
    "tox.ini": "[pytest]\npythonpath = .\naddopts = -p evil\n",
    "setup.cfg": "[tool:pytest]\npythonpath = .\naddopts = -p evil\n",
}


def test_configuration_that_is_handed_in(room: Class) -> None:
    """Ini files in a submission are ignored if its path follows an equals sign."""
    for name, text in HOSTILE.items():
        room.write(f"subs/eve/{name}", text)
    said = room.is_measured("benchmarks", "--submission=subs/eve", cold=True, ANNMODAL_ROUND="3")
    assert "test_search[eve[extra=0]-digits-64-euclidean-k10]" in said
    eve = room.path / "subs/eve"
    unread = ", ".join(str(eve / name) for name in (".pytest.ini", "conftest.py", "pytest.ini"))
    assert f"Not read, since submissions do not configure pytest: {unread}, …" in said
    assert (
        "ANNMODAL_ROUND was ignored: it belongs to no option; did you mean 'ANNMODAL_ROUNDS'"
        in said
    )


def test_ways_of_naming(room: Class) -> None:
    """No file of Eve's is read, however the submission is named."""
    room.write("subs/eve/pytest.ini", HOSTILE["pytest.ini"])
    room.write("own.ini", "[pytest]\n")
    room.is_measured("benchmarks", "--submission", "subs/*")
    room.is_measured("benchmarks", ANNMODAL_SUBMISSION="subs/eve")
    room.is_measured("benchmarks", "--submission", "subs/eve", "-c", "own.ini")
    room.is_measured("--submission=subs/*/index.py")
    room.write("pytest.ini", "[pytest]\nannmodal_submission = subs/*\n")
    room.is_measured()
    room.is_measured("benchmarks", "--submission", "subs/eve")  # that file is found first


def test_a_space_where_pytest_would_look(room: Class) -> None:
    """A command with which a submission's pytest.ini would be used is refused even without one."""
    room.is_refused(EQUALS, "--submission", "subs/eve")
    room.is_refused(EQUALS, "benchmarks", "--submission", "subs/eve")
    room.is_refused(EQUALS, "benchmarks", PYTEST_ADDOPTS="--submission subs/eve")
    room.write("args.txt", "--submission\nsubs/eve\n")
    room.is_refused(EQUALS, "benchmarks", "@args.txt")
    room.write("grading.toml", "")
    grade = "--ann-grade=grading.toml"
    file = ("benchmarks", "--submission", "subs/eve/index.py", grade)
    room.is_refused("It found none, and nothing was run. Put an equals sign", *file)
    room.write("subs/eve/pytest.ini", "[pytest]\n")  # harmless; it might have named a plugin
    read = f"It read {room.path}/subs/eve/pytest.ini, and ran the plugins named there, outside any"
    room.is_refused(read, *file)
    room.is_measured("benchmarks", "--submission", "subs/eve/index.py")


@pytest.mark.parametrize("options", [["-c", "subs/eve/pytest.ini"], ["--rootdir=subs/eve"]])
def test_named_as_configuration(room: Class, options: list[str]) -> None:
    """-c and --rootdir may not lead into a submission."""
    room.write("subs/eve/pytest.ini", "[pytest]\npythonpath = .\n")
    room.is_refused("inside the submission", "benchmarks", "--submission=subs/*", *options)


def test_named_as_tests(room: Class) -> None:
    """A submission or a file in it is refused as an argument of pytest and in testpaths."""
    words = "which is or lies in the submission"
    room.is_refused(words, "benchmarks", "subs/eve", "--submission=subs/*")
    room.is_refused(words, "subs/eve/test_eve.py::test_it", "--submission=subs/eve")
    room.is_refused(words, "benchmarks", "--submission=subs/*", PYTEST_ADDOPTS="subs/bob")
    room.write("pytest.ini", "[pytest]\ntestpaths = benchmarks subs/eve\n")
    room.is_refused(words, "--submission=subs/*")


def test_started_in_a_submission(room: Class) -> None:
    """In a submission's own folder pytest says to start elsewhere."""
    room.is_refused("Start pytest in another folder.", "--submission=.", at="subs/eve")


def test_a_shell_that_fills_in(room: Class) -> None:
    """Without quotes a pattern's other matches are tests to pytest, and are not imported."""
    words = "quote the pattern: --submission='submissions/*'"
    for pattern in ("subs/*", "subs/*/index.py"):
        found = sorted(str(p.relative_to(room.path)) for p in room.path.glob(pattern))
        room.is_refused(words, "benchmarks", "--submission", *found)
    for name in ("ada", "test_mallory"):
        room.write(f"flat/{name}.py", RUNS)
    room.is_refused(words, "benchmarks", "--submission", "flat/ada.py", "flat/test_mallory.py")
    room.is_refused(words, "../benchmarks", "--submission", "ada.py", "test_mallory.py", at="flat")
    room.write("benchmarks/student.py", EXACT)
    room.is_measured("benchmarks/", "--submission", "benchmarks/student.py")
    room.is_measured("--submission", "benchmarks/student.py", "benchmarks/")


def test_conftest_files(room: Class) -> None:
    """A conftest.py that pytest would import by itself, before any test, is refused by name."""
    room.write("class/test_eve/conftest.py", RUNS)  # pytest looks into test… folders
    room.write("class/test_eve/index.py", EXACT)
    words = "pytest would import "
    room.is_refused(words, "--submission=test_eve", at="class")
    room.write("benchmarks/conftest.py", RUNS)
    room.is_refused(words, "benchmarks", "--submission=benchmarks/conftest.py")
    room.is_refused(words, "benchmarks", "--submission=benchmarks/*")


def test_a_configuration_file_as_a_submission(room: Class) -> None:
    """A file of that name, collected among the submissions, is one of them."""
    for name in ("pytest.ini", ".pytest.ini"):
        room.write(f"flat/{name}", "[pytest]\n")
        room.write("flat/ada.py", EXACT)
        room.is_refused("inside the submission", "--submission=*", at="flat")
        (room.path / "flat" / name).unlink()


def test_a_pattern_without_a_match(room: Class) -> None:
    """It does not disable the checks for the matches of another pattern."""
    status, said = room.run("--submission=none/*.py", "--submission=subs/*")
    assert status == 4
    assert "nothing matches 'none/*.py'" in said


IMPORTS = """
import sys
import numpy
assert numpy.array([1]).sum() == 1
for name in ("ada", "subs.bob.index", "random2"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert "lies in a submission" in str(error), error
    else:
        raise AssertionError(name)
"""


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_imports(room: Class, mode: str) -> None:
    """Imports ignore submissions everywhere, and find the library of the same name."""
    for name in ("numpy", "ada", "random2/__init__"):
        room.write(f"benchmarks/{name}.py", RUNS)
    room.write("subs/bob/index.py", RUNS)
    room.write("benchmarks/test_search.py", IMPORTS + SEARCH)
    names = ("benchmarks/numpy.py", "benchmarks/ada.py", "benchmarks/random2", "subs/*")
    handed_in = [f"--submission={name}" for name in names]
    options = (*handed_in, f"--import-mode={mode}", "benchmarks")
    room.is_measured(*options, cold=True, PYTHONPATH=f".{os.pathsep}benchmarks")
    room.is_measured(*options, cold=True, python=(), PYTHONPATH="benchmarks")


def test_where_python_looks(room: Class) -> None:
    """PYTHONPATH may not lead into a submission, nor in grading to where one lies."""
    words = "Python looks for modules in "
    room.is_refused(words, "benchmarks", "--submission=subs/eve", cold=True, PYTHONPATH="subs/eve")
    room.is_refused(
        words, "../../benchmarks", "--submission=.", at="subs/eve", cold=True, python=()
    )
    room.write("subs/evil.py", RUNS)
    named = ("benchmarks", "--submission=subs/*.py")
    status, said = room.run(*named, cold=True, PYTHONPATH="subs", PYTEST_PLUGINS="evil")
    assert status != 0
    assert 'Error importing plugin "evil": No module named' in said
    room.write("grading.toml", "")
    words = "PYTHONPATH names subs, which holds submissions"
    room.is_refused(words, *named, "--ann-grade=grading.toml", PYTHONPATH="subs")


def test_what_was_imported_before(room: Class) -> None:
    """A module of a submission that was imported before the guard is reported."""
    room.write("subs/early.py", "")
    status, said = room.run(
        "benchmarks", "--submission=subs/*", "-p", "early", cold=True, PYTHONPATH="subs"
    )
    assert status == 4
    assert "The module early was imported from the submission's file" in said


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is in a submission by its own name or by what a link leads to."""
    (tmp_path / "eve" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "eve")
    monkeypatch.chdir(tmp_path)
    for text in (str(tmp_path / "eve"), str(tmp_path / "link"), str(tmp_path / "e*" / "d*")):
        places = Places([text])
        assert places.holder("eve/deep/x.py") == tmp_path / "eve"
        assert places.holder(tmp_path / "link" / "deep") is not None
        assert places.holder(tmp_path) is None
        assert places.holder("eve2") is None
    assert places.directly_in(".")
    assert not places.directly_in("eve")


def test_python_itself_in_a_submission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A virtual environment inside of a measured folder is not part of the submission."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "mine" / ".venv"))
    places = Places([str(tmp_path / "mine")]) if (tmp_path / "mine").mkdir() is None else None
    assert places is not None
    assert places.holder(tmp_path / "mine" / "index.py") is not None
    assert places.holder(tmp_path / "mine" / ".venv" / "lib" / "numpy.py") is None


def test_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our options are found among others and in files of arguments; a missing value is an error."""
    monkeypatch.chdir(tmp_path)
    Path("more").write_text("--ann-k\n7\n", encoding="utf-8")
    found = given(["-q", "--submission", "a", "x", "@more", "--submission=b", "--", "--download"])
    assert (found["submission"], found["k"], found["download"]) == (["a", "b"], "7", None)
    assert expanded(["@gone", "@more"]) == ["@gone", "--ann-k", "7"]
    assert after_a_space(
        ["--submission=a", "b", "--submission", "c", "d", "-q", "e"], "--submission"
    ) == [("c", ["d"])]
    assert after_a_space(["--submission"], "--submission") == []
    with pytest.raises(ConfigurationError, match="--ann-k: expected one argument"):
        given(["--ann-k"])


def test_what_lies_behind_a_link_is_not_handed_in(tmp_path: Path) -> None:
    """A link to the organiser's own folder must not stop the grading of all others."""
    (tmp_path / "own").mkdir()
    (tmp_path / "handed-in").mkdir()
    (tmp_path / "handed-in" / "eve").symlink_to(tmp_path / "own")
    places = Places([str(tmp_path / "handed-in" / "*")])
    assert places.holder(tmp_path / "own" / "pytest.ini") is None
    assert places.holder(tmp_path / "handed-in" / "eve" / "pytest.ini") is not None


def test_built_in_modules_are_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting pytest in the submitted folder gives no false alarm."""
    monkeypatch.chdir(tmp_path)
    assert imported_already(Places([str(tmp_path)])) is None

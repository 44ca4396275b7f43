"""What a student sees: the results of a file, or its error, where, and what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from plugin_project import EXACT, Project, lines_with

DATA = ("--dataset=small-8-euclidean.hdf5", "--ann-rounds=1")
METHODS = {
    "__init__": "def __init__(self, metric): pass",
    "fit": "def fit(self, X): print('fitting', len(X))",
    "query": "def query(self, v, k): return list(range(k))",
}


def index(**change: str) -> str:
    methods = {**METHODS, **change}
    return "class Index:\n" + "".join(f"    {text}\n" for text in methods.values() if text)


def sections(result: pytest.RunResult) -> dict[str, list[str]]:
    """The lines under each failed test, by its implementation."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in result.outlines:
        if line.startswith("___"):
            name = line.split("[", 1)[1].split("-small")[0]
            lines = found[name] = []
        elif line.startswith(("---", "===")):
            lines = []
        else:
            lines.append(line)
    return {name: "\n".join(lines).strip().split("\n") for name, lines in found.items()}


def test_broken_submissions(project: Project) -> None:
    """Each broken file is one failed test that says what, where and what next; others go on."""
    project.write("subs/syntax.py", "class Index\n    pass\n")
    project.write("subs/empty.py", "\n")
    project.write("subs/no_class.py", "def query(v, k):\n    return []\n")
    project.write("subs/raises.py", index(fit="def fit(self, X):\n        raise ValueError('no')"))
    project.write("subs/wrong.py", index(query="def query(self, v, k): return [0] * k"))
    project.write("subs/quits.py", index(query="def query(self, v, k): import os; os._exit(3)"))
    project.write("subs/right.py", EXACT)
    result = project.run(*DATA, "--submission=subs/*.py")
    result.assert_outcomes(passed=2, failed=6)
    told = sections(result)
    at = project.path / "subs"
    assert told["syntax"] == [f"{at}/syntax.py: syntax error in line 1: expected ':': class Index"]
    assert told["empty"] == [
        f"{at}/empty.py: is empty; write a class with fit(X) and query(v, k) in it"
    ]
    assert told["no_class"][0].startswith(f"{at}/no_class.py: has no class with both fit(X) and ")
    again = (
        "To run only the failed tests again, on little data, add to the same command: "
        "--lf --ann-subset 1000 --ann-queries 20"
    )
    text = "\n".join(told["raises"])
    assert told["raises"][0].startswith("build raised ValueError: no")
    assert f"  in {at}/raises.py, class Index" in told["raises"]
    assert f'File "{at}/raises.py", line 4, in fit' in text
    assert told["raises"][-1] == again
    twice = (
        "query returned id 0 twice for query 0; 10 different ids are expected; some libraries pad"
    )
    assert told["wrong"][0].startswith(twice)
    assert told["wrong"][1] == f"  in {at}/wrong.py, class Index"
    assert "| fitting 300" in told["wrong"]
    assert told["quits"][0].startswith("the process exited with status 3 during ")
    for lines in told.values():
        assert not any("pytest_annmodal" in line for line in lines)
    result.stdout.fnmatch_lines(
        [
            "* right[[]extra=?]  1.0000 *",
            "  syntax *failed (unusable): syntax.py: syntax error in line 1*",
            "FAILED *raises* - Failed: build raised ValueError: no*",
        ]
    )


def test_one_fault_on_many_datasets(project: Project) -> None:
    """It is shown once, with a count; the short summary and a JUnit file name every test."""
    project.write("subs/syntax.py", "class Index\n    pass\n")
    project.write("subs/empty.py", "\n")
    data = ["--dataset=digits*"]
    for number in range(7):
        project.dataset(f"n{number}-8-euclidean")
        data.append(f"--dataset=n{number}-8-euclidean.hdf5")
    result = project.run(*data, "--submission=subs/*.py", "--junitxml=out.xml")
    result.assert_outcomes(failed=16)
    assert len(lines_with(result, "- the same in 7 more tests -")) == 2
    for name, text in (("syntax", "syntax.py: syntax error in line 1"), ("empty", "is empty;")):
        assert len([line for line in lines_with(result, text) if line.startswith("/")]) == 1
        alike = [line for line in result.outlines if line.startswith(f"test_search[{name}-")]
        assert len(alike) == 5
        assert len(lines_with(result, f"FAILED test_it.py::test_search[{name}-")) == 8
        assert (project.path / "out.xml").read_text().count(f"{text}") == 16  # message and text


def test_what_is_not_installed(project: Project) -> None:
    """A file that was asked for and not measured is an error that says what to install."""
    needs = '# /// script\n# dependencies = ["no-such-library>=2"]\n# ///\n'
    project.write("subs/needs.py", needs + index())
    project.write("subs/right.py", index())
    project.write(
        "test_named.py",
        "def test_named(ann_benchmark):\n"
        "    ann_benchmark(implementation='needs', dataset='small-8-euclidean')\n",
    )
    result = project.run(*DATA, "--submission=subs/*.py")
    result.assert_outcomes(passed=1, errors=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (
        result.outlines.count("needs needs: pip install 'no-such-library>=2'") == 2
    )  # setup, call
    assert not lines_with(result, "pytest_annmodal/")
    assert not lines_with(result, "skipped")


def test_tests_of_strangers(project: Project) -> None:
    """A submission's own tests and conftest.py are not run, unless it is one file."""
    project.write("subs/one/submission.py", EXACT)
    project.write("subs/one/conftest.py", "raise SystemExit('a stranger was run')")
    project.write("subs/one/deep/test_it_too.py", "raise SystemExit('a stranger was run')")
    project.write("subs/test_two.py", EXACT + "def test_stranger(): pass\n")
    result = project.run(*DATA, "--submission=subs/*")
    assert "a stranger was run" not in result.stdout.str() + result.stderr.str()
    result.assert_outcomes(passed=4)
    project.write("own/submission.py", EXACT)
    project.write("own/test_own.py", "def test_own(ann_benchmark, case): ann_benchmark(case)")
    refused = project.run("own/test_own.py", *DATA, "--submission=own")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    result = project.run("own/test_own.py", *DATA, "--submission=own/submission.py")
    result.assert_outcomes(passed=2)


def test_names(project: Project) -> None:
    """Files of the same name get different names; a folder and a file are both submissions."""
    project.write("a/index.py", index())
    project.write("b/index.py", index())
    project.write("team/submission.py", index())
    result = project.run(
        *DATA, "--submission=a/index.py", "--submission=b/index.py", "--submission=team", "-v"
    )
    result.assert_outcomes(passed=3)
    for name in ("a-index", "b-index", "team"):
        assert lines_with(result, f"test_search[{name}-small-8-euclidean-k10] PASSED")


def test_from_another_directory(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths on the command line start from where one is; those in the ini file from the ini."""
    project.write("sub/mine.py", index())
    project.write("sub/test_sub.py", "def test_sub(ann_benchmark, case): ann_benchmark(case)")
    project.pytester.makeini(
        "[pytest]\nfilterwarnings = error\nannmodal_dataset = small-8-euclidean.hdf5\n"
    )
    monkeypatch.chdir(project.path / "sub")
    result = project.run("--submission=mine.py", "--ann-rounds=1")
    result.assert_outcomes(passed=1)


def test_student(project: Project) -> None:
    """``--impl student`` is the template, and with ``--submission`` the file it names."""
    template = Path(__file__).parents[2] / "benchmarks" / "student.py"
    (project.path / "benchmarks").mkdir()
    shutil.copy(template, project.path / "benchmarks" / "student.py")
    result = project.run(*DATA, "--impl=student")
    result.assert_outcomes(passed=3)
    assert lines_with(result, "student[n_cells=128,n_probe=2]  ")
    project.write("my_index.py", index())
    other = project.run(*DATA, "--impl=student", "--submission=my_index.py")
    other.assert_outcomes(passed=1)
    assert lines_with(other, " my_index ")


def test_beside_a_built_in(project: Project) -> None:
    """A submission beside ``--impl NAME`` is timed by the parent's clock, and the table says so."""
    project.write("mine/x.py", index())
    options = ("--submission=mine/x.py", "--impl=bruteforce", "--benchmark-json=out.json")
    result = project.run(*DATA, *options)
    result.assert_outcomes(passed=2)
    clocks = {one["param"].split("-")[0]: one["extra_info"]["clock"] for one in project.saved()}
    assert clocks == {"x": "parent", "bruteforce": "worker"}
    assert lines_with(result, "  clock: the parent's for x (times include the mailbox)")


FORGED = (
    "PASSED test_it.py::test_search[forger]",
    "==== 9 passed in 0.01s ====",
    "FAILED test_it.py::test_search[rival] - Failed: no index",
    "All 9 submissions are graded.",
    "::error::workflow command",
    "  ::add-mask::workflow command",
    "##[error]workflow command",
    "##vso[task.complete result=Succeeded;]pipeline command",
    "##teamcity[buildStatus status='SUCCESS' text='service message']",
)


def test_forged_lines(project: Project) -> None:
    """No line of a submission's output, exception or traceback looks like pytest's own or ours."""
    forge = f"forged = {FORGED!r}; print(*forged, sep=chr(10), flush=True)"
    project.write("subs/prints.py", index(fit=f"def fit(self, X): {forge}"))
    raises = f"def fit(self, X):\n        {forge}; raise ValueError(chr(10).join(('', *forged)))"
    project.write("subs/raises.py", index(fit=raises))
    notes = "error.add_note(chr(10).join(forged)); raise error"
    noted = f"def fit(self, X):\n        {forge}; error = ValueError('no'); {notes}"
    project.write("subs/noted.py", index(fit=noted))
    project.write("subs/new\nPASSED line.py", "\n")
    grid = f"# [tool.annmodal]\n# search = {{ mode = ['{FORGED[-2]}', '{FORGED[-3]}'] }}"
    asked = "def set_query_arguments(self, mode): pass"
    project.write("subs/grid.py", f"# /// script\n{grid}\n# ///\n" + index(more=asked))
    result = project.run(*DATA, "--submission=subs/*.py", "-rA", "-vv", "--junitxml=out.xml")
    result.assert_outcomes(passed=3, failed=3)
    text = result.stdout.str() + (project.path / "out.xml").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    for words in FORGED:
        end = words.strip("#:= ")[-16:]
        assert len([line for line in lines if end in line]) > 9  # in each way that they are shown
        assert not any(line.startswith(words.strip()) for line in lines), words
    assert not any(line.startswith(("::", "PASSED line")) for line in lines)
    assert not re.search(r"##\w*\[", text)

"""pytest's own options: selecting, stopping, listing, switching off, printing."""

from __future__ import annotations

import pytest
from plugin_project import EXACT, UNRELATED, Project, lines_with

RECORDS = """
import pathlib
with open({path!r}, "a") as log:
    print(__name__, file=log)
"""


def test_select_and_stop(project: Project) -> None:
    """``-k`` chooses, ``-x`` ends at the first failure and builds no more, ``--lf`` repeats."""
    log = project.path / "log"
    for name, more in (("exact_a", ""), ("exact_b", "\n1 / 0\n"), ("exact_c", "")):
        text = EXACT.replace("# search.extra = [0, 1]\n", "").replace("extra", "extra=0")
        text = text.replace("self.extra=0 = extra=0", "pass")
        project.write(f"mine/{name}.py", text + RECORDS.format(path=str(log)) + more)
    result = project.bench("-k", "exact_", "-x", without=UNRELATED[:-1])
    result.assert_outcomes(passed=1, failed=1, deselected=2)
    assert len(log.read_text().splitlines()) == 2
    again = project.bench("-k", "exact_", "--lf", without=UNRELATED[:-1])
    again.assert_outcomes(failed=1)


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--fixtures"])
def test_listing(project: Project, option: str) -> None:
    """Options that only list tests import no implementation, and download and start nothing."""
    project.write("mine/exact.py", EXACT + RECORDS.format(path=str(project.path / "log")))
    result = project.bench(option, "--dataset=lastfm-64-dot", "--dataset=digits*", "--download")
    assert result.ret == 0
    assert not (project.path / "log").exists()
    assert not (project.path / "volume").exists()
    assert not lines_with(result, "to download")
    if option == "--collect-only":
        result.stdout.fnmatch_lines(["*<Function test_search[[]exact[[]extra=1]-digits-64-*"])


def test_without_plugins(project: Project) -> None:
    """Without pytest-benchmark, or this plugin, ANN tests say what is missing and others run."""
    project.write("test_other.py", "def test_other(): pass")
    result = project.bench("-pno:benchmark")
    result.assert_outcomes(passed=1, errors=2)
    assert lines_with(result, "ANN benchmarks need the plugin pytest-benchmark, which is switched")
    off = project.run("-pno:annmodal", "test_other.py")
    off.assert_outcomes(passed=1)
    quiet = project.bench("-pno:terminal")
    assert (quiet.ret, quiet.stdout.str()) == (0, "")


def test_xdist(project: Project) -> None:
    """Under ``-n 2`` each ANN test is an error that says why; ``-n 0`` measures."""
    without = tuple(name for name in UNRELATED if name != "xdist")
    result = project.bench("-n2", without=without)
    result.assert_outcomes(errors=2)
    told = [line for line in result.outlines if line.startswith("ANN benchmarks measure time, so")]
    assert len(told) == 1
    assert lines_with(result, "- the same in 1 more test -")
    assert not lines_with(result, "warning")
    project.bench("-n0", without=without).assert_outcomes(passed=2)


def test_verbosity(project: Project) -> None:
    """``-q``, ``-s`` and ``--tb`` change nothing in the table, which has no colours in a pipe."""
    tables = []
    for options in (["-q", "--tb=short"], ["-s", "-vv"]):
        result = project.bench(*options)
        result.assert_outcomes(passed=2)
        assert "\x1b" not in result.stdout.str()
        rows = [line.strip("~ ").split()[:2] for line in result.outlines if "  1.0000  " in line]
        tables.append(rows)
    assert sorted(tables[0]) == sorted(tables[1])
    assert ["exact[extra=0]", "1.0000"] in tables[0]


def test_help(pytester: pytest.Pytester) -> None:
    """``--help`` has one group for each question, and each option's ini key and variable."""
    result = pytester.runpytest_subprocess("--help", timeout=60)
    text = result.stdout.str()
    titles = [line for line in result.outlines if line.startswith("ANN benchmarks: ")]
    assert titles[:3] == [
        "ANN benchmarks: what to run:",
        "ANN benchmarks: how to measure:",
        "ANN benchmarks: under load:",
    ]
    assert "--ann-k=K " in text
    assert "--ann-clock=auto|worker|parent" in text
    assert "Default of --ann-k (or $ANNMODAL_K)." in text
    assert max(map(len, result.outlines[text[: text.index("ANN bench")].count("\n") :][:60])) <= 80
    markers = pytester.runpytest_subprocess("--markers", timeout=60).stdout.str()
    assert "@pytest.mark.ann(k, rounds, param, build_param, min_recall, min_qps, " in markers


@pytest.mark.parametrize("arguments", [(), ("test_it.py",)])
def test_dataset_elsewhere(
    project: Project, tmp_path_factory: pytest.TempPathFactory, arguments: tuple[str, ...]
) -> None:
    """If a dataset's path made pytest read another ini file, a line names both, and what to write."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x-8-euclidean.hdf5"
    project.dataset("x-8-euclidean").replace(elsewhere)
    (elsewhere.parent / "pytest.ini").write_text("[pytest]\n")
    mine = ("--ann-implementations=mine", "--impl=exact")
    words = "was not read: pytest takes a path after a space for tests"
    result = project.run(*mine, "--dataset", elsewhere, *arguments)
    result.assert_outcomes(passed=2)
    (line,) = lines_with(result, words)
    assert line.startswith(f"{project.path / 'tox.ini'} was not read")
    assert line.endswith(
        f"({elsewhere.parent / 'pytest.ini'}). Write --dataset={elsewhere} (see surprises: ini-file-elsewhere)"
    )

"""Grading from the command line: the whole flow, interruption, and hostile texts."""

from __future__ import annotations

import csv
import html
import json
import os
import select
import signal
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from course import Class, index
from plugin_project import DEADLINE_S, Project, lines_with, running


@pytest.fixture
def course(project: Project) -> Class:
    return Class(project)


def test_ini_file_loosens_nothing(course: Class) -> None:
    """Neither keys nor addopts of an ini file change the rules; a line lists the ignored ones."""
    course.hand_in("half.py", index().replace(")[:k]", ")[[0, 1, 2, -1, -2]]"))
    course.project.dataset("other-8-euclidean", n_train=20)
    course.project.write(
        "pytest.ini",
        """
        [pytest]
        addopts = --dataset=other-8-euclidean.hdf5 --ann-k=1 --ann-memory-mb=5000 --ann-queries=1
        annmodal_subset = 10
        annmodal_rounds = 7
        annmodal_isolation = process
        annmodal_timeout_s = 30
        """,
    )
    result = course.grade("--ann-queries=9")
    assert result.ret == 0, result.stdout.str()
    (case,) = course.by_name()["half"]["cases"]
    figures = case["figures"]
    assert (case["dataset"], case["k"], figures["recall"]) == ("small-8-euclidean", 5, 0.6)
    assert (figures["rounds"], figures["n_queries"]) == (1, 9)
    (line,) = lines_with(result, "Not taken from an ini file: ")
    for words in (
        "addopts --dataset (other-8-euclidean.hdf5)",
        "addopts --ann-k (1)",
        "addopts --ann-queries (1)",
        "annmodal_rounds (7)",
        "annmodal_isolation (process)",
        "annmodal_subset (10)",
    ):
        assert words in line
    assert "memory" not in line
    assert "timeout" not in line


def test_a_class(course: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """One good, one half right, one that raises, one that cannot be read: four grades, exit 0."""
    summary = course.path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    course.hand_in("good.py", index())
    half = index().replace(")[:k]", ")[:k] + (np.arange(k) % 2) * 0")
    far = half.replace("[:k] +", "[[0, 1, 2, -1, -2]] +")
    course.hand_in("half.py", far)
    course.hand_in("raises.py", index("raise ValueError('no such luck')"))
    course.hand_in("typo.py", "class Index:\n    def fit(self X): pass\n")
    result = course.grade("--junitxml=out.xml")
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=2, failed=2)
    last = result.outlines.index("All 4 submissions are graded.")
    failed = [n for n, line in enumerate(result.outlines) if line.startswith("FAILED ")]
    assert len(failed) == 2
    assert max(failed) < last  # the grades stand where one looks first

    grades = course.grades()
    assert (grades["schema"], grades["version"]) == ("pytest-annmodal/grades", 1)
    assert (grades["complete"], grades["finished"]) == (True, True)
    assert (grades["rules"]["k"], grades["rules"]["rounds"]) == (5, 1)  # not the test file's 10
    scores = {name: item["score"] for name, item in course.by_name().items()}
    assert scores == pytest.approx({"good": 40, "half": 20, "raises": 0, "typo": 0})
    assert [item["rank"] for item in grades["submissions"]] == [1, 2, 3, 3]
    half_parts = course.by_name()["half"]["parts"]
    assert half_parts[0]["status"] == "partial"
    assert half_parts[0]["why"] == [
        "recall 0.6, wanted at least 1: missed by 0.4, worth 33% (points begin above 0.4)"
    ]
    failure = course.by_name()["raises"]["cases"][0]["failure"]
    line = index("raise").splitlines().index("        raise")
    assert (failure["kind"], failure["file"], failure["line"]) == ("raised", "raises.py", line)

    with (course.path / "grades/grades.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["submission"], float(row["score"])) for row in rows][:2] == [
        ("good", 40),
        ("half", 20),
    ]
    page = (course.path / "grades/pages/raises.html").read_text()
    assert "raise ValueError('no such luck')" in html.unescape(page)
    assert str(course.path) not in page
    gradescope = json.loads((course.path / "grades/gradescope/half.json").read_text())
    assert gradescope["score"] == pytest.approx(20)
    assert [test.get("max_score") for test in gradescope["tests"]] == [30, 10, None]
    assert gradescope["stdout_visibility"] == "hidden"
    assert summary.read_text().count("\n| ") == 5
    suite = ET.parse(course.path / "out.xml").getroot()
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties["grade:good"] == "40 graded"


def test_files_of_one_name(course: Class) -> None:
    """Each is named after its folder in all outputs; leftovers of archives are not submissions."""
    for name in ("ada", "bob"):
        course.hand_in(f"{name}/index.py", index())
    course.hand_in("__MACOSX/index.py", "left behind")
    pattern = ("--submission=submissions/*/index.py", "--ann-grade=grading.toml")
    result = course.project.run(*pattern, "--junitxml=out.xml")
    assert result.ret == 0
    assert lines_with(result, "All 2 submissions are graded.")
    for name in ("ada", "bob"):
        assert lines_with(result, f"  {name} ")
        item = course.by_name()[name]
        assert (item["path"], item["score"]) == (f"{name}/index.py", 40)
        page = (course.path / f"grades/pages/{name}.html").read_text()
        assert f"<h1>{name}: 40/40</h1>" in page
        assert f"<small>{name}/index.py, sha256" in page
        assert (course.path / f"grades/gradescope/{name}.json").is_file()
        assert f"| {name} | 40/40 |" in (course.path / "grades/summary.md").read_text()
    with (course.path / "grades/grades.csv").open() as stream:
        rows = [(row["submission"], row["path"]) for row in csv.DictReader(stream)]
    assert rows == [("ada", "ada/index.py"), ("bob", "bob/index.py")]
    suite = ET.parse(course.path / "out.xml").getroot()
    names = {item.get("name") for item in suite.iter("property")}
    assert {"grade:ada", "grade:bob"} <= names


def test_many_and_interrupted(course: Class) -> None:
    """Of forty, one crashes; Ctrl-C in the middle; resumed: nothing lost or run twice."""
    log, gate, bell = (course.path / name for name in ("log", "gate", "bell"))
    os.mkfifo(bell)
    count = f"print(__file__, file=open({str(log)!r}, 'a'))"
    for number in range(40):  # four of five do not even start
        course.hand_in(f"s{number:03}.py", "oh no" if number % 5 else index(count))
    course.hand_in("s015.py", index(f"{count}\nimport os\nos._exit(3)"))
    wait = (
        "import os, time\n"
        f"if not os.path.exists({str(gate)!r}):\n"
        f"    open({str(bell)!r}, 'w').close()\n"
        "    while True: time.sleep(60)\n"
    )
    course.hand_in("s025.py", index(wait + count))
    listener = os.open(bell, os.O_RDONLY | os.O_NONBLOCK)
    with running(course.path, "-Werror", "-q", *course.arguments) as process:
        poll = select.poll()
        poll.register(listener, select.POLLIN | select.POLLHUP)
        rung = poll.poll(DEADLINE_S * 1000)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
    os.close(listener)
    assert rung, output
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "with --ann-resume" in output
    before = course.by_name()
    done = [name for name, item in before.items() if item["status"] == "graded"]
    assert sorted(done) == [f"s{number:03}" for number in range(25)]
    assert not course.grades()["finished"]

    gate.touch()
    course.hand_in("s000.py", index(count) + "\n# changed\n")
    result = course.grade("--ann-resume")
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=7, failed=33)
    assert lines_with(result, "24 finished cases were taken from the journal.")
    after = course.by_name()
    assert course.grades()["complete"]
    assert sorted(after) == [f"s{number:03}" for number in range(40)]
    good = {f"s{number:03}" for number in range(0, 40, 5)} - {"s015"}
    assert {name for name, item in after.items() if item["score"] == 40} == good
    for name in set(done) - {"s000"}:
        assert after[name]["cases"] == before[name]["cases"]
    runs = Counter(Path(line).stem for line in log.read_text().splitlines())
    assert runs == {f"s{number:03}": 1 + (number == 0) for number in range(0, 40, 5)}


HOSTILE = (
    "<script>=1+1|`::error::\\x1b[2J\\u202e'\\\"\\n::set-env name=a::b\\n=cmd()\\udc80\\x00]]>"
)


def test_hostile_words(course: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and texts of a submission are escaped in terminal, page, sheet, log and paths."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(course.path / "step.md"))
    raising = index(
        f"print('{HOSTILE}'.encode(errors='replace').decode())\nraise ValueError('{HOSTILE}')"
    )
    name = "=<img src=x onerror=alert(1)>\n\x1b[31m|`..;.py"
    course.hand_in(name, raising)
    course.hand_in("=<IMG src=x onerror=alert(1)>\n\x1b[31m|`..;.py", raising)
    course.hand_in("good.py", index())
    result = course.grade("-v", "-ra", "--junitxml=out.xml", "--color=no")
    assert result.ret == 0, result.stdout.str()
    assert len(course.by_name()) == 3
    out = result.stdout.str() + result.stderr.str()
    assert "\x1b" not in out
    assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]
    ET.parse(course.path / "out.xml")
    folder = course.path / "grades"
    pages = sorted(file.name for file in (folder / "pages").iterdir())
    assert len({page.casefold() for page in pages}) == 3
    for file in (*folder.rglob("*.*"), course.path / "step.md"):
        if file.is_dir() or file.name == "journal.jsonl":
            continue
        text = file.read_text(encoding="utf-8")
        assert all(char.isprintable() or char == "\n" for char in text), file
        if file.suffix in (".html", ".md"):
            assert "<script" not in text.replace("\\<script", "")
            assert "<img" not in text.lower().replace("\\<img", "")
    with (folder / "grades.csv").open() as stream:
        for row in csv.reader(stream):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]


def files_in(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def test_not_the_students_fault(course: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable dataset makes grades incomplete, with exit 1; a resume completes them."""
    course.hand_in("good.py", index())
    data = course.path / "small-8-euclidean.hdf5"
    good = data.read_bytes()
    data.write_bytes(b"not HDF5")
    result = course.grade()
    assert result.ret == 1
    (grade,) = course.grades()["submissions"]
    assert (grade["status"], grade["score"]) == ("incomplete", 0)
    assert lines_with(result, "1 of 1 grade is incomplete")
    data.write_bytes(good)
    assert course.grade("--ann-resume").ret == 0
    assert course.by_name()["good"]["score"] == 40
    before = files_in(course.path / "grades")
    fake = course.project.write("bin/bwrap", "#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        refused = course.grade("--ann-isolation=strict")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert lines_with(refused, "Nothing was measured, so nothing was written: ")
    assert files_in(course.path / "grades") == before
    again = course.grade()  # begins a journal anew
    assert again.ret == 0
    assert lines_with(again, "The files of an earlier session are in ")
    (aside,) = (course.path / "grades").glob("earlier-*")
    assert files_in(aside) == before


def test_a_library_that_is_not_shown(course: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that the sandbox hides is a fault of the infrastructure, with the reason."""
    course.hand_in("uses.py", f"import notshown\n{index()}")
    course.hand_in("lacks.py", index("import nowhere_at_all"))
    course.project.write("notshown.py", "")
    monkeypatch.setenv("PYTHONPATH", str(course.path))
    result = course.grade()
    assert result.ret == 1
    found = course.by_name()
    assert (found["lacks"]["status"], found["lacks"]["score"]) == ("graded", 0)
    assert "ModuleNotFoundError: No module named 'nowhere_at_all'" in found["lacks"]["reason"]
    assert found["uses"]["status"] == "incomplete"
    assert found["uses"]["reason"].startswith(
        f"the worker could not be run here: notshown lies in {course.path}, which a submission "
        f"is not shown: it holds {course.path}. Install it with pip, or move it"
    )


def test_refused_and_other_failures(project: Project) -> None:
    """A refused submission is not run; a failing test of another kind fails the session."""
    course = Class(project, 'allow = ["scipy"]\nmax_submission_mb = 0.01\nmax_variants = 2')
    ran = course.path / "ran"
    run = index(f"open({str(ran)!r}, 'a').close()")
    course.hand_in("torch.py", "import torch\n" + run)
    course.hand_in("header.py", '# /// script\n# dependencies = ["requests"]\n# ///\n' + run)
    course.hand_in("large.py", run + "#" * 20_000)
    grid = "# /// script\n# [tool.annmodal]\n# search.a = [1, 2, 3]\n# ///\n"
    course.hand_in("grid.py", grid + run)
    result = course.grade()
    assert result.ret == 0, result.stdout.str()
    assert not ran.exists()
    kinds = {name: item["cases"][0]["failure"] for name, item in course.by_name().items()}
    assert {name: failure["kind"] for name, failure in kinds.items()} == {
        "torch": "requirements",
        "header": "requirements",
        "large": "too-large",
        "grid": "too-many-settings",
    }
    assert "numpy, scipy and what comes with Python" in kinds["header"]["message"]
    project.write("test_more.py", "def test_other(): assert False")
    assert course.grade().ret == 1


def test_hook(course: Class) -> None:
    """An organiser's own formula; where it raises, the grade is incomplete and says so."""
    course.hand_in("good.py", index())
    course.hand_in("raises.py", index("1 / 0"))
    hook = """
    def pytest_annmodal_score(measurements, rules):
        assert rules.title == "Exercise"
        best = [m.recall for found in measurements.values() for m in found]
        return 7 + best[0]
    """
    course.project.write("conftest.py", hook)
    result = course.grade()
    assert result.ret == 1
    good, raises = (course.by_name()[name] for name in ("good", "raises"))
    assert (good["score"], good["status"]) == (8.0, "graded")
    assert (raises["score"], raises["status"]) == (0, "incomplete")
    assert raises["notes"] == ["pytest_annmodal_score: IndexError: list index out of range"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ann-grade", "gradng.toml"), "; did you mean 'grading.toml'"),
        (("--ann-grade", "."), "cannot be read"),
        (("--ann-resume",), "--ann-resume needs a grading to continue"),
        (("--ann-grade", "grading.toml"), "--ann-grade grades submissions, and none is named"),
        (("--ann-grade", "grading.toml", "--submission", "nothing/*"), "nothing matches"),
    ],
)
def test_usage(course: Class, arguments: tuple[str, ...], words: str) -> None:
    result = course.project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str() + result.stdout.str()


def test_command_line_wins(course: Class) -> None:
    """``--ann-k`` and ``--dataset`` replace the rules'; fresh queries are the default."""
    course.project.dataset("other-8-euclidean", n_train=200)
    text = (course.path / "grading.toml").read_text().replace("fresh_queries = false\n", "")
    (course.path / "grading.toml").write_text(text)
    course.hand_in("good.py", index())
    result = course.grade("--dataset", "other-8-euclidean.hdf5", "--ann-k", "3")
    assert result.ret == 0, result.stdout.str()
    (case,) = course.by_name()["good"]["cases"]
    assert case["id"] == "good-other-8-euclidean-k3"
    assert case["figures"]["n_train"] < 200


def test_points_for_a_ratio(project: Project) -> None:
    """``min_ratio``: five sessions with a baseline for each submission; the grade has their result."""
    more = 'baseline = "bruteforce"\nsessions = 5\n'
    part = '[[parts]]\nname = "Ratio"\npoints = 4\nmin_ratio = 0.00001\n'
    course = Class(project, more)
    with (course.path / "grading.toml").open("a") as file:
        file.write(part)
    course.hand_in("good.py", index())
    result = course.grade()
    assert result.ret == 0, result.stdout.str()
    (good,) = course.grades()["submissions"]
    comparison = good["cases"][0]["figures"]["comparison"]
    assert (comparison["baseline"], comparison["sessions"]) == ("bruteforce", 5)
    (points,) = [p["points"] for p in good["parts"] if p["name"] == "Ratio"]
    assert points == (4 if comparison["control_ok"] else 0)


@pytest.mark.parametrize(
    ("more", "words"),
    [("", "min_ratio needs baseline = …"), ('baseline = "bruteforce"\nsessions = 1\n', "one session does not give one")],
)  # fmt: skip
def test_a_ratio_needs_a_baseline_and_sessions(project: Project, more: str, words: str) -> None:
    course = Class(project, more)
    with (course.path / "grading.toml").open("a") as file:
        file.write('[[parts]]\nname = "Ratio"\npoints = 4\nmin_ratio = 1\n')
    course.hand_in("good.py", index())
    result = course.grade()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in " ".join((result.stderr.str() + result.stdout.str()).split())

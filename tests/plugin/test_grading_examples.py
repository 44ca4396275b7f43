"""The files of examples/ and the rules of docs/grading.md, used as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import example_class
import pytest
import yaml
from plugin_project import DEADLINE_S

from pytest_annmodal.grading.rules import read_rules
from pytest_annmodal.manifests.manifest import read_submission

TOP = Path(__file__).parents[2]
EXAMPLES = TOP / "examples"


def test_class() -> None:
    """Ten submissions can be read, except the one with a syntax error."""
    rules = read_rules(EXAMPLES / "class" / "grading.toml")
    assert rules.max_score == 100
    found = [
        read_submission(path) for path in sorted((EXAMPLES / "class/submissions").glob("*.py"))
    ]
    assert len(found) == 10
    assert [item.name for (item,) in found if item.error] == ["typo"]
    command = "--submission='examples/class/submissions/*' --ann-grade examples/class/grading.toml"
    assert command in (TOP / "docs" / "grading.md").read_text(encoding="utf-8")


def test_rules_of_the_guide(tmp_path: Path) -> None:
    """The TOML in docs/grading.md can be used."""
    guide = (TOP / "docs" / "grading.md").read_text(encoding="utf-8")
    toml = guide.split("```toml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "grading.toml").write_text(toml, encoding="utf-8")
    assert read_rules(tmp_path / "grading.toml").max_score == 100


class Gradescope:
    """Gradescope's folders, with this Python's pytest."""

    def __init__(self, path: Path) -> None:
        scripts = EXAMPLES / "ci" / "gradescope"
        self.box, self.tools = path / "autograder", path / "grading"
        for folder in (self.box / "submission", self.box / "source", self.tools / "benchmarks"):
            folder.mkdir(parents=True)
        runner = f'#!/bin/sh\nexec {sys.executable} -P -m pytest "$@"\n'
        self.write(self.tools / "bin" / "pytest", runner).chmod(0o755)
        written = (scripts / "setup.sh").read_text(encoding="utf-8")
        test = written.split("test_search.py <<'EOF'\n", 1)[1].split("EOF\n", 1)[0]
        self.write(self.tools / "benchmarks" / "test_search.py", test)
        rules = example_class.rules().replace("timeout_s = 15", "timeout_s = 60")
        self.write(self.box / "source" / "grading.toml", rules)
        self.command = ["bash", str(scripts / "run_autograder")]

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def grade(self, files: Mapping[str, str], **environ: str) -> dict[str, Any]:
        """Grades a submission; returns ``results.json`` and the log of the script."""
        for name, text in files.items():
            self.write(self.box / "submission" / name, text)
        ran = subprocess.run(
            self.command,
            env={**os.environ, "AUTOGRADER": str(self.box), "GRADING": str(self.tools), **environ},
            capture_output=True, text=True, timeout=DEADLINE_S, check=True,
        )  # fmt: skip
        text = (self.box / "results" / "results.json").read_text(encoding="utf-8")
        return {**json.loads(text), "log": ran.stdout}


EXACT = (EXAMPLES / "class" / "submissions" / "exact.py").read_text(encoding="utf-8")
SAMPLE = (EXAMPLES / "class" / "submissions" / "sample.py").read_text(encoding="utf-8")
HANDED_IN = {
    "one file": {"my index.py": EXACT},
    "innocent": {
        "index.py": EXACT,
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-x'\ntestpaths = ['tests']\n"
        "filterwarnings = ['error']\nminversion = '99'\n",
    },
    "careless": {
        "__MACOSX/._project": "\0",
        ".DS_Store": "\0",
        "project/index.py": EXACT,
        "project/conftest.py": "raise SystemExit('a test file of the student was run')\n",
        "project/tests/test_index.py": "def test_mine(): raise SystemExit('it was run')\n",
        "project/setup.cfg": "[tool:pytest]\naddopts = --doctest-modules\n",
    },
}


@pytest.mark.parametrize("files", HANDED_IN.values(), ids=HANDED_IN)
def test_gradescope(tmp_path: Path, files: Mapping[str, str]) -> None:
    """run_autograder in Gradescope's folders writes results.json of the one submission."""
    results = Gradescope(tmp_path).grade(files)
    assert results["score"] >= 50, results["log"]  # what is not about speed
    assert {"score", "output", "tests", "leaderboard"} <= set(results)
    assert "was run" not in results["log"]


def test_gradescope_is_attacked(tmp_path: Path) -> None:
    """Files for pytest and Python in a hostile archive are not run, and gain no points."""
    runs = (  # a worker, in which it may run, has another command line
        "import sys\nfrom pathlib import Path\n"
        "if 'pytest' in sys.orig_argv: Path(__file__).with_name('WAS_RUN').touch()\n"
    )
    names = ("conftest", "evil", "sitecustomize", "usercustomize", "numpy", "pluggy", "test_evil")
    files = {f"{name}.py": runs for name in (*names, "pytest_annmodal/__init__")}
    options = "-p evil --dataset=digits-64-euclidean --ann-subset=10 --ann-isolation=process"
    files |= {
        "index.py": SAMPLE,
        "pytest.ini": f"[pytest]\npythonpath = .\naddopts = {options}\nannmodal_k = 1\n",
        "pytest.toml": '[pytest]\npythonpath = ["."]\naddopts = ["-p", "evil"]\n',
    }
    attacked = Gradescope(tmp_path)
    results = attacked.grade(files, PYTHONPATH="/nowhere", PYTEST_ADDOPTS="--ann-k=1")
    assert not list(tmp_path.rglob("WAS_RUN"))
    assert 0 < results["score"] < 50, results["log"]


def test_workflow() -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci/github/grade.yml").read_text(encoding="utf-8"))
    steps = [step.get("name") for step in workflow["jobs"]["grade"]["steps"]]
    assert steps.index("Install") < steps.index("Grade")
    assert workflow["permissions"] == {"contents": "read"}
    (grade,) = [step for step in workflow["jobs"]["grade"]["steps"] if step.get("name") == "Grade"]
    assert " -c pytest.ini --submission='submissions/*' " in grade["run"]

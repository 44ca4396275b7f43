"""What examples/ and docs/grading.md promise, as they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from plugin_project import DEADLINE_S

from pytest_annmodal.grading.rules import read_rules
from pytest_annmodal.manifests.manifest import read_submission

TOP = Path(__file__).parents[2]
EXAMPLES = TOP / "examples"


def test_class() -> None:
    """Ten submissions that can be read, but for the one with the syntax error."""
    rules = read_rules(EXAMPLES / "class" / "grading.toml")
    assert rules.max_score == 100
    found = [
        read_submission(path) for path in sorted((EXAMPLES / "class/submissions").glob("*.py"))
    ]
    assert len(found) == 10
    assert [item.name for (item,) in found if item.error] == ["typo"]
    command = "--submission 'examples/class/submissions/*' --ann-grade examples/class/grading.toml"
    assert command in (TOP / "docs" / "grading.md").read_text(encoding="utf-8")


def test_rules_of_the_guide(tmp_path: Path) -> None:
    """The TOML in docs/grading.md can be used."""
    guide = (TOP / "docs" / "grading.md").read_text(encoding="utf-8")
    toml = guide.split("```toml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "grading.toml").write_text(toml, encoding="utf-8")
    assert read_rules(tmp_path / "grading.toml").max_score == 100


def test_gradescope(tmp_path: Path) -> None:
    """run_autograder, in the folders that Gradescope has: results.json of the one submission."""
    scripts = EXAMPLES / "ci" / "gradescope"
    subprocess.run(["bash", "-n", scripts / "setup.sh"], check=True)
    box, tools = tmp_path / "autograder", tmp_path / "grading"
    for folder in (box / "submission", box / "source", tools / "bin", tools / "benchmarks"):
        folder.mkdir(parents=True)
    runner = f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n'
    (tools / "bin" / "pytest").write_text(runner, encoding="utf-8")
    (tools / "bin" / "pytest").chmod(0o755)
    (tools / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    written = (scripts / "setup.sh").read_text(encoding="utf-8")
    test = written.split("test_search.py <<'EOF'\n", 1)[1].split("EOF\n", 1)[0]
    (tools / "benchmarks" / "test_search.py").write_text(test, encoding="utf-8")
    rules = (EXAMPLES / "class" / "grading.toml").read_text(encoding="utf-8")
    rules = rules.replace("timeout_s = 5", "timeout_s = 60")
    (box / "source" / "grading.toml").write_text(rules, encoding="utf-8")
    exact = (EXAMPLES / "class" / "submissions" / "exact.py").read_text(encoding="utf-8")
    (box / "submission" / "my index.py").write_text(exact, encoding="utf-8")
    environ = {**os.environ, "AUTOGRADER": str(box), "GRADING": str(tools)}
    ran = subprocess.run(
        ["bash", scripts / "run_autograder"],
        env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    results = json.loads((box / "results" / "results.json").read_text(encoding="utf-8"))
    assert results["score"] >= 50, ran.stdout  # what is not about speed
    assert {"score", "output", "tests", "leaderboard"} <= set(results)


def test_workflow() -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci/github/grade.yml").read_text(encoding="utf-8"))
    steps = [step.get("name") for step in workflow["jobs"]["grade"]["steps"]]
    assert steps.index("Install") < steps.index("Grade")
    assert workflow["permissions"] == {"contents": "read"}

"""A course to grade: rules, submissions, and pytest with ``--ann-grade``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plugin_project import Project

RULES = """
title = "Exercise"
datasets = ["small-8-euclidean.hdf5"]
k = 5
rounds = 1
queries = 4
timeout_s = 30
fresh_queries = false
isolation = "process"
{more}

[[parts]]
name = "Finds"
points = 30
min_recall = {{ none_at = 0.4, full_at = 1.0 }}

[[parts]]
name = "Answers"
points = 10
min_recall = 0.1
max_p50_ms = 10000
"""
INDEX = """
import numpy as np

class Index:
    def __init__(self, metric):
        pass
    def fit(self, X):
        self.X = X
{fit}
    def query(self, v, k):
        return np.argsort(((self.X - v) ** 2).sum(axis=1))[:k]
"""
# Real for the test's own default file: its k must give way to the rules'.
SEARCH = Path(__file__).parents[2] / "benchmarks" / "test_search.py"


def index(fit: str = "pass") -> str:
    return INDEX.format(fit="\n".join(f"        {line}" for line in fit.splitlines()))


class Class:
    """A course: rules, submissions, and pytest with --ann-grade."""

    def __init__(self, project: Project, more: str = "") -> None:
        self.project, self.path = project, project.path
        project.write("grading.toml", RULES.format(more=more))
        (self.path / "test_it.py").write_bytes(SEARCH.read_bytes())

    def hand_in(self, name: str, text: str) -> Path:
        return self.project.write(f"submissions/{name}", text)

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--submission", "submissions/*", "--ann-grade", "grading.toml")

    def grade(self, *more: str, **options: Any) -> Any:
        return self.project.run(*self.arguments, *more, **options)

    def grades(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "grades/grades.json").read_text())
        return found

    def by_name(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in self.grades()["submissions"]}

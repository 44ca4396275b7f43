"""The built-in executors and those of a user's conftest file come through one hook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from plugin_project import BRUTE, Project, lines_with

import pytest_annmodal

ASIDE = """
from concurrent.futures import ThreadPoolExecutor

from pytest_annmodal import Executor

class Aside(Executor):
    concurrent = True
    def __init__(self, setup):
        self.say, self.here, self.threads = setup.say, setup.local(), ThreadPoolExecutor(1)
    def expect(self, jobs):
        self.say(f"{len(jobs)} job aside")
    def prepare(self, dataset):
        return self.here.prepare(dataset)
    def submit(self, job):
        return self.threads.submit(lambda: self.here.submit(job).result())
    def shutdown(self, *, cancel=False):
        self.threads.shutdown(cancel_futures=cancel)

"""
HOOK = """
def pytest_annmodal_make_executor(name, setup):
    return Aside(setup) if name == "aside" else None
"""
LOCAL_ROW = '    "local": ExecutorSetup.local,\n'
ROW = """    "aside": lambda setup: __import__(
        "pytest_annmodal.executors.aside", fromlist=["Aside"]
    ).Aside(setup),
"""


def test_an_executor_is_added_by_a_conftest(project: Project) -> None:
    """A class and a hook are enough: it runs the jobs, and results name it."""
    project.write("conftest.py", ASIDE + HOOK)
    runs_aside(project)


def test_a_built_in_executor_is_a_module_and_a_row(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In a copy of the package, one module and its row of the registry are enough."""
    place = tmp_path_factory.mktemp("scratch")
    copy = shutil.copytree(Path(pytest_annmodal.__file__).parent, place / "pytest_annmodal")
    (copy / "executors" / "aside.py").write_text(ASIDE, encoding="utf-8")
    registry = copy / "executors" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count(LOCAL_ROW) == 1
    registry.write_text(text.replace(LOCAL_ROW, LOCAL_ROW + ROW), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(place))
    runs_aside(project)
    result = project.bench(*BRUTE, "--ann-executor=asid")
    assert "Built in: local, aside, modal." in result.stderr.str()


def runs_aside(project: Project) -> None:
    """Checks that ``--ann-executor=aside`` runs the jobs, and that results name it."""
    result = project.bench(*BRUTE, "--ann-executor=aside", "--benchmark-json=out.json")
    result.assert_outcomes(passed=2)
    assert lines_with(result, "1 job aside")
    assert {saved["extra_info"]["where"] for saved in project.saved()} == {"aside"}

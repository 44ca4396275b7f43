"""The built-in executors and those of a user's conftest file come through one hook."""

from __future__ import annotations

from plugin_project import BRUTE, Project, lines_with

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

def pytest_annmodal_make_executor(name, setup):
    return Aside(setup) if name == "aside" else None
"""


def test_an_executor_is_added_by_a_conftest(project: Project) -> None:
    """A class and a hook are enough: it runs the jobs, and results name it."""
    project.write("conftest.py", ASIDE)
    result = project.bench(*BRUTE, "--ann-executor=aside", "--benchmark-json=out.json")
    result.assert_outcomes(passed=2)
    assert lines_with(result, "1 job aside")
    assert {saved["extra_info"]["where"] for saved in project.saved()} == {"aside"}

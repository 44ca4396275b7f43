#!/usr/bin/env bash
# pytest 9.2.0, a plugin that registers an object with a session-scoped fixture, warnings being errors.
# One would think: a fixture of a registered plugin object is no method of a test class, so nothing is deprecated.
# What happens: the first test that asks for it gets PytestRemovedIn10Warning, which advises about test classes. With
# `-W error` that test is an error, and every later one is a bare AssertionError out of pytest, with no word of the cause.
# Seen: test_first: PytestRemovedIn10Warning; test_second: AssertionError
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 <<'PY'
import pathlib, subprocess, sys

pathlib.Path("plugin.py").write_text("""
import pytest

class Plugin:
    @pytest.fixture(scope="session")
    def answer(self):
        return 42

def pytest_configure(config):
    config.pluginmanager.register(Plugin(), "a plugin object")
""")
pathlib.Path("test_it.py").write_text("""
def test_first(answer): assert answer == 42
def test_second(answer): assert answer == 42
""")
command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider"]
calm = subprocess.run(command, capture_output=True, text=True)
strict = subprocess.run([*command, "-W", "error", "--tb=no"], capture_output=True, text=True)
print(calm.stdout, strict.stdout)
assert calm.returncode == 0 and "2 passed" in calm.stdout and "PytestRemovedIn10Warning" in calm.stdout
assert "ERROR test_it.py::test_first - pytest.PytestRemovedIn10Warning" in strict.stdout
assert "ERROR test_it.py::test_second - AssertionError" in strict.stdout
PY

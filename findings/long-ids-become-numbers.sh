#!/usr/bin/env bash
# pytest 9.2.0, a test with one text of 100 characters as its parameter, and one of 101.
# One would think: the id of a test shows its parameter, whatever that is.
# What happens: a longer text gets the parameter's name and its position instead, so that -k finds nothing of
# it, and the id means another value as soon as one is added before it. Ids that are given have any length.
# Seen: 100 characters: itself    101 characters: case1    101 characters in ids=: itself
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 <<'PY'
import subprocess, sys
from pathlib import Path

Path("test_it.py").write_text(
    "import pytest\n"
    "@pytest.mark.parametrize('case', ['a' * 100, 'b' * 101])\n"
    "def test_automatic(case): pass\n"
    "@pytest.mark.parametrize('case', [1], ids=['c' * 101])\n"
    "def test_given(case): pass\n"
)
command = [sys.executable, "-m", "pytest", "--collect-only", "-q"]
output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
seen = [line.split("[")[1].rstrip("]") for line in output.splitlines() if "[" in line]
print(*seen, sep="\n")
assert seen == ["a" * 100, "case1", "c" * 101]
PY

#!/usr/bin/env bash
# pytest 9.2.0 with pytest-benchmark 5.3.1, started by something that itself runs under pytest-xdist.
# One would think: --benchmark-json writes a file, or the session fails.
# What happens: PYTEST_XDIST_WORKER is inherited and pytest-benchmark takes itself for a worker: it
# measures nothing, writes no file, and the session passes. --benchmark-enable does not change that.
# Seen: without the variable: exit 0, file True    with it: exit 0, file False
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 pytest-benchmark==5.3.1 pytest-xdist==3.8.0 <<'PY'
import os, subprocess, sys
from pathlib import Path

Path("test_it.py").write_text("def test_it(benchmark):\n    benchmark(sum, (1, 2))\n")
found = {}
for variables in ({}, {"PYTEST_XDIST_WORKER": "gw1"}):
    command = [sys.executable, "-m", "pytest", "-q", "--benchmark-enable", "--benchmark-json=out.json"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True)
    file = Path("out.json").exists()
    Path("out.json").unlink(missing_ok=True)
    print(variables or "without the variable", f"exit {done.returncode}, file {file}")
    found[bool(variables)] = (done.returncode, file)
assert found == {False: (0, True), True: (0, False)}
PY

#!/usr/bin/env bash
# pytest 9.2.0 with pytest-benchmark 5.3.1, a slower run under --benchmark-compare-fail.
# One would think: the session fails, and says so below all tables.
# What happens: the failure is raised inside the summary hook. Summaries of other plugins that come later,
# the short summary and the closing line "N passed" are missing; a traceback stands there instead.
# Seen: table of another plugin: first run True, failed run False    closing line: True, False
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 pytest-benchmark==5.3.1 <<'PY'
import subprocess, sys
from pathlib import Path

Path("conftest.py").write_text(
    "import pytest\n"
    "@pytest.hookimpl(trylast=True)\n"
    "def pytest_terminal_summary(terminalreporter):\n"
    "    terminalreporter.write_line('ANOTHER TABLE')\n"
)
Path("test_it.py").write_text(
    "import os, time\ndef test_it(benchmark):\n    benchmark(time.sleep, float(os.environ['PAUSE_S']))\n"
)
seen = []
for pause, options in (("0.001", ["--benchmark-autosave"]), ("0.05", ["--benchmark-compare", "--benchmark-compare-fail=mean:50%"])):
    command = [sys.executable, "-m", "pytest", "-q", "--benchmark-min-rounds=3", "--benchmark-max-time=0.1", *options]
    done = subprocess.run(command, env={"PAUSE_S": pause}, capture_output=True, text=True)
    seen.append(("ANOTHER TABLE" in done.stdout, "1 passed" in done.stdout))
    print(*options, "another table:", seen[-1][0], "closing line:", seen[-1][1], "exit", done.returncode)
assert seen == [(True, True), (False, False)]
PY

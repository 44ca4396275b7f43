#!/usr/bin/env bash
# pytest 9.2.0, an option of a plugin whose value is a folder, written with a space and with an equals sign.
# One would think: both are the same command.
# What happens: pytest looks for its root folder and ini file before it knows the options of plugins, so the
# value behind a space counts as a test path: the ini file that lies there is the session's.
# Seen: --data=other: ini file None    --data other: ini file other/pytest.ini
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 <<'PY'
import subprocess, sys
from pathlib import Path

Path("tests").mkdir()
Path("tests/test_it.py").write_text("def test_it(): pass\n")
Path("data_option.py").write_text(
    "def pytest_addoption(parser): parser.addoption('--data')\n"
    "def pytest_report_header(config): return f'ini file {config.inipath}'\n"
)
Path("other").mkdir()
Path("other/pytest.ini").write_text("[pytest]\n")
seen = []
for words in (["--data=other"], ["--data", "other"]):
    command = [sys.executable, "-m", "pytest", "-p", "data_option", "tests", *words]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in output.splitlines() if line.startswith("ini file"))
    seen.append(line.replace(str(Path.cwd()) + "/", ""))
    print(*words, ":", seen[-1])
assert seen == ["ini file None", "ini file other/pytest.ini"]
PY

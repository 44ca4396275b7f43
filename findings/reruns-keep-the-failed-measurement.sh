#!/usr/bin/env bash
# pytest-benchmark 5.3.1 with pytest-rerunfailures 16.7, a benchmark that fails once and passes when run again.
# One would think: the JSON holds the measurement of the attempt that counts.
# What happens: it holds both under one name, without a word of which is which; --benchmark-compare pairs by name.
# Seen: 1 passed, 1 rerun; 2 entries named test_it.py::test_it
source "$(dirname "$0")/in_venv.bash"
in_venv pytest==9.2.0 pytest-benchmark==5.3.1 pytest-rerunfailures==16.7 <<'PY'
import json, subprocess, sys
from pathlib import Path

Path("test_it.py").write_text(
    "from pathlib import Path\n"
    "def test_it(benchmark):\n"
    "    first = not Path('seen').exists()\n"
    "    Path('seen').touch()\n"
    "    benchmark.pedantic(sum, ((1, 2),), rounds=3)\n"
    "    assert not first\n"
)
command = [sys.executable, "-m", "pytest", "-q", "--reruns", "1", "--benchmark-json=out.json"]
done = subprocess.run(command, capture_output=True, text=True)
names = [row["fullname"] for row in json.loads(Path("out.json").read_text())["benchmarks"]]
print(done.stdout.splitlines()[-1], names)
assert done.returncode == 0 and names == ["test_it.py::test_it"] * 2
PY

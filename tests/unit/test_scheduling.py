"""How tests are distributed, and what a worker of pytest-xdist may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import scheduling
import warm_python


def test_each_worker_keeps_to_its_own_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have different cores as far as there are enough; tests of cores get all."""
    monkeypatch.setattr(scheduling, "ALL_CORES", {2, 3, 5})
    of = [scheduling.cores_for("tests/x.py::test", worker=n, n_workers=2) for n in range(2)]
    assert of == [{2, 5}, {3}]
    of = [scheduling.cores_for("tests/x.py::test", worker=n, n_workers=4) for n in range(4)]
    assert of == [{2}, {3}, {5}, {2}]
    whole = scheduling.cores_for(f"{scheduling.SEVERAL_CORES[0]}::test", worker=0, n_workers=4)
    assert whole == {2, 3, 5}
    monkeypatch.setattr(scheduling, "ALL_CORES", set())
    assert scheduling.cores_for("tests/x.py::test", worker=0, n_workers=2) == set()


def test_the_files_that_are_named_exist() -> None:
    """Each named test file exists."""
    root = Path(__file__).parents[2]
    for name in (*scheduling.SEVERAL_CORES, *scheduling.ONE_BY_ONE):
        assert (root / name).exists() or list(root.glob(f"{name}*")), name


SHOWS = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["MINE"], sys.path[0], sorted(os.environ) == ["MINE"])
print("wrong", file=sys.stderr)
sys.exit(7)
"""


def test_a_copy_is_a_process_like_any_other(tmp_path: Path) -> None:
    """A forked Python has its arguments, folder, variables, streams, status and signals."""
    script = tmp_path / "shows.py"
    script.write_text(SHOWS)
    process = warm_python.start(
        "pytest", [script, "-a"], cwd=tmp_path, env={"MINE": "x"}, errors_apart=True
    )
    out, err = process.communicate(timeout=60)
    assert out == f"{[str(script), '-a']} {tmp_path} x {tmp_path} True\n"
    assert (err, process.returncode) == ("wrong\n", 7)
    script.write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    process = warm_python.start("pytest", [script], cwd=tmp_path, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.kill()
    assert process.wait(60) == -9
    assert process.communicate() == ("", "")

"""Fresh processes for the harness benchmark, with one thread and one core like the worker's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_annmodal.sandbox import cores
from pytest_annmodal.sandbox.isolation import THREAD_VARIABLES

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_S = 600.0
# Without bytecode every import would compile: nobody's pytest starts so.
LEFT_OUT = ("ANNMODAL_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")


def environment() -> dict[str, str]:
    """This process's, with the worker's thread variables and this checkout on the path."""
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    return {
        **{key: text for key, text in os.environ.items() if not key.startswith(LEFT_OUT)},
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": path,
    }


def query_core() -> int | None:
    """The core on which a worker answers single queries."""
    return min(cores.share_out(cores.affinity(), 1).query, default=None)


def _command(task: str, spec: dict[str, Any]) -> list[str]:
    text = json.dumps({**spec, "core": query_core()})
    return [sys.executable, "-m", "benchmarks.overhead.child", task, text]


def ask(task: str, **spec: Any) -> list[dict[str, Any]]:
    """Run one task of ``child`` and give the lines of its answer."""
    done = subprocess.run(
        _command(task, spec),
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


class Tight:
    """The tight loop's process, waiting to be asked for a pass."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()

    def p50_ns(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._answer()["p50_ns"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the tight loop's process ended; see its traceback above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def tight_loop(**spec: Any) -> Iterator[Tight]:
    """Build the index in a process of its own and keep it there."""
    process = subprocess.Popen(
        _command("tight", spec),
        cwd=CHECKOUT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Tight(process)
        finally:
            process.kill()

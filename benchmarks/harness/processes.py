"""Fresh processes: for what is timed inside one, and whole pytest sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_annmodal.sandbox import cores
from pytest_annmodal.sandbox.isolation import THREAD_VARIABLES

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_S = 7200.0
# Without bytecode every import would compile: nobody's pytest starts so.
LEFT_OUT = ("ANNMODAL_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
OURS = ("-p", "annmodal", "-p", "benchmark")  # where no plugin is loaded by itself
PYTEST = ("-m", "pytest")


def environment(threads: int | None = 1) -> dict[str, str]:
    """This process's, with this checkout on the path.

    Args:
        threads: value of the thread variables, as in a worker; None to leave them as they are.
    """
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    kept = {key: text for key, text in os.environ.items() if not key.startswith(LEFT_OUT)}
    fixed = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
    return {**kept, **fixed, "PYTHONHASHSEED": "0", "PYTHONPATH": path}


def query_core() -> int | None:
    """The core on which a worker answers single queries."""
    return min(cores.share_out(cores.affinity(), 1).query, default=None)


def _command(task: str, spec: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "benchmarks.harness.child", task, json.dumps(spec)]


def ask(task: str, *, threads: int | None = 1, **spec: Any) -> list[dict[str, Any]]:
    """Run one task of ``child`` and give the lines of its answer.

    Args:
        threads: with one it has one core, as a worker has; None for a process like the parent.
    """
    core = query_core() if threads == 1 else None
    done = subprocess.run(
        _command(task, {**spec, "core": core}),
        cwd=CHECKOUT,
        env=environment(threads),
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
        _command("tight", {**spec, "core": query_core()}),
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


def python_s(
    *arguments: str,
    cwd: Path,
    watch: Callable[[int], None] = lambda _pid: None,
    more: Mapping[str, str] | None = None,
) -> float:
    """Wall seconds of a fresh interpreter with these arguments, as a user starts it.

    Args:
        watch: called with its process id while it runs.

    Raises:
        RuntimeError: it failed; with what it printed.
    """
    printed = cwd / "printed.txt"
    with printed.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**environment(None), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        with process:
            try:
                watch(process.pid)
                process.wait()  # with a timeout it would look now and then only
            finally:
                process.kill()
        wall_s = time.perf_counter() - start
    if process.returncode:
        tail = printed.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"python {' '.join(arguments)} ended with {process.returncode}:\n{tail}")
    return wall_s


def pytest_s(*arguments: str, cwd: Path, plugins: tuple[str, ...] = OURS, **options: Any) -> float:
    """The same for ``pytest`` with these plugins and no others."""
    return python_s(
        *PYTEST,
        "-q",
        "-p",
        "no:cacheprovider",
        *plugins,
        *arguments,
        cwd=cwd,
        more={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        **options,
    )


def project(directory: Path, test: str) -> Path:
    """A user's folder with one file of tests."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "test_it.py").write_text(test)
    (directory / "pytest.ini").write_text("[pytest]\n")
    return directory


def alternate(
    n: int, one: Callable[[], float], other: Callable[[], float]
) -> list[tuple[float, float]]:
    """What either gives, in turn; who comes second may gain or lose by it, so each comes first."""
    pairs = []
    for turn in range(n):
        if turn % 2:
            second = other()
            pairs.append((one(), second))
        else:
            first = one()
            pairs.append((first, other()))
    return pairs


def ratios(pairs: list[tuple[float, float]]) -> list[float]:
    return [one / other for one, other in pairs]

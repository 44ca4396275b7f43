"""A session that is ended by a signal, in real processes."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest
from plugin_project import DEADLINE_S, EXACT, Project, running
from warm_python import Process

from pytest_annmodal.plugin.interruption import FINISHING, Interruption

SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
# Says which process it is, and goes on only when it is ended.
STOP = """
        import os, threading
        with open({fifo!r}, "w") as fifo:
            fifo.write(f"{{os.getpid()}}\\n")
        threading.Event().wait()
"""
# The worker of an ann-benchmarks folder has a temporary working directory.
CONFIG = """
float:
  any:
  - {name: exact_z, constructor: Exact, base_args: ['@metric'], module: m, docker_tag: t,
     run_groups: {a: {args: [], query_args: [[0]]}}}
"""
ENDING = """
import os

def pytest_sessionfinish():
    with open("ending", "w") as bell:
        bell.write("x")
    with open("go_on", "rb", buffering=0) as gate:
        gate.read(1)
"""


def bell(project: Project, name: str) -> Path:
    place = project.path / name
    os.mkfifo(place)
    return place


@contextmanager
def ringing(place: Path) -> Iterator[IO[bytes]]:
    """A named pipe that others may open at once."""
    fd = os.open(place, os.O_RDWR)
    with os.fdopen(fd, "rb", buffering=0) as pipe:
        yield pipe


def heard(pipe: IO[bytes]) -> bytes:
    assert select.select([pipe], [], [], DEADLINE_S)[0], "nothing was written in time"
    return pipe.read(100)


@contextmanager
def session(project: Project, *arguments: str) -> Iterator[Process]:
    """A pytest that measures ``exact``, and then ``exact_z``, which waits for ever."""
    (project.path / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(project.path / "tmp")}
    with running(project.path, "--ann-rounds=1", *arguments, env=env) as process:
        yield process


def waiting(project: Project, *, in_fit: Path) -> None:
    line = "        self.X = np.array(X)"
    project.write(
        "mine/exact_z/module.py", EXACT.replace(line, STOP.format(fifo=str(in_fit)) + line)
    )
    project.write("mine/exact_z/config.yml", CONFIG)


OWN = ("--ann-implementations=mine", "--impl=exact*", "--dataset=small-8-euclidean.hdf5")


@SIGNALS
def test_ended_by_a_signal(project: Project, number: signal.Signals) -> None:
    """Finished cases are shown, the status is 2, and no worker and no folder remain."""
    started = bell(project, "started")
    waiting(project, in_fit=started)
    with ringing(started) as pipe, session(project, *OWN) as process:
        worker = int(heard(pipe))
        assert [*(project.path / "tmp").glob("annmodal-work-*")]
        process.send_signal(number)
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert not psutil.pid_exists(worker)
    assert not [*(project.path / "tmp").glob("annmodal-*")]
    assert re.search(r"^[~ ] exact\[extra=0\]  1\.0000 ", output, re.MULTILINE), output
    assert "2 passed" in output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    name = "KeyboardInterrupt" if number == signal.SIGINT else f"EndedBySignal: {number.name}"
    assert re.search(rf"^!+ .*{name} !+$", output, re.MULTILINE), output


def test_a_second_and_a_third_signal(project: Project) -> None:
    """A second one during the end prints a line, and the table is written. A third ends it."""
    started, ending, go_on = (bell(project, name) for name in ("started", "ending", "go_on"))
    waiting(project, in_fit=started)
    project.write("conftest.py", ENDING)
    for third in (False, True):
        with (
            ringing(started) as pipe,
            ringing(ending) as end,
            ringing(go_on),
            session(project, *OWN) as process,
        ):
            worker = int(heard(pipe))
            process.send_signal(signal.SIGINT)
            heard(end)
            process.send_signal(signal.SIGTERM)
            assert process.stdout
            said = ""
            while FINISHING.decode().strip() not in said:
                said += process.stdout.readline()
            if third:
                process.send_signal(signal.SIGTERM)
            else:
                go_on.write_bytes(b"x")
            output, _ = process.communicate(timeout=DEADLINE_S)
        for left in (project.path / "tmp").glob("*"):
            assert third, left
            shutil.rmtree(left)
        (project.path / "tmp").rmdir()
        assert process.returncode == (
            128 + signal.SIGTERM if third else pytest.ExitCode.INTERRUPTED
        )
        assert not psutil.pid_exists(worker)
        assert "Traceback" not in said + output
        assert third or re.search(r"^[~ ] exact\[extra=0\]  1\.0000 ", output, re.MULTILINE)


def test_ctrl_c_inside_a_gate(project: Project) -> None:
    """A terminal sends it to all processes: none stays, and what is finished is kept with its gate.

    Both are also shown. The job in which it came is not: its measurement has no verdict.
    """
    started = bell(project, "started")
    in_gate = (
        "        mark = pathlib.Path(__file__).with_suffix('.mark')\n"
        "        if mark.exists(): self.wait()\n"
        "        mark.touch()\n"
        "        self.X"
    )
    waits = EXACT.replace("import numpy", "import pathlib\nimport numpy")
    waits = waits.replace("        self.X", in_gate, 1)
    project.write("mine/exact_z.py", waits + "    def wait(self):" + STOP.format(fifo=str(started)))
    gate = ("--ann-baseline=exact", "--ann-gate", "--ann-sessions=5")
    with ringing(started) as pipe, session(project, *OWN, *gate) as process:
        assert int(heard(pipe))
        known = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert len(known) >= 3
    assert not [one for one in known if one.is_running()]
    assert not [*(project.path / "tmp").glob("annmodal-*")]
    (lines,) = (project.path / ".annmodal/results").glob("*.jsonl")
    stored = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [case["implementation"] for case in stored] == ["exact", "exact"]
    assert {case["gate"]["baseline"] for case in stored} == {"exact"}
    assert "Traceback" not in output
    assert re.search(r"^[~ ] exact\[extra=0\]  1\.0000 ", output, re.MULTILINE), output
    assert "exact on small-8-euclidean, k=10 against exact" in output


def test_grades_of_an_ended_session(project: Project) -> None:
    """Finished submissions have a grade, the others are incomplete; all files are written."""
    started = bell(project, "started")
    project.write("subs/first.py", EXACT)
    project.write(
        "subs/second.py", EXACT + STOP.replace("\n        ", "\n").format(fifo=str(started))
    )
    project.write(
        "grading.toml",
        """
        datasets = ["small-8-euclidean.hdf5"]
        fresh_queries = false
        isolation = "process"
        [[parts]]
        name = "Finds"
        points = 1
        min_recall = 0.5
        """,
    )
    arguments = ("--submission=subs/*", "--ann-grade=grading.toml")
    with ringing(started) as pipe, session(project, *arguments) as process:
        heard(pipe)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "1 of 2 grades is incomplete" in output
    grades = json.loads((project.path / "grades/grades.json").read_text())
    found = {item["name"]: (item["status"], item["score"]) for item in grades["submissions"]}
    assert found == {"first": ("graded", 1), "second": ("incomplete", 0)}
    assert not grades["finished"]


def test_handlers_of_others_stay() -> None:
    """Ignored signals (``nohup``) stay ignored, and handlers are restored after the session."""
    before = {number: signal.getsignal(number) for number in SIGNALS.args[1]}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever a test before has left
        interruption = Interruption()
        interruption.install()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        interruption.pytest_unconfigure()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_two_signals_in_a_row() -> None:
    """A signal right after another does not disturb the clean-up; a later one is a new one."""
    now = 0.0
    interruption = Interruption(clock=lambda: now)
    with pytest.raises(KeyboardInterrupt):
        interruption._handle(signal.SIGINT, None)
    interruption._warned = False
    interruption._handle(signal.SIGTERM, None)
    now = 60.0
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        interruption._handle(signal.SIGTERM, None)

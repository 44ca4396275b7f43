"""A real terminal and a real Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from plugin_project import DEADLINE_S, EXACT, UNRELATED, Project, lines_with, running

# Says which process it is, and goes on only when it is ended.
STOP = """
        import os, threading
        with open({fifo!r}, "w") as fifo:
            fifo.write(f"{{os.getpid()}}\\n")
        threading.Event().wait()
"""
ARGUMENTS = ("--ann-implementations=mine", "--impl=exact*", "--dataset=small-8-euclidean.hdf5")


def read_line(fifo: Path, deadline_s: float) -> str:
    """The line that a process writes into a named pipe."""
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert select.select([fd], [], [], deadline_s)[0], "nothing was written in time"
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


@pytest.mark.parametrize("clock", ["worker", "parent"])
@pytest.mark.parametrize(
    ("phase", "line"), [("build", "self.X = np.array(X)"), ("queries", "self.extra = extra")]
)
def test_interrupt(project: Project, phase: str, line: str, clock: str) -> None:
    """Ctrl-C in a build or during queries: finished cases are shown, and no process remains."""
    if (phase, clock) == ("build", "parent"):
        pytest.skip("a build has no clock of its own")
    fifo = project.path / "fifo"
    os.mkfifo(fifo)
    if phase == "queries":
        line = "return np.argsort"
    text = EXACT.replace("        " + line, STOP.format(fifo=str(fifo)) + "        " + line)
    assert text != EXACT
    project.write("mine/exact_z.py", text)
    measuring = (*ARGUMENTS, "--ann-rounds=1", f"--ann-clock={clock}")
    with running(project.path, *measuring) as process:
        worker = int(read_line(fifo, DEADLINE_S))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2, output
    assert not psutil.pid_exists(worker)
    assert "KeyboardInterrupt" in output
    assert re.search(r"^[~ ] exact\[extra=0\]  1\.0000 ", output, re.MULTILINE)
    assert "2 passed" in output
    assert "INTERNALERROR" not in output
    assert "not used" not in output


def run_in_terminal(project: Project, *arguments: str, columns: int = 100) -> str:
    """Returns the output to a terminal, without the carriage returns of its line ends."""
    ours, theirs = pty.openpty()
    coloured = {name: value for name, value in os.environ.items() if name != "PY_COLORS"}
    blocked = (f"-pno:{name}" for name in UNRELATED)
    process = subprocess.Popen(
        [sys.executable, "-mpytest", *blocked, *ARGUMENTS, *arguments],
        cwd=project.path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**coloured, "TERM": "xterm", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    sent = b""
    until = time.monotonic() + DEADLINE_S
    try:
        while select.select([ours], [], [], max(until - time.monotonic(), 0))[0]:
            try:
                sent += os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return sent.decode().replace("\r\n", "\n")


PROGRESS = re.compile("\x1b7\x1b\\[\\?7l  (.*?)\x1b\\[K\x1b\\[\\?7h\x1b8")


def test_progress_on_a_terminal(project: Project) -> None:
    """The current work is shown after the dots, and removed without a trace."""
    sent = run_in_terminal(project, "--ann-rounds=2")
    said = PROGRESS.findall(sent)
    assert said[0] == "loading · exact on small-8-euclidean"
    assert "building · exact on small-8-euclidean" in said
    assert said[-1].endswith(" · exact on small-8-euclidean")
    assert sent.rindex("\x1b8") < sent.index("\x1b[K", sent.rindex("\x1b8"))  # the last is erased
    plain = re.sub("\x1b\\[[0-9;]*[mK]", "", PROGRESS.sub("", sent))
    assert re.search(r"^test_it\.py \.\. +\[100%\]$", plain, re.MULTILINE)
    table = sent[sent.index(" ANN benchmarks ") :]
    assert "\x1b[1msmall-8-euclidean · 300 × 8" in table
    assert "Captured" not in sent
    lines = re.sub("\x1b\\[[0-9;]*m", "", table).splitlines()[1:]
    assert max(map(len, lines[: lines.index("") if "" in lines else None])) <= 100


def test_a_narrow_terminal_shows_what_is_done_before_of_what(project: Project) -> None:
    """If there is no room after the dots, the end of the implementation's name is cut."""
    sent = run_in_terminal(project, "--ann-rounds=2", "--ann-baseline=exact", columns=50)
    said = PROGRESS.findall(sent)
    assert "queries, round 1 of 2 · exact on sma…" in said
    assert any(one.startswith("comparison, session 1 of at most ") for one in said)
    assert max(map(len, said)) == 50 - len("test_it.py ") - len("  ")


def test_no_progress_elsewhere(project: Project) -> None:
    """In a pipe there is neither progress nor any other control sequence."""
    result = project.bench("--ann-rounds=1")
    result.assert_outcomes(passed=2)
    assert "\x1b" not in result.stdout.str() + result.stderr.str()
    assert not lines_with(result, "loading")

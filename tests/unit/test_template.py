"""Workers that are forked from a template behave as if each had been started."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from jobs import EXACT, PRELUDE, measured, run, write

from pytest_annmodal.errors import CrashedError
from pytest_annmodal.sandbox import template
from pytest_annmodal.sandbox.template import TEMPLATE, Copy
from pytest_annmodal.sandbox.worker_process import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")

LOOK = (
    PRELUDE
    + """
class Index(Exact):
    def fit(self, X):
        import json, random
        super().fit(X)
        own = dict(group=os.getpgid(0), session=os.getsid(0), pid=os.getpid(), folder=os.getcwd())
        own |= dict(asked=os.environ.get("ASKED"), draws=[random.random(), np.random.random()])
        own |= dict(mark=os.environ["ANNMODAL_WORKER"], fds=len(os.listdir("/proc/self/fd")))
        own["given"] = open("/proc/self/environ").read().count(own["mark"])
        own["shared"] = sum(
            int(line.split()[1]) for line in open("/proc/self/smaps_rollup")
            if line.startswith("Shared_Dirty")
        )
        print(json.dumps(own))
"""
)


def seen(dataset: Path, source: Path) -> dict[str, Any]:
    (outcome,) = run(dataset, source)
    return dict(json.loads(measured(outcome).log_tail.strip().splitlines()[-1]))


@contextmanager
def worker(level: Any = "none", threads: int = 1) -> Iterator[Worker]:
    with ExitStack() as stack:
        given = os.memfd_create("given")
        stack.callback(os.close, given)
        os.truncate(given, 4096)
        yield stack.enter_context(
            Worker(
                inherit={"mailbox": given, "train": given},
                threads=threads,
                phase_timeout_s=20,
                output_bytes=10_000,
                level=level,
            )
        )


def test_a_copy_is_like_a_process_of_its_own(
    small_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork has its own group, mark, variables, folder, random numbers and memory."""
    source = write(tmp_path / "mine.py", LOOK)
    dataset = small_dataset()
    monkeypatch.chdir(tmp_path)
    one = seen(dataset, source)
    before = TEMPLATE.pid
    monkeypatch.setenv("ASKED", "only the second")
    other = seen(dataset, source)
    assert before == TEMPLATE.pid is not None
    assert one["group"] == one["session"] == one["pid"] != other["pid"]
    assert (one["asked"], other["asked"]) == (None, "only the second")
    assert one["given"] == other["given"] == 1
    assert one["mark"] != other["mark"]
    assert one["folder"] == str(tmp_path)
    assert not set(one["draws"]) & set(other["draws"])
    assert one["fds"] == other["fds"]
    assert one["shared"] < 1024  # KiB


@pytest.mark.parametrize(("level", "threads"), [("process", 1), ("none", 2)])
def test_submissions_are_never_copies(level: str, threads: int) -> None:
    """Submissions, and workers whose libraries start threads, are started anew."""
    with worker(level, threads) as one:
        assert isinstance(one._process, subprocess.Popen)


def test_variables_that_are_read_at_the_start_make_another_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variables that libraries read at their import need another template."""
    with worker():
        before = TEMPLATE.pid
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    with worker() as one:
        assert isinstance(one._process, Copy)
        assert TEMPLATE.pid != before
    monkeypatch.undo()


def test_a_session_may_have_many_open_files(small_dataset: Any, tmp_path: Path) -> None:
    """More than 1,024, of which ``select`` knows no other."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1100):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        measured(run(small_dataset(), write(tmp_path / "mine.py", EXACT))[0])


def test_how_a_copy_ended_is_known() -> None:
    """The ending signal of a fork is known, and the next fork works."""
    with worker() as one:
        os.kill(one.pid, signal.SIGSEGV)
        one.begin("waiting")
        with pytest.raises(CrashedError, match="SIGSEGV"):
            one.receive("started")
    with worker() as other:
        assert other.alive


def test_a_template_that_is_killed_takes_its_copies_along() -> None:
    """If the template is killed, its forks end, and the next worker gets a new one."""
    with worker() as one:
        assert TEMPLATE.pid is not None
        os.kill(TEMPLATE.pid, signal.SIGKILL)
        assert one._process.wait(timeout=20) == -signal.SIGKILL
        one.abandon()
    with worker() as other:
        assert isinstance(other._process, Copy)


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The template ends with its parent, however that ends."""
    script = (
        "import os, signal\n"
        "from pytest_annmodal.sandbox import template\n"
        "template.expect(trusted=True, threads=1)\n"
        "print(template.TEMPLATE.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Path("/proc") / done.stdout.strip() / "stat"
    deadline = time.monotonic() + 20
    while left.exists() and left.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_none_is_started_for_submissions() -> None:
    """A session with only submissions starts no template."""
    TEMPLATE.close()
    template.expect(trusted=False, threads=1)
    template.expect(trusted=True, threads=2)
    assert TEMPLATE.pid is None

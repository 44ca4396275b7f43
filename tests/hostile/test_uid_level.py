"""Root without bubblewrap: what another user id protects, and what it does not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from jobs import index, run, write
from witnesses import SECRET, failed, measured, said

from pytest_annmodal.sandbox import isolation


@pytest.fixture
def place():
    """A folder that all users may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def attack(monkeypatch, dataset, place):
    if os.geteuid() != 0:
        pytest.skip("only root can give a worker another user id")
    monkeypatch.setattr(isolation.shutil, "which", lambda _name: None)
    isolation.strongest.cache_clear()
    try:
        if isolation.strongest() != "uid":
            pytest.skip("other users may not run this interpreter")
        options = {"clock": "parent", "phase_timeout_s": 8.0, "implementation": {"trusted": False}}

        def attack(body):
            return run(dataset, write(place / "mine.py", index(body)), **options)[0]

        yield attack
    finally:
        isolation.strongest.cache_clear()


def test_reaches_neither_the_grader_nor_its_files(attack, place):
    """It reaches no other user's environment, memory, processes or private files."""
    private = place / "private"
    private.write_text("x")
    private.chmod(0o600)
    witness = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(witness, stdin=subprocess.PIPE, env={"TOKEN": SECRET}) as process:
        outcome = attack(f"""
            def fit(self, X):
                import json
                super().fit(X)
                done = []
                for number in ({process.pid}, {os.getpid()}):
                    for how in (lambda: open(f"/proc/{{number}}/environ").read(),
                                lambda: open(f"/proc/{{number}}/mem", "rb"),
                                lambda: os.kill(number, 0)):
                        try: done.append(str(how()))
                        except OSError: pass
                for how in (lambda: open({str(private)!r}), lambda: open(__file__, "a"),
                            lambda: os.setuid(0), lambda: os.setgroups([0])):
                    try: done.append(str(how()))
                    except OSError: pass
                print(json.dumps([done, os.getgroups(), os.getuid() == os.getgid()]))
        """)
        assert process.poll() is None
        process.communicate()
    assert said(measured(outcome)) == [[], [], True]
    assert outcome.environment["isolation"] == "uid"
    assert "a submission could read files" in outcome.notes[0]


def test_leaves_nothing_whatever_it_did_with_its_environment(attack):
    """All processes of its user id are ended in one call."""
    name = f"daemon-of-{os.getpid()}"
    measured(
        attack(f"""
            def fit(self, X):
                super().fit(X)
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        os.closerange(0, 64)
                        os.execve("/bin/sleep", [{name!r}, "600"], {{}})
                    os._exit(0)
                os.wait()
        """)
    )
    running = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [words for words in running if name in words]


def test_the_kernel_counts_its_processes(attack):
    """The kernel limits its processes, beside the grader's count of 64."""
    failure = failed(
        attack("""
            def fit(self, X):
                import mmap, tempfile
                file = tempfile.TemporaryFile()
                file.truncate(4096)
                shared = mmap.mmap(file.fileno(), 4096)
                while shared[0] < 200:
                    shared[0] += 1
                    os.fork()
                threading.Event().wait()
        """)
    )
    assert failure.message == "started more than 64 processes during build"

"""Looks for secrets in other processes' environment and memory, and traces or ends them."""

import os
import subprocess
import sys

import pytest
from witnesses import SECRET, measured, said

LOOK = f"""
    def fit(self, X):
        import json
        super().fit(X)
        seen, pids = [], [name for name in os.listdir("/proc") if name.isdecimal()]
        for pid in pids:
            for name in ("environ", "cmdline"):
                try: seen.append(open(f"/proc/{{pid}}/{{name}}", "rb").read())
                except OSError: pass
        print(json.dumps([len(pids), {SECRET!r}.encode() in b"".join(seen)]))
"""


@pytest.fixture(autouse=True)
def _witness():
    """A process that was started with the secret, as the grader may have been."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={"TOKEN": SECRET}) as process:
        yield
        process.communicate()


def test_sees_its_own_only(attack, strict):
    """The guard, and itself."""
    n_processes, found = said(measured(attack(LOOK)[0]))
    assert n_processes <= 3
    assert not found


def test_finds_it_at_process_level(attack):
    """With the same user id nothing hides the grader's environment: hence the note."""
    outcome = measured(attack(LOOK, level="process")[0])
    assert said(outcome)[1]
    assert "a submission could read files" in outcome.notes[0]


def test_tracing_is_refused(attack, level):
    """By the filter of system calls, at every level; memory of others cannot be opened."""
    body = f"""
        def fit(self, X):
            import json
            super().fit(X)
            libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(64)
            answers = [libc.ptrace(16, {os.getpid()}, 0, 0), libc.ptrace(0, 0, 0, 0)]
            answers.append(libc.process_vm_readv({os.getpid()}, buffer, 1, buffer, 1, 0))
            print(json.dumps(answers))
    """
    assert said(measured(attack(body, level=level)[0])) == [-1, -1, -1]


def test_ending_the_grader(attack, strict):
    """Its number means another process, or none, in the submission's own pid namespace."""
    body = f"""
        def fit(self, X):
            super().fit(X)
            for pid in ({os.getpid()}, os.getppid()):
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    try: os.kill(pid, number)
                    except OSError: pass
    """
    assert measured(attack(body)[0]).recall == 1

"""Reads environment and memory of other processes, traces or ends them."""

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
    """A process that has the secret in its environment."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={"TOKEN": SECRET}) as process:
        yield
        process.communicate()


def test_sees_its_own_only(attack, strict):
    """In the sandbox only its own processes are visible."""
    n_processes, found = said(measured(attack(LOOK)[0]))
    assert n_processes <= 3
    assert not found


def test_finds_it_at_process_level(attack):
    """At the process level the grader's environment is readable: the result has a note."""
    outcome = measured(attack(LOOK, level="process")[0])
    assert said(outcome)[1]
    assert "a submission could read files" in outcome.notes[0]


def test_tracing_is_refused(attack, level):
    """Tracing and reading others' memory are refused at every level."""
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
    """In its pid namespace the grader's number is another process, or none."""
    body = f"""
        def fit(self, X):
            super().fit(X)
            for pid in ({os.getpid()}, os.getppid()):
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    try: os.kill(pid, number)
                    except OSError: pass
    """
    assert measured(attack(body)[0]).recall == 1

"""Leaves a process behind: forked twice, a session of its own, all descriptors closed."""

import os

import psutil
from witnesses import measured

DAEMON = """
    def fit(self, X):
        super().fit(X)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 64)
                os.execve("/bin/sleep", [{name!r}, "600"], {environment})
            os._exit(0)
        os.wait()
"""


def daemons(name):
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if name in (process.info["cmdline"] or ())
    ]


def test_ends_with_its_worker(attack, level, tmp_path):
    """The daemon ends with its worker, by its mark or its pid namespace."""
    name = f"daemon-of-{tmp_path.name}-{os.getpid()}"
    measured(attack(DAEMON.format(name=name, environment="os.environ"), level=level)[0])
    assert daemons(name) == []


def test_without_its_mark_it_ends_in_a_namespace(attack, strict, tmp_path):
    """In a pid namespace it ends even without its mark."""
    name = f"daemon-of-{tmp_path.name}-{os.getpid()}"
    measured(attack(DAEMON.format(name=name, environment="{}"))[0])
    assert daemons(name) == []


def test_without_its_mark_it_stays_at_process_level(attack, tmp_path):
    """At the process level it survives without its mark: the result has a note."""
    name = f"daemon-of-{tmp_path.name}-{os.getpid()}"
    try:
        outcome = measured(attack(DAEMON.format(name=name, environment="{}"), level="process")[0])
        assert "isolation: only 'process'" in outcome.notes[0]
    finally:
        left = [psutil.Process(pid) for pid in daemons(name)]
        for process in left:
            process.kill()
        psutil.wait_procs(left, 5)

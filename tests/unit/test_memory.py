"""Memory and CPU time of processes, measured from outside, and their limits."""

import os
import subprocess
import sys

import pytest

from pytest_annmodal.sandbox import kernel_memory, limits, memory
from pytest_annmodal.sandbox.limits import Watch

MEGABYTE = 2**20
GONE = 2**22 + 1  # above every process number


@pytest.fixture
def process():
    """Run code that prints a line when it is ready, and waits."""
    running = []

    def process(code):
        one = subprocess.Popen(
            [sys.executable, "-c", f"import os, sys\n{code}\nprint(flush=True)\nsys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        running.append(one)
        assert one.stdout.readline() == b"\n"
        return one.pid

    yield process
    for one in running:
        one.communicate()


class TestMemory:
    def test_is_private_memory(self, process):
        """Present and highest memory of a process are measured."""
        pid = process("kept = bytearray(40 * 2**20)\nmore = bytearray(40 * 2**20)\ndel more")
        for figure in (memory.held_bytes, memory.unique_bytes, memory.resident_bytes):
            assert 40 * MEGABYTE < figure(pid) < 70 * MEGABYTE
        assert memory.peak_rss_bytes(pid) > 80 * MEGABYTE

    def test_libraries_are_files(self, process):
        """Bytes of files grow with the libraries that a process imports."""
        few, more = (memory.file_bytes(process(code)) for code in ("pass", "import numpy"))
        assert 0 < few + MEGABYTE < more

    def test_what_two_share_counts_once(self, process):
        """Memory that two processes share counts once."""
        pid = process(
            "import mmap\nkept = mmap.mmap(-1, 40 * 2**20)\n"
            "for at in range(0, len(kept), 4096): kept[at] = 1\n"
            "ours, theirs = os.pipe()\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    sum(kept[::4096]); os.write(theirs, b'x'); sys.stdin.read(); os._exit(0)\n"
            "os.read(ours, 1)"
        )
        from pytest_annmodal.sandbox.process_tree import descendants

        family = [pid, *descendants(pid)]
        assert len(family) == 2
        assert memory.unique_bytes(*family) < 30 * MEGABYTE
        assert 40 * MEGABYTE < memory.held_bytes(*family) < 70 * MEGABYTE
        assert memory.resident_bytes(*family) > 80 * MEGABYTE

    def test_an_ended_process_uses_nothing(self):
        """An ended process uses nothing, and causes no error."""
        for figure in (memory.held_bytes, memory.unique_bytes, memory.peak_rss_bytes, memory.cpu_s):
            assert figure(GONE) == 0
        assert kernel_memory.scratch_bytes(GONE, os.getpid()) == 0

    def test_the_machine_has_some(self):
        """Available memory is less than the total."""
        total, left = memory.machine_bytes()
        assert 0 < left <= total


class TestCpu:
    def test_of_children_that_have_ended_counts(self, process):
        """CPU time of ended children counts."""
        pid = process(
            "if not (child := os.fork()):\n"
            "    import time\n"
            "    while time.process_time() < 0.3: pass\n"
            "    os._exit(0)\n"
            "os.waitpid(child, 0)"
        )
        assert memory.cpu_s(pid) >= 0.25  # the kernel counts in ticks


class TestThreads:
    def test_of_all_processes_are_counted(self, process):
        """Threads of all processes are counted."""
        more = process(
            "import threading\n"
            "for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()"
        )
        assert memory.threads(more, process(""), GONE) == 5


class TestWatch:
    def test_many_threads_meet_with_objection(self, monkeypatch):
        """One thread above the limit is a violation, in any process."""
        limit = Watch(memory_bytes=None)
        for number, words in ((512, None), (513, "started more than 512 threads during build")):
            monkeypatch.setattr(memory, "threads", lambda *_, number=number: number)
            assert limit.objection([os.getpid()], "build") == words

    def test_a_quiet_process_meets_with_no_objection(self):
        """A quiet process violates nothing, with and without a limit."""
        for limit in (None, 2**40):
            assert Watch(memory_bytes=limit).objection([os.getpid()], "build") is None

    def test_many_processes_do(self):
        """One process above the limit is a violation."""
        pids = [GONE + n for n in range(limits.MAX_PROCESSES + 1)]
        words = "started more than 64 processes during build"
        assert Watch(memory_bytes=None).objection(pids, "build") == words
        assert Watch(memory_bytes=None).objection(pids[1:], "build") is None

    def test_what_was_there_before_does_not_count(self, process):
        """Only memory used since the start counts."""
        pid = process("kept = bytearray(40 * 2**20)")
        limit = Watch(memory_bytes=20 * MEGABYTE)
        assert limit.objection([pid], "build").startswith("ran out of memory during build")
        limit.before_bytes = memory.held_bytes(pid) - 10 * MEGABYTE
        assert limit.objection([pid], "build") is None

    def test_without_a_limit_only_scarcity_counts(self, process, monkeypatch):
        """Without a limit a large process is ended only if memory is scarce."""
        large, small = process("kept = bytearray(60 * 2**20)"), process("")
        monkeypatch.setattr(memory, "machine_bytes", lambda: (400 * MEGABYTE, 10 * MEGABYTE))
        assert "this machine has" in Watch(memory_bytes=None).objection([large], "search")
        assert Watch(memory_bytes=None).objection([small], "search") is None

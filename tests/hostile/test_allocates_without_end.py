"""Allocates memory without end, also where no kernel limit counts it."""

import pytest
from witnesses import MEGABYTE, failed, measured

from pytest_annmodal.sandbox import isolation

EATEN = {
    "private": "self.kept = [bytearray(2**20) for _ in range(400)]",
    "numpy": "self.kept = [np.ones(2**17) for _ in range(400)]",
    "children": """
    for _ in range(5):
        if os.fork() == 0:
            kept = np.ones(60 * 2**17)
            threading.Event().wait()
    threading.Event().wait()""",
}


@pytest.mark.parametrize("how", EATEN)
def test_memory_of_processes(attack, level, how):
    """The limit covers all processes together."""
    body = f"def fit(self, X):\n    super().fit(X)\n    {EATEN[how]}"
    failure = failed(attack(body, level=level, memory_bytes=100 * MEGABYTE)[0])
    assert failure.kind == "limit"
    assert failure.message.startswith("ran out of memory during build")
    assert failure.evidence["peak_rss_bytes"] < 500 * MEGABYTE


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_files_in_memory(attack, strict, monkeypatch, place):
    """The sandbox's file systems are small, and count as memory."""
    monkeypatch.setattr(isolation, "TMP_BYTES", 32 * MEGABYTE)
    body = f"""
        def fit(self, X):
            super().fit(X)
            with open("{place}/much", "wb") as file:
                for _ in range(100): file.write(bytes(2**20))
    """
    failure = failed(attack(body)[0])
    assert "No space left on device" in failure.message


def test_files_without_a_name(attack, level):
    """``memfd_create``, System V segments and message queues are refused, since no size includes them."""
    body = """
        def fit(self, X):
            super().fit(X)
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.shmget(0, 4096, 0o1600) == -1
            assert libc.msgget(0, 0o1600) == -1
            assert libc.semget(0, 1, 0o1600) == -1
            assert libc.mq_open(b"/x", 0o102, 0o600, None) == -1
            try: os.memfd_create("x")
            except PermissionError: print("refused")
    """
    assert measured(attack(body, level=level)[0]).log_tail == "refused\n"


def test_without_a_limit_the_machine_is_watched(attack, strict, monkeypatch):
    """Without a limit, a submission that holds much is ended if memory is scarce."""
    monkeypatch.setattr(
        "pytest_annmodal.sandbox.memory.machine_bytes", lambda: (500 * MEGABYTE, MEGABYTE)
    )
    body = "def fit(self, X): self.kept = np.ones(20 * 2**20); threading.Event().wait()"
    failure = failed(attack(body)[0])
    assert failure.kind == "limit"
    assert "this machine has 1,048,576 left" in failure.message

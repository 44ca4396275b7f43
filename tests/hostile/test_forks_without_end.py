"""A fork bomb (its own counter ends it at 200, should nobody else)."""

import psutil
from witnesses import failed, survived

BOMB = """
    def fit(self, X):
        import mmap
        shared = mmap.mmap(-1, 4096)
        while shared[0] < 200:
            shared[0] += 1
            if os.fork() == 0 and {leave}:
                os.setsid()
        threading.Event().wait()
"""


def living():
    states = [process.info["status"] for process in psutil.process_iter(["status"])]
    return len(states) - states.count(psutil.STATUS_ZOMBIE)


def test_is_ended_quickly(attack, level):
    """By the number of its processes, long before the time limit; no child outlives it."""
    before = living()
    for leave in (False, True):
        failure = failed(attack(BOMB.format(leave=leave), level=level)[0])
        assert (failure.kind, failure.phase) == ("limit", "build")
        assert failure.message == "started more than 64 processes during build"
    assert living() - before < 50  # others use this machine too
    survived(attack)


def test_threads_are_processes_to_the_kernel(attack, strict):
    """Thousands of them end as the submission's own failure or as its slow answers."""
    body = """
        def fit(self, X):
            super().fit(X)
            for _ in range(2000):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
    """
    outcome = attack(body, memory_bytes=300 * 2**20)[0]
    assert getattr(outcome, "kind", "measured") in {"raised", "limit", "crashed", "measured"}
    survived(attack)

"""Searches ahead or keeps busy in threads and processes, on its own core and on others."""

import pytest
from witnesses import failed, measured, said, survived

BUSY = """
    def fit(self, X):
        import hashlib
        super().fit(X)
        def burn():
            while True: hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2000)
        {start}
    def query(self, v, k):
        {wait}
        return self.near(v, k)
"""
STARTS = {
    "a thread": "threading.Thread(target=burn, daemon=True).start()",
    "processes": "[burn() for _ in range(3) if os.fork() == 0]",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_on_one_core_it_only_slows_itself(attack, strict, honest, start):
    """With one thread asked for, no more CPU than the clock on the wall: nothing is won."""
    body = BUSY.format(start=start, wait="")
    outcome = attack(body, n_queries=20)[0]
    if hasattr(outcome, "kind"):
        assert outcome.kind == "smuggling"
    else:
        assert outcome.recall == honest.recall
    survived(attack)


def test_other_cores_are_out_of_reach(attack, level):
    """Setting the affinity, the scheduler or a limit does nothing."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, range(os.cpu_count()))
            child = subprocess.run([sys.executable, "-c",
                "import os; os.sched_setaffinity(0, range(os.cpu_count())); print(len(os.sched_getaffinity(0)))"],
                capture_output=True, text=True)
            print(json.dumps([len(before), len(os.sched_getaffinity(0)), int(child.stdout)]))
    """
    before, after, of_child = said(measured(attack(body, level=level)[0]))
    assert before == after == of_child == 1
    survived(attack)


def test_where_cores_can_be_had_it_is_smuggling(attack, strict, monkeypatch):
    """The CPU that the worker's tree used is held against the time of the queries.

    The share is lowered: on a busy machine nobody gets all of two cores.
    """
    body = BUSY.format(start=STARTS["processes"], wait="ctypes.CDLL(None).usleep(20_000)")
    with monkeypatch.context() as patch:
        patch.setattr("pytest_annmodal.jobs.asking.SMUGGLING_SHARE", 0.05)
        failure = failed(attack(body, threads=2, n_queries=40)[0])
    assert failure.kind == "smuggling"
    assert "other threads or processes were at work" in failure.message
    survived(attack)

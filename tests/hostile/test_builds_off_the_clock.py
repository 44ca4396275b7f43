"""Builds its index before, or after, the time that a build is said to take."""

import time

import pytest
from witnesses import failed, measured, said

from pytest_annmodal.jobs.trial import Trial

WORK_S = 1.0  # far more than fifty queries take, also where others use the cores
WHEN = {
    "when it is asked for its size": "def get_memory_usage(self): time.sleep({s})",
    "when its setting is set": "def set_query_arguments(self, setting): time.sleep({s})",
    "at the first query": "done = False\ndef query(self, v, k):\n    if not self.done: time.sleep({s})\n    self.done = True\n    return self.near(v, k)",
    "during the warm-up": "n = 0\ndef query(self, v, k):\n    self.n += 1\n    if self.n < 21: time.sleep({s} / 20)\n    return self.near(v, k)",
}


@pytest.mark.parametrize("when", WHEN)
def test_is_part_of_the_build(attack, strict, when):
    """All that happens before the first timed query and is not a query's own time."""
    outcome = measured(attack(WHEN[when].format(s=WORK_S), settings=[1])[0])
    assert outcome.build_s >= 0.5 * WORK_S  # queries are slow on a busy machine, and taken off


def test_the_vectors_are_not_there_before(attack, strict):
    """A constructor that goes and looks finds zeros."""
    body = """
        def __init__(self, metric):
            super().__init__(metric)
            frame = sys._getframe()
            while not hasattr(frame.f_locals.get("self"), "train"): frame = frame.f_back
            print(float(np.abs(frame.f_locals["self"].train).sum()))
    """
    outcome = measured(attack(body)[0])
    assert outcome.log_tail == "0.0\n"
    assert outcome.recall == 1


def test_writing_into_the_vectors(attack, strict):
    """Its own copy, or a file that is refused: what is scored lies elsewhere."""
    body = """
        def fit(self, X):
            X[:] = 0
            super().fit(X)
    """
    assert measured(attack(body)[0]).recall < 0.5
    held = """
        def __init__(self, metric):
            import mmap
            super().__init__(metric)
            for fd in range(3, 20):
                try: self.map = mmap.mmap(fd, 4096)
                except (OSError, ValueError): pass
    """
    outcome = attack(held)[0]
    assert getattr(outcome, "kind", "measured") in {"protocol", "measured"}


GAPS = """
    def fit(self, X):
        super().fit(X)
        self.gaps = []
        def work():
            last = time.monotonic()
            while True:
                time.sleep(0.002)
                now = time.monotonic()
                self.gaps.append(now - last)
                last = now
        if {child}:
            self.ours, theirs = os.pipe()
            if os.fork() == 0:
                {leave}
                threading.Thread(target=work, daemon=True).start()
                while True:
                    time.sleep(0.05)
                    os.write(theirs, int(1000 * max(self.gaps)).to_bytes(4, "big"))
        else:
            threading.Thread(target=work, daemon=True).start()
    def batch_query(self, X, k):
        time.sleep(0.2)
        if {child}:
            said = max(int.from_bytes(os.read(self.ours, 4), "big") for _ in range(16))
        else:
            said = int(1000 * max(self.gaps))
        print(said)
        return [self.near(v, k) for v in X]
"""


@pytest.mark.parametrize(
    ("child", "leave"),
    [(False, ""), (True, "pass"), (True, "os.setsid()")],
    ids=["a thread", "a child", "a child in a session of its own"],
)
def test_work_while_nobodys_clock_runs(attack, level, monkeypatch, child, leave):
    """All that it started stands still while its answers are scored, and goes on after it."""
    monkeypatch.setattr(Trial, "_check", lambda *_: time.sleep(1.0))
    outcome = measured(attack(GAPS.format(child=child, leave=leave), level=level)[0])
    assert said(outcome) >= 900


def test_who_cannot_be_stopped_is_smuggling(attack, strict, monkeypatch):
    """A chain of processes can be too quick for that: its CPU time is seen all the same."""
    body = """
        def fit(self, X):
            super().fit(X)
            if os.fork() == 0:
                os.setsid()
                while True: pass
        def batch_query(self, X, k): return [self.near(v, k) for v in X]
    """
    check = Trial._check

    def slowly(*given):
        check(*given)
        time.sleep(1.0)

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "_check", slowly)
        patch.setattr("pytest_annmodal.jobs.asking.SMUGGLING_GRACE_S", 60)
        patch.setattr(
            "pytest_annmodal.sandbox.process_tree._stop_descendants", lambda *_, **__: set()
        )
        failure = failed(attack(body)[0])
    assert failure.kind == "smuggling"
    assert "while it was stopped" in failure.message

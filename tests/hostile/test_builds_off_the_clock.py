"""Builds its index before or after the timed build."""

import time

import psutil
import pytest
from witnesses import failed, measured, said

from pytest_annmodal.jobs.asking import Asker
from pytest_annmodal.sandbox import limits, process_tree

WORK_S = 0.6  # far more than fifty queries take, also where others use the cores
WHEN = {
    "when it is asked for its size": "def get_memory_usage(self): time.sleep({s})",
    "when its setting is set": "def set_query_arguments(self, setting): time.sleep({s})",
    "at the first query": "done = False\ndef query(self, v, k):\n    if not self.done: time.sleep({s})\n    self.done = True\n    return self.near(v, k)",
    "during the warm-up": "n = 0\ndef query(self, v, k):\n    self.n += 1\n    if self.n < 21: time.sleep({s} / 20)\n    return self.near(v, k)",
    "in one timed query": "n = 0\ndef query(self, v, k):\n    self.n += 1\n    if self.n == 60: time.sleep({s})\n    return self.near(v, k)",
    "in the batch": "def batch_query(self, X, k):\n    if self.setting == 1: time.sleep({s})\n    return [self.near(v, k) for v in X]",
}


@pytest.mark.parametrize("when", WHEN)
def test_is_part_of_the_build(attack, strict, when):
    """Delayed work is part of the build, for each setting."""
    outcomes = attack(WHEN[when].format(s=WORK_S), settings=[1, 2])
    at_once = outcomes[1 if when == "in the batch" else 0 :]
    for outcome in at_once:
        assert measured(outcome).build_s >= 0.5 * WORK_S  # queries are slow on a busy machine


def test_the_vectors_are_not_there_before(attack, strict):
    """In the constructor the training vectors are zeros."""
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
    """Writing to the vectors changes its own copy, or is refused."""
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
                    time.sleep(0.01)
                    os.write(theirs, int(1000 * max(self.gaps, default=0)).to_bytes(4, "big"))
        else:
            threading.Thread(target=work, daemon=True).start()
    def batch_query(self, X, k):
        time.sleep(0.2)
        if {child}:
            said = int(max(np.frombuffer(os.read(self.ours, 2**16), ">i4").max() for _ in range(16)))
        else:
            said = int(1000 * max(self.gaps, default=0))
        print(said)
        return [self.near(v, k) for v in X]
"""


@pytest.mark.parametrize(
    ("child", "leave"),
    [(False, ""), (True, "pass"), (True, "os.setsid()")],
    ids=["a thread", "a child", "a child in a session of its own"],
)
def test_work_while_no_clock_runs(attack, level, monkeypatch, child, leave):
    """Its processes are stopped while its answers are scored, and continue afterwards."""
    check = Asker.checked

    def slowly(asker, given, search, where="query"):
        if where == "query":  # nothing is said after the batch
            time.sleep(0.5)
        return check(asker, given, search, where)

    monkeypatch.setattr(Asker, "checked", slowly)
    outcome = measured(attack(GAPS.format(child=child, leave=leave), level=level)[0])
    assert said(outcome) >= 450


def test_a_process_outside_the_group_runs_at_the_submissions_cost(attack, strict, monkeypatch):
    """A process outside its group is found later; that time is part of the build."""
    table = process_tree._table

    def slowly():
        time.sleep(0.05)
        return table()

    monkeypatch.setattr(process_tree, "_table", slowly)
    body = """
        def fit(self, X):
            super().fit(X)
            os.setsid()
    """
    assert measured(attack(body)[0]).build_s >= 0.15  # it is stopped four times, and looked for


def test_long_looks_between_queries_are_part_of_the_build(attack, strict, monkeypatch):
    """Time to look at many processes with many descriptors is part of the build."""
    look = limits.memory.resident_bytes

    def slowly(*pids):
        time.sleep(0.1)
        return look(*pids)

    monkeypatch.setattr(limits.memory, "resident_bytes", slowly)
    body = "def query(self, v, k): time.sleep(0.01); return self.near(v, k)"
    assert measured(attack(body, phase_timeout_s=60.0)[0]).build_s >= 0.15


def test_a_stopped_process_stays_stopped(attack, strict):
    """A stopped process that another one wakes is stopped again."""
    body = """
        def fit(self, X):
            super().fit(X)
            self.gaps = []
            if os.fork() == 0:
                os.setsid()
                worker = os.getppid()
                for _ in range(1000): os.kill(worker, signal.SIGCONT); time.sleep(0.01)
                os._exit(0)
        def batch_query(self, X, k): return [self.near(v, k) for v in X]
    """
    awake = []
    check, table = Asker.checked, process_tree._table

    def slowly():
        time.sleep(0.05)
        return table()

    def looking(asker, *given):
        time.sleep(0.2)
        family = asker.worker.family()[1:]
        awake.extend(psutil.Process(pid).status() for pid in family)
        return check(asker, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_tree, "_table", slowly)
        patch.setattr(Asker, "checked", looking)
        measured(attack(body)[0])
    assert set(awake) <= {"stopped", "zombie"}


def test_processes_that_cannot_be_stopped_are_smuggling(attack, strict, monkeypatch):
    """Processes that cannot be stopped in time are found by their CPU time."""
    body = """
        def fit(self, X):
            super().fit(X)
            if os.fork() == 0:
                os.setsid()
                while True: pass
        def batch_query(self, X, k): return [self.near(v, k) for v in X]
    """
    check = Asker.checked

    def slowly(*given):
        checked = check(*given)
        time.sleep(0.5)
        return checked

    with monkeypatch.context() as patch:
        patch.setattr(Asker, "checked", slowly)
        patch.setattr("pytest_annmodal.jobs.asking.SMUGGLING_GRACE_S", 60)
        patch.setattr(
            process_tree, "_stop_descendants", lambda pid, **_: set(process_tree.descendants(pid))
        )
        failure = failed(attack(body)[0])
    assert failure.kind == "smuggling"
    assert "while it was stopped" in failure.message

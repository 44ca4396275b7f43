"""Searches ahead in threads and processes, on its own core and on others."""

import os

import pytest
from witnesses import failed, measured, said

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
    """With one thread it gets no more CPU time than wall time."""
    body = BUSY.format(start=start, wait="")
    outcome = attack(body, n_queries=20)[0]
    if hasattr(outcome, "kind"):
        assert outcome.kind == "smuggling"
    else:
        assert outcome.recall == honest.recall


def test_other_cores_are_out_of_reach(attack, level):
    """It cannot change its affinity, scheduler or limits."""
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


def test_where_cores_can_be_had_it_is_smuggling(attack, strict, monkeypatch):
    """CPU time of its processes above the queries' time is a violation.

    The allowed share is lowered here, since on a busy machine it may not get two cores.
    """
    body = BUSY.format(start=STARTS["processes"], wait="ctypes.CDLL(None).usleep(10_000)")
    with monkeypatch.context() as patch:
        patch.setattr("pytest_annmodal.jobs.asking.SMUGGLING_SHARE", 0.05)
        failure = failed(attack(body, threads=2, n_queries=20)[0])
    assert failure.kind == "smuggling"
    assert "other threads or processes were at work" in failure.message


def test_with_two_threads_single_queries_have_one_core_all_the_same(attack, level):
    """With two threads, single queries still run on one core, for old and new processes."""
    body = """
        def fit(self, X):
            super().fit(X)
            self.wait = threading.Event()
            threading.Thread(target=self.wait.wait, daemon=True).start()
            self.ours, self.theirs = os.pipe()
            if os.fork() == 0:
                os.setsid()
                self.wait.wait(1.0)
                while True:
                    os.write(self.theirs, bytes([len(os.sched_getaffinity(0))]))
                    self.wait.wait(0.01)
            self.before = len(os.sched_getaffinity(0))
        n = 0
        def query(self, v, k):
            self.n += 1
            if self.n == 60:
                import json, fcntl
                for tid in os.listdir("/proc/self/task"):
                    os.sched_setaffinity(int(tid), range(os.cpu_count()))
                own = [len(os.sched_getaffinity(int(t))) for t in os.listdir("/proc/self/task")]
                later = []
                thread = threading.Thread(target=lambda: later.append(len(os.sched_getaffinity(0))))
                thread.start()
                thread.join()
                child = max(os.read(self.ours, 1) for _ in range(3))[0]
                print(json.dumps([self.before, max(own), later[0], child]), flush=True)
            return self.near(v, k)
    """
    outcome = measured(attack(body, level=level, threads=2)[0])
    before, own, later, child = said(outcome)
    assert before == min(2, len(os.sched_getaffinity(0)))
    assert (own, later, child) == (1, 1, 1)


def test_a_submission_that_cannot_be_pinned_is_not_timed(attack, strict, monkeypatch):
    """Processes that start each other too fast to be moved are a violation."""
    monkeypatch.setattr("pytest_annmodal.sandbox.cores._moved", lambda _pids, _cores: True)
    failure = failed(attack("pass", threads=2)[0])
    assert failure.kind == "smuggling"
    assert "too quickly to be pinned" in failure.message

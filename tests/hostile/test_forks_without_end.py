"""A fork bomb (its own counter ends it at 200)."""

from witnesses import failed

BOMB = """
    def fit(self, X):
        import mmap, tempfile
        file = tempfile.TemporaryFile()
        file.truncate(4096)
        shared = mmap.mmap(file.fileno(), 4096)
        while shared[0] < 200:
            shared[0] += 1
            if os.fork() == 0 and {leave}:
                os.setsid()
        threading.Event().wait()
"""


def test_is_ended_quickly(attack, level):
    """The number of processes ends it long before the time limit, with all children."""
    for leave in (False, True):
        failure = failed(attack(BOMB.format(leave=leave), level=level)[0])
        assert (failure.kind, failure.phase) == ("limit", "build")
        assert failure.message == "started more than 64 processes during build"


def test_threads_without_end(attack, level):
    """Threads are limited by the kernel, for root by the parent."""
    body = """
        def fit(self, X):
            super().fit(X)
            for _ in range(2000):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
            threading.Event().wait()
    """
    failure = failed(attack(body, level=level)[0])
    assert failure.kind in {"raised", "limit"}
    if failure.kind == "limit":
        assert failure.message == "started more than 512 threads during build"


FORKS = """
    n = 0
    def query(self, v, k):
        self.n += 1
        if self.n > {warm} and os.fork() == 0: threading.Event().wait()
        return self.near(v, k)
"""


def test_one_with_each_quick_answer(attack, level, monkeypatch):
    """Processes are counted between quick queries too."""
    monkeypatch.setattr("pytest_annmodal.channel.mailbox.SPINS_BETWEEN_CHECKS", 2**60)
    monkeypatch.setattr("pytest_annmodal.sandbox.worker_process.LOOK_EVERY_S", 0.0)
    body = FORKS.format(warm=50)
    failure = failed(attack(body, level=level, fresh=False, rounds=20)[0])
    assert (failure.kind, failure.phase) == ("limit", "search")
    assert failure.message == "started more than 64 processes during search"

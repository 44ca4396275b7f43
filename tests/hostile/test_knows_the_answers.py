"""Brings the answers along, or remembers earlier queries."""

from jobs import index
from witnesses import measured

from pytest_annmodal.datasets import hdf5


def memorised(dataset):
    data = hdf5.load(dataset)
    table = {
        row.tobytes(): ids.tolist() for row, ids in zip(data.test, data.neighbors, strict=True)
    }
    return f"TABLE = {table!r}\n" + index("""
        def fit(self, X): pass
        def query(self, v, k):
            return TABLE.get(v.tobytes(), range(k))[:k]
        def batch_query(self, X, k): return [list(self.query(v, k)) for v in X]
    """).replace("range(k))[:k]", "list(range(k)))[:k]")


def test_a_public_datasets_answers_are_worth_nothing(attack, strict, dataset):
    """With fresh queries known answers have chance recall; without them they are all right."""
    outcome = measured(attack(memorised(dataset))[0])
    assert outcome.recall < 0.1
    assert outcome.batch_recall < 0.1
    assert measured(attack(memorised(dataset), fresh=False)[0]).recall == 1  # why they are needed


def test_row_numbers_of_the_public_file_are_worth_nothing(attack, strict, dataset):
    """Searching the public vectors gives wrong row numbers."""
    rows = hdf5.load(dataset).train.tolist()
    text = f"ROWS = {rows!r}\n" + index("def fit(self, X): self.X = np.array(ROWS, np.float32)")
    assert getattr(attack(text)[0], "recall", 0) < 0.2  # or a row number that is not there


def test_no_query_comes_twice(attack, strict):
    """No query is asked twice: only the 50 warm-up vectors repeat."""
    body = """
        cache, hits = {}, 0
        def query(self, v, k):
            self.hits += v.tobytes() in self.cache
            self.cache[v.tobytes()] = found = self.near(v, k)
            return found
        def batch_query(self, X, k): return [self.query(v, k) for v in X]
        def set_query_arguments(self, setting): print(self.hits, flush=True)
    """
    outcomes = attack(body, settings=[1, 2, 3], rounds=5)
    assert [measured(outcome).rounds for outcome in outcomes] == [1, 1, 1]
    assert outcomes[-1].log_tail.split() == ["0", "0", "50"]


def test_queries_are_not_in_what_it_was_given(attack, strict):
    """Queries are not in ``train``, and not in the mailbox before their turn."""
    body = """
        def fit(self, X):
            super().fit(X)
            self.rows = {row.tobytes() for row in X}
        def query(self, v, k):
            frame = sys._getframe()
            while "box" not in frame.f_locals: frame = frame.f_back
            box = frame.f_locals["box"]
            ahead = box.slots[int(box.slot[0]) + 1 :]
            self.seen = getattr(self, "seen", set()) | {v.tobytes()}
            self.found = getattr(self, "found", 0) + (v.tobytes() in self.rows)
            self.ahead = max(getattr(self, "ahead", 0), sum(
                1 for row in ahead if row.any() and row.tobytes() not in self.seen))
            return self.near(v, k)
        def set_query_arguments(self, setting): print(getattr(self, "found", 0), getattr(self, "ahead", 0))
    """
    outcomes = attack(body, settings=[1, 2])
    assert measured(outcomes[1]).log_tail.splitlines()[-1] == "0 0"


def test_an_accomplice_cannot_leave_word(attack, strict):
    """One submission cannot leave data for the next."""
    leave = """
        def query(self, v, k):
            for place in ("/tmp", "/dev/shm", "/var/tmp", os.path.dirname(__file__), "/home"):
                try: open(place + "/word", "ab").write(v.tobytes())
                except OSError: pass
            return self.near(v, k)
    """
    measured(attack(leave)[0])
    find = """
        def fit(self, X):
            super().fit(X)
            for place in ("/tmp", "/dev/shm", "/var/tmp", os.path.dirname(__file__), "/home"):
                if os.path.exists(place + "/word"): print("found", place)
    """
    assert measured(attack(find)[0]).log_tail == ""

"""Builds its index before, or after, the time that a build is said to take."""

import pytest
from witnesses import measured, survived

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
    survived(attack)


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
    survived(attack)

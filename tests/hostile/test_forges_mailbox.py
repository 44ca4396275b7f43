"""Writes answers and tokens into the mailbox: early, late, guessed or too many."""

import numpy as np
import pytest
from witnesses import measured

BOX = """
import sys
def mailbox():
    frame = sys._getframe()
    while "box" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["box"]
"""
SEARCH_S = 0.002
LATE = f"""
    def query(self, v, k):
        box = mailbox()
        box.count[0] = k
        box.response[0] = box.request[0]  # answered, it says, and only then searches
        time.sleep({SEARCH_S})
        box.ids[:k] = self.near(v, k)
        return box.ids[:k]
"""


def test_answering_before_the_search(attack, strict):
    """Ids that arrive after the answer are not read, or their time counts."""
    outcome = measured(attack(LATE, before=BOX)[0])
    waited = np.mean(np.array(outcome.latencies_ns) >= 1e9 * SEARCH_S)
    assert outcome.recall < 0.5 + waited


def test_changing_the_ids_afterwards(attack, strict):
    """Ids that a thread changes later are not read."""
    body = """
        def query(self, v, k):
            box, right = mailbox(), self.near(v, k)
            def later():
                for _ in range(20):
                    time.sleep(0.0005)
                    box.ids[:k] = right
            threading.Thread(target=later).start()
            return list(range(k))
    """
    assert measured(attack(body, before=BOX)[0]).recall < 0.9


def test_guessing_tokens(attack, strict):
    """A guess is right once in 2**63, so the query stays unanswered."""
    body = """
        started = False
        def query(self, v, k):
            box = mailbox()
            if not self.started:
                self.started = True
                def guess():
                    import random
                    while True: box.response[0] = random.getrandbits(64) | 1 << 63
                threading.Thread(target=guess, daemon=True).start()
            time.sleep(0.001)
            return self.near(v, k)
    """
    outcome = attack(body, before=BOX, phase_timeout_s=1.5)[0]
    # A guess that lands on top of the true token is a question for ever: a timeout.
    assert getattr(outcome, "kind", "measured") in {"timeout", "measured"}
    if hasattr(outcome, "latencies_ns"):
        assert min(outcome.latencies_ns) >= 1_000_000


@pytest.mark.parametrize("count", ["2**62", "-5", "k + 1", "0", "-2**63"])
def test_a_count_that_is_not_true(attack, strict, count):
    """A wrong count reads no other memory."""
    body = f"""
        def query(self, v, k):
            box = mailbox()
            box.count[0] = {count}
            box.response[0] = box.request[0]
            return self.near(v, k)
    """
    outcome = attack(body, before=BOX, phase_timeout_s=1.2)[0]
    kinds = {"invalid-result", "protocol", "timeout", "measured"}
    assert getattr(outcome, "kind", "measured") in kinds
    if hasattr(outcome, "recall"):  # the true count was written in time, as its clock shows
        assert outcome.recall <= 1


def test_dismissing_and_asking_itself(attack, strict):
    """Overwriting the grader's words only makes it wait until its own limit."""
    for value in (0, 1 << 63):
        body = f"""
            def query(self, v, k):
                mailbox().request[0] = {value}
                return self.near(v, k)
        """
        outcome = attack(body, before=BOX, phase_timeout_s=1.2)[0]
        assert getattr(outcome, "kind", "measured") in {"timeout", "protocol", "measured"}

"""Answers with objects whose methods have side effects."""

import pytest
from witnesses import failed, measured

ODD = """
import time
class Number:
    def __init__(self, n): self.n = n
    def __int__(self): return self.n
    def __index__(self): time.sleep(0.0003); return self.n
    def __eq__(self, other): return True
    def __hash__(self): return 1
class Lazy(list):
    def __iter__(self):
        time.sleep(0.003)
        return iter(self.make())
    def __len__(self): return 10
class Growing(list):
    def __len__(self): return 10**9
class Array(np.ndarray):
    def __getitem__(self, key): time.sleep(0.003); return super().__getitem__(key)
class Liar(np.ndarray):
    @property
    def dtype(self): return np.dtype("i8")
    def __len__(self): return 10
class Trap:
    def __reduce__(self): return os.system, ("touch /tmp/trapped",)
def lazy(make):
    found = Lazy()
    found.make = make
    return found
"""
SLOW = {
    "__index__": "[Number(int(i)) for i in self.near(v, k)]",
    "a list that is made when it is read": "lazy(lambda: self.near(v, k).tolist())",
    "an array that works when it is read": "self.near(v, k).view(Array)",
}
REFUSED = {
    "pickle": "Trap()",
    "pickles": "[Trap()] * k",
    "a generator": "(i for i in self.near(v, k))",
    "a length that is not true": "Growing(self.near(v, k).tolist())",
    "duplicates": "[int(self.near(v, 1)[0])] * k",
    "all equal": "[Number(3)] * k",
    "too many": "np.arange(len(self.X))",
    "outside": "np.full(k, 2**62)",
    "negative": "np.arange(-k, 0)",
    "larger than any number": "[10**30] * k",
    "objects": "np.array([Number(1)] * k, object)",
    "texts": "['1'] * k",
    "a dtype that is not true": "self.near(v, k).astype('f8').view(Liar)",
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_work_done_while_it_is_read_is_on_the_clock(attack, strict, answer):
    """Work in the answer's methods is timed."""
    outcome = measured(
        attack(
            f"def query(self, v, k): return {answer}",
            before="import os\nimport numpy as np\n" + ODD,
        )[0]
    )
    assert min(outcome.latencies_ns) >= 3_000_000
    assert outcome.recall == 1


def test_whatever_is_no_answer_is_refused(attack, strict, tmp_path):
    """An invalid object is refused, and the grader runs none of its code."""
    lines = "".join(f"    lambda self, v, k: {text},\n" for text in REFUSED.values())
    outcomes = attack(
        "def query(self, v, k): return WAYS[self.setting](self, v, k)",
        before="import os\nimport numpy as np\n" + ODD + f"WAYS = [\n{lines}]\n",
        settings=range(len(REFUSED)),
        n_queries=2,
    )
    for name, outcome in zip(REFUSED, outcomes, strict=True):
        if name == "a dtype that is not true":  # numpy converts it: whole numbers after all
            assert getattr(outcome, "kind", "invalid-result") == "invalid-result"
            continue
        assert (name, failed(outcome).kind) == (name, "invalid-result")


def test_an_array_that_changes_after_it_was_returned(attack, strict):
    """Ids are copied when they are returned."""
    body = """
        def query(self, v, k):
            found = np.arange(k)
            right = self.near(v, k)
            threading.Timer(0.001, lambda: found.__setitem__(slice(None), right)).start()
            return found
    """
    assert measured(attack(body)[0]).recall < 0.9


def test_a_batch_that_is_made_when_it_is_read(attack, strict):
    """The batch's clock stops after its ids were read."""
    body = """
        def batch_query(self, X, k):
            return lazy(lambda: [self.near(v, k) for v in X])
    """
    before = "import os\nimport numpy as np\n" + ODD.replace("return 10\n", "return 60\n", 1)
    outcome = attack(body, before=before)[0]
    if hasattr(outcome, "batch_qps"):
        assert outcome.batch_qps <= 60 / 0.003
    else:
        assert outcome.kind in {"invalid-result", "raised"}

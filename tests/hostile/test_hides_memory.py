"""Holds its index where its size might not be seen, or says something else about it."""

import pytest
from witnesses import MEGABYTE, measured, survived

SIZE = 40 * MEGABYTE
HIDDEN = {
    "set aside by the constructor": "def __init__(self, metric):\n    super().__init__(metric)\n    self.b = np.ones({n}, np.uint8)",
    "after the build": "kept = None\ndef query(self, v, k):\n    if self.kept is None: self.kept = np.ones({n}, np.uint8)\n    return self.near(v, k)",
    "in a file": "def fit(self, X):\n    super().fit(X)\n    open('/dev/shm/index', 'wb').write(bytes({n}))",
    "in two processes": """
def fit(self, X):
    import mmap
    super().fit(X)
    self.b = mmap.mmap(-1, {n})
    for at in range(0, {n}, 4096): self.b[at] = 1
    if os.fork() == 0:
        sum(self.b[::4096])
        threading.Event().wait()
    time.sleep(0.2)""",
    "in a child": """
def fit(self, X):
    super().fit(X)
    ours, theirs = os.pipe()
    if os.fork() == 0:
        kept = np.ones({n}, np.uint8)
        os.write(theirs, b"x")
        threading.Event().wait()
    os.read(ours, 1)""",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_is_counted(attack, strict, how):
    """Nine tenths of it at least; a self-report cannot make it less."""
    body = HIDDEN[how].format(n=SIZE) + "\ndef get_memory_usage(self): return 1"
    outcome = measured(attack(body)[0])
    assert outcome.index_bytes >= 0.9 * SIZE
    survived(attack)


def test_an_honest_index_is_not_charged_for_others(honest, strict):
    """Neither queries nor the mailbox nor ``train`` count as its own."""
    assert honest.index_bytes < 2 * MEGABYTE


@pytest.mark.parametrize(
    "claim",
    [
        "float('nan')",
        "float('inf')",
        "-1",
        "10**400",
        "10**30",
        "'9' * 5000",
        "type('S', (str,), {'__float__': lambda s: 1 / 0})('5')",
        "[1]",
        "True",
        "1e-300",
    ],
)
def test_claims_that_are_no_size(attack, strict, claim):
    """Are none; every figure can be shown and added up."""
    outcome = measured(attack(f"def get_memory_usage(self): return {claim}")[0])
    assert 0 <= outcome.index_bytes < 2**50
    assert outcome.reported_index_bytes in {None, 0, 1}

"""Writes its own frames into the socket."""

import pytest
from witnesses import failed

CHANNEL = """
import sys
def channel():
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "channel"):
        frame = frame.f_back
    return frame.f_locals["self"].channel
def raw(data):
    channel()._sock.sendall(data)
def frame(text, body=b""):
    from pytest_annmodal.channel.wire import PREFIX
    raw(PREFIX.pack(b"ANNM", len(text), len(body)) + text + body)
"""
FORGED = {
    "built before it is": "channel().send('built', {'build_ns': 1})",
    "answers": "channel().send('answers', {}, [np.zeros((1, 9), np.int64)])",
    "no frame": "raw(b'x' * 1000)",
    "a frame without end": "raw(b'ANNM' + b'\\xff' * 12)",
    "deep JSON": "frame(b'[' * 100000)",
    "a long number": 'frame(b\'{"kind": "built", "fields": {"build_ns": 1\' + b\'0\' * 5000 + b\'}, "arrays": []}\')',
    "not a number": 'frame(b\'{"kind": "built", "fields": {"build_ns": NaN}, "arrays": []}\')',
    "arrays nobody asked for": 'frame(b\'{"kind": "built", "fields": {}, "arrays": [["<i8", [1]]]}\', bytes(8))',
    "a kind that is none": "channel().send('finished')",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_is_a_violation(attack, forged):
    """A forged frame is a violation, since the real frame then is one too many."""
    body = f"def fit(self, X):\n    super().fit(X)\n    {forged}"
    failure = failed(attack(body, before=CHANNEL)[0])
    assert failure.kind == "protocol"
    assert len(failure.message) < 2000


HALVES = {
    "a beginning": "raw(b'ANN')",
    "a head": "raw(PREFIX.pack(b'ANNM', 100, 0))",
    "a byte now and then": """threading.Thread(target=trickle, daemon=True).start()""",
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
def test_half_a_frame_hides_nothing(attack, half):
    """Its processes are checked while the rest of a frame is awaited."""
    before = (
        CHANNEL
        + """
def trickle():
    import time
    raw(PREFIX.pack(b"ANNM", 10**6, 0))
    while True:
        raw(b" ")
        time.sleep(0.05)
from pytest_annmodal.channel.wire import PREFIX
ours = channel()
def channel(): return ours
"""
    )
    body = f"""
        def fit(self, X):
            {half}
            for _ in range(100):
                if os.fork() == 0: break
            threading.Event().wait()
    """
    failure = failed(attack(body, before=before, phase_timeout_s=60.0)[0])
    assert failure.kind == "limit"
    assert failure.message == "started more than 64 processes during build"


def test_a_worker_that_stops_reading_hides_nothing(attack, level):
    """Its processes are checked while it does not read a batch."""
    text = (
        CHANNEL
        + """
ours = channel()
"""
    )
    body = """
        n = 0
        def query(self, v, k):
            self.n += 1
            if self.n == 60:
                def hold():
                    for _ in range(100):
                        if os.fork() == 0: break
                    threading.Event().wait()
                ours.receive = lambda **_: hold()
            return self.near(v, k)
        def batch_query(self, X, k): return [self.near(v, k) for v in X]
    """
    failure = failed(attack(body, before=text, level=level, phase_timeout_s=60.0)[0])
    assert failure.kind == "limit"
    assert failure.message == "started more than 64 processes during batch"


def test_an_error_of_its_own_making(attack):
    """A forged error has a short plain text, and is a failure."""
    forged = """{"type": "T" * 10**5, "message": "\\x1b[2J" * 10**4, "line": 10**400, "kind": {},
                "traceback": [1] * 10**5}"""
    failure = failed(
        attack(f"def fit(self, X): channel().send('error', {forged})", before=CHANNEL)[0]
    )
    assert "\x1b" not in failure.message
    assert len(failure.message) < 12_000
    assert len(failure.evidence["traceback"]) < 50_000


@pytest.mark.parametrize(
    "fields",
    [
        "{}",
        "{'reported_index_bytes': 10**400, 'versions': 5}",
        "{'reported_index_bytes': [1], 'versions': {'x' * 9999: '\\x1b' * 9999}}",
    ],
)
def test_a_memory_frame_with_nonsense(attack, fields):
    """Invalid sizes and versions are ignored, or a violation."""
    body = f"""
        def get_memory_usage(self):
            channel().send('memory', {fields})
    """
    failure = failed(attack(body, before=CHANNEL)[0])  # the real frame is one too many
    assert failure.kind == "protocol"


def test_progress_without_end(attack):
    """Endless progress frames end at the phase's limit."""
    body = """
        def query(self, v, k):
            while True: channel().send("progress", {"rounds": 1})
    """
    failure = failed(attack(body, before=CHANNEL, clock="worker", phase_timeout_s=1.5)[0])
    assert failure.kind == "timeout"

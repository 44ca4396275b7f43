"""Raises huge exceptions, exceptions that raise when shown, or false file names."""

from witnesses import failed

RAISED = {
    "huge": "raise ValueError('x' * 10**8)",
    "no text": "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0, '__repr__': lambda self: 1 / 0})()",
    "a text that exits": "raise type('E', (Exception,), {'__str__': lambda self: os._exit(0)})()",
    "a text that is none": "raise type('E', (Exception,), {'__str__': lambda self: 5})()",
    "a long chain": "chain()",
    "a group": "raise ExceptionGroup('g' * 10**6, [ValueError('x' * 10**5)] * 1000)",
    "a name that raises": "raise Meta('E', (Exception,), {})()",
    "deep": "deep = lambda: deep(); deep()",
    "terminal": "raise ValueError('\\x1b]0;owned\\x07 ::error::x ##[command]y <script>')",
    "interrupt": "raise KeyboardInterrupt",
}
BEFORE = """
class Meta(type):
    @property
    def __name__(cls): raise RuntimeError("no name")
def chain():
    error = None
    for n in range(2000):
        new = ValueError("x" * 1000)
        new.__cause__ = error
        error = new
    raise error
"""


def test_is_a_short_plain_failure(attack, strict):
    """The failure has a short plain text."""
    lines = "".join(
        f"    if setting == {n}:\n        {RAISED[how]}\n" for n, how in enumerate(RAISED)
    )
    outcomes = attack(
        f"def set_query_arguments(self, setting):\n{lines}",
        before=BEFORE,
        settings=range(len(RAISED)),
        n_queries=2,
    )
    for how, outcome in zip(RAISED, outcomes, strict=True):
        assert_is_plain(outcome, how)


def test_of_a_build_is_a_short_plain_failure(attack, strict):
    """The failure of a build has a short plain text too."""
    how = next(iter(RAISED))
    assert_is_plain(attack(f"def fit(self, X):\n    {RAISED[how]}", before=BEFORE)[0], how)


def assert_is_plain(outcome, how):
    failure = failed(outcome)
    assert failure.kind in {"raised", "crashed", "protocol"}, how
    assert failure.blame == "submission", how
    everything = failure.message + "".join(map(str, failure.evidence.values()))
    assert len(everything) < 60_000, how
    assert not set(everything) & {"\x1b", "\x07", "\x00"}, how


def test_a_traceback_does_not_show_other_files(attack, strict, tmp_path):
    """A false file name in a traceback is not read."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret line\n" * 3)
    body = f"""
        def fit(self, X):
            exec(compile("raise ValueError('x')", {str(secret)!r}, "exec"))
    """
    failure = failed(attack(body)[0])
    assert "secret line" not in failure.evidence["traceback"]

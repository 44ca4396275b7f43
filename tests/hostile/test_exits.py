"""Ends its own process in every way and phase."""

import pytest
from witnesses import failed


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("os._exit(0)", "exited with status 0"),
        ("os._exit(77)", "exited with status 77"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "signal 40"),
        ("os.execv('/bin/true', ['true'])", "exited with status 0"),
    ],
)
def test_is_a_crash(attack, how, words):
    """Ending itself is its own failure; the next submission is measured."""
    for method in ("fit(self, X)", "query(self, v, k)"):
        failure = failed(attack(f"def {method}: {how}")[0])
        assert (failure.kind, failure.blame) == ("crashed", "submission")
        assert words in failure.message


def test_its_whole_group_and_all_that_it_may_signal(attack, strict):
    """``kill(-1)`` and ``kill(0)`` reach only its own sandbox."""
    for target in ("-1", "0"):
        failure = failed(
            attack(
                f"def fit(self, X): os.kill({target}, signal.SIGKILL); threading.Event().wait()"
            )[0]
        )
        assert failure.kind in {"crashed", "timeout", "raised"}

"""The exception tree matches its docstring."""

import inspect
import re

import pytest

from pytest_annmodal import errors

CLASSES = {
    name: item
    for name, item in vars(errors).items()
    if inspect.isclass(item) and issubclass(item, Exception)
}


def test_the_drawing_is_the_tree():
    """Every class, below its base."""
    stack, drawn = [], {}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"^    ([│├└─ ]*)([A-Z]\w+Error)", line):
            depth = len(found[1]) // 4
            stack[depth:] = [found[2]]
            drawn[found[2]] = stack[depth - 1] if depth else "Exception"
    assert drawn == {name: item.__bases__[0].__name__ for name, item in CLASSES.items()}


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"ChecksumError"}))
def test_every_error_has_its_message(name):
    """``str`` of each error is its message."""
    assert str(CLASSES[name]("what happened")) == "what happened"


def test_a_submissions_kinds_are_stable_and_its_evidence_is_kept():
    """The kinds of submission errors do not change, since reports contain them."""
    kinds = {
        item.__name__: item.kind
        for item in CLASSES.values()
        if issubclass(item, errors.SubmissionError)
    }
    assert kinds == {
        "SubmissionError": "submission",
        "BuildError": "raised",
        "CompileError": "compile",
        "EnvironmentBuildError": "environment",
        "CrashedError": "crashed",
        "TimeoutExceededError": "timeout",
        "LimitExceededError": "limit",
        "ProtocolViolationError": "protocol",
        "SmugglingError": "smuggling",
        "InvalidResultError": "invalid-result",
    }
    error = errors.CrashedError("x", kind="other", exit_status=3)
    assert (error.kind, error.evidence) == ("other", {"exit_status": 3})
    assert errors.CrashedError.kind == "crashed"


def test_a_wrong_checksum_names_both_and_the_place():
    """A wrong checksum names both digests, the place, and what to do."""
    error = errors.ChecksumError(name="x", url="http://u", expected="aa", actual="bb")
    assert (error.url, error.expected, error.actual) == ("http://u", "aa", "bb")
    for words in ("x:", "http://u", "aa", "bb", "--ann-base-url"):
        assert words in str(error)


def test_a_download_may_be_tried_again_unless_it_says_otherwise():
    """Download errors may be retried unless they say otherwise (404)."""
    assert errors.DownloadError("x").retryable
    assert not errors.DownloadError("x", retryable=False).retryable

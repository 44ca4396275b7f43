"""Detects the comparison with a baseline, and behaves differently there."""

import dataclasses

import pytest
from jobs import EXACT, failed, index, make_job, measured, write

from pytest_annmodal.comparison import compare
from pytest_annmodal.comparison.interleaving import Session
from pytest_annmodal.execution import run_job
from pytest_annmodal.model import Arguments, Baseline, Implementation
from pytest_annmodal.sandbox import process_tree

# In a race the warm-up's first vector comes again after twenty queries.
RACING = """
    n, first, racing = 0, None, False
    def query(self, v, k):
        self.n += 1
        if self.n == 1: self.first = np.array(v)
        if self.n == 21: self.racing = bool((v == self.first).all())
        return self.answer(self.near(v, k), v, k)
"""
WRONG = """
    def query(self, v, k):
        time.sleep(0.0001 * (5 - self.setting))
        order = np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")
        return np.concatenate([order[: k - self.setting], order[len(order) - self.setting :]])
"""


@pytest.fixture
def race(small_dataset, tmp_path, strict):
    """The outcome of a submission with this text beside a baseline with these settings."""

    def race(text, against=EXACT, *, settings=(None,), sessions=5, trusted=False):
        path = small_dataset(n_train=600, n_queries=60)
        theirs = write(tmp_path / "base.py", against)
        job = make_job(
            path,
            write(tmp_path / "mine.py", text),
            clock="parent",
            isolation="strict",
            fresh_seed=5,
            n_queries=60,
            implementation={"trusted": trusted},
        )
        baseline = Baseline(
            implementation=Implementation(
                name="base", path=str(theirs), class_name="Index", metrics=("euclidean",)
            ),
            build=Arguments(),
            searches=tuple(Arguments(args=() if s is None else (s,)) for s in settings),
            max_sessions=sessions,
            difference=0.05,
        )
        return run_job(dataclasses.replace(job, baseline=baseline), path)[0]

    return race


def test_is_compared_at_the_recall_that_it_has_in_the_race(race):
    """A submission is compared at the recall that it has in the comparison."""
    text = (
        index(RACING)
        + index("""
        def answer(self, found, v, k):
            if self.racing: found[5:] = np.argsort(-((self.X - v) ** 2).sum(axis=1))[: k - 5]
            return found
    """).partition("class Index(Exact):\n")[2]
    )
    outcome = measured(race(text, index(WRONG), settings=(0, 2, 5)))
    found = outcome.comparison
    assert outcome.recall == 1
    assert found.recall == pytest.approx(0.5)
    assert found.baseline_settings == ("5",)
    assert found.equal_recall
    assert found.sessions == 4  # the first was with others


def test_a_process_that_escapes_the_pause_is_smuggling(race, monkeypatch):
    """A process that works while the baseline is timed is found by its CPU time.

    A chain of processes that start each other is sometimes too fast to be stopped; here none is
    stopped, so that the test does not depend on luck.
    """
    monkeypatch.setattr(
        process_tree, "_stop_descendants", lambda pid, **_: set(process_tree.descendants(pid))
    )
    text = (
        index(RACING)
        + """
    def answer(self, found, v, k):
        if self.racing and self.n == 21 and os.fork() == 0:
            os.setsid()
            while True: pass
        return found
"""
    )
    failure = failed(race(text, sessions=2))
    assert (failure.kind, failure.phase) == ("smuggling", "comparison")
    assert "while it was stopped" in failure.message


def test_what_it_holds_in_the_race_only_counts(race):
    """Memory that it holds only in the comparison counts as index size."""
    text = (
        index(RACING)
        + """
    kept = None
    def answer(self, found, v, k):
        if self.racing and self.kept is None: self.kept = np.ones(40 * 2**20, np.uint8)
        return found
"""
    )
    outcome = measured(race(text, sessions=1))
    assert outcome.index_bytes >= 40 * 2**20
    assert outcome.peak_rss_bytes >= outcome.index_bytes


def test_what_its_builds_take_in_the_race_counts(race, monkeypatch):
    """The median of its builds in the comparison counts as build time."""
    builds = iter([5.0, 100.0, 1.0])
    size = Session.size

    def slower(self):
        return dataclasses.replace(size(self), build_s=next(builds))

    monkeypatch.setattr(Session, "size", slower)
    assert measured(race(EXACT, sessions=3)).build_s == 5.0


def test_what_it_puts_off_in_the_race_is_part_of_its_builds(race):
    """Work delayed until its setting is set or the warm-up is part of its builds."""
    text = index("""
        asked = 0
        def query(self, v, k):
            if self.asked == 0: time.sleep(0.5)
            self.asked += 1
            return self.near(v, k)
    """)
    assert measured(race(text, sessions=1)).build_s >= 0.4


def test_a_trusted_one_is_measured_once(race, monkeypatch):
    """A trusted implementation keeps its first measurement."""
    monkeypatch.setattr(compare, "_with_larger", None)
    outcome = measured(race(EXACT, sessions=1, trusted=True))
    assert outcome.comparison is not None

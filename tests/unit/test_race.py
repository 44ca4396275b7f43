"""A gate's race asks each query several times, and scores what it timed."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.gate import race
from pytest_annmodal.model import Arguments, Search

K = 5


class Side:
    """Answers exactly in 1,000 ns; the script has other answers and times for some rounds."""

    short_answers = False

    def __init__(self, data, script=None):
        self.data, self.script = data, script or {}
        self.trial = SimpleNamespace(warmup=data.test[:4])
        self.rounds = [0] * len(data.test)

    def awake(self):
        return contextlib.nullcontext()

    def ask(self, _search, _arguments, queries):
        rows = [int(np.flatnonzero((self.data.test == query).all(axis=1))[0]) for query in queries]
        times = np.full(len(rows), 1_000)
        ids = self.data.neighbors[rows, :K].astype(np.int64)
        if len(rows) > 4:  # not the warm-up
            for place, row in enumerate(rows):
                if given := self.script.get((row, self.rounds[row])):
                    times[place], ids[place] = given
                self.rounds[row] += 1
        return times, ids, np.full(len(rows), K)


@pytest.fixture
def asked(small_dataset):
    data = hdf5.load(small_dataset())

    def asked(script):
        session = SimpleNamespace(
            candidate=Side(data, script), baseline=Side(data), control=Side(data), number=0
        )
        search = Search(case_id="one", arguments=Arguments(), k=K, rounds=1)
        return race.in_turn(session, search, Arguments(), race.Scored(data), 20.0)[0]

    return asked


def test_the_answer_of_the_least_time_is_scored(asked):
    """A quick answer that is poor counts for recall as well as for speed."""
    assert asked({}).recall == 1
    for number in range(3):
        found = asked({(7, number): (500, [0, 1, 2, 3, 4])})
        assert found.least_ns[7] == 500
        assert found.ids[7].tolist() == [0, 1, 2, 3, 4]
        assert found.recall < 1


def test_a_slower_answer_is_not_scored(asked):
    """Its time does not count either."""
    found = asked({(7, 2): (2_000, [0, 1, 2, 3, 4])})
    assert (found.least_ns[7], found.recall) == (1_000, 1)


@pytest.mark.parametrize("time_ns", [500, 2_000])
@pytest.mark.parametrize("number", range(3))
def test_a_wrong_answer_ends_the_race_whenever_it_comes(asked, number, time_ns):
    """Later right answers do not replace it."""
    with pytest.raises(InvalidResultError, match="id 9 twice for query 7"):
        asked({(7, number): (time_ns, [9, 9, 2, 3, 4])})

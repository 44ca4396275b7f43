"""Answers are stacked and checked as by a plain loop, in every form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.scoring import validity
from pytest_annmodal.worker import answers

K, N_TRAIN = 4, 6
IDS = st.integers(-2, N_TRAIN + 1)
FORMS = st.sampled_from([list, tuple, lambda row: np.array(row, np.int64)])
ROWS = st.lists(st.lists(IDS, max_size=K + 2), max_size=6)


def in_forms(data, rows):
    return [data.draw(FORMS)(row) for row in rows]


@given(ROWS, st.data())
def test_stacking_pads_cuts_and_counts(rows, data):
    """Every form of the same ids gives the same array."""
    ids, counts = answers.stack(in_forms(data, rows), K)
    assert ids.tolist() == [(row + [-1] * K)[:K] for row in rows]
    assert counts.tolist() == [len(row) for row in rows]


@given(ROWS, st.data())
def test_the_strict_check_passes_exactly_k_distinct_rows_of_train(rows, data):
    """The strict check accepts exactly k distinct valid rows, and nothing else."""
    ids, counts = answers.stack(in_forms(data, rows), K)
    answered = validity.Given(ids=ids, counts=counts)
    right = all(
        len(row) == len(set(row)) == K and all(0 <= i < N_TRAIN for i in row) for row in rows
    )
    if right:
        assert validity.check(answered, k=K, n_train=N_TRAIN).n_short == 0
    else:
        with pytest.raises(InvalidResultError):
            validity.check(answered, k=K, n_train=N_TRAIN)


@given(ROWS, st.data())
def test_the_lenient_check_takes_negative_ids_as_padding(rows, data):
    """The lenient check ignores negative ids; the rest must be distinct valid rows, at most k."""
    ids, counts = answers.stack(in_forms(data, rows), K)
    answered = validity.Given(ids=ids, counts=counts)
    kept = [[i for i in row if i >= 0] for row in rows]
    right = all(
        len(row) <= K and len(some) == len(set(some)) and all(i < N_TRAIN for i in some)
        for row, some in zip(rows, kept, strict=True)
    )
    if not right:
        with pytest.raises(InvalidResultError):
            validity.check(answered, k=K, n_train=N_TRAIN, short_answers=True)
        return
    n_short = validity.check(answered, k=K, n_train=N_TRAIN, short_answers=True).n_short
    assert n_short == sum(len(some) < K for some in kept)
    assert ids.min(initial=-1) == -1
    assert [[i for i in row if i >= 0] for row in ids.tolist()] == kept


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.sampled_from([np.int64(1), np.float32(1), np.array(1), np.array([[1]]), object()]),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.sets(st.integers()),
    max_leaves=6,
)


@given(st.lists(ANYTHING, max_size=4))
def test_nonsense_is_refused_in_one_way(rows):
    """Any other answer raises InvalidResultError."""
    try:
        ids, counts = answers.stack(rows, K)
        validity.check(validity.Given(ids=ids, counts=counts), k=K, n_train=N_TRAIN)
    except InvalidResultError:
        return
    assert ((ids >= 0) & (ids < N_TRAIN)).all()

"""Answers of an implementation become ids that can be scored, or one clear message."""

import array

import numpy as np
import pytest

from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.scoring import validity
from pytest_annmodal.worker import answers

K = 3


class TestStack:
    @pytest.mark.parametrize(
        "rows",
        [
            [[1, 2, 3], [4, 5, 6]],
            [(1, 2, 3), [4, 5, 6]],
            [np.array([1, 2, 3]), np.array([4, 5, 6])],
            [np.array([1, 2, 3], np.uint32), np.array([4, 5, 6], np.int8)],
            [np.array([1, 2, 3]), [4, 5, 6]],
            [list(np.array([1, 2, 3])), [np.int32(4), 5, 6]],
        ],
    )
    def test_sequences_of_integers_are_taken_as_they_are(self, rows):
        """Lists, tuples and integer arrays, mixed as well."""
        ids, counts = answers.stack(rows, K)
        assert ids.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert counts.tolist() == [3, 3]
        assert ids.dtype == counts.dtype == np.int64

    def test_short_answers_are_padded_and_long_ones_cut(self):
        """Short answers are padded, long ones cut; their true lengths are returned."""
        ids, counts = answers.stack([[1], [], [1, 2, 3, 4], np.array([7, 8])], K)
        assert ids.tolist() == [[1, -1, -1], [-1, -1, -1], [1, 2, 3], [7, 8, -1]]
        assert counts.tolist() == [1, 0, 4, 2]

    def test_no_answers_are_no_rows(self):
        """An empty batch gives an array without rows."""
        ids, counts = answers.stack([], K)
        assert (ids.shape, counts.shape) == ((0, K), (0,))

    def test_many_long_arrays_are_cut_too(self):
        """Arrays longer than k are cut: the fast path is for answers of exactly k."""
        ids, counts = answers.stack([np.arange(5)] * 4, K)
        assert ids.tolist() == [[0, 1, 2]] * 4
        assert counts.tolist() == [5] * 4

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (None, r"None \(is a return missing\?\)"),
            (5, "an int"),
            ("123", "a str"),
            (b"123", "a bytes"),
            ({1, 2, 3}, "a set"),
            ({1: 2}, "a dict"),
            ((i for i in range(3)), "a generator"),
            (map(int, "123"), "a map"),
            ([1.0, 2.0, 3.0], "a list of float"),
            ([1, 2.5, None], "a list of NoneType, float, int"),
            (["1", "2", "3"], "a list of str"),
            ([[1, 2, 3]], "a list of list"),
            ([(1, 0.5), (2, 0.5), (3, 0.5)], "a list of tuple.*the ids alone, without distances$"),
            (([1, 2, 3], [0.5, 0.5, 0.5]), "a tuple of list;.*the ids alone, without distances$"),
            ([[1], [2, 3], 4], "a list of int, list"),
            ([True, False, True], "a list of bool"),
            (np.array([True, False, True]), "dtype bool"),
            (np.array([1.0, 2.0, 3.0]), "dtype float64"),
            (np.array([[1, 2, 3]]), r"shape \(1, 3\).*; return its first row$"),
            (np.array([[1, 2], [3, 4]]), r"shape \(2, 2\).*many at once are for batch_query$"),
            (array.array("l", [1, 2, 3]), r"an array\.array;.*; return its tolist\(\)$"),
            (np.array(3), r"shape \(\)"),
            (np.array([1, None, 2]), "dtype object"),
            ([2**70, 1, 2], f"a list of int;.*; {2**70} does not fit into 64 bits$"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_anything_else_is_named(self, answer, words):
        """Other answers are refused, alone and among good ones, with what was expected."""
        for rows in ([answer], [[1, 2, 3], answer], [np.arange(3), answer]):
            with pytest.raises(InvalidResultError, match=words) as caught:
                answers.stack(rows, K)
            assert "expected a flat list or integer array" in str(caught.value)
            assert str(caught.value).startswith("query returned")
            assert caught.value.kind == "invalid-result"

    def test_the_message_names_the_method(self):
        """``query`` or ``batch_query``."""
        with pytest.raises(InvalidResultError, match=r"^batch_query returned None"):
            answers.stack([None], K, "batch_query")


class TestReused:
    def test_answers_of_their_own_are_not_reused(self):
        """Separate answers, or views of different parts of an array, share no memory."""
        table = np.arange(6).reshape(2, 3)
        assert not answers.reused([table[0], table[1], [1, 2], (1, 2), np.arange(3)])
        assert not answers.reused([np.empty(0, int)] * 2)
        assert not answers.reused([None, None, 5, 5])
        assert not answers.reused([np.array(3), np.array(3)])

    def test_one_buffer_given_twice_is_reused(self):
        """The same list, array, or two views of one place are recognised as a reused buffer."""
        row, table = [1, 2, 3], np.arange(6)
        assert answers.reused([row, [4], row])
        assert answers.reused([table, table])
        assert answers.reused([table[:3], table[3:], table[:3]])
        assert answers.reused([table[:3], table[:2]])

    def test_a_copy_does_not_follow_its_buffer(self):
        """A copied answer of any kind does not change with its buffer."""
        array, row = np.arange(3), [1, 2, 3]
        copies = answers.copied(array), answers.copied(row)
        array[:] = row[:] = 7, 7, 7
        assert (copies[0].tolist(), copies[1]) == ([0, 1, 2], [1, 2, 3])
        lazy = (i for i in range(3))
        assert answers.copied(lazy) is lazy
        assert answers.copied(None) is None


def check(rows, **options):
    ids, counts = answers.stack(rows, K)
    given = validity.Given(ids=ids, counts=counts)
    return validity.check(given, **{"k": K, "n_train": 10, **options})


class TestCheck:
    def test_right_answers_pass(self):
        """Answers of k valid ids pass."""
        assert check([[0, 1, 9], [3, 2, 1]]).n_short == 0

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            ([[0, 1, 2], [1, 2]], "query returned 2 ids for query 1, expected 3"),
            ([[0, 1, 2], [1, 2, 3, 4]], "query returned 4 ids for query 1, expected 3"),
            (
                [[0, 1, 2], []],
                "query returned 0 ids for query 1, expected 3; if it found no more, set short-answers",
            ),
            ([[0, 1, 10]], "returned id 10 for query 0; .* 0 to 9"),
            (
                [[0, 1, 2], [0, -1, 2]],
                "returned id -1 for query 1; .* 0 to 9; if it found no more, set short-answers",
            ),
            ([[0, 1, 2], [4, 5, 4]], "returned id 4 twice for query 1"),
            (
                [[0, 1, 2], [0, 0, 0]],
                r"returned id 0 twice for query 1.*\(see surprises: padding\)",
            ),
            (
                [[0, 1, 2], [0, 0, 2]],
                "returned id 0 twice for query 1; 3 different ids are expected$",
            ),
        ],
    )
    def test_wrong_answers_are_named_with_the_first_query_that_has_one(self, rows, words):
        """Too few, too many, invalid, negative or repeated ids are named with their query."""
        with pytest.raises(InvalidResultError, match=words):
            check(rows)

    def test_short_answers_may_be_allowed(self):
        """If short answers are allowed, missing and negative ids are counted as misses."""
        checked = check([[0, 1, 2], [1], [5, -1, 6], [-1, -1, -1]], short_answers=True)
        assert checked.n_short == 3
        assert checked.given().counts.tolist() == [3, 1, 2, 0]
        assert checked.ids.tolist() == [[0, 1, 2], [1, -1, -1], [5, -1, 6], [-1, -1, -1]]

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            ([[1, 2, 3, 4]], "returned 4 ids"),
            ([[1, 1]], "returned id 1 twice"),
            ([[10]], "returned id 10"),
        ],
    )
    def test_short_answers_must_still_be_answers(self, rows, words):
        """Short answers must have distinct valid ids, at most k."""
        with pytest.raises(InvalidResultError, match=words):
            check(rows, short_answers=True)

    def test_a_count_that_no_answer_can_have_is_refused(self):
        """An impossible number of ids is refused, also if short answers are allowed."""
        given = validity.Given(ids=np.full((1, K), -1), counts=np.array([-1]))
        with pytest.raises(InvalidResultError, match="returned -1 ids"):
            validity.check(given, k=K, n_train=10, short_answers=True)

    def test_the_message_names_the_method(self):
        """So that one knows where to look."""
        with pytest.raises(InvalidResultError, match=r"^batch_query returned id 99"):
            check([[0, 1, 99]], where="batch_query")


def test_minus_one_in_unsigned_ids_is_padding():
    """-1 in unsigned ids (the largest number of 32 bits) is a miss if short answers are allowed."""
    rows = [np.array([1, -1, -1]).astype(np.uint32)]
    checked = check(rows, short_answers=True)
    assert checked.n_short == 1
    assert checked.ids.tolist() == [[1, -1, -1]]
    with pytest.raises(InvalidResultError, match=r"returned id -1 .*short-answers"):
        check(rows)

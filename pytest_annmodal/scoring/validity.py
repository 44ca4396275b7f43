"""Checks a worker's answers, once, before they are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal import surprises
from pytest_annmodal.errors import InvalidResultError

MAY_BE_SHORT = "; " + surprises.noted(
    "missing-answers",
    "if it found no more, set short-answers = true in the header: missing ids count as misses",
)
PADDED = "; " + surprises.noted(
    "padding",
    "some libraries pad an answer with row 0 when they find too few: leave the padding out",
)

IDS_AT_ONCE = 2**16  # sorted at once: fits a core's own cache
UNSIGNED_MINUS_ONE = 2**32 - 1  # -1 in an array of uint32; no file has so many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Unchecked answers of a worker.

    Attributes:
        ids: int64 (n, k) or (rounds, n, k), padded with -1.
        counts: int64 (n,) or (rounds, n), the number of ids in each answer.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Answers that passed :func:`check`; only these are scored.

    Attributes:
        ids: int64 (n, k) or (rounds, n, k), distinct row numbers of ``train``, padded with -1.
        n_short: how many answers had fewer than k ids.
    """

    ids: NDArray[np.int64]
    n_short: int

    def given(self) -> Given:
        """Returns them as unchecked answers, for a receiver that checks again."""
        return Given(ids=self.ids, counts=(self.ids >= 0).sum(axis=-1))


def check(
    given: Given, *, k: int, n_train: int, short_answers: bool = False, where: str = "query"
) -> Checked:
    """Checks that each answer is k distinct row numbers.

    A round equal to the first is not checked again.

    Args:
        given: its ids are changed in place: -1 stored as uint32 becomes -1 again.
        short_answers: whether missing and negative ids are allowed and count as misses.

    Raises:
        InvalidResultError: an answer is anything else; names the first such query.
    """
    ids, counts = given.ids, given.counts
    rounds = [(ids, counts)] if ids.ndim == 2 else list(zip(ids, counts, strict=True))
    n_short: list[int] = []
    for one in rounds:
        if n_short and all(map(np.array_equal, one, rounds[0])):
            n_short.append(n_short[0])
        else:
            n = _check_round(*one, k=k, n_train=n_train, short_answers=short_answers, where=where)
            n_short.append(n)
    return Checked(ids=ids, n_short=sum(n_short))


def _check_round(
    ids: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    k: int,
    n_train: int,
    short_answers: bool,
    where: str,
) -> int:
    """Checks one round; returns how many answers had fewer than k ids."""
    if (counts == k).all() and 0 <= ids.min(initial=0) <= ids.max(initial=0) < n_train:
        _refuse_twice(ids, counts, k, where)
        return 0
    ids[ids == UNSIGNED_MINUS_ONE] = -1
    given = np.arange(ids.shape[1])[None, :] < counts[:, None]
    if short_answers:
        given &= ids >= 0
        ids[~given] = -1
    short = given.sum(axis=1) < k
    impossible = (counts > k) | (counts < 0)
    wrong = f"{where} returned {{count}} ids for query {{row}}, expected {k}"
    _refuse(impossible, wrong, counts)
    if not short_answers:
        _refuse(short, wrong + MAY_BE_SHORT, counts)
    outside = given & ((ids < 0) | (ids >= n_train))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InvalidResultError(
            f"{where} returned id {ids[row, column]} for query {row}; ids are row numbers of "
            f"the training data, 0 to {n_train - 1}"
            + (MAY_BE_SHORT if ids[row, column] == -1 else "")
        )
    _refuse_twice(ids, counts, k, where)
    return int(short.sum())


def _refuse(bad: NDArray[np.bool_], text: str, counts: NDArray[np.int64]) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidResultError(text.format(row=row, count=int(counts[row])))


def _refuse_twice(ids: NDArray[np.int64], counts: NDArray[np.int64], k: int, where: str) -> None:
    narrow = np.int32 if ids.max(initial=0) <= np.iinfo(np.int32).max else np.int64
    step = max(1, IDS_AT_ONCE // max(1, ids.shape[1]))
    for start in range(0, len(ids), step):
        ordered: NDArray[np.signedinteger] = np.sort(
            ids[start : start + step].astype(narrow), axis=1
        )
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        if twice.any():
            row, column = np.argwhere(twice)[0]
            query = start + row
            padded = ids[query, counts[query] - 2 : counts[query]].tolist() == [0, 0]
            raise InvalidResultError(
                f"{where} returned id {ordered[row, column]} twice for query {query}; "
                f"{k} different ids are expected{PADDED if padded else ''}"
            )

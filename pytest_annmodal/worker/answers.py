"""Turns what an implementation returned into an array of ids that can be scored.

An answer is a flat list, tuple or integer array of row numbers of ``train``. Generators and
iterators are refused, since their work would not be timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.errors import InvalidResultError

N_BY_ADDRESS = 256


def describe(answer: Any) -> str:
    """Describes an answer for an error message."""
    if isinstance(answer, np.ndarray):
        return f"an array of shape {answer.shape} and dtype {answer.dtype}"
    if isinstance(answer, (list, tuple)):
        inner = sorted({type(item).__name__ for item in answer[:100]})
        return f"a {type(answer).__name__} of {', '.join(inner) or 'nothing'}"
    if answer is None:
        return "None (is a return missing?)"
    kind = type(answer)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def unusable(answer: Any, where: str = "query") -> InvalidResultError:
    """Returns the error for an answer that is not a flat sequence of integers."""
    return InvalidResultError(
        f"{where} returned {describe(answer)}; expected a flat list or integer array of row "
        "numbers of the training data (int, not float; not nested; not a generator)"
        + _advice(answer)
    )


def _advice(answer: Any) -> str:
    """Returns what to do about the most common wrong answers; empty for others."""
    if isinstance(answer, np.ndarray):
        many = "; a query is one vector, of shape (d,): many at once are for batch_query"
        return ("; return its first row" if len(answer) == 1 else many) if answer.ndim == 2 else ""
    several = isinstance(answer, (list, tuple)) and len(answer) > 0
    pairs = several and all(isinstance(i, (list, tuple, np.ndarray)) for i in answer)
    if pairs:
        return "; return the ids alone, without distances"
    if several and set(map(type, answer)) == {int}:
        return f"; {max(answer, key=abs)} does not fit into 64 bits"
    return "; return its tolist()" if hasattr(type(answer), "tolist") else ""


def stack(
    answers: Sequence[Any], k: int, where: str = "query"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Turns one answer per query into ids int64 (n, k), padded with -1, and counts int64 (n,).

    Longer answers are cut to k, but their count is the full length. Never timed.

    Raises:
        InvalidResultError: an answer is not a flat sequence of integers.
    """
    if all(type(answer) is np.ndarray and answer.dtype.kind in "iu" for answer in answers) or all(
        type(answer) in (list, tuple) and len(answer) == k and bool not in map(type, answer)
        for answer in answers
    ):
        try:
            whole = np.asarray(answers)
        except (TypeError, ValueError, OverflowError):
            whole = np.empty(0)
        if whole.ndim == 2 and whole.dtype.kind in "iu" and whole.shape[1] == k:
            return whole.astype(np.int64), np.full(len(whole), k, np.int64)
    ids = np.full((len(answers), k), -1, np.int64)
    counts = np.zeros(len(answers), np.int64)
    for row, answer in enumerate(answers):
        flat = _flat(answer, where)
        counts[row] = len(flat)
        ids[row, : min(len(flat), k)] = flat[:k]
    return ids, counts


def _flat(answer: Any, where: str) -> NDArray[np.int64]:
    if not isinstance(answer, (list, tuple, np.ndarray)):
        raise unusable(answer, where)
    try:
        flat = np.asarray(answer) if len(answer) else np.empty(0, np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise unusable(answer, where) from error
    # Among integers numpy turns True into 1.
    truths = not isinstance(answer, np.ndarray) and bool in map(type, answer)
    if flat.ndim != 1 or flat.dtype.kind not in "iu" or truths:
        raise unusable(answer, where)
    return flat.astype(np.int64)


def check_batch(answer: Any, n_queries: int) -> None:
    """Checks that a batch has one answer per query.

    Raises:
        InvalidResultError: it has not.
    """
    numbers = isinstance(answer, np.ndarray) and answer.ndim < 2 and answer.dtype != object
    rows = isinstance(answer, (list, tuple, np.ndarray)) and not numbers
    if not rows or (len(answer) and isinstance(answer[0], (int, np.number))):
        raise InvalidResultError(
            f"batch_query returned {describe(answer)}; expected one list of ids per query, or "
            "an integer array of shape (queries, k)"
        )
    if len(answer) != n_queries:
        raise InvalidResultError(
            f"batch_query returned {len(answer)} answers for {n_queries} queries"
        )


def reused(answers: Sequence[Any]) -> bool:
    """Whether two answers share memory, so that the later has overwritten the earlier.

    An implementation may return the same buffer each time; then each answer must be copied at
    once. (All answers are alive here, so equal addresses mean shared memory.)
    """
    owners = [_owner(answer) for answer in answers]
    # Owners are quick to compare. Arrays over memory outside of Python may share it although
    # their owners differ, so the first ones are compared by address as well.
    several = len(set(owners)) == len(owners)
    asked = answers[:N_BY_ADDRESS] if several else answers
    places = [
        answer.__array_interface__["data"][0] if isinstance(answer, np.ndarray) else id(answer)
        for answer in asked
        if (isinstance(answer, np.ndarray) and answer.size) or (isinstance(answer, list) and answer)
    ]
    return len(set(places)) < len(places)


def _owner(answer: Any) -> int:
    base = getattr(answer, "base", None)
    return id(answer if base is None else base)


def copied(answer: Any) -> Any:
    """Returns a copy of an answer, since the implementation may change its list or array."""
    return answer.copy() if isinstance(answer, (list, np.ndarray)) else answer

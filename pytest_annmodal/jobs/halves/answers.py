"""Packs the answers of a job for the referee as plain data, and checks them when they are read.

The referee trusts nothing in them, since they come from a container that ran a submission.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import wire
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs.scorer import Answers, Batch, LevelAnswers, Observed, Unscored
from pytest_annmodal.levels import Loaded
from pytest_annmodal.model import Job, Plain, Search, to_plain
from pytest_annmodal.outcome import Comparison, Failure
from pytest_annmodal.scoring import recall
from pytest_annmodal.scoring.validity import Checked, Given

KIND = "answers"
MAX_NUMBER = 2.0**63


class Environment(msgspec.Struct, kw_only=True):
    """Numbers of an environment that tables compute with; all others are only shown."""

    threads: float | None = None
    cores: float | None = None
    affinity_cores: float | None = None
    query_cores: float | None = None
    load_1min: float | None = None
    involuntary_switches: float | None = None
    parent_switches: float | None = None
    worker_waited: float | None = None
    throttled_s: float | None = None
    worker_cores: list[int] = []


class FailureRow(msgspec.Struct, tag="failure", kw_only=True):
    """A search that failed while it was asked."""

    failure: Failure


class AnswersRow(msgspec.Struct, tag="answers", kw_only=True):
    """A search that was answered; its arrays are sent beside it."""

    observed: Observed
    batch_s: float | None
    comparison: Comparison | None
    load: Loaded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The result of one search, with the comparison if there was one."""

    result: Unscored | Failure
    comparison: Comparison | None = None


def pack(answered: Sequence[Answered]) -> bytes:
    """Packs all results into one frame."""
    rows: list[FailureRow | AnswersRow] = []
    arrays: list[wire.Array] = []
    for item in answered:
        if isinstance(item.result, Failure):
            rows.append(FailureRow(failure=item.result))
            continue
        unscored = item.result
        arrays += [unscored.times_ns, *_arrays(unscored.answers)]
        batch_s = None
        if unscored.batch is not None:
            arrays += _arrays(unscored.batch.answers)
            batch_s = unscored.batch.seconds
        rows.append(
            AnswersRow(
                observed=unscored.observed,
                batch_s=batch_s,
                comparison=item.comparison,
                load=unscored.load,
            )
        )
        for level in unscored.load_answers:
            arrays += [level.rows, *_arrays(level.given)]
    return wire.pack(KIND, {"rows": msgspec.to_builtins(rows)}, arrays)


def _arrays(answers: Answers) -> list[wire.Array]:
    """Returns ids and counts as unchecked arrays: the referee checks them again."""
    given = answers.given() if isinstance(answers, Checked) else answers
    return [given.ids, given.counts]


def unpack(blob: bytes, job: Job, n_queries: Mapping[str, tuple[int, int]]) -> list[Answered]:
    """Rebuilds what :func:`pack` made.

    Args:
        n_queries: case id → numbers of single queries and of queries in the batch.

    Raises:
        ProtocolViolationError: it does not fit this job.
    """
    message = wire.unpack(blob, KIND)
    rows = message.fields.get("rows")
    if not isinstance(rows, list) or len(rows) != len(job.searches):
        raise ProtocolViolationError(
            f"the answers do not fit the {len(job.searches)} searches of this job"
        )
    arrays = iter(message.arrays)
    found = []
    try:
        for row, search in zip(rows, job.searches, strict=True):
            found.append(_answered(row, search, n_queries[search.case_id], arrays))
    except (ValueError, StopIteration) as error:
        raise ProtocolViolationError(f"the answers cannot be read: {error!r:.200}") from error
    if next(arrays, None) is not None:
        raise ProtocolViolationError("there are more arrays than answers")
    return found


def _answered(
    plain: Any, search: Search, n_queries: tuple[int, int], arrays: Iterator[wire.Array]
) -> Answered:
    row = msgspec.convert(plain, FailureRow | AnswersRow)
    if isinstance(row, FailureRow):
        return Answered(result=dataclasses.replace(row.failure, case_id=search.case_id))
    _refuse_strange_numbers(row)
    n_single, n_batch = n_queries
    times = next(arrays)
    rounds = min(max(len(times), 1), search.rounds) if times.ndim else 0
    unscored = Unscored(
        case_id=search.case_id,
        times_ns=_times(times, (rounds, n_single)),
        answers=Given(
            ids=_whole(next(arrays), (rounds, n_single, search.k), None, None),
            counts=_whole(next(arrays), (rounds, n_single), 0, search.k),
        ),
        batch=_batch(row.batch_s, search, n_batch, arrays),
        observed=row.observed,
    )
    if row.load is not None:
        answers = _load_answers(row.load, search, n_single, arrays)
        unscored = dataclasses.replace(unscored, load=row.load, load_answers=answers)
    return Answered(result=unscored, comparison=row.comparison)


def _batch(
    seconds: float | None, search: Search, n_queries: int, arrays: Iterator[wire.Array]
) -> Batch | None:
    if seconds is None:
        return None
    if seconds < 0:
        raise ProtocolViolationError(f"a batch took {seconds} seconds")
    return Batch(
        seconds=seconds,
        answers=Given(
            ids=_whole(next(arrays), (n_queries, search.k), None, None),
            counts=_whole(next(arrays), (n_queries,), 0, search.k),
        ),
    )


def _load_answers(
    load: Loaded, search: Search, n_queries: int, arrays: Iterator[wire.Array]
) -> tuple[LevelAnswers, ...]:
    """Reads the answers of each level without a failure, in their order."""
    found = []
    for level in load.levels:
        if level.failure:
            continue
        rows = next(arrays)
        shape = rows.shape[:1] or (0,)
        if not shape[0]:
            raise ProtocolViolationError(f"the level {level.words} has no answers")
        found.append(
            LevelAnswers(
                rows=_whole(rows, shape, 0, n_queries - 1),
                given=Given(
                    ids=_whole(next(arrays), (*shape, search.k), None, None),
                    counts=_whole(next(arrays), shape, None, None),
                ),
            )
        )
    return tuple(found)


def _times(array: wire.Array, shape: tuple[int, ...]) -> NDArray[np.int64]:
    times = _whole(array, shape, recall.LEFT_OUT, None)
    if times.size and times.max() == recall.LEFT_OUT:
        raise ProtocolViolationError("not one query has a time")
    return times


def _whole(
    array: wire.Array, shape: tuple[int, ...], least: int | None, most: int | None
) -> NDArray[np.int64]:
    if (array.dtype.str, array.shape) != ("<i8", shape):
        raise ProtocolViolationError(
            f"an array is {array.dtype.str} {array.shape}, not <i8 {shape}"
        )
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if array.size and ((least is not None and low < least) or (most is not None and high > most)):
        raise ProtocolViolationError(f"an array of {shape} holds {low} to {high}")
    return array.copy()  # padding is written into it


def _refuse_strange_numbers(row: AnswersRow) -> None:
    """Refuses infinite, huge and negative numbers; their types are right by now."""
    counted = msgspec.convert(row.observed.environment, Environment)
    observed = dataclasses.replace(row.observed, environment={})
    for number in _numbers(to_plain([observed, row.comparison, row.batch_s, row.load])):
        if not math.isfinite(number) or abs(number) >= MAX_NUMBER:
            raise ProtocolViolationError(f"{number} is not a number that was measured")
        if isinstance(number, int) and number < 0:
            raise ProtocolViolationError(f"a count is {number}, which is negative")
    for number in _numbers(msgspec.to_builtins(counted)):
        if not abs(number) < MAX_NUMBER:
            raise ProtocolViolationError(f"an environment has the number {number}")


def _numbers(plain: Plain) -> Iterable[int | float]:
    """Yields every number in it."""
    if isinstance(plain, Mapping):
        plain = list(plain.values())
    if isinstance(plain, list):
        for item in plain:
            yield from _numbers(item)
    elif isinstance(plain, (int, float)) and not isinstance(plain, bool):
        yield plain

"""The answers of a job on their way to a referee: plain data, checked when it is read.

Who reads them trusts nobody: they come from where a stranger's code ran.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import wire
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs.scorer import Batch, Unscored
from pytest_annmodal.model import Job, Search, to_plain
from pytest_annmodal.outcome import Comparison, Failure, Measurement
from pytest_annmodal.scoring import recall

KIND = "answers"
MAX_NUMBER = 2.0**63
FIGURES = (
    *("build_s", "first_query_ns", "index_bytes", "reported_index_bytes", "peak_rss_bytes"),
    *("clock_floor_ns", "mailbox_floor_ns", "environment", "notes", "log_tail"),
    *("uncertain_share", "n_left_out", "disturbed"),
)
# What tables count with, of an environment; the rest of it is only shown.
ENVIRONMENT_NUMBERS = (
    *("threads", "cores", "affinity_cores", "query_cores", "load_1min"),
    *("involuntary_switches", "parent_switches", "worker_waited", "throttled_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one search gave, with the comparison if there was one."""

    result: Unscored | Failure
    comparison: Comparison | None = None


def pack(answered: Sequence[Answered]) -> bytes:
    """Everything in one frame."""
    rows, arrays = [], []
    for item in answered:
        if isinstance(item.result, Failure):
            rows.append({"failure": to_plain(item.result)})
            continue
        unscored = item.result
        arrays += [unscored.times_ns, unscored.ids, unscored.counts]
        batch_s = None
        if unscored.batch is not None:
            arrays += [unscored.batch.ids, unscored.batch.counts]
            batch_s = unscored.batch.seconds
        figures = {name: to_plain(unscored.figures[name]) for name in FIGURES}
        comparison = to_plain(item.comparison)
        rows.append({"figures": figures, "batch_s": batch_s, "comparison": comparison})
    return wire.pack(KIND, {"rows": rows}, arrays)


def unpack(blob: bytes, job: Job, n_queries: Mapping[str, tuple[int, int]]) -> list[Answered]:
    """Rebuild what :func:`pack` made, if it answers just this job.

    Args:
        n_queries: case id → how many are asked one by one, and how many as a batch.

    Raises:
        ProtocolViolationError: it is anything else.
    """
    message = wire.unpack(blob, KIND)
    rows = message.fields.get("rows")
    if not isinstance(rows, list) or len(rows) != len(job.searches):
        raise ProtocolViolationError(f"the answers are not for {len(job.searches)} searches")
    arrays = iter(message.arrays)
    found = []
    try:
        for row, search in zip(rows, job.searches, strict=True):
            found.append(_answered(row, search, n_queries[search.case_id], arrays))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ProtocolViolationError(f"the answers cannot be read: {error!r:.200}") from error
    if next(arrays, None) is not None:
        raise ProtocolViolationError("there are more arrays than answers")
    return found


def _answered(
    row: Any, search: Search, n_queries: tuple[int, int], arrays: Iterator[wire.Array]
) -> Answered:
    if "failure" in row:
        failure = _checked(Failure, {**row["failure"], "case_id": search.case_id})
        return Answered(result=Failure(**failure))
    n_single, n_batch = n_queries
    times = next(arrays)
    rounds = min(max(len(times), 1), search.rounds) if times.ndim else 0
    unscored = Unscored(
        case_id=search.case_id,
        times_ns=_times(times, (rounds, n_single)),
        ids=_whole(next(arrays), (rounds, n_single, search.k), None, None),
        counts=_whole(next(arrays), (rounds, n_single), 0, search.k),
        batch=_batch(row["batch_s"], search, n_batch, arrays),
        figures=_checked(Measurement, {name: row["figures"][name] for name in FIGURES}),
    )
    comparison = row["comparison"]
    if comparison is not None:
        names = {field.name for field in dataclasses.fields(Comparison)}
        if comparison.keys() != names:
            raise ProtocolViolationError("a comparison is not one")
        comparison = Comparison.from_plain(_checked(Comparison, comparison))
    return Answered(result=unscored, comparison=comparison)


def _batch(
    seconds: Any, search: Search, n_queries: int, arrays: Iterator[wire.Array]
) -> Batch | None:
    if seconds is None:
        return None
    if not _is_number(seconds) or seconds < 0:
        raise ProtocolViolationError("a batch took no number of seconds")
    return Batch(
        seconds=float(seconds),
        ids=_whole(next(arrays), (n_queries, search.k), None, None),
        counts=_whole(next(arrays), (n_queries,), 0, search.k),
    )


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


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -MAX_NUMBER < value < MAX_NUMBER


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_NUMBER


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _all(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_environment(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    numbers = [value[name] for name in ENVIRONMENT_NUMBERS if value.get(name) is not None]
    return all(map(_is_number, numbers)) and _all(_is_whole)(value.get("worker_cores", []))


# By what the dataclasses say of their fields.
CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "str | None": lambda value: value is None or _is_text(value),
    "bool": lambda value: isinstance(value, bool),
    "int": _is_whole,
    "int | None": lambda value: value is None or _is_whole(value),
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "tuple[str, ...]": _all(_is_text),
    "tuple[float, ...]": _all(_is_number),
    "Mapping[str, Plain]": _is_environment,
    "Blame": lambda value: value in ("submission", "infrastructure"),
}


def _checked(kind: type, plain: Mapping[str, Any]) -> dict[str, Any]:
    """The same, if each value is of the type that the dataclass gives its field."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    for name, value in plain.items():
        if not CHECKS[types[name]](value):
            raise ProtocolViolationError(f"{name} is no {types[name]}: {value!r:.50}")
    return {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}

"""The worker's timed windows: build, queries one at a time, the whole batch.

Between two timed queries there is the clock and a store into a list made beforehand, nothing
else: no scoring, no conversion, no garbage collection, no progress report.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = Any  # in the form that the implementation asked for
Query = Callable[[Vectors, int], Any]
Prepared = tuple[Callable[[Vectors, int], Any], Callable[[], Any], Callable[[], Any]]
Keep = Callable[[Any], Any]
LARGEST_THRESHOLD_BYTES = 2**25  # glibc: DEFAULT_MMAP_THRESHOLD_MAX; man 3 mallopt


def warm_allocator() -> None:
    """Free one large block, untouched: glibc then keeps what is freed for the next query.

    Else temporaries near its thresholds (128 KiB) go back to the kernel after each query or not,
    by the luck of the heap's layout: page faults that are a third of a brute-force query, in one
    search and not in the next. A program that has ever freed a large array is in this state.
    """
    with contextlib.suppress(MemoryError):  # little may be allowed
        np.empty(LARGEST_THRESHOLD_BYTES - 2**16, np.uint8)


def trim_allocator() -> None:
    """Give the kernel back what is free in the heap, so that memory held is memory in use.

    What an import has freed would else be there for the index, whose growth is not seen then.
    """
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Collect first, then keep the collector out of the timed window."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def time_call(function: Callable[..., Any], *args: Any) -> tuple[int, Any]:
    """Nanoseconds that one call took, and its result."""
    with quiet_gc():
        start = perf_counter_ns()
        result = function(*args)
        end = perf_counter_ns()
    return end - start, result


def time_queries(
    query: Query, queries: Sequence[Any], k: int, keep: Keep | None = None
) -> tuple[NDArray[np.int64], list[Any]]:
    """Ask one query at a time by this process's own clock.

    Args:
        queries: n of them, as they are given.
        keep: makes of an answer what is kept of it; outside the clock's two readings.

    Returns:
        Latencies in ns, int64 (n,), and the answers as they were returned.
    """
    rows = list(queries)
    times: list[int] = [0] * len(rows)
    answers: list[Any] = [None] * len(rows)
    clock = perf_counter_ns
    with quiet_gc():
        for i, row in enumerate(rows):
            start = clock()
            answer = query(row, k)
            end = clock()
            times[i] = end - start
            answers[i] = answer if keep is None else keep(answer)
    return np.asarray(times, np.int64), answers


def time_prepared(
    prepared: Prepared, queries: Sequence[Any], k: int, keep: Keep | None = None
) -> tuple[NDArray[np.int64], list[Any]]:
    """The same for ann-benchmarks' three-step query, whose first and last step it does not time."""
    prepare, run, results = prepared
    rows = list(queries)
    times: list[int] = [0] * len(rows)
    answers: list[Any] = [None] * len(rows)
    clock = perf_counter_ns
    with quiet_gc():
        for i, row in enumerate(rows):
            prepare(row, k)
            start = clock()
            run()
            end = clock()
            times[i] = end - start
            answer = results()
            answers[i] = answer if keep is None else keep(answer)
    return np.asarray(times, np.int64), answers


def clock_floor_ns(n: int = 1000) -> int:
    """Median of two readings of the clock in a row."""
    times, _ = time_queries(lambda _row, _k: None, [None] * n, 1)
    return int(np.median(times))

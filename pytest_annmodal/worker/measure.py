"""The worker's timed loops: the build, single queries, the whole batch.

Between two timed queries there is only the clock and a store into a list made in advance: no
scoring, conversion, garbage collection or progress report.
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
    """Frees one large untouched block, so that glibc keeps freed memory for the next query.

    Otherwise temporaries near glibc's thresholds (128 KiB) may return to the kernel after each
    query, depending on the heap's layout. The page faults are then a third of a brute-force
    query, in one search and not in the next. Any program that has freed a large array is in the
    state that this makes.
    """
    with contextlib.suppress(MemoryError):  # the limit may be lower
        np.empty(LARGEST_THRESHOLD_BYTES - 2**16, np.uint8)


def trim_allocator() -> None:
    """Returns free memory of the heap to the kernel, so that memory held is memory in use.

    Otherwise an index could use memory that an import had freed, and its growth would not be
    seen.
    """
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Collects garbage, then disables the collector during the block."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def time_call(function: Callable[..., Any], *args: Any) -> tuple[int, Any]:
    """Returns the nanoseconds that one call took, and its result."""
    with quiet_gc():
        start = perf_counter_ns()
        result = function(*args)
        end = perf_counter_ns()
    return end - start, result


def time_queries(
    query: Query, queries: Sequence[Any], k: int, keep: Keep | None = None
) -> tuple[NDArray[np.int64], list[Any]]:
    """Asks one query at a time by this process's own clock.

    Args:
        queries: n of them, in the implementation's form.
        keep: returns what is stored of an answer, for example a copy; not timed.

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
    """Asks with ann-benchmarks' three-step query, whose first and last step are not timed."""
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
    """Returns the median time of an empty call, in ns."""
    times, _ = time_queries(lambda _row, _k: None, [None] * n, 1)
    return int(np.median(times))

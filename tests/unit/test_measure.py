"""The timed loops time the call only."""

import gc
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from pytest_annmodal.worker import answers, measure

QUERIES = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_every_query_is_asked_once_in_order():
    """Each query is asked once, in order, with its k."""
    seen = []

    def query(row, k):
        seen.append((row.tolist(), k))
        return len(seen)

    times, got = measure.time_queries(query, QUERIES, 5)
    assert seen == [([0, 1], 5), ([2, 3], 5), ([4, 5], 5)]
    assert got == [1, 2, 3]
    assert (times.dtype, times.shape) == (np.int64, (3,))
    assert (times > 0).all()


def test_no_queries_take_no_time():
    """No queries give no times."""
    times, got = measure.time_queries(lambda _row, _k: 1, QUERIES[:0], 5)
    assert (times.shape, got) == ((0,), [])


def test_what_is_kept_is_what_keep_made_of_the_answer():
    """``keep`` copies each answer, for implementations that reuse a buffer."""
    buffer = np.zeros(1)

    def query(row, _k):
        buffer[0] = row[0]
        return buffer

    _, shared = measure.time_queries(query, QUERIES, 1)
    _, own = measure.time_queries(query, QUERIES, 1, answers.copied)
    assert [float(answer[0]) for answer in shared] == [4, 4, 4]
    assert [float(answer[0]) for answer in own] == [0, 2, 4]
    prepared = (query, lambda: None, lambda: buffer)
    _, own = measure.time_prepared(prepared, QUERIES, 1, answers.copied)
    assert [float(answer[0]) for answer in own] == [0, 2, 4]


def test_only_the_middle_step_of_three_is_timed():
    """Preparing a query and fetching its answer are not timed."""
    steps = []

    def work(name):
        steps.append((name, time.perf_counter_ns()))
        return name

    prepared = (lambda row, k: work("prepare"), lambda: work("run"), lambda: work("results"))
    times, got = measure.time_prepared(prepared, QUERIES, 5)
    assert [name for name, _ in steps] == ["prepare", "run", "results"] * 3
    assert got == ["results"] * 3
    between = [steps[i + 2][1] - steps[i][1] for i in range(0, 9, 3)]
    assert all(0 < took < most for took, most in zip(times, between, strict=True))


def test_a_call_gives_its_result_and_its_nanoseconds():
    """A timed call returns its result and its nanoseconds."""
    before = time.perf_counter_ns()
    took, result = measure.time_call(lambda a, b: a + b, 1, 2)
    assert result == 3
    assert 0 < took < time.perf_counter_ns() - before


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_off_inside_and_as_before_outside(enabled):
    """Garbage collection is off inside, and restored also after an exception."""
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert measure.time_call(gc.isenabled)[1] is False
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError):
            measure.time_call(lambda: 1 / 0)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_what_a_query_raises_goes_through():
    """An exception in a query is passed on."""
    with pytest.raises(ZeroDivisionError):
        measure.time_queries(lambda _row, _k: 1 // 0, QUERIES, 1)


def test_the_clocks_floor_is_small_and_not_negative():
    """The floor of the clock, two readings in a row, is small and not negative."""
    assert 0 <= measure.clock_floor_ns(100) < 1_000_000


def test_freed_memory_is_kept_for_the_next_query():
    """Freed memory is kept for the next query instead of returned to the kernel."""
    program = """
        import resource
        import numpy as np
        from pytest_annmodal.worker import measure

        def query():
            blocks = [np.zeros(50_000) + 1 for _ in range(3)]

        query()
        measure.warm_allocator()
        query()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(100):
            query()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100, "page faults of 100 queries"

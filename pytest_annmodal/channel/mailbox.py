"""Exchanges a query and its answer by shared memory, with spinning instead of system calls.

Pipes, sockets and futexes take about 50 µs a query and slow the worker itself down; two processes
that spin on a word of shared memory need about 2 µs across cores. They yield the core while they
wait only if they share it; otherwise another process would get it for some ms each time. Layout,
each word on its own cache line::

      0  request    uint64  a random token: the parent asks
     64  slot       uint64  which query slot the request means
    128  response   uint64  the same token: the worker has answered
    192  count      int64   how many ids the answer has; RAISED if the query raised
    256  ids        int64 × capacity
    then, on their own pages, n_slots × dim items of the queries' dtype

The token of a request cannot be guessed, so no answer can come before its query. A query is written
only when its turn comes, so it cannot be read early. x86 keeps the order of stores; on other
machines taking an uncontended lock is the fence.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import tempfile
import threading
from collections.abc import Callable
from time import perf_counter_ns, sleep
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

REQUEST, SLOT, RESPONSE, COUNT, IDS = 0, 64, 128, 192, 256
NOTHING, STOP = 0, 1  # never a query's token: tokens have their highest bit set
RAISED = -1
SPINS_BETWEEN_CHECKS = 4096
# A parent with its own core sleeps after so long, between two queries; otherwise the kernel would
# take the core during one. A sleep also makes the core idle, which moves other processes there from
# the worker's core; a sched_yield does not.
STRETCH_NS = 2_000_000
NAP_S = 20e-6  # about 75 µs with the kernel's slack


def new_shared_file(n_bytes: int, *, label: str) -> int:
    """Returns a descriptor of an anonymous shared file; sealed so that it cannot be shrunk."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, n_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return fd
    with tempfile.TemporaryFile(prefix=label) as file:
        file.truncate(n_bytes)
        return os.dup(file.fileno())


def seal(fd: int) -> None:
    """Seals a shared file against writing, by any process."""
    if hasattr(os, "memfd_create"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)


def _make_fence() -> Callable[[], None]:
    if platform.machine().lower() in {"x86_64", "amd64"}:
        return lambda: None
    lock = threading.Lock()

    def fence() -> None:
        with lock:
            pass

    return fence


class Mailbox:
    """The mapped memory and its views; the same on both sides.

    Args:
        fd: from :func:`new_shared_file` with :meth:`size_bytes` bytes.
        capacity: largest number of ids in an answer.
        n_slots: largest number of queries.
        dim: items of a query.
        dtype: of an item.
    """

    def __init__(
        self, fd: int, *, capacity: int, n_slots: int, dim: int, dtype: str = "<f4"
    ) -> None:
        size = self.size_bytes(capacity=capacity, n_slots=n_slots, dim=dim, dtype=dtype)
        self.capacity = capacity
        self.memory = mmap.mmap(fd, size)
        np.frombuffer(self.memory, np.uint8)[:: mmap.PAGESIZE].sum()  # no query must load a page
        view = memoryview(self.memory)
        self.request = view[REQUEST : REQUEST + 8].cast("Q")
        self.slot = view[SLOT : SLOT + 8].cast("Q")
        self.response = view[RESPONSE : RESPONSE + 8].cast("Q")
        self.count = view[COUNT : COUNT + 8].cast("q")
        self.ids: NDArray[np.int64] = np.frombuffer(self.memory, np.int64, capacity, IDS)
        start = self._slots_offset(capacity)
        self.slots: NDArray[Any] = np.frombuffer(self.memory, dtype, n_slots * dim, start).reshape(
            n_slots, dim
        )
        self.fence = _make_fence()

    @staticmethod
    def _slots_offset(capacity: int) -> int:
        return -(-(IDS + 8 * capacity) // mmap.PAGESIZE) * mmap.PAGESIZE

    @classmethod
    def size_bytes(cls, *, capacity: int, n_slots: int, dim: int, dtype: str = "<f4") -> int:
        n_bytes = np.dtype(dtype).itemsize * n_slots * dim
        return cls._slots_offset(capacity) + max(n_bytes, mmap.PAGESIZE)


class Asked(NamedTuple):
    """Times and answers of one round of queries.

    Attributes:
        times_ns: int64 (n,), by the parent's clock.
        ids: int64 (n, k), padded with -1.
        counts: int64 (n,). A query that raised has RAISED and ends the round; later ones have 0.
        gaps_ns: int64 (n,), by how much the true time may be less: the time in which the parent
            was not looking for the answer or had not yet asked. 0 where unknown.
    """

    times_ns: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    gaps_ns: NDArray[np.int64]


def ask(
    box: Mailbox,
    queries: NDArray[Any],
    k: int,
    check: Callable[[], None],
    *,
    apart: bool = False,
) -> Asked:
    """Parent's side: asks every query in turn and times each by the parent's clock.

    Args:
        queries: (n, dim) of the mailbox's dtype, n at most its slots.
        check: called at intervals while waiting; raises if waiting is useless.
        apart: whether the worker's core is another than the caller's.
    """
    n = len(queries)
    times, counts, gaps = np.zeros((3, n), np.int64)
    written = slice(IDS, IDS + 8 * min(k, box.capacity))
    answers: list[bytes] = []
    began = perf_counter_ns() - STRETCH_NS
    for i, token in enumerate(tokens(n)):
        if perf_counter_ns() - began >= STRETCH_NS:
            check()  # also if answers come so quickly that the wait loop never checks
            if apart:
                sleep(NAP_S)
            began = perf_counter_ns()
        box.slots[i] = queries[i]
        box.slot[0] = i
        times[i], gaps[i], counts[i], answer = _one(box, token, check, written, shared=not apart)
        answers.append(answer)
        if counts[i] < 0:
            break
    return Asked(times, ids_of(answers, counts, k), counts, gaps if apart else np.zeros_like(gaps))


def _one(
    box: Mailbox, token: int, check: Callable[[], None], written: slice, *, shared: bool
) -> tuple[int, int, int, bytes]:
    """Asks the query in its slot; returns time and gap in ns, the count and the ids."""
    request, response, count, memory = box.request, box.response, box.count, box.memory
    fence, clock, give_way = box.fence, perf_counter_ns, os.sched_yield
    spins = 0
    fence()
    start = clock()
    request[0] = token
    now = looked = asked = clock()
    while response[0] != token:
        looked = now  # read before this look, when there was no answer yet
        if shared:
            give_way()
        spins += 1
        if not spins % SPINS_BETWEEN_CHECKS:
            check()
            looked = clock()  # an answer that came during the check was seen late
        now = clock()
    fence()
    # Read before the clock, so that ids written after the response are timed as well.
    n_ids, answer = count[0], memory[written]
    end = clock()
    return end - start, end - looked + asked - start, n_ids, answer


def ids_of(answers: list[bytes], counts: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Returns ids int64 (n, k), padded with -1, from the bytes and the count of each answer."""
    ids = np.full((len(counts), k), -1, np.int64)
    found = np.frombuffer(b"".join(answers), np.int64).reshape(len(answers), -1)
    there = np.arange(found.shape[1]) < counts[: len(answers), None]
    ids[: len(answers), : found.shape[1]][there] = found[there]
    return ids


def tokens(n: int) -> list[int]:
    """Returns n random numbers with the highest bit set, by one system call."""
    random = np.frombuffer(os.urandom(8 * n), np.uint64)
    return (random | np.uint64(1 << 63)).tolist()  # type: ignore[no-any-return]


def dismiss(box: Mailbox) -> None:
    """Parent's side: ends the worker's :func:`~pytest_annmodal.worker.serving.serve`."""
    box.request[0] = STOP


def floor_ns(
    box: Mailbox, k: int, check: Callable[[], None], n: int = 300, *, apart: bool = False
) -> int:
    """Parent's side: returns the median round trip in ns while the worker computes nothing."""
    queries = np.zeros_like(box.slots[: min(n, len(box.slots))])
    times = [
        ask(box, queries, k, check, apart=apart).times_ns for _ in range(-(-n // len(queries)))
    ]
    return int(np.median(np.concatenate(times)[10:]))

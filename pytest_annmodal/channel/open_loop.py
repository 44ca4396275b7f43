"""The parent's side of an open loop: offers queries when they are due, even to a busy worker.

The worker answers one query after the other. Queries that are due meanwhile wait in a bounded queue
in the parent; as in :mod:`.mailbox`, the worker cannot see a query before its turn.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel.mailbox import (
    IDS,
    NAP_S,
    STRETCH_NS,
    Mailbox,
    ids_of,
    tokens,
)

LEAD_NS = 2_000_000  # before the first query is due
SLACK_NS = 1_000_000  # the generator sleeps only if the next query is not due for so long
CHECK_NS = 100_000_000  # between checks of a worker that is never idle
GAP_NS = (
    250_000  # a turn of the loop takes some µs, a nap about 75: in more it was kept from running
)
LOOK_NS = 500_000  # between looks at a worker that has not answered yet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offered:
    """The results of n queries. Times are int64 ns from the start.

    Attributes:
        due_ns: (n,), when each was due.
        answered: int64 (m,), numbers of the queries that were answered, in this order.
        turn_ns, asked_ns, ended_ns: (m,), when its turn came, when the worker could see it, and
            when its answer had been read.
        found_idle: bool (m,), whether the queue was empty and the server idle when it was due.
        dropped: int64, numbers of the queries that found the queue full.
        ids: int64 (m, k), padded with -1.
        counts: int64 (m,), the last of them RAISED if a query raised.
        at_work_ns: time in which the generator sent queries and read answers.
        gaps_ns: (g, 2), starts and ends of the times in which the generator did not run.
        kept_ns: (m,), how long the worker was kept from running while it served a query; 0 for
            one that took less than :data:`LOOK_NS`.
    """

    due_ns: NDArray[np.int64]
    answered: NDArray[np.int64]
    turn_ns: NDArray[np.int64]
    asked_ns: NDArray[np.int64]
    ended_ns: NDArray[np.int64]
    found_idle: NDArray[np.bool_]
    dropped: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    at_work_ns: int
    gaps_ns: NDArray[np.int64]
    kept_ns: NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class _Log:
    """The records of all queries while the loop runs, in arrays made in advance."""

    turn: array[int]
    asked: array[int]
    ended: array[int]
    idle: bytearray
    written: slice
    kept_so_far: Callable[[int], int]
    order: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    at_work_ns: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    kept: dict[int, int] = field(default_factory=dict)
    look_at: int = 0
    kept_before: int | None = None

    def offered(self, due_ns: Sequence[int], start: int, k: int) -> Offered:
        """Returns the records of the queries that were answered, in this order."""
        order = np.asarray(self.order, np.int64)
        counts = np.asarray(self.counts, np.int64)
        turn, asked, ended = (
            np.asarray(column, np.int64)[order] - start
            for column in (self.turn, self.asked, self.ended)
        )
        return Offered(
            due_ns=np.asarray(due_ns, np.int64),
            answered=order,
            turn_ns=turn,
            asked_ns=asked,
            ended_ns=ended,
            found_idle=np.frombuffer(self.idle, np.bool_)[order],
            dropped=np.asarray(self.dropped, np.int64),
            ids=ids_of(self.answers, counts, k),
            counts=counts,
            at_work_ns=self.at_work_ns,
            gaps_ns=np.asarray(self.gaps, np.int64).reshape(-1, 2) - start,
            kept_ns=np.asarray([self.kept.get(number, 0) for number in self.order], np.int64),
        )

    def arrive(self, waiting: deque[int], coming: int, *, free: bool, queue: int) -> None:
        """Lets a query wait for its turn, or drops it."""
        self.idle[coming] = free
        if free or len(waiting) < queue:
            waiting.append(coming)
        else:
            self.dropped.append(coming)

    def look(self, now: int) -> None:
        """Looks at a worker that takes long, for the first time or again."""
        seen = self.kept_so_far(now)
        if self.kept_before is None:
            self.kept_before = seen
        self.look_at = now + LOOK_NS

    def read(self, box: Mailbox, current: int, now: int) -> int:
        """Reads the answer in the mailbox; returns its number of ids, or RAISED."""
        box.fence()
        n_ids, answer = box.count[0], box.memory[self.written]
        self.ended[current] = end = perf_counter_ns()
        self.order.append(current)
        self.counts.append(n_ids)
        self.answers.append(answer)
        self.at_work_ns += end - now
        if self.kept_before is not None:
            self.kept[current] = self.kept_so_far(end) - self.kept_before
            self.kept_before = None
        return n_ids

    def hand_over(
        self, box: Mailbox, queries: NDArray[Any], current: int, token: int, now: int
    ) -> int:
        """Sends the query whose turn came at ``now``; returns when the worker could see it."""
        row = current % len(queries)
        self.turn[current] = now
        box.slots[row] = queries[row]
        box.slot[0] = row
        box.fence()
        box.request[0] = token
        self.asked[current] = asked = perf_counter_ns()
        self.at_work_ns += asked - now
        self.look_at = asked + LOOK_NS
        return asked


def offer(
    box: Mailbox,
    queries: NDArray[Any],
    k: int,
    due_ns: Sequence[int],
    *,
    queue: int,
    check: Callable[[], None],
    apart: bool,
    kept: Callable[[int], int] = lambda _now: 0,
) -> Offered:
    """Offers queries when they are due, by the parent's clock, and waits for all answers.

    Args:
        queries: (rows, dim) of the mailbox's dtype, asked in turn.
        due_ns: when each query is due, ns from the start, rising; the n-th asks row
            ``n % rows``.
        queue: how many may wait besides the one that is being answered.
        check: called at intervals; raises if waiting is useless.
        apart: whether the worker's core is another than the caller's.
        kept: returns ns for which the worker was kept from running so far; gets the time.
    """
    n = len(due_ns)
    empty = bytes(8 * n)
    log = _Log(
        turn=array("q", empty),
        asked=array("q", empty),
        ended=array("q", empty),
        idle=bytearray(n),
        written=slice(IDS, IDS + 8 * min(k, box.capacity)),
        kept_so_far=kept,
    )
    start = perf_counter_ns() + LEAD_NS
    due = [start + at for at in due_ns]
    _loop(box, queries, due, log, queue=queue, check=check, apart=apart)
    return log.offered(due_ns, start, k)


def _loop(
    box: Mailbox,
    queries: NDArray[Any],
    due: Sequence[int],
    log: _Log,
    *,
    queue: int,
    check: Callable[[], None],
    apart: bool,
) -> None:
    response, clock, read, hand_over = box.response, perf_counter_ns, log.read, log.hand_over
    waiting: deque[int] = deque()
    n, known = len(due), tokens(len(due))
    coming, current, token = 0, -1, 0
    now = rested = clock()
    while coming < n or waiting or current >= 0:
        turned, now = now, clock()
        if now - turned > GAP_NS:
            log.gaps.append((turned, now))
        if current >= 0 and response[0] == token:
            if read(box, current, now) < 0:
                return
            now, current = log.ended[current], -1
        while coming < n and due[coming] <= now:
            log.arrive(waiting, coming, free=current < 0 and not waiting, queue=queue)
            coming += 1
        if current < 0 and waiting:
            current = waiting.popleft()
            token = known[current]
            now = hand_over(box, queries, current, token, now)
        elif current >= 0 and now > log.look_at:
            log.look(now)
        elif not apart:
            os.sched_yield()
        idle = current < 0 and (coming >= n or due[coming] - now > SLACK_NS)
        if now - rested > (STRETCH_NS if idle else CHECK_NS):
            check()
            sleep(NAP_S if idle and apart else 0)
            rested = clock()

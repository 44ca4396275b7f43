"""The open loop of one worker: the parent keeps the schedule, the worker answers in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import mailbox, open_loop
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs.asking import Asker, undivided
from pytest_annmodal.jobs.load import schedule, statistics
from pytest_annmodal.jobs.load.machine import Look
from pytest_annmodal.jobs.scorer import LevelAnswers
from pytest_annmodal.levels import NOISY, Level, Load, Machine
from pytest_annmodal.sandbox.kept import Kept
from pytest_annmodal.scoring import validity
from pytest_annmodal.worker import measure

IDLE_RATE_QPS = 1000.0
IDLE_S = 0.5
CAPACITY_S = 0.5  # about how long the capacity is measured
SAMPLE = 200  # queries from whose time that number of queries is estimated
TRIES = 3  # at the generator's own limit; the best counts


@dataclass(slots=True)
class Seen:
    """What the machine did while a worker served; set when serving has ended.

    Attributes:
        kept: how long the worker was kept from running; from the beginning.
        by_others: the share of that time for which other processes account.
    """

    kept: Kept
    machine: Machine = field(default_factory=Machine)
    disturbed: bool = False
    by_others: float = 1.0


class OpenLoop:
    """Offers one search setting of a worker its queries.

    Args:
        queries: (rows, dim), as they are sent.

    Attributes:
        late_s: how late (p99) the generator sends queries to an idle server; None before
            :meth:`try_generator`, or if that server was never idle.
        most_qps: queries per second that the generator can offer; None before that.
    """

    def __init__(self, asker: Asker, load: Load, queries: NDArray[Any], k: int) -> None:
        self.asker, self.load, self.queries, self.k = asker, load, queries, k
        self.late_s: float | None = None
        self.most_qps: float | None = None

    def try_generator(self) -> None:
        """Measures the generator itself, with a server that does nothing."""
        worker = self.asker.worker
        due = schedule.due_ns(
            IDLE_RATE_QPS, IDLE_S, arrivals=self.load.arrivals, seed=self.load.seed
        )
        worker.send("floor", {"k": self.k, "apart": worker.apart})
        with measure.quiet_gc(), undivided():
            offered = self._offer(due.tolist())
            at_once = [self._offer([0] * SAMPLE, queue=SAMPLE) for _ in range(TRIES)]
        mailbox.dismiss(self.asker.box)
        worker.receive("floored")
        worker.rest()
        late_ns = (offered.asked_ns - offered.due_ns[offered.answered])[offered.found_idle]
        if late_ns.size:
            self.late_s = statistics.percentile_s(late_ns, 99)
        self.most_qps = SAMPLE / min(map(_seconds, at_once))

    def capacity_qps(self) -> float:
        """Measures queries per second when all of them are due at once."""
        with self._serving() as seen:
            sample = self._offer([0] * SAMPLE, queue=SAMPLE)
            n = round(CAPACITY_S * SAMPLE / max(_seconds(sample), 1e-9))
            n = min(max(n, SAMPLE), schedule.MOST_QUERIES)
            offered = self._offer([0] * n, queue=n, kept=seen.kept.look)
        return n / _seconds(offered)

    def level(self, rate_qps: float) -> tuple[Level, LevelAnswers]:
        """Offers queries at one rate; returns the level's figures and answers.

        Raises:
            SubmissionError: the worker ended, or a query raised.
        """
        load = self.load
        due = schedule.due_ns(
            rate_qps, load.level_s, arrivals=load.arrivals, seed=load.seed, k=self.k
        ).tolist()
        with self._serving() as seen:
            offered = self._offer(due, kept=seen.kept.look)
        kept_ns = (offered.kept_ns * seen.by_others).astype(np.int64)
        offered = replace(offered, kept_ns=kept_ns)
        level = statistics.open_level(
            offered,
            rate_qps,
            apart=self.asker.worker.apart,
            late_s=self.late_s,
            most_qps=self.most_qps,
        )
        marks = (*level.marks, *([NOISY] if seen.disturbed else []))
        return replace(level, machine=seen.machine, marks=marks), LevelAnswers(
            rows=offered.answered % len(self.queries),
            given=validity.Given(ids=offered.ids, counts=offered.counts),
        )

    @contextmanager
    def _serving(self) -> Iterator[Seen]:
        """Has the worker serve, warmed up, in this block; ``Seen`` is set after it."""
        asker, worker = self.asker, self.asker.worker
        worker.gather()
        kept = Kept(worker.family(), signals=asker.trusted)
        seen = Seen(kept)
        with kept, measure.quiet_gc(), undivided(), worker.watched() as contention:
            looked, cpu_before_s = time.monotonic(), worker.cpu_s()
            worker.send("serve", {"k": self.k, "apart": worker.apart})
            self._refuse_raised(
                mailbox.ask(asker.box, asker.warmup, self.k, worker.check, apart=worker.apart)
            )
            before, kept_before_ns = Look.now(), kept.look(time.perf_counter_ns())
            yield seen
            mailbox.dismiss(asker.box)
            kept_s = (kept.look(time.perf_counter_ns()) - kept_before_ns) / 1e9
            served = worker.receive("served")
            switches = int(served.number("involuntary_switches"))
            seen.machine = before.until_now(worker_switches=switches, worker_waited_s=kept_s)
            worker.rest()
            cpu_s, wall_s = worker.cpu_s() - cpu_before_s, time.monotonic() - looked
        asker.refuse_smuggling(cpu_s, wall_s)
        seen.disturbed = contention().disturbed
        if not asker.trusted and kept_s > 0:  # a submission may keep its own core busy
            seen.by_others = min(contention().others_beside * wall_s / kept_s, 1.0)

    def _offer(
        self,
        due_ns: Sequence[int],
        queue: int | None = None,
        kept: Callable[[int], int] = lambda _now: 0,
    ) -> open_loop.Offered:
        worker = self.asker.worker
        offered = open_loop.offer(
            self.asker.box,
            self.queries,
            self.k,
            due_ns,
            queue=self.load.queue if queue is None else queue,
            check=worker.check,
            apart=worker.apart,
            kept=kept,
        )
        self._refuse_raised(offered)
        return offered

    def _refuse_raised(self, asked: mailbox.Asked | open_loop.Offered) -> None:
        if (asked.counts < 0).any():
            self.asker.worker.receive("served")  # raises the error that the worker reported
            raise ProtocolViolationError("the worker reported an answer that raised, and no error")


def _seconds(offered: open_loop.Offered) -> float:
    return float(offered.ended_ns[-1] - offered.due_ns[0]) / 1e9

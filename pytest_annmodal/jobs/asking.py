"""Sends a worker its queries, one by one or as a batch, timed by the worker or the parent."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import mailbox
from pytest_annmodal.channel.wire import Message
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances.forms import Form
from pytest_annmodal.errors import InvalidResultError, ProtocolViolationError, SmugglingError
from pytest_annmodal.model import Limits, Search
from pytest_annmodal.sandbox.contention import Contention
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.scoring import latency, recall, validity
from pytest_annmodal.worker import measure

OnPhase = Callable[[str], None]
# The worker's one thread spins between queries, so its CPU time is the loop's wall time.
SMUGGLING_SHARE = 1.3
SMUGGLING_GRACE_S = 0.1
USAGE = ("involuntary_switches", "cpu_s")
MOST_ROUNDS_AGAIN = 3  # for samples that are too uncertain
# Other threads of this process (one reads a worker's output) get the interpreter when the loop
# sleeps or checks the worker, and not during a query.
SWITCH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Times and answers of one search, by either clock.

    Attributes:
        times_ns: int64 (rounds, n_queries), with
            :data:`~pytest_annmodal.scoring.recall.LEFT_OUT` for a sample that stayed too
            uncertain.
        given: the answers of all rounds.
        uncertain_share: share of samples that were uncertain before any was asked again; None
            where it is not known.
    """

    times_ns: NDArray[np.int64]
    given: validity.Given
    first_query_ns: int
    usage: Mapping[str, float]
    contention: Contention
    warmup_s: float = 0.0
    uncertain_share: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether other processes may have changed these times.

        By the parent's clock this includes time in which the parent itself waited for its core,
        since it then saw answers late.
        """
        if self.contention.disturbed or self.uncertain_share is None:
            return self.contention.disturbed
        return max(self.uncertain_share, self.contention.parent_waited) >= latency.NOISY


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Sends queries to one worker.

    Attributes:
        form: in which the implementation gets queries; methods here take them as the dataset
            keeps them.
        warmup: rows similar to the queries but different from them, in that form.
        n_train: number of rows of ``train``.
        short_answers: whether answers may have fewer than k ids.
    """

    worker: Worker
    box: mailbox.Mailbox
    limits: Limits
    form: Form
    warmup: NDArray[Any]
    trusted: bool
    n_train: int
    short_answers: bool

    def checked(
        self, given: validity.Given, search: Search, where: str = "query"
    ) -> validity.Checked:
        """Checks the answers of one search.

        Raises:
            InvalidResultError: an answer is not k distinct row numbers.
        """
        return validity.check(
            given,
            k=search.k,
            n_train=self.n_train,
            short_answers=self.short_answers,
            where=where,
        )

    def one_by_one(self, search: Search, data: hdf5.Vectors, on_phase: OnPhase) -> Timed:
        self.worker.gather()
        ask = self._by_parent if self.limits.clock == "parent" else self._by_worker
        return ask(search, self.form.sent(data.test), on_phase)

    def block(
        self, search: Search, rows: Any, *, warm: bool = True
    ) -> tuple[tuple[NDArray[np.int64], ...], float]:
        """Asks queries once, after the warm-up.

        Args:
            warm: whether warm-up queries come first; if not, this setting was asked before.

        Returns:
            times_ns (n,), ids (n, k) and counts (n,); and the seconds of the warm-up, 0 by the
            worker's clock.
        """
        self.worker.gather()
        queries, warmup = self.form.sent(rows), self.warmup[: len(self.warmup) if warm else 0]
        if self.limits.clock == "worker":
            once = dataclasses.replace(search, rounds=1)
            _, (times, ids, counts) = self._rounds_of_worker(once, queries, None, warmup)
            return (times[0], ids[0], counts[0]), 0.0
        self._serve(search.k)
        with undivided():
            warmup_s = _seconds(self._ask(warmup, search.k)) if warm else 0.0
            asked = self._ask(queries, search.k)
        mailbox.dismiss(self.box)
        self.worker.receive("served")
        self.worker.rest()
        return asked[:3], warmup_s

    def _serve(self, k: int) -> None:
        self.worker.send("serve", {"k": k, "apart": self.worker.apart})

    def _by_worker(self, search: Search, queries: NDArray[Any], on_phase: OnPhase) -> Timed:
        """Times by the worker's clock: it gets all queries and returns all times."""
        with self.worker.watched() as contention:
            message, (times, ids, counts) = self._rounds_of_worker(
                search, queries, on_phase, self.warmup
            )
        return Timed(
            times_ns=times,
            given=validity.Given(ids=ids, counts=counts),
            first_query_ns=int(message.number("first_query_ns")),
            usage={name: message.number(name) for name in USAGE},
            contention=contention(),
        )

    def _rounds_of_worker(
        self,
        search: Search,
        queries: NDArray[Any],
        on_phase: OnPhase | None,
        warmup: NDArray[Any],
    ) -> tuple[Message, tuple[NDArray[np.int64], ...]]:
        """Returns its message, times_ns (rounds, n), ids (rounds, n, k), counts (rounds, n)."""
        n = len(queries)

        def told(progress: Message) -> None:
            if on_phase is not None:
                on_phase(f"queries, round {progress.number('rounds'):.0f} of {search.rounds}")

        message = self.worker.request(
            "timed",
            {
                "k": search.k,
                "rounds": search.rounds,
                "max_search_s": self.limits.max_search_s,
                "progress": on_phase is not None,
            },
            [warmup, queries],
            expect="answers",
            max_array_bytes=search.rounds * n * (search.k + 2) * 8,
            on_progress=told,
        )
        rounds = next((len(array) for array in message.arrays if array.size), 1)
        return message, shaped(message, (rounds, n), (rounds, n, search.k), (rounds, n))

    def _by_parent(self, search: Search, queries: NDArray[Any], on_phase: OnPhase) -> Timed:
        """Times by the parent's clock: queries go through the mailbox one by one."""
        worker, k = self.worker, search.k
        # The worker rests before and after, while its processes are listed.
        with measure.quiet_gc(), undivided(), worker.watched() as contention:
            looked, cpu_before_s = time.monotonic(), worker.cpu_s()
            self._serve(k)
            warm = self._ask(self.warmup, k)
            switches = switches_so_far()
            asked, share = self._rounds(search, queries, on_phase)
            switches = switches_so_far() - switches
            mailbox.dismiss(self.box)
            served = worker.receive("served")
            worker.rest()
            cpu_s, wall_s = worker.cpu_s() - cpu_before_s, time.monotonic() - looked
        self.refuse_smuggling(cpu_s, wall_s)
        return Timed(
            times_ns=asked.times_ns,
            given=validity.Given(ids=asked.ids, counts=asked.counts),
            first_query_ns=int(warm.times_ns[0]),
            usage={
                **{name: served.number(name) for name in USAGE},
                "cpu_s": cpu_s,
                "parent_switches": switches,
            },
            contention=contention(),
            warmup_s=_seconds(warm),
            uncertain_share=share if worker.apart else None,
        )

    def _rounds(
        self, search: Search, queries: NDArray[Any], on_phase: OnPhase
    ) -> tuple[mailbox.Asked, float]:
        """Asks all rounds; returns arrays with a first axis of rounds, and the uncertain share."""
        began, rounds = time.monotonic(), []
        for number in range(search.rounds):
            rounds.append(self._ask(queries, search.k))
            on_phase(f"queries, round {number + 1} of {search.rounds}")
            if time.monotonic() - began > self.limits.max_search_s:
                break
        asked = mailbox.Asked(*(np.stack(column) for column in zip(*rounds, strict=True)))
        ordinary_ns = recall.ordinary_look_ns(asked.gaps_ns)
        unsure = recall.uncertain(asked.times_ns, asked.gaps_ns, ordinary_ns)
        share = float(unsure.mean())
        # A submission that is asked once could recognise a repeated query, so none is repeated.
        may_repeat = self.limits.fresh_seed is None and (self.trusted or search.rounds > 1)
        for _ in range(MOST_ROUNDS_AGAIN if may_repeat else 0):
            if not unsure.any() or time.monotonic() - began > self.limits.max_search_s:
                break
            if not self._valid(asked, unsure, search):
                break
            self._again(asked, unsure, queries, search.k)
            unsure = recall.uncertain(asked.times_ns, asked.gaps_ns, ordinary_ns)
        times_ns = recall.settled(asked.times_ns, asked.gaps_ns, unsure)
        return asked._replace(times_ns=times_ns), share

    def _valid(self, asked: mailbox.Asked, unsure: NDArray[np.bool_], search: Search) -> bool:
        """Whether the answers that would be replaced are valid.

        An invalid answer is not replaced, so that the search fails by it on a busy machine too.
        """
        try:
            self.checked(validity.Given(ids=asked.ids[unsure], counts=asked.counts[unsure]), search)
        except InvalidResultError:
            return False
        return True

    def _again(
        self,
        asked: mailbox.Asked,
        unsure: NDArray[np.bool_],
        queries: NDArray[Any],
        k: int,
    ) -> None:
        """Asks the uncertain queries again; the new times and answers replace the old ones."""
        for number in np.flatnonzero(unsure.any(axis=1)):
            rows = np.flatnonzero(unsure[number])
            for column, new in zip(asked, self._ask(queries[rows], k), strict=True):
                column[number, rows] = new

    def refuse_smuggling(self, cpu_s: float, wall_s: float) -> None:
        """Refuses work beside the timed queries.

        Raises:
            SmugglingError: more CPU time was used than the worker's cores give in that time.
        """
        n_cores = self.worker.n_cores or self.limits.threads
        allowed = n_cores * wall_s * SMUGGLING_SHARE + SMUGGLING_GRACE_S
        if not self.trusted and cpu_s > allowed:
            raise SmugglingError(
                f"used {cpu_s:.2f} s of CPU in {wall_s:.2f} s of queries on {n_cores} core(s): "
                "other threads or processes were at work between the queries"
            )

    def _ask(self, queries: NDArray[Any], k: int) -> mailbox.Asked:
        asked = mailbox.ask(self.box, queries, k, self.worker.check, apart=self.worker.apart)
        if (asked.counts < 0).any():
            self.worker.receive("served")  # raises the error that the worker reported
            raise ProtocolViolationError("the worker reported an answer that raised, and no error")
        return asked

    def batch(self, k: int, rows: Any) -> tuple[float, validity.Given]:
        """Asks all queries as one batch; returns its seconds and its answers.

        By the parent's clock the time includes sending the queries and receiving the ids, since
        a submission could do its work in either step.
        """
        worker, queries = self.worker, self.form.sent(rows)
        n = len(queries)
        worker.wake()
        worker.spread()
        start = time.perf_counter()
        worker.request("batch-load", {}, [queries], expect="batch-loaded")
        batched = worker.request("batch", {"k": k}, expect="batched")
        message = worker.request(
            "batch-result", {"k": k}, expect="batch-answers", max_array_bytes=n * (k + 1) * 8
        )
        parent_s = worker.answered_at - start
        worker.rest()
        ids, counts = shaped(message, (n, k), (n,))
        by_worker = self.limits.clock == "worker"
        seconds = batched.number("batch_ns") / 1e9 if by_worker else parent_s
        return seconds, validity.Given(ids=ids, counts=counts)


def _seconds(asked: mailbox.Asked) -> float:
    return float((asked.times_ns - asked.gaps_ns).sum()) / 1e9


@contextlib.contextmanager
def undivided() -> Iterator[None]:
    """Keeps other threads of this process off the interpreter while a query is timed."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def switches_so_far() -> int:
    """Returns involuntary context switches of the calling thread (Linux), else the process."""
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    return resource.getrusage(who).ru_nivcsw


def shaped(message: Message, *shapes: tuple[int, ...]) -> tuple[NDArray[np.int64], ...]:
    """Returns the message's arrays.

    Raises:
        ProtocolViolationError: they are not int64 of exactly these shapes.
    """
    found = [(array.dtype.str, array.shape) for array in message.arrays]
    if found != [("<i8", shape) for shape in shapes]:
        raise ProtocolViolationError(f"the worker sent arrays {found}, not int64 {list(shapes)}")
    return message.arrays

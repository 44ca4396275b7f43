"""One worker through one build and its searches: what is asked of it, in which order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal import answers, hdf5, isolation, mailbox, materials, measure, metrics, scoring
from pytest_annmodal.environment import describe_machine
from pytest_annmodal.errors import ProtocolViolationError, SmugglingError
from pytest_annmodal.model import Job, Search, to_plain
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.sandbox import Worker
from pytest_annmodal.wire import Message

OnPhase = Callable[[str], None]
# The worker's one thread spins between queries, so its CPU time is the loop's wall time.
SMUGGLING_SHARE = 1.3
SMUGGLING_GRACE_S = 0.1
USAGE = ("involuntary_switches", "cpu_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """What the timed loops of one search gave, whoever's clock it was."""

    times_ns: NDArray[np.int64]  # (rounds, n_queries)
    ids: NDArray[np.int64]  # (rounds, n_queries, k)
    counts: NDArray[np.int64]  # (rounds, n_queries)
    first_query_ns: int
    usage: Mapping[str, float]


class Trial:
    """A worker with its mailbox, and the figures that belong to the build."""

    def __init__(self, job: Job, data: hdf5.LoadedDataset, stack: ExitStack) -> None:
        self.job, self.data = job, data
        self.k_max = max(search.k for search in job.searches)
        self.warmup = materials.warmup_vectors(data)
        self.layout = {
            "capacity": 2 * self.k_max + 16,
            "n_slots": max(len(data.test), len(self.warmup)),
            "dim": data.train.shape[1],
        }
        fd = mailbox.new_shared_file(
            mailbox.Mailbox.size_bytes(**self.layout), label="annmodal-mailbox"
        )
        stack.callback(os.close, fd)
        self.box = mailbox.Mailbox(fd, **self.layout)
        train_fd, self.train_fields = stack.enter_context(materials.train_descriptor(job, data))
        self.machine = describe_machine()
        self.kth: dict[tuple[int, int], NDArray[np.float64]] = {}
        self.views = materials.views(job, data)
        implementation = job.implementation
        level = isolation.choose(job.limits.isolation, trusted=implementation.trusted)
        self.worker = stack.enter_context(
            Worker(
                inherit={"mailbox": fd, "train": train_fd},
                threads=job.limits.threads,
                phase_timeout_s=job.limits.phase_timeout_s,
                output_bytes=job.limits.output_bytes,
                level=level,
                readable=[implementation.folder or implementation.path],
            )
        )

    def build(self, on_phase: OnPhase) -> None:
        """Start, measure the floors, load, fit."""
        job, worker = self.job, self.worker
        on_phase("starting")
        worker.begin("start")
        worker.request(
            "start",
            {
                "mailbox": self.layout,
                "implementation": to_plain(job.implementation),
                "train": self.train_fields,
                "metric": self.data.info.metric,
                "build": to_plain(job.build),
                "k": self.k_max,
                "memory_bytes": job.limits.memory_bytes,
            },
            expect="started",
        )
        worker.send("floor", {"k": self.k_max})
        self.mailbox_floor_ns = mailbox.floor_ns(self.box, self.k_max, worker.check)
        mailbox.dismiss(self.box)
        self.clock_floor_ns = int(worker.receive("floored").number("clock_floor_ns"))
        loaded = worker.request("load", expect="loaded")
        self.has_batch = bool(loaded.fields["has_batch"])
        on_phase("building")
        worker.begin("build")
        before = worker.unique_bytes()
        start = time.perf_counter()
        built = worker.request("build", expect="built")
        parent_s = time.perf_counter() - start
        by_worker = job.limits.clock == "worker"
        self.build_s = built.number("build_ns") / 1e9 if by_worker else parent_s
        grown = max(worker.unique_bytes() - before, 0)
        memory = worker.request("memory", expect="memory")
        self.reported_index_bytes = memory.size("reported_index_bytes")
        self.index_bytes = max(grown, self.reported_index_bytes or 0)
        self.versions = memory.texts("versions")

    def measure(self, search: Search, on_phase: OnPhase) -> Measurement:
        """Set the search parameters, warm up, time, score."""
        worker, job = self.worker, self.job
        worker.begin("search")
        worker.request("search", {"arguments": to_plain(search.arguments)}, expect="set")
        asked, batched = self.views[search.case_id]
        ask = self._by_parent if job.limits.clock == "parent" else self._by_worker
        timed = ask(search, asked, on_phase)
        n_short, recall = scoring.score_rounds(
            asked,
            timed.ids,
            timed.counts,
            k=search.k,
            short_answers=job.implementation.short_answers,
            kth=self._kth(asked, search.k),
        )
        batch_qps, batch_recall = (
            self._batch(search, batched, on_phase) if self.has_batch else (None, None)
        )
        worker.note_memory()
        figures = metrics.latency_figures(timed.times_ns)
        timed_s = float(timed.times_ns.sum()) / 1e9
        return Measurement(
            case_id=search.case_id,
            k=search.k,
            rounds=len(timed.times_ns),
            metric=self.data.info.metric,
            dim=self.data.train.shape[1],
            n_train=len(self.data.train),
            n_queries=len(asked.test),
            recall=recall.by_distance,
            recall_ids=recall.by_ids,
            recall_ann_benchmarks=recall.ann_benchmarks,
            latencies_ns=tuple(timed.times_ns.ravel().tolist()),
            **to_plain(figures),
            batch_qps=batch_qps,
            batch_recall=batch_recall,
            build_s=self.build_s,
            first_query_ns=timed.first_query_ns,
            index_bytes=self.index_bytes,
            reported_index_bytes=self.reported_index_bytes,
            peak_rss_bytes=worker.peak_rss_bytes,
            clock=job.limits.clock,
            clock_floor_ns=self.clock_floor_ns,
            mailbox_floor_ns=self.mailbox_floor_ns,
            n_short_answers=n_short,
            environment={
                **self.machine,
                "versions": self.versions,
                "threads": job.limits.threads,
                "worker_core": worker.core,
                "isolation": worker.level,
                "fresh_queries": job.limits.fresh_seed is not None,
                **{name: timed.usage[name] for name in USAGE},
            },
            notes=tuple(self._notes(timed, timed_s, n_short)),
            log_tail=worker.log_tail(),
        )

    def _by_worker(self, search: Search, data: hdf5.LoadedDataset, on_phase: OnPhase) -> _Timed:
        """The worker's own clock: it gets all queries and returns all times."""
        n, limits = len(data.test), self.job.limits
        message = self.worker.request(
            "timed",
            {"k": search.k, "rounds": search.rounds, "max_search_s": limits.max_search_s},
            [self.warmup, data.test],
            expect="answers",
            max_array_bytes=search.rounds * n * (search.k + 2) * 8,
            on_progress=lambda fields: on_phase(
                f"queries, round {fields['rounds']} of {search.rounds}"
            ),
        )
        rounds = next((len(array) for array in message.arrays if array.size), 1)
        times, ids, counts = _shaped(message, (rounds, n), (rounds, n, search.k), (rounds, n))
        return _Timed(
            times_ns=times,
            ids=ids,
            counts=counts,
            first_query_ns=int(message.number("first_query_ns")),
            usage={name: message.number(name) for name in USAGE},
        )

    def _by_parent(self, search: Search, data: hdf5.LoadedDataset, on_phase: OnPhase) -> _Timed:
        """The parent's clock: every query goes through the mailbox when its turn comes."""
        worker, box, k = self.worker, self.box, search.k
        worker.send("serve", {"k": k})
        with measure.quiet_gc():
            first_ns, _, _ = self._ask(self.warmup, k)
            rounds = []
            cpu_before_s = worker.cpu_s()
            began = time.monotonic()
            for number in range(search.rounds):
                rounds.append(self._ask(data.test, k))
                on_phase(f"queries, round {number + 1} of {search.rounds}")
                if time.monotonic() - began > self.job.limits.max_search_s:
                    break
            wall_s = time.monotonic() - began
            cpu_s = worker.cpu_s() - cpu_before_s
        mailbox.dismiss(box)
        served = worker.receive("served")
        self._refuse_smuggling(cpu_s, wall_s)
        times, ids, counts = (np.stack(column) for column in zip(*rounds, strict=True))
        return _Timed(
            times_ns=times,
            ids=ids,
            counts=counts,
            first_query_ns=int(first_ns[0]),
            usage={**{name: served.number(name) for name in USAGE}, "cpu_s": cpu_s},
        )

    def _refuse_smuggling(self, cpu_s: float, wall_s: float) -> None:
        """Refuse work beside the timed queries: more CPU than the worker's own thread can use."""
        allowed = self.job.limits.threads * wall_s * SMUGGLING_SHARE + SMUGGLING_GRACE_S
        if not self.job.implementation.trusted and cpu_s > allowed:
            raise SmugglingError(
                f"used {cpu_s:.2f} s of CPU in {wall_s:.2f} s of queries on "
                f"{self.job.limits.threads} thread(s): other threads or processes were at work "
                "between the queries"
            )

    def _ask(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], ...]:
        result = mailbox.ask(self.box, queries, k, self.worker.check)
        if (result[2] < 0).any():
            self.worker.receive("served")  # raises what the worker reported instead
            raise ProtocolViolationError("the worker reported an answer that raised, and no error")
        return result

    def _batch(
        self, search: Search, data: hdf5.LoadedDataset, on_phase: OnPhase
    ) -> tuple[float, float]:
        """Queries per second of the whole batch, and the recall of its answers."""
        on_phase("batch")
        worker, n, k = self.worker, len(data.test), search.k
        worker.begin("batch")
        worker.request("batch-load", {}, [data.test], expect="batch-loaded")
        start = time.perf_counter()
        batched = worker.request("batch", {"k": k}, expect="batched")
        parent_s = time.perf_counter() - start
        message = worker.request(
            "batch-result", {"k": k}, expect="batch-answers", max_array_bytes=n * (k + 1) * 8
        )
        ids, counts = _shaped(message, (n, k), (n,))
        answers.check(
            ids,
            counts,
            k=k,
            n_train=len(data.train),
            short_answers=self.job.implementation.short_answers,
            where="batch_query",
        )
        by_worker = self.job.limits.clock == "worker"
        batch_s = batched.number("batch_ns") / 1e9 if by_worker else parent_s
        return n / max(batch_s, 1e-9), scoring.recall_of(
            data, ids, k, self._kth(data, k)
        ).by_distance

    def _kth(self, data: hdf5.LoadedDataset, k: int) -> NDArray[np.float64]:
        key = (id(data), k)
        if key not in self.kth:
            self.kth[key] = scoring.kth_distances(data, k)
        return self.kth[key]

    def _notes(self, timed: _Timed, timed_s: float, n_short: int) -> Iterator[str]:
        data = self.data
        if n_short:
            yield f"{n_short} answers had fewer ids than asked for; the missing ones are misses"
        if data.n_zero_train or data.n_zero_test:
            yield f"zero vectors: {data.n_zero_train} in train, {data.n_zero_test} in test"
        if data.n_duplicates:
            yield f"duplicate rows in train: {data.n_duplicates}"
        if self.worker.level in {"uid", "process"}:
            yield (
                f"isolation: only '{self.worker.level}', so a submission could read files or use "
                "the network; install bubblewrap to shut it in"
            )
        yield from metrics.noise_notes(
            involuntary_switches=int(timed.usage["involuntary_switches"]),
            timed_s=timed_s,
            load_1min=float(self.machine["load_1min"]),
            cores=int(self.machine["cores"]),
        )


def _shaped(message: Message, *shapes: tuple[int, ...]) -> tuple[NDArray[np.int64], ...]:
    """The message's arrays, if they are int64 of just these shapes."""
    found = [(array.dtype.str, array.shape) for array in message.arrays]
    if found != [("<i8", shape) for shape in shapes]:
        raise ProtocolViolationError(f"the worker sent arrays {found}, not int64 {list(shapes)}")
    return message.arrays

"""Drives one worker through one build and its searches."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pytest_annmodal import surprises
from pytest_annmodal.channel import mailbox
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.environments import making
from pytest_annmodal.environments.kept import Made
from pytest_annmodal.figures import size
from pytest_annmodal.jobs import compiling, delayed_build, training_data, warming
from pytest_annmodal.jobs.asking import Asker, OnPhase, Timed
from pytest_annmodal.jobs.machine import describe_machine
from pytest_annmodal.jobs.quota import Throttling, throttling
from pytest_annmodal.jobs.scorer import Batch, Observed, Unscored
from pytest_annmodal.jobs.share import Share, Work
from pytest_annmodal.model import Implementation, Job, Search, to_plain
from pytest_annmodal.sandbox import compile_cache, interpreter, isolation, memory
from pytest_annmodal.sandbox.contention import Contention
from pytest_annmodal.sandbox.limits import Watch
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.scoring import latency, recall

OVERSTATED = 1.2  # times the growth; a note is given from there on
ROUNDING_BYTES = 2**20  # for whole pages, and for memory that was free before the build


def _work_folder(
    implementation: Implementation, level: isolation.Level, stack: ExitStack
) -> str | None:
    """Makes an empty working directory for an ann-benchmarks algorithm; None where not needed.

    In ann-benchmarks each run has its own container, so algorithms write files like
    ``indices/NAME`` and load any that exist. Bubblewrap already has its own ``/tmp``.
    """
    if implementation.style != "ann-benchmarks" or level == "bubblewrap":
        return None
    made = tempfile.TemporaryDirectory(prefix="annmodal-work-", ignore_cleanup_errors=True)
    folder = stack.enter_context(made)
    if level == "uid":
        Path(folder).chmod(0o777)
    return folder


def _numba_cache(level: isolation.Level, made: Made | None, stack: ExitStack) -> str | None:
    """Returns where numba keeps compiled code: shared by trusted implementations only."""
    if level == "none":
        return compile_cache.folder() if made is None else compile_cache.folder_of(made)
    if level == "bubblewrap":  # has its own /tmp
        return None
    new = tempfile.TemporaryDirectory(prefix="annmodal-numba-", ignore_cleanup_errors=True)
    return stack.enter_context(new)


class Trial:
    """A worker with its mailbox, and the figures of its build.

    Args:
        stack: closes everything that the trial opens.
        train_file: of another trial, to share its memory where the form is the same.
        anew: start a new interpreter, as for a worker in an environment, since this worker is
            compared with such a one.
    """

    def __init__(
        self,
        job: Job,
        data: hdf5.Vectors,
        stack: ExitStack,
        *,
        train_file: training_data.TrainFile | None = None,
        anew: bool = False,
    ) -> None:
        self.job, self.data = job, data
        self.k_max = max(search.k for search in job.searches)
        self.warmup = training_data.warmup_vectors(data)
        self.form = training_data.form_of(job, data, self.warmup)
        self.layout: dict[str, Any] = {
            "capacity": 2 * self.k_max + 16,
            "n_slots": max(len(data.test), len(self.warmup)),
            "dim": self.form.width,
            "dtype": self.form.dtype.str,
        }
        fd = mailbox.new_shared_file(
            mailbox.Mailbox.size_bytes(**self.layout), label="annmodal-mailbox"
        )
        stack.callback(os.close, fd)
        self.box = mailbox.Mailbox(fd, **self.layout)
        if train_file is None or train_file.form != self.form.name:
            train_file = stack.enter_context(training_data.train_file(job, data, self.form))
        self.train_file = train_file
        self.machine = describe_machine()
        self.work: dict[str, Work] = {}
        self.delayed_s, self.delayed_beside_others = 0.0, False
        self.interrupted = False
        self.views = training_data.views(job, data)
        implementation = job.implementation
        self.watch = Watch(memory_bytes=job.limits.memory_bytes)
        level = isolation.choose(job.limits.isolation, trusted=implementation.trusted)
        self.made = making.ensure(implementation)
        self.python = interpreter.of(self.made, anew=anew)
        self.work_folder = _work_folder(implementation, level, stack)
        self.worker = self._worker(level, fd, stack)
        self.asker = Asker(
            worker=self.worker,
            box=self.box,
            limits=job.limits,
            form=self.form,
            warmup=self.form.sent(self.warmup),
            trusted=implementation.trusted,
            n_train=len(data.train),
            short_answers=implementation.short_answers,
        )

    def _worker(self, level: isolation.Level, mailbox_fd: int, stack: ExitStack) -> Worker:
        limits, implementation = self.job.limits, self.job.implementation
        numba_cache = _numba_cache(level, self.made, stack)
        self.keeps_compiled = level == "none" and numba_cache is not None
        return stack.enter_context(
            Worker(
                inherit={"mailbox": mailbox_fd, "train": self.train_file.fd},
                threads=limits.threads,
                phase_timeout_s=limits.phase_timeout_s,
                output_bytes=limits.output_bytes,
                level=level,
                readable=[implementation.folder or implementation.path],
                private=limits.private,
                watch=None if implementation.trusted else self.watch,
                memory_bytes=limits.memory_bytes,
                numba_cache=numba_cache,
                python=self.python,
            )
        )

    def load(self, on_phase: OnPhase) -> None:
        """Starts the worker, measure both floors, load the implementation.

        ``train`` is not filled yet, so a submission cannot read it here.
        """
        job, worker = self.job, self.worker
        on_phase("starting")
        worker.begin("start")
        worker.request(
            "start",
            {
                "mailbox": self.layout,
                "implementation": to_plain(job.implementation),
                "form": self.form.fields(),
                "train": self.train_file.fields,
                "metric": self.data.info.metric,
                "build": to_plain(job.build),
                "k": self.k_max,
                "search": to_plain(job.searches[0].arguments),
                "memory_bytes": job.limits.memory_bytes,
                "work_folder": self.work_folder,
                "threads": job.limits.threads,
            },
            expect="started",
        )
        worker.gather()
        worker.send("floor", {"k": self.k_max, "apart": worker.apart})
        self.mailbox_floor_ns = mailbox.floor_ns(
            self.box, self.k_max, worker.check, apart=worker.apart
        )
        mailbox.dismiss(self.box)
        self.clock_floor_ns = int(worker.receive("floored").number("clock_floor_ns"))
        worker.spread()
        confined = worker.request("confine", {"level": worker.level}, expect="confined")
        self.calls_filtered = bool(confined.fields["calls_filtered"])
        self.watch.before_bytes = self.bytes_before = worker.held_bytes()
        self.compiled = compiling.compile_in(worker, job, self.watch)
        loaded = worker.request("load", expect="loaded")
        worker.rest()
        self.library_bytes = memory.file_bytes(*worker.family())
        self.has_batch = bool(loaded.fields.get("has_batch"))
        self.warmed = warming.report_in(loaded) if job.implementation.warm_up_build else None
        if job.implementation.trusted:  # a submission could allocate its index while it loads
            self.bytes_before = worker.held_bytes()

    @property
    def own_peak_bytes(self) -> int:
        """Peak memory of the worker so far, without the files of libraries that it loaded."""
        self.worker.note_memory()
        return self.worker.peak_rss_bytes - self.library_bytes

    def build(self, on_phase: OnPhase) -> None:
        """Builds the index and measure its size."""
        job, worker = self.job, self.worker
        on_phase("building")
        worker.begin("build")
        self.train_file.fill()
        cpu_before_s = worker.cpu_s()
        with worker.watched() as contention:
            worker.wake()
            start = time.perf_counter()
            built = worker.request("build", expect="built")
            parent_s = worker.answered_at - start
            worker.rest()
        self.build_contention = contention()
        self.work["build"] = Work(cpu_s=worker.cpu_s() - cpu_before_s, wall_s=parent_s)
        by_worker = job.limits.clock == "worker"
        self.build_s = built.number("build_ns") / 1e9 if by_worker else parent_s
        grown = 0
        if not job.implementation.trusted:
            grown = self.grown_bytes()
        worker.wake()
        start = time.perf_counter()
        sizes = worker.request("memory", expect="memory")
        if not job.implementation.trusted:  # it might build when asked for its size
            self.build_s += worker.answered_at - start
            worker.rest()
        else:  # by now the worker has returned the memory that it freed
            grown = self.grown_bytes()
        self.reported_index_bytes = sizes.size("reported_index_bytes")
        self.index_bytes = max(grown, 0, self.reported_index_bytes or 0)
        self.grown_at_build = grown
        self.versions = {**sizes.texts("versions"), **(self.made.versions if self.made else {})}

    def ask(self, search: Search, on_phase: OnPhase) -> Unscored:
        """Sets the search parameters, warm up, time the queries and the batch."""
        worker, held_up, start = self.worker, throttling(), time.perf_counter()
        self._set(search)
        asked, batched = self.views[search.case_id]
        timed = self._one_by_one(search, asked, on_phase)
        n_query_cores = worker.n_cores
        answers = self.asker.checked(timed.given, search)  # a wrong answer ends the search here
        build_s, index_bytes = self._with_what_came_later()
        batch, beside_batch = self._batch(search, batched, on_phase)
        if batch is not None:
            self.delayed_s += delayed_build.in_batch(
                batch.seconds, len(batched.test), timed.times_ns
            )
        share = self._share(n_query_cores, throttling().since(held_up), time.perf_counter() - start)
        disturbed = self._beside_others(build_s, timed, beside_batch, share)
        worker.note_memory()
        return Unscored(
            case_id=search.case_id,
            times_ns=timed.times_ns,
            answers=answers,
            batch=batch,
            observed=Observed(
                build_s=build_s,
                first_query_ns=timed.first_query_ns,
                index_bytes=index_bytes,
                reported_index_bytes=self.reported_index_bytes,
                peak_rss_bytes=worker.peak_rss_bytes,
                clock_floor_ns=self.clock_floor_ns,
                mailbox_floor_ns=self.mailbox_floor_ns,
                uncertain_share=timed.uncertain_share,
                n_left_out=int((timed.times_ns == recall.LEFT_OUT).sum()),
                disturbed=disturbed,
                environment=self._environment(timed, share),
                notes=(*share.notes(), *self._notes(timed, disturbed)),
                log_tail=worker.log_tail(),
            ),
        )

    def probe(self, search: Search, asked: hdf5.Vectors, on_phase: OnPhase) -> Timed:
        """Asks these queries as :meth:`ask` does; their times are not reported."""
        self._set(search)
        return self._one_by_one(search, asked, on_phase)

    def _set(self, search: Search) -> None:
        worker = self.worker
        worker.begin("search")
        worker.wake()
        worker.spread()
        start = time.perf_counter()
        worker.request("search", {"arguments": to_plain(search.arguments)}, expect="set")
        self.delayed_s += worker.answered_at - start
        worker.rest()

    def _one_by_one(self, search: Search, asked: hdf5.Vectors, on_phase: OnPhase) -> Timed:
        """Asks the queries one by one, and add build work that was delayed until then."""
        looks_s = self.watch.long_looks_s
        timed = self.asker.one_by_one(search, asked, on_phase)
        self.delayed_s += delayed_build.in_warmup(timed.warmup_s, len(self.warmup), timed.times_ns)
        self.delayed_s += delayed_build.in_queries(timed.times_ns)
        self.delayed_s += self.watch.long_looks_s - looks_s
        return timed

    def _beside_others(
        self, build_s: float, timed: Timed, beside_batch: Contention, share: Share
    ) -> tuple[str, ...]:
        """Returns the phases whose times other processes may have changed."""
        found = {
            "queries": timed.disturbed or share.disturbed,
            "batch": beside_batch.disturbed or (self.has_batch and share.disturbed),
        }
        self.delayed_beside_others |= any(found.values())
        matters = build_s - self.build_s >= latency.NOISY * build_s
        build = self.build_contention.disturbed or (matters and self.delayed_beside_others)
        return tuple(name for name, by_others in {"build": build, **found}.items() if by_others)

    def _share(self, n_query_cores: int, held_up: Throttling, wall_s: float) -> Share:
        return Share(
            threads=self.job.limits.threads,
            cores=self.worker.cores,
            n_query_cores=n_query_cores,
            quota=self.machine["cpu_quota"],
            held_up=held_up,
            wall_s=wall_s,
            work=dict(self.work),
        )

    def _environment(self, timed: Timed, share: Share) -> dict[str, Any]:
        limits = self.job.limits
        return {
            **self.machine,
            "versions": self.versions,
            **(to_plain(self.compiled) if self.compiled else {}),
            **(to_plain(self.warmed) if self.warmed else {}),
            "keeps_compiled": self.keeps_compiled,
            **share.fields(),
            "isolation": self.worker.level,
            "calls_filtered": self.calls_filtered,
            "fresh_queries": limits.fresh_seed is not None,
            "query_order": limits.query_order,
            **timed.usage,
            **to_plain(timed.contention),
        }

    def _with_what_came_later(self) -> tuple[float, int]:
        """Returns seconds and bytes of the index, with build work delayed until after ``fit``.

        Delayed work is done once and serves all later settings, so it counts as build. So does
        the time that a stopped submission kept running.
        """
        if self.job.implementation.trusted:
            return self.build_s, self.index_bytes
        build_s = self.build_s + self.delayed_s + self.worker.stops.ran_on_s
        return build_s, max(self.index_bytes, self.grown_bytes())

    def grown_bytes(self) -> int:
        """Returns by how many bytes the worker has grown since before the build."""
        return self.worker.held_bytes() - self.bytes_before

    def _batch(
        self, search: Search, data: hdf5.Vectors, on_phase: OnPhase
    ) -> tuple[Batch | None, Contention]:
        if not self.has_batch:
            return None, Contention()
        on_phase("batch")
        self.worker.begin("batch")
        with self.worker.watched() as contention:
            cpu_before_s, start = self.worker.cpu_s(), time.perf_counter()
            batch_s, given = self.asker.batch(search.k, data.test)
            wall_s = time.perf_counter() - start
            self.work["batch"] = Work(cpu_s=self.worker.cpu_s() - cpu_before_s, wall_s=wall_s)
        answers = self.asker.checked(given, search, "batch_query")
        return Batch(seconds=batch_s, answers=answers), contention()

    def _notes(self, timed: Timed, disturbed: Sequence[str]) -> Iterator[str]:
        if self.job.implementation.disabled:
            yield "its config.yml disables it; it was run because it was named"
        if self.warmed:
            yield self.warmed.note(kept=self.keeps_compiled)
        grown, said = max(self.grown_at_build, 0), self.reported_index_bytes or 0
        if said > OVERSTATED * grown + ROUNDING_BYTES:
            yield surprises.noted(
                "self-reported-size",
                f"index: the size it reports ({size(said)}) is shown; its process grew by "
                f"{size(grown)}",
            )
        if self.compiled:
            yield f"compiled in {self.compiled.compile_s:.1f} s, which is not part of the build"
        weak = isolation.weakness(self.worker.level, self.job.limits.isolation)
        if weak:
            yield f"isolation: {weak}"
        if self.worker.level != "none" and not self.calls_filtered:
            yield "isolation: this system cannot filter system calls, so none is refused"
        yield from latency.noise_notes(
            involuntary_switches=int(timed.usage["involuntary_switches"]),
            timed_s=float(timed.times_ns.clip(0).sum()) / 1e9,
            load_1min=float(self.machine["load_1min"]),
            cores=int(self.machine["affinity_cores"]),
            parent_switches=int(timed.usage.get("parent_switches", 0)),
            parent_waited=timed.contention.parent_waited,
            uncertain_share=timed.uncertain_share,
            disturbed=disturbed,
        )

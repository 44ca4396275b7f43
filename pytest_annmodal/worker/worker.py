"""``python -m pytest_annmodal.worker``: the process that runs one implementation.

It answers the frames of its parent (``sandbox/worker_process.py``) one by one: ``start``,
``floor``, ``confine``, ``compile`` (C++), ``load``, ``build``, ``memory``, ``search``, then
``timed`` (its own clock) or ``serve`` (the parent's clock), ``page-out`` before a cold pass,
``clients-try`` and ``clients`` (several at once), ``batch-load``, ``batch``, ``batch-result``,
``finish``. An exception of the implementation becomes an ``error`` frame and the worker goes on; a
crash ends the process.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import mmap
import os
import platform
import re
import resource
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel.mailbox import Mailbox
from pytest_annmodal.channel.wire import Channel, ChannelClosedError, Message
from pytest_annmodal.distances import forms
from pytest_annmodal.errors import ConfigurationError, InvalidResultError
from pytest_annmodal.worker import adapters, answers, clients, measure, warming
from pytest_annmodal.worker.confinement import confine
from pytest_annmodal.worker.cpp import compiler
from pytest_annmodal.worker.loading import settle
from pytest_annmodal.worker.paging import page_out
from pytest_annmodal.worker.pools import Pools
from pytest_annmodal.worker.serving import serve

MAX_ARRAY_BYTES = 2**40  # the parent is trusted
MAX_JSON_BYTES = 2**28
MAX_TRACEBACK_CHARS = 8000
LEAST_WARM_UP = 5  # queries
WARM_UP_NS = 50_000_000  # of queries beyond those
PACKAGE = str(Path(__file__).parents[1])


def map_train(fd: int, *, offset: int, n_bytes: int) -> NDArray[np.uint8]:
    """Maps ``train``'s bytes copy-on-write, and touches its pages so that no build loads them.

    Writes of the implementation change only its own copy; scoring reads another mapping.
    """
    start = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    memory = mmap.mmap(
        fd,
        offset - start + n_bytes,
        flags=mmap.MAP_PRIVATE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
        offset=start,
    )
    np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE].sum()
    return np.frombuffer(memory, np.uint8, n_bytes, offset - start)


def limit_memory(n_bytes: int | None) -> None:
    """Allows ``n_bytes`` of private memory beyond what is mapped now (Linux only)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = Path("/proc/self/status")
    if n_bytes is None or not status.exists():
        return
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    now = int(fields["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + n_bytes, now + n_bytes))


def versions(requirements: list[str]) -> dict[str, str]:
    """Returns installed versions of the distributions that the requirements name."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    names = (re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in requirements)
    if others := [name for name in names if name not in found]:
        from importlib import metadata  # importing it takes a fifth of a worker's start

        for name in others:
            with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
                found[name] = metadata.version(name)
    return found


def describe_error(error: BaseException, path: str) -> dict[str, Any]:
    """Returns an exception as plain data: type, message, line in the user's file, traceback."""
    message = _words_of(error)
    told = traceback.TracebackException.from_exception(error)
    _leave_out_ours(told)
    # One error needs no heading; several are told as Python tells them.
    alone = not _raised_from(told) and not told.exceptions
    lines = [*told.stack.format(), *told.format_exception_only()] if alone else [*told.format()]
    own = [frame.lineno for frame in told.stack if frame.filename == path]
    out_of_memory = isinstance(error, MemoryError) or "bad_alloc" in message
    return {
        "type": type(error).__name__,
        "message": message[:2000],
        "line": own[-1] if own else None,
        "traceback": "".join(lines)[-MAX_TRACEBACK_CHARS:],
        "kind": (
            "invalid-result"
            if isinstance(error, InvalidResultError)
            else "limit"
            if out_of_memory
            else "raised"
        ),
    }


def _leave_out_ours(told: traceback.TracebackException) -> None:
    """Removes this package's frames from a traceback, its causes' and its group's."""
    left = [told]
    while left:
        one = left.pop()
        theirs = [frame for frame in one.stack if not _is_ours(frame.filename)]
        one.stack = traceback.StackSummary.from_list(theirs)
        before = _raised_from(one)
        left += [*([before] if before else []), *(one.exceptions or ())]


def _raised_from(told: traceback.TracebackException) -> traceback.TracebackException | None:
    """Returns the error before this one, or None if there is none or ``from None`` hides it."""
    return told.__cause__ or (None if told.__suppress_context__ else told.__context__)


def _words_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as inner:  # noqa: BLE001 -- its __str__ is the user's code as well
        return f"(its message could not be read: {type(inner).__name__})"


def _is_ours(filename: str) -> bool:
    inside = filename.startswith(PACKAGE) and "implementations" not in filename
    return inside or filename.startswith("<frozen")


class Session:
    """The state between frames: the implementation, its training data, the last batch."""

    def __init__(self, channel: Channel, *, mailbox_fd: int, train_fd: int) -> None:
        self.channel = channel
        self.mailbox_fd = mailbox_fd
        self.train_fd = train_fd
        self.path = self.library = ""
        self.keep: measure.Keep | None = None

    def run(self) -> None:
        """Answers frames until the parent finishes or is gone."""
        while True:
            message = self.channel.receive(
                max_array_bytes=MAX_ARRAY_BYTES, max_json_bytes=MAX_JSON_BYTES
            )
            if message.kind == "finish":
                if hasattr(self, "adapter"):
                    self.adapter.done()
                self.channel.send("finished")
                return
            try:
                handler = getattr(self, "on_" + message.kind.replace("-", "_"))
                handler(message)
            except ChannelClosedError:
                raise
            except BaseException as error:  # noqa: BLE001 -- whatever the user's code raised
                self.channel.send("error", describe_error(error, self.path))

    def on_start(self, message: Message) -> None:
        fields = message.fields
        self.box = Mailbox(self.mailbox_fd, **fields["mailbox"])
        self.spec: Mapping[str, Any] = fields["implementation"]
        self.path = self.spec["path"]
        self.form = forms.make(**fields["form"])
        train = fields["train"]
        self.train = map_train(self.train_fd, offset=train["offset"], n_bytes=train["n_bytes"])
        self.fields = fields
        self.pools = Pools(fields["threads"])
        self.channel.send("started")

    def on_floor(self, message: Message) -> None:
        nothing = list(range(message.fields["k"]))
        apart = bool(message.fields.get("apart"))
        serve(self.box, lambda _vector, _k: nothing, message.fields["k"], apart=apart)
        self.channel.send("floored", {"clock_floor_ns": measure.clock_floor_ns()})

    def on_confine(self, message: Message) -> None:
        measure.trim_allocator()  # the parent measures memory next: free memory must not count
        filtered = confine(message.fields["level"])
        self.channel.send("confined", {"calls_filtered": filtered})

    def on_compile(self, message: Message) -> None:
        timeout_s = message.fields["timeout_s"]
        self.library, report = compiler.compile_file(self.path, timeout_s=timeout_s)
        self.channel.send("compiled", report)

    def on_load(self, _message: Message) -> None:
        settle(self.path, self.fields["work_folder"])
        limit_memory(self.fields["memory_bytes"])
        k = self.fields["k"]
        make = adapters.maker(
            {**self.spec, "library": self.library},
            metric=self.fields["metric"],
            dim=self.form.dim,
            alone=self.form.alone,
            build=self.fields["build"],
            k=k,
        )
        warmed = {}
        if self.spec["warm_up_build"]:
            warmed = warming.warm_up(make, self.form, k=k, search=self.fields["search"])
        self.adapter = make()
        gc.collect()
        gc.freeze()  # imported objects are never garbage, so later collections are quick
        measure.trim_allocator()
        self.channel.send("loaded", {"has_batch": self.adapter.batch is not None, **warmed})

    def on_build(self, _message: Message) -> None:
        train = self.form.mapped(self.train, self.fields["train"]["n"])  # filled by now
        build_ns, _ = measure.time_call(self.adapter.fit, train)
        self.channel.send("built", {"build_ns": build_ns})

    def on_memory(self, _message: Message) -> None:
        reported = self.adapter.memory_bytes()
        found = versions(list(self.spec["requirements"]))
        gc.freeze()  # leaves the index out of the collections before timed loops
        measure.trim_allocator()
        self.channel.send("memory", {"reported_index_bytes": reported, "versions": found})

    def on_search(self, message: Message) -> None:
        self.pools.all()
        self.adapter.set_search(message.fields["arguments"])
        self.adapter = self.adapter.looked_up()
        measure.warm_allocator()
        self.channel.send("set")

    def on_timed(self, message: Message) -> None:
        """Asks whole rounds by this process's own clock, as many as asked for and time allows."""
        fields, (warmup, queries) = message.fields, message.arrays
        k = fields["k"]
        self.pools.one()
        first_query_ns = self._warm_up(warmup, k) if len(warmup) else 0
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.monotonic()
        times: list[NDArray[np.int64]] = []
        ids: list[NDArray[np.int64]] = []
        counts: list[NDArray[np.int64]] = []
        while len(times) < fields["rounds"]:
            round_ns, raw = self._ask(queries.copy(), k)  # the user's code may write into them
            if self.keep is None and answers.reused(raw):
                self.keep = answers.copied  # the round is useless and is asked again
                continue
            round_ids, round_counts = answers.stack(raw, k)
            times.append(round_ns)
            ids.append(round_ids)
            counts.append(round_counts)
            if fields.get("progress", True):
                self.channel.send("progress", {"rounds": len(times)})
            if time.monotonic() - began > fields["max_search_s"]:
                break
        self.channel.send(
            "answers",
            {"first_query_ns": first_query_ns, **_usage_since(before)},
            [np.stack(times), np.stack(ids), np.stack(counts)],
        )

    def _warm_up(self, warmup: NDArray[Any], k: int) -> int:
        """Asks the warm-up queries, and finds whether answers must be copied; returns first ns.

        Slow queries are warm after a few: further ones are asked only as time allows.
        """
        self.keep = None
        first_ns, _ = self._ask(warmup[:1], k)
        few_ns, raw = self._ask(warmup[1:LEAST_WARM_UP], k)
        n_more = WARM_UP_NS // max(int(few_ns.min()), 1) if few_ns.size else 0
        raw += self._ask(warmup[LEAST_WARM_UP : LEAST_WARM_UP + n_more], k)[1]
        if answers.reused(raw):
            self.keep = answers.copied
        return int(first_ns[0])

    def on_page_out(self, message: Message) -> None:
        """Releases the pages of these files, wherever they are mapped."""
        page_out(frozenset(message.fields["paths"]))
        self.channel.send("paged-out")

    def _ask(self, sent: NDArray[Any], k: int) -> tuple[NDArray[np.int64], list[Any]]:
        queries = self.form.each(sent)
        if self.adapter.prepared is not None:
            return measure.time_prepared(self.adapter.prepared, queries, k, self.keep)
        return measure.time_queries(self.adapter.query, queries, k, self.keep)

    def on_serve(self, message: Message) -> None:
        """Answers by the mailbox, timed by the parent, until dismissed."""
        apart = bool(message.fields.get("apart"))
        self.pools.one()
        before = resource.getrusage(resource.RUSAGE_SELF)
        with measure.quiet_gc():
            rows = self.form.slots(self.box.slots)
            serve(self.box, self.adapter.query, message.fields["k"], apart=apart, rows=rows)
        self.channel.send("served", _usage_since(before))

    def on_clients_try(self, message: Message) -> None:
        """Reports whether clients can be threads: not for a query in steps or with the GIL held."""
        self.pools.one()
        rows = self.form.each(message.arrays[0].copy())
        steps = self.adapter.prepared is not None
        helps = not steps and clients.threads_help(self.adapter.query, rows, message.fields["k"])
        self.channel.send("clients-tried", {"threads_help": helps})

    def on_clients(self, message: Message) -> None:
        """Runs n clients at once by this process's own clock."""
        fields, (warmup, queries) = message.fields, message.arrays
        k = fields["k"]
        self.pools.one()
        _, raw = measure.time_queries(self.adapter.query, self.form.each(warmup.copy()), k)
        keep = answers.copied if answers.reused(raw) else None
        run = clients.by_threads if fields["how"] == "threads" else clients.by_processes
        before = resource.getrusage(resource.RUSAGE_SELF)
        rows = self.form.each(queries.copy())
        task = clients.Task(query=self.adapter.query, k=k, seconds=fields["seconds"], keep=keep)
        try:
            wall_ns, found = run(task, rows, fields["n"])
        except clients.ClientEndedError as error:
            self.channel.send("clients-done", {"ended": {"words": str(error)}})
            return
        usage = {"wall_ns": wall_ns, **_usage_since(before)}
        self.channel.send("clients-done", usage, found)

    def on_batch_load(self, message: Message) -> None:
        self.pools.all()
        sent = message.arrays[0].copy()  # writable
        self.batch, self.n_batch = self.form.whole(sent), len(sent)
        self.channel.send("batch-loaded")

    def on_batch(self, message: Message) -> None:
        if self.adapter.batch is None:
            raise ConfigurationError("this implementation has no batch_query")
        batch_ns, self.batch_answer = measure.time_call(
            self.adapter.batch, self.batch, message.fields["k"]
        )
        self.channel.send("batched", {"batch_ns": batch_ns})

    def on_batch_result(self, message: Message) -> None:
        raw = self.adapter.batch_fetch() if self.adapter.batch_fetch else self.batch_answer
        answers.check_batch(raw, self.n_batch)
        ids, counts = answers.stack(list(raw), message.fields["k"], "batch_query")
        self.channel.send("batch-answers", {}, [ids, counts])


def _usage_since(before: resource.struct_rusage) -> dict[str, Any]:
    now = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "involuntary_switches": now.ru_nivcsw - before.ru_nivcsw,
        "cpu_s": now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--socket", "--mailbox", "--train", "--parent"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    die_with_parent(options.parent)
    work(socket_fd=options.socket, mailbox_fd=options.mailbox, train_fd=options.train)


def work(*, socket_fd: int, mailbox_fd: int, train_fd: int) -> NoReturn:
    """Answers frames until the parent finishes or is gone; then ends this process."""
    channel = Channel(socket.socket(fileno=socket_fd))
    session = Session(channel, mailbox_fd=mailbox_fd, train_fd=train_fd)
    with contextlib.suppress(ChannelClosedError):
        session.run()  # the session is kept, since freeing it would run destructors
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # skips the libraries' atexit and destructors, which can hang or crash


def die_with_parent(parent_pid: int) -> None:
    """Has the kernel end this process when its parent ends in any way (Linux)."""
    if sys.platform != "linux" or parent_pid == 0:  # bubblewrap does it
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent_pid:  # the parent ended before the call above
        os._exit(0)

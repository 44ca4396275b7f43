"""Several clients that query one index at once; each sends its next query after an answer.

Worker side, for trusted implementations only, since this process's own clock is used. Clients are
threads if the library releases the GIL while it searches, else processes that are forked from this
one and share its index.
"""

from __future__ import annotations

import mmap
import os
import signal
import tempfile
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.worker import answers, measure

Query = Callable[[Any, int], Any]
MOST_QUERIES = 2_000_000  # of all clients together
TRIAL_S = 0.1  # of one trial whether threads help
TRIALS = 3
THREADS_HELP = 1.5  # times the queries of one thread: two threads release the GIL
LONGEST_TRIAL_QUERIES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every client does: ask for k neighbours for ``seconds``; ``keep`` copies answers."""

    query: Query
    k: int
    seconds: float
    keep: measure.Keep | None = None


@dataclass(slots=True)
class Client:
    """One client: the queries it asks, and its results."""

    number: int
    rows: Sequence[Any]
    step: int
    times: array[int]
    answers: list[Any] = field(default_factory=list)
    began_ns: int = 0
    ended_ns: int = 0
    error: BaseException | None = None

    def run(self, task: Task, go: Callable[[], Any]) -> None:
        """Asks until the time is over, at least once; stores an exception in ``error``."""
        query, k, keep = task.query, task.k, task.keep
        rows, times, note, clock = self.rows, self.times, self.answers.append, perf_counter_ns
        n_rows, at, done, most = len(rows), self.number % len(self.rows), 0, len(self.times)
        go()
        self.began_ns = end = clock()
        until = end + int(task.seconds * 1e9)
        try:
            while (end < until and done < most) or not done:
                row = rows[at]
                start = clock()
                answer = query(row, k)
                end = clock()
                times[done] = end - start
                note(answer if keep is None else keep(answer))
                done += 1
                at = (at + self.step) % n_rows
        except BaseException as error:  # noqa: BLE001 -- whatever the user's code raised
            self.error = error
        self.ended_ns = end

    def arrays(self, k: int) -> list[NDArray[np.int64]]:
        """Returns times (m,), rows (m,), ids (m, k) and counts (m,), all int64."""
        n = len(self.answers)
        ids, counts = answers.stack(self.answers, k)
        asked = (self.number + self.step * np.arange(n, dtype=np.int64)) % len(self.rows)
        return [np.frombuffer(self.times, np.int64)[:n].copy(), asked, ids, counts]


def _clients(rows: Sequence[Any], n: int, most: int = MOST_QUERIES) -> list[Client]:
    empty = bytes(8 * max(most // n, 1))
    return [Client(number, rows, n, array("q", empty)) for number in range(n)]


def by_threads(task: Task, rows: Sequence[Any], n: int) -> tuple[int, list[NDArray[np.int64]]]:
    """Runs n threads; returns wall ns from first start to last end, and the joined arrays."""
    clients = _clients(rows, n)
    _run_threads(clients, task)
    wall_ns = max(one.ended_ns for one in clients) - min(one.began_ns for one in clients)
    return wall_ns, _joined([client.arrays(task.k) for client in clients])


def _run_threads(clients: Sequence[Client], task: Task) -> None:
    barrier = threading.Barrier(len(clients))
    threads = [threading.Thread(target=client.run, args=(task, barrier.wait)) for client in clients]
    with measure.quiet_gc():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for client in clients:
        if client.error is not None:
            raise client.error


def _joined(parts: Sequence[Sequence[NDArray[np.int64]]]) -> list[NDArray[np.int64]]:
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def by_processes(task: Task, rows: Sequence[Any], n: int) -> tuple[int, list[NDArray[np.int64]]]:
    """Runs n forked processes; returns the same as :func:`by_threads`.

    Raises:
        ClientEndedError: one of them ended before it had written its results.
    """
    gate = mmap.mmap(-1, mmap.PAGESIZE)
    with tempfile.TemporaryDirectory(prefix="annmodal-clients-") as folder, measure.quiet_gc():
        places = [Path(folder) / f"{number}.npz" for number in range(n)]
        clients = _clients(rows, n)
        pids = []
        for client, place in zip(clients, places, strict=True):
            pid = os.fork()
            if not pid:
                _child(client, place, gate, task)
            pids.append(pid)
        while gate[1 : 1 + n].count(1) < n and not _ended(pids):
            os.sched_yield()
        gate[0] = 1
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        for number, status in enumerate(ends):
            if status:
                raise ClientEndedError(number, n, status)
        found = [dict(np.load(place, allow_pickle=False)) for place in places]
    for one in found:
        if "error" in one:
            raise RuntimeError(str(one["error"]))
    wall_ns = max(int(one["ended"]) for one in found) - min(int(one["began"]) for one in found)
    return wall_ns, _joined([[one[f"arr_{i}"] for i in range(4)] for one in found])


class ClientEndedError(Exception):
    """A client process ended early."""

    def __init__(self, number: int, n: int, status: int) -> None:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        super().__init__(f"client {number + 1} of {n} (a process) ended with {how}")


def _ended(pids: Sequence[int]) -> bool:
    """Whether one of them has ended; it can still be waited for."""
    return any(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) for pid in pids)


def _child(client: Client, place: Path, gate: mmap.mmap, task: Task) -> None:
    """Runs a client in a forked process, writes its results, and exits without atexit calls."""

    def go() -> None:
        gate[1 + client.number] = 1
        while not gate[0]:
            os.sched_yield()

    status = 1
    try:
        client.run(task, go)
        about = {"began": np.int64(client.began_ns), "ended": np.int64(client.ended_ns)}
        if client.error is not None:
            words = f"{type(client.error).__name__}: {client.error}"
            np.savez(place, error=np.array(words[:1000]))
        else:
            np.savez(place, *client.arrays(task.k), **about)  # type: ignore[arg-type]
        status = 0
    finally:
        os._exit(status)


def threads_help(query: Query, rows: Sequence[Any], k: int) -> bool:
    """Whether two threads answer clearly more queries than one, so that clients may be threads.

    Both are tried in turn, and the best of each counts. True on a single core, where threads
    are as good as processes.
    """
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2:
        return True
    task = Task(query=query, k=k, seconds=TRIAL_S, keep=lambda _answer: None)
    best = [0.0, 0.0]
    for _ in range(TRIALS):
        for place, n in enumerate((1, 2)):
            clients = _clients(rows, n, LONGEST_TRIAL_QUERIES)
            _run_threads(clients, task)
            wall_ns = max(one.ended_ns for one in clients) - min(one.began_ns for one in clients)
            speed = sum(len(one.answers) for one in clients) / max(wall_ns, 1)
            best[place] = max(best[place], speed)
    return best[1] >= THREADS_HELP * best[0]

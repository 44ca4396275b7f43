"""The closed loop: n clients in the worker; each sends its next query once it has an answer.

It is timed by the worker's own clock, which a submission could change, so it runs trusted
implementations only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from pytest_annmodal.errors import CrashedError, ProtocolViolationError
from pytest_annmodal.jobs.asking import Asker, shaped
from pytest_annmodal.jobs.load.machine import Look
from pytest_annmodal.jobs.load.statistics import latency_figures
from pytest_annmodal.jobs.scorer import LevelAnswers
from pytest_annmodal.levels import FEW_CORES, NOISY, Level, Load
from pytest_annmodal.scoring import validity

PER_ANSWER = 8 * 3  # bytes besides its ids
MOST_QUERIES = 2_000_000


class ClosedLoop:
    """Runs clients against one search setting of a worker.

    Args:
        queries: (rows, dim), as they are sent.

    Attributes:
        how: whether clients are ``threads`` or ``processes``; empty before :meth:`choose`.
    """

    def __init__(self, asker: Asker, load: Load, queries: NDArray[Any], k: int) -> None:
        self.asker, self.load, self.queries, self.k = asker, load, queries, k
        self.how = ""

    def choose(self) -> str:
        """Decides whether clients are threads or processes."""
        worker = self.asker.worker
        worker.use_cores(2)
        found = worker.request(
            "clients-try", {"k": self.k}, [self.asker.warmup], expect="clients-tried"
        )
        self.how = "threads" if found.fields.get("threads_help") is True else "processes"
        return self.how

    def level(self, n: int) -> tuple[Level, LevelAnswers]:
        """Runs n clients at once; returns the level's figures and answers.

        Raises:
            SubmissionError: the worker ended, or a query raised.
        """
        worker = self.asker.worker
        n_cores = worker.use_cores(n)
        before = Look.now()
        with worker.watched() as contention:
            message = worker.request(
                "clients",
                {"k": self.k, "n": n, "seconds": self.load.level_s, "how": self.how},
                [self.asker.warmup, self.queries],
                expect="clients-done",
                max_array_bytes=MOST_QUERIES * (PER_ANSWER + 8 * self.k),
            )
        if ended := message.texts("ended").get("words"):
            raise CrashedError(f"{ended}; {self.asker.worker.phase}")
        m = len(message.arrays[0]) if message.arrays else 0
        times, rows, ids, counts = shaped(message, (m,), (m,), (m, self.k), (m,))
        wall_s = message.number("wall_ns") / 1e9
        if not m or wall_s <= 0:
            raise ProtocolViolationError("the worker's clients reported no answers")
        marks = [FEW_CORES] if 0 < n_cores < n else []
        level = Level(
            kind="closed",
            clients=n,
            qps=m / wall_s,
            seconds=wall_s,
            n_offered=m,
            n_answered=m,
            **latency_figures(times),
            marks=(*marks, *([NOISY] if contention().disturbed else [])),
        )
        switches = int(message.number("involuntary_switches"))
        level = replace(level, machine=before.until_now(worker_switches=switches))
        return level, LevelAnswers(rows=rows, given=validity.Given(ids=ids, counts=counts))

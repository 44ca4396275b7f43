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
from pytest_annmodal.levels import FEW_CORES, NOISY, Clients, Level, Load
from pytest_annmodal.scoring import validity

ALONE: Clients = "threads"  # what one client is, before anybody has looked
NOT_SAFE = (
    'if it cannot be asked by several threads, clients = "processes" in its header asks by '
    "processes"
)
PER_ANSWER = 8 * 3  # bytes besides its ids
MOST_QUERIES = 2_000_000


class ClosedLoop:
    """Runs clients against one search setting of a worker.

    Args:
        queries: (rows, dim), as they are sent.
        how: what clients are, ``threads`` or ``processes``, where the header declares it.

    Attributes:
        how: the same; empty until a level with several clients has begun.
    """

    def __init__(
        self, asker: Asker, load: Load, queries: NDArray[Any], k: int, how: Clients | None
    ) -> None:
        self.asker, self.load, self.queries, self.k = asker, load, queries, k
        self.how: Clients | None = how

    def _choose(self) -> Clients:
        """Finds out whether clients are threads or processes."""
        worker = self.asker.worker
        worker.use_cores(2)
        found = worker.request(
            "clients-try", {"k": self.k}, [self.asker.warmup], expect="clients-tried"
        )
        return "threads" if found.fields.get("threads_help") is True else "processes"

    def level(self, n: int) -> tuple[Level, LevelAnswers]:
        """Runs n clients at once; returns the level's figures and answers.

        Raises:
            SubmissionError: the worker ended, or a query raised.
        """
        worker = self.asker.worker
        try:
            if self.how is None and n > 1:
                self.how = self._choose()
            n_cores = worker.use_cores(n)
            before = Look.now()
            with worker.watched() as contention:
                message = worker.request(
                    "clients",
                    {"k": self.k, "n": n, "seconds": self.load.level_s, "how": self.how or ALONE},
                    [self.asker.warmup, self.queries],
                    expect="clients-done",
                    max_array_bytes=MOST_QUERIES * (PER_ANSWER + 8 * self.k),
                )
        except CrashedError as error:
            if n == 1 or self.how == "processes":
                raise
            raise CrashedError(f"{error}; {NOT_SAFE}", **error.evidence) from error
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

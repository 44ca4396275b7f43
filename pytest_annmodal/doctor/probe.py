"""Measures two equal workers against each other: how far apart they look on this machine.

Two workers with fresh builds of the same exact search are asked in turn; the true ratio of
their median latencies is 1.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytest_annmodal.distances import metrics
from pytest_annmodal.doctor.finding import Finding, bad, doubtful, good
from pytest_annmodal.errors import AnnModalError
from pytest_annmodal.figures import counted, duration

if TYPE_CHECKING:
    from pytest_annmodal.datasets import hdf5
    from pytest_annmodal.model import Job

PROBE_S = 5.0  # of asking, once the workers are ready
LEAST_S = 2.0
FEWEST_PAIRS = 6
WARM_UP = 1  # pairs that are not counted
FLOOR_NS = 5_000  # of the mailbox, across cores
SMALL, LARGE = 0.05, 0.2  # --ann-difference; and a spread that hides most real differences
N_TRAIN, N_QUERIES, K, SEED = 4_000, 200, 10, 17
METRIC = metrics.BY_DEFAULT[0]
NOT_MEASURED = "It is unknown which differences can be seen here."


class Probe:
    """The measurements of the two workers.

    Args:
        limit_s: time for all of it, including the start of the workers.

    Attributes:
        log_ratios: logarithms of the ratios of their median latencies.
        problem: why there are no or too few measurements.
    """

    def __init__(self, limit_s: float) -> None:
        self.log_ratios: list[float] = []
        self.clock_floor_ns = self.mailbox_floor_ns = 0
        self.apart = False
        self.problem = ""
        if limit_s < LEAST_S:
            self.problem = "the other checks left no time for it"
            return
        try:
            self._run(time.monotonic() + limit_s)
        except (AnnModalError, OSError) as error:
            self.problem = str(error)
        if not self.problem and self._too_few:
            self.problem = f"{limit_s:.1f} s were too short: the workers were slow to start"

    def _run(self, deadline: float) -> None:
        """Asks two workers with fresh builds on one core in turn; only one is awake at a time."""
        import numpy as np

        from pytest_annmodal.comparison.interleaving import Entrant
        from pytest_annmodal.jobs.trial import Trial
        from pytest_annmodal.sandbox import cores

        data, usable = _data(), cores.affinity()
        with ExitStack() as stack:
            job = _job(deadline - time.monotonic())
            trials: list[Trial] = []
            for _ in range(2):
                cores.pin(usable)
                shared = trials[0].train_file if trials else None
                trials.append(Trial(job, data, stack, train_file=shared))
            pair = [Entrant(trial, baseline=None) for trial in trials]
            for entrant in pair:
                if time.monotonic() > deadline:
                    return
                with entrant.awake():
                    entrant.trial.load(_ignored)
                    entrant.trial.build(_ignored)
            self.clock_floor_ns = trials[1].clock_floor_ns
            self.mailbox_floor_ns, self.apart = trials[1].mailbox_floor_ns, trials[1].worker.apart
            end = time.monotonic() + PROBE_S
            search, medians_ns = job.searches[0], [0.0, 0.0]
            while (now := time.monotonic()) < deadline and (now < end or self._too_few):
                for number in (0, 1) if len(self.log_ratios) % 2 else (1, 0):
                    times_ns = pair[number].ask(search, search.arguments, data.test)[0]
                    medians_ns[number] = float(np.median(times_ns))
                self.log_ratios.append(math.log(medians_ns[0] / medians_ns[1]))

    @property
    def _too_few(self) -> bool:
        return len(self.log_ratios) < FEWEST_PAIRS + WARM_UP

    @property
    def spread(self) -> float:
        """The spread that 95 of 100 equal pairs stay within, as a share: twice the RMS."""
        squares = [value * value for value in self.log_ratios[WARM_UP:]]
        return math.expm1(2 * math.sqrt(sum(squares) / len(squares)))

    def floor(self) -> Finding:
        """Checks the time that the harness itself adds to a query."""
        if not self.mailbox_floor_ns:
            return _not_measured(self.problem)
        found = (
            f"{duration(self.clock_floor_ns / 1e9)} by the worker's clock, "
            f"{duration(self.mailbox_floor_ns / 1e9)} by the parent's, which times submissions"
        )
        figures = {
            "clock_floor_ns": self.clock_floor_ns,
            "mailbox_floor_ns": self.mailbox_floor_ns,
            "apart": self.apart,
        }
        if self.mailbox_floor_ns <= FLOOR_NS:
            return good(found, "This part of each query's time is the harness's own.", **figures)
        why = "is slow" if self.apart else "has to share a core with the worker"
        return doubtful(
            found,
            f"The parent {why}: submissions that answer in a few microseconds all look equal.",
            "Give it two cores, and end other work.",
            **figures,
        )

    def equal(self) -> Finding:
        """Checks which differences can be seen."""
        if self.problem:
            return _not_measured(self.problem)
        spread = self.spread
        n_pairs = len(self.log_ratios) - WARM_UP
        found = (
            f"equal things look up to {spread:.1%} apart, 95 times in 100 (estimated from the "
            f"median latencies of {counted(n_pairs, 'pair')} asked in turn)"
        )
        figures = {"spread": round(spread, 4), "pairs": n_pairs}
        means = f"One measurement shows only differences of more than {spread:.1%}."
        if spread <= SMALL:
            means += " --ann-baseline measures several times, and shows smaller ones."
            return good(found, means, **figures)
        advice = "Mend the marked lines; until then compare only with --ann-baseline."
        return (doubtful if spread <= LARGE else bad)(found, means, advice, **figures)


def _not_measured(problem: str) -> Finding:
    return doubtful(
        f"not measured: {problem}",
        NOT_MEASURED,
        "Try again when the machine has less to do, or give it more time: --limit 30.",
    )


def _data() -> hdf5.LoadedDataset:
    """Generates vectors in memory with their ground truth, so that no file is needed."""
    import numpy as np

    from pytest_annmodal.datasets import hdf5, synthetic
    from pytest_annmodal.distances import exact

    vectors = synthetic.points(np.random.default_rng(SEED), N_TRAIN + N_QUERIES)
    train, test = vectors[:N_TRAIN], vectors[N_TRAIN:]
    neighbors, distances = exact.knn(train, test, 2 * K, METRIC)
    return hdf5.LoadedDataset(
        info=hdf5.DatasetInfo(
            metric=METRIC,
            dim=train.shape[1],
            n_train=N_TRAIN,
            n_queries=N_QUERIES,
            k_truth=2 * K,
            contiguous=True,
            train_offset=None,
            dtype="<f4",
        ),
        train=train,
        test=test,
        train_map=None,
        neighbors=neighbors,
        distances=distances,
        n_zero_train=0,
        n_zero_test=0,
        n_duplicates=0,
        truth_computed=True,
    )


def _job(limit_s: float) -> Job:
    """Makes the job: exact search on the generated vectors."""
    from pytest_annmodal.manifests.manifest import BUILTINS, read_file
    from pytest_annmodal.model import Arguments, Dataset, Job, Limits, Search

    nothing = Arguments()
    return Job(
        dataset=Dataset(name="probe", source="", metric=METRIC),
        implementation=read_file(BUILTINS / "bruteforce.py"),
        build=nothing,
        searches=(Search(case_id="probe", arguments=nothing, k=K, rounds=1),),
        limits=Limits(phase_timeout_s=limit_s),
    )


def _ignored(_phase: str) -> None:
    """Ignores the phase."""

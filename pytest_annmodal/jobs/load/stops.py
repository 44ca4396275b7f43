"""Whether the machine stopped in an open loop: what waiting and p99 would be without its stops.

A stop is a time in which the generator did not run (it spins, so its own clock shows that), or in
which the worker was ready to run and got no core, or was stopped by a signal, while it served a
query. A server that sleeps does not wait for a core, so a stall of its own is not a stop.

A single stop of T seconds makes each query of the next T / (1 - load) seconds wait, so the mean
waiting time rises by its square: half a second in a minute may be most of it. So the length of the
stops says little. Instead the times of all queries are computed once more without the stops, by the
recursion of Lindley (1952, "The theory of queues with a single server").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel.open_loop import Offered
from pytest_annmodal.levels import Stops

EXPLAINED = 0.1  # of a figure: stops that explain more of it make the level unusable
WAITS = 0.1  # of the mean latency: in less, waiting is not what makes a query slow


def found(offered: Offered) -> Stops:
    """Returns the stops of a level, and its figures without them."""
    gaps_s = np.diff(offered.gaps_ns, axis=1) / 1e9
    waiting_ns, latency_ns = without(offered)
    return Stops(
        generator_s=float(gaps_s.sum()),
        generator_longest_s=float(gaps_s.max(initial=0)),
        worker_s=float(offered.kept_ns.sum()) / 1e9,
        worker_longest_s=float(offered.kept_ns.max(initial=0)) / 1e9,
        waiting_mean_s=float(waiting_ns.mean()) / 1e9,
        p99_s=float(np.percentile(latency_ns, 99)) / 1e9,
    )


def without(offered: Offered) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns waiting times and latencies (m,), in ns, as they would be without the stops.

    Of a query whose service overlaps with a stop, at most the time above the median service is
    taken away, since the worker may have been at work while the generator did not run.
    """
    due = offered.due_ns[offered.answered].astype(np.float64)
    turn, ended = offered.turn_ns.astype(np.float64), offered.ended_ns.astype(np.float64)
    ready = np.maximum(due, np.concatenate(([-np.inf], ended[:-1])))
    service = ended - turn
    beyond = np.maximum(service - np.median(service), 0.0)
    stopped = _gaps_between(offered.gaps_ns, turn, ended) + offered.kept_ns
    service -= np.minimum(stopped, beyond)
    late = turn - ready - _gaps_between(offered.gaps_ns, ready, turn)
    taken = np.maximum(late, 0.0) + service
    sums = np.cumsum(taken)
    left = sums + np.maximum.accumulate(due - (sums - taken))  # when each would have its answer
    return left - service - due, left - due


def _gaps_between(
    gaps_ns: NDArray[np.int64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how much of each interval (m,) lies in gaps (g, 2), which do not overlap."""
    if not len(gaps_ns):
        return np.zeros(len(start))
    edges, lengths = gaps_ns.ravel(), np.diff(gaps_ns, axis=1)[:, 0]
    passed = np.cumsum(lengths)  # gaps until the end of each; until its start without it
    until = np.column_stack((passed - lengths, passed)).ravel()
    return np.asarray(np.interp(end, edges, until) - np.interp(start, edges, until))


def explain(stops: Stops, waiting_mean_s: float, mean_s: float, p99_s: float) -> bool:
    """Whether the stops explain more than a tenth of p99, or of the mean waiting time.

    The waiting time counts if it is more than a tenth of the mean latency.
    """
    waits = waiting_mean_s > WAITS * mean_s
    return p99_s - stops.p99_s > EXPLAINED * p99_s or (
        waits and waiting_mean_s - stops.waiting_mean_s > EXPLAINED * waiting_mean_s
    )

"""Figures of levels, as pure functions of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel.open_loop import Offered
from pytest_annmodal.errors import SubmissionError
from pytest_annmodal.jobs.load import stops
from pytest_annmodal.levels import (
    GENERATOR_BOUND,
    NOT_COUNTED,
    SATURATED,
    STOPPED,
    Level,
    Load,
    Loaded,
)

BUSY = 0.85  # of its core's time: a generator that works more is itself the limit
LATE = 0.1  # of a latency: the generator may be late by at most this share
BEHIND = 0.02  # of a level: a server that ends later than this did not keep up
BEHIND_S = 0.05
FEW = 20  # queries: the least for a percentile of lateness, and how many may wait at the end
MOST_CHARS = 400  # of a failure's message
CLEAR = 0.1  # the least distance of a knee from the straight line
SLOWER, FASTER = 1.5, 1.1  # times the first: latency or speed that rises less is flat


def open_level(
    offered: Offered,
    rate_qps: float,
    *,
    apart: bool,
    late_s: float | None,
    most_qps: float | None = None,
) -> Level:
    """Returns the figures of one open loop.

    Args:
        apart: whether the generator had its own core.
        late_s: its lateness (p99), used if too few queries of the level found an idle server.
        most_qps: queries per second that it can offer; None if that was not measured.
    """
    due_ns = offered.due_ns[offered.answered]
    latency_ns = offered.ended_ns - due_ns
    waiting_ns = offered.turn_ns - due_ns
    service_ns = offered.ended_ns - offered.turn_ns
    alone = offered.found_idle
    seconds = float(offered.ended_ns[-1] - offered.due_ns[0]) / 1e9
    share = offered.at_work_ns / 1e9 / seconds
    latencies = latency_figures(latency_ns)
    late_99_s, too_late = _lateness((offered.asked_ns - due_ns)[alone], late_s, latencies)
    too_many = most_qps is not None and rate_qps > most_qps
    behind = _is_behind(offered, seconds, float(service_ns.mean()) / 1e9)
    waited_s, stopped = float(waiting_ns.mean()) / 1e9, stops.found(offered)
    marks = (
        (STOPPED, stops.explain(stopped, waited_s, latencies["mean_s"], latencies["p99_s"])),
        (GENERATOR_BOUND, share > BUSY or too_late or too_many or not apart),
        (SATURATED, len(offered.dropped) or behind),
    )
    return Level(
        kind="open",
        offered_qps=rate_qps,
        qps=len(offered.answered) / seconds,
        seconds=seconds,
        n_offered=len(offered.due_ns),
        n_answered=len(offered.answered),
        n_dropped=len(offered.dropped),
        n_late=int((~alone).sum()),
        **latencies,
        waiting_mean_s=waited_s,
        waiting_p99_s=percentile_s(waiting_ns, 99),
        **_service(service_ns),
        lateness_p99_s=late_99_s,
        generator_share=share,
        marks=tuple(mark for mark, holds in marks if holds),
        stops=stopped,
    )


def _service(times_ns: NDArray[np.int64]) -> dict[str, Any]:
    """Returns figures of the service times, by the names of ``Level``."""
    times_s = times_ns / 1e9
    return {
        "service_mean_s": float(times_s.mean()),
        "service_p50_s": percentile_s(times_ns, 50),
        "service_p99_s": percentile_s(times_ns, 99),
        "service_max_s": float(times_s.max()),
        "service_square_s2": float((times_s**2).mean()),
    }


def _lateness(
    lateness_ns: NDArray[np.int64], known_s: float | None, latencies: Mapping[str, float]
) -> tuple[float | None, bool]:
    """Returns the generator's lateness (p99), and whether it is too much beside the latencies.

    Args:
        lateness_ns: of queries that found an idle server; if they are few, ``known_s`` is used.
    """
    many = len(lateness_ns) >= FEW
    late_99_s = percentile_s(lateness_ns, 99) if many else known_s
    return late_99_s, (
        late_99_s is None
        or late_99_s > LATE * latencies["p99_s"]
        or (many and percentile_s(lateness_ns, 50) > LATE * latencies["p50_s"])
    )


def _is_behind(offered: Offered, seconds: float, service_s: float) -> bool:
    """Whether more than a few queries still waited when the last one had come."""
    came_s = float(offered.due_ns[-1] - offered.due_ns[0]) / 1e9
    return seconds - came_s - FEW * service_s > max(BEHIND * came_s, BEHIND_S)


def latency_figures(latency_ns: NDArray[np.int64]) -> dict[str, Any]:
    """Returns ``mean_s`` and percentiles (linear interpolation) by the names of ``Level``."""
    p50, p95, p99 = (float(one) / 1e9 for one in np.percentile(latency_ns, (50, 95, 99)))
    return {"mean_s": float(latency_ns.mean()) / 1e9, "p50_s": p50, "p95_s": p95, "p99_s": p99}


def percentile_s(times_ns: NDArray[np.int64], percent: float) -> float:
    return float(np.percentile(times_ns, percent)) / 1e9


def knee(x: Sequence[float], y: Sequence[float], *, rises_late: bool) -> int | None:
    """Returns where a curve bends: the point farthest from the line through its ends.

    The rule of "Kneedle" (Satopää, Albrecht, Irwin and Raghavan 2011) for a curve known at few
    points: both axes are scaled to 0 to 1, and the knee is the point with the largest difference
    between the curve and the diagonal.

    Args:
        x, y: of three points or more, ``x`` rising.
        rises_late: whether the curve lies below the diagonal (latency over load) or above it
            (speed over clients).

    Returns:
        The index of the point, or None where the curve is nearly straight or flat.
    """
    if len(x) < 3 or y[-1] < y[0] * (SLOWER if rises_late else FASTER) or x[-1] <= x[0]:
        return None
    across = (np.asarray(x, float) - x[0]) / (x[-1] - x[0])
    up = (np.asarray(y, float) - y[0]) / (y[-1] - y[0])
    bend = across - up if rises_late else up - across
    best = int(bend.argmax())
    return best if bend[best] >= CLEAR else None


def counted(levels: Sequence[Level], *, count_bound: bool) -> list[Level]:
    """Returns the levels that may be ranked: with figures, which only the server determined."""
    return [
        level
        for level in levels
        if not level.failure
        and level.p99_s is not None
        and (count_bound or NOT_COUNTED.isdisjoint(level.marks))
    ]


def rate_at_bound(loaded: Loaded | None, load: Load | None) -> float | None:
    """Returns the highest offered rate at which, and below which, p99 was within the bound.

    A saturated rate does not count as within it, since dropped queries have no latency. A rate in
    which the machine stopped counts if it is within it in spite of that.
    """
    if loaded is None or load is None or load.at_p99_s is None:
        return None
    best, bound_s = None, load.at_p99_s
    opened = [one for one in loaded.levels if one.kind == "open"]
    ranked = counted(opened, count_bound=load.count_bound)
    for level in sorted(opened, key=lambda level: level.offered_qps or 0.0):
        p99_s = level.p99_s
        within = p99_s is not None and p99_s <= bound_s and SATURATED not in level.marks
        if within and (level in ranked or NOT_COUNTED.intersection(level.marks) == {STOPPED}):
            best = level.offered_qps
        elif level in ranked:
            break
    return best


def figured(loaded: Loaded, load: Load | None) -> Loaded:
    """Adds knees, speed-ups and the latency bound, from the levels that have figures."""
    load = load or Load()
    alone = next((one.qps for one in loaded.levels if one.kind == "closed" and one.clients == 1), 0)
    levels = tuple(
        replace(one, speed_up=one.qps / alone)
        if one.kind == "closed" and one.qps and alone
        else one
        for one in loaded.levels
    )
    ranked = counted(levels, count_bound=load.count_bound)
    opened = sorted(
        (one for one in ranked if one.kind == "open"), key=lambda one: one.offered_qps or 0.0
    )
    closed = sorted((one for one in ranked if one.kind == "closed"), key=lambda one: one.clients)
    full = next((at for at, one in enumerate(opened) if SATURATED in one.marks), len(opened))
    opened = opened[: full + 1]  # beyond saturation, latency grows with the level's duration
    at_rate = knee(
        [one.offered_qps or 0.0 for one in opened],
        [one.p99_s or 0.0 for one in opened],
        rises_late=True,
    )
    at_clients = knee(
        [one.clients for one in closed], [one.qps or 0.0 for one in closed], rises_late=False
    )
    return replace(
        loaded,
        levels=levels,
        knee_qps=None if at_rate is None else opened[at_rate].offered_qps,
        knee_clients=None if at_clients is None else closed[at_clients].clients,
        at_p99_s=load.at_p99_s,
    )


def failed(level: Level, error: SubmissionError) -> Level:
    """Returns a level that has no figures, with the reason."""
    return Level(
        kind=level.kind,
        clients=level.clients,
        offered_qps=level.offered_qps,
        failure=error.kind,
        message=str(error)[:MOST_CHARS],
    )

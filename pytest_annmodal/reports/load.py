"""Tables of the levels of load of each case (``--ann-rate``, ``--ann-concurrency``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_annmodal.figures import NO_VALUE, counted, duration, number, rate, share
from pytest_annmodal.levels import STOPPED, Level, Loaded
from pytest_annmodal.reports import aligned
from pytest_annmodal.reports.below import Measured
from pytest_annmodal.reports.escape import printable

OPEN = ("offered/s", "answered/s", "p50", "p95", "p99", "waiting", "service", "late", "dropped")
CLOSED = ("clients", "QPS", "p50", "p95", "p99", "speed-up")
KNEE = "knee"


def lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields, for each case, a table of its levels with marks behind the rows."""
    for one in measured:
        loaded = one.outcome.load
        if loaded is None:
            continue
        opened = [level for level in loaded.levels if level.kind == "open"]
        closed = [level for level in loaded.levels if level.kind == "closed"]
        if opened:
            yield f"{one.label}, under load: {_how(loaded)}"
            yield from _table(OPEN, [(level, _open(level), loaded) for level in opened])
        if closed:
            yield f"{one.label}, by clients at once ({loaded.clients_are or 'none ran'}):"
            yield from _table(CLOSED, [(level, _closed(level), loaded) for level in closed])
        if loaded.at_p99_s is not None:
            best = one.outcome.rate_at_p99_qps
            found = "none of the rates" if best is None else f"{rate(best)} queries/s"
            yield f"  99 % within {duration(loaded.at_p99_s)}: {found}"
        yield from (f"  {printable(note)}" for note in loaded.notes)


def _how(loaded: Loaded) -> str:
    """Returns the conditions of an open loop."""
    parts = [
        f"{loaded.arrivals} arrivals, latency from when a query was due",
        f"queue {loaded.queue:,}",
        f"generator late by {duration(loaded.lateness_p99_s)} (p99, idle server)",
    ]
    if loaded.generator_qps is not None:
        parts[-1] += f" and good for {rate(loaded.generator_qps)} queries/s"
    if loaded.capacity_qps is not None:
        parts.append(f"capacity {rate(loaded.capacity_qps)} queries/s")
    return "; ".join(parts)


def _table(head: Sequence[str], rows: Sequence[tuple[Level, list[str], Loaded]]) -> Iterator[str]:
    cells = [tuple(head), *(tuple(row) for _, row, _ in rows)]
    first, *others = aligned.lines(cells, ">" * len(head))
    yield f"  {first}"
    for line, (level, _, loaded) in zip(others, rows, strict=True):
        yield f"  {line}  {', '.join(_marks(level, loaded))}".rstrip()


def _marks(level: Level, loaded: Loaded) -> Iterator[str]:
    if level.failure:
        yield f"failed ({level.failure}): {printable(level.message)}"
        return
    knee = loaded.knee_qps if level.kind == "open" else loaded.knee_clients
    if knee is not None and knee == (level.offered_qps or level.clients):
        yield KNEE
    yield from level.marks
    if level.recall is not None:
        yield f"recall {share(level.recall)}"


def _open(level: Level) -> list[str]:
    if level.failure:
        return [rate(level.offered_qps), *[NO_VALUE] * (len(OPEN) - 1)]
    return [
        rate(level.offered_qps),
        rate(level.qps),
        duration(level.p50_s),
        duration(level.p95_s),
        duration(level.p99_s),
        duration(level.waiting_mean_s),
        duration(level.service_mean_s),
        f"{level.n_late / max(level.n_offered, 1):.0%}",
        f"{level.n_dropped:,}",
    ]


def _closed(level: Level) -> list[str]:
    if level.failure:
        return [f"{level.clients}", *[NO_VALUE] * (len(CLOSED) - 1)]
    return [
        f"{level.clients}",
        rate(level.qps),
        duration(level.p50_s),
        duration(level.p95_s),
        duration(level.p99_s),
        number(level.speed_up) if level.speed_up is not None else NO_VALUE,
    ]


def machine_notes(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields notes on steal, throttling and stops that made levels slower."""
    for one in measured:
        loaded = one.outcome.load
        for level in loaded.levels if loaded is not None else ():
            seen = level.machine
            parts = []
            if seen.steal_s:
                parts.append(f"{duration(seen.steal_s)} stolen by the hypervisor")
            if seen.throttled_times:
                times = counted(seen.throttled_times, "time")
                parts.append(f"stopped {times} for {duration(seen.throttled_s)} by the CPU quota")
            parts += _stops(level)
            if parts:
                yield f"{one.label} {level.words}: {', '.join(parts)}"


def _stops(level: Level) -> Iterator[str]:
    """Yields what stopped, and what the figures would be, for a level with that mark."""
    stops = level.stops
    if stops is None or STOPPED not in level.marks:
        return
    for who, all_s, longest_s in (
        ("the generator", stops.generator_s, stops.generator_longest_s),
        ("the worker", stops.worker_s, stops.worker_longest_s),
    ):
        if all_s:
            yield f"{who} was kept from running for {duration(all_s)} (once {duration(longest_s)})"
    yield (
        f"without this waiting would be {duration(stops.waiting_mean_s)} and p99 "
        f"{duration(stops.p99_s)}"
    )

"""Checks of the processor: cores and quota, other processes, frequency, huge pages, clock."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from pytest_annmodal.doctor.finding import Finding, bad, doubtful, good
from pytest_annmodal.figures import counted, duration
from pytest_annmodal.jobs.machine import affinity_cores, cpu_model, usable_cores
from pytest_annmodal.jobs.quota import cpu_quota
from pytest_annmodal.sandbox import contention

SYSTEM = Path("/sys")
LOOK_S = 0.5  # for which other processes are watched
BUSY = 0.1  # cores kept busy by other processes, above a machine's own housekeeping
STEAL_FELT, STEAL_BAD = 0.01, 0.1  # shares of the time in which something was to be computed
MOST_NAMES = 3
CLOCK_READINGS = 50_000
COARSE_NS = 1_000


def cores() -> Finding:
    """Checks the number of cores of this process, and its CPU quota."""
    quota, n_affinity = cpu_quota(), affinity_cores()
    found = f"{counted(n_affinity, 'core')} of {os.cpu_count()}, {cpu_model()}"
    found += ", no CPU quota" if quota is None else f", a CPU quota of {quota:g}"
    figures = {"cores": n_affinity, "cpu_quota": quota, "cpu": cpu_model()}
    if quota is not None and quota < 1:
        return bad(
            found,
            "All work is stopped many times a second, so all latencies are wrong.",
            "Give this container at least one whole core, two if possible.",
            **figures,
        )
    if n_affinity < 2:
        return doubtful(
            found,
            "The harness and the implementation share a core: submissions, which are timed from "
            "outside, look slower than they are, and latencies vary.",
            "Use a machine with two cores, or give this container two.",
            **figures,
        )
    if quota is not None and quota < 2:
        return doubtful(
            found,
            "Submissions are timed from outside, which keeps two cores busy: both are stopped when "
            "the quota is used up, and latencies vary.",
            "Give this container a quota of two cores.",
            **figures,
        )
    if quota is not None and quota < n_affinity:
        return doubtful(
            found,
            "Builds and batches that use more threads than the quota are slowed down.",
            f"Use at most --ann-threads {usable_cores(quota)}.",
            **figures,
        )
    return good(found, "The harness and the implementation have a core each.", **figures)


def others() -> Finding:
    """Checks how many cores other processes use, while this process sleeps."""
    before, busy_before = contention.look(os.getpid()), _busy_s()
    time.sleep(LOOK_S)
    after, busy_after = contention.look(os.getpid()), _busy_s()
    busy = (busy_after - busy_before) / (after.at_s - before.at_s)
    load, n_cores = os.getloadavg()[0], os.cpu_count() or 1
    names = _heaviest(before, after)
    found = f"others keep {busy:.1f} of {n_cores} cores busy now"
    found += f" ({', '.join(names)})" if names else ""
    found += f"; the load was {load:.1f} in the last minute"
    figures = {"busy_cores": round(busy, 2), "load_1min": round(load, 2), "processes": names}
    if busy <= BUSY:
        return good(found, "No other process takes time or caches from a measurement.", **figures)
    means = (
        "Latencies are too long and vary from run to run; disturbed cases are marked ~ in the "
        "table."
    )
    advice = (
        "End that work or wait for it. Comparisons still work with --ann-baseline, which asks both "
        "sides in turn."
    )
    return (doubtful if busy <= n_cores - 1 else bad)(found, means, advice, **figures)


def _busy_s() -> float:
    """Returns the CPU seconds of all processes of this system so far."""
    import psutil

    times = psutil.cpu_times()
    return float(times.user + times.system)


def _heaviest(before: contention.Look, after: contention.Look) -> list[str]:
    """Returns names and pids of the processes that used most CPU time in between."""
    used = sorted(
        (
            (now.cpu_s_since(then), pid)
            for pid, now in after.processes.items()
            if pid != os.getpid() and (then := before.processes.get(pid)) is not None
        ),
        reverse=True,
    )
    heavy = [pid for cpu_s, pid in used[:MOST_NAMES] if cpu_s > BUSY * LOOK_S]
    return [f"{text(Path(f'/proc/{pid}/comm')) or 'process'} {pid}" for pid in heavy]


def stolen() -> tuple[float, float]:
    """Returns the seconds stolen by the hypervisor so far, and the CPU seconds of all processes."""
    import psutil

    return float(getattr(psutil.cpu_times(), "steal", 0.0)), _busy_s()


def steal(before: tuple[float, float]) -> Finding:
    """Checks the share of time stolen since ``before``, of the time in which work was waiting.

    Args:
        before: an earlier result of :func:`stolen`.
    """
    steal_s, busy_s = (now - then for now, then in zip(stolen(), before, strict=True))
    share = steal_s / max(steal_s + busy_s, 1e-9)
    found = f"{share:.1%} of the time went to other virtual machines during this examination"
    figures = {"share": round(share, 4)}
    if share < STEAL_FELT:
        return good(found, "No hypervisor takes time away.", **figures)
    means = "The hypervisor interrupts measurements for other virtual machines."
    advice = "Use a machine with dedicated cores, or measure at another time."
    return (doubtful if share < STEAL_BAD else bad)(found, means, advice, **figures)


def frequency() -> Finding:
    """Checks the governor and turbo, if they can be read: a virtual machine hides them."""
    folder = SYSTEM / "devices/system/cpu"
    governors = sorted({text(path) for path in folder.glob("cpu*/cpufreq/scaling_governor")})
    turbo = _turbo(folder)
    figures = {"governors": governors, "turbo": turbo}
    found = f"governor {', '.join(governors)}" if governors else "the governor cannot be read"
    found += "" if turbo is None else f", turbo {'on' if turbo else 'off'}"
    if governors not in ([], ["performance"]):
        return doubtful(
            found,
            "The clock rate follows the load: the first queries after a pause are slow.",
            "sudo cpupower frequency-set -g performance",
            **figures,
        )
    if governors and turbo is False:
        return good(found, "The clock rate stays the same.", **figures)
    means = (
        "The clock rate may differ from run to run; a comparison within one run (--ann-baseline) "
        "is not affected."
    )
    return good(found, means, **figures)


def _turbo(folder: Path) -> bool | None:
    if off := text(folder / "intel_pstate/no_turbo"):
        return off == "0"
    if on := text(folder / "cpufreq/boost"):
        return on == "1"
    return None


def huge_pages() -> Finding:
    """Shows the kernel's setting of transparent huge pages."""
    said = text(SYSTEM / "kernel/mm/transparent_hugepage/enabled")
    chosen = said.partition("[")[2].partition("]")[0]
    return good(
        chosen or "cannot be read",
        "They change the speed of large indexes: compare with machines that have the same setting.",
        transparent_hugepage=chosen or None,
    )


def clock() -> Finding:
    """Checks the resolution of the clock that times queries, and whether it ever goes back."""
    readings = [time.perf_counter_ns() for _ in range(CLOCK_READINGS)]
    steps = sorted(later - sooner for sooner, later in itertools.pairwise(readings))
    grain_ns = min((step for step in steps if step > 0), default=0)
    between_ns, back_ns = steps[len(steps) // 2], max(-steps[0], 0)
    source = text(SYSTEM / "devices/system/clocksource/clocksource0/current_clocksource")
    found = (
        f"{source or 'perf_counter'}: steps of {duration(grain_ns / 1e9)} at least, "
        f"{duration(between_ns / 1e9)} from one reading to the next"
    )
    figures = {
        "source": source or None,
        "grain_ns": grain_ns,
        "reading_ns": between_ns,
        "back_ns": back_ns,
    }
    if back_ns:
        return bad(
            f"{found}; it went back by {duration(back_ns / 1e9)}",
            "Times are wrong.",
            "Boot with another clock source, or use another machine.",
            **figures,
        )
    if max(grain_ns, between_ns) > COARSE_NS:
        return doubtful(
            found,
            "Queries of a few microseconds cannot be told apart.",
            "Let the kernel use a quicker clock source (tsc on x86): see "
            "/sys/devices/system/clocksource.",
            **figures,
        )
    return good(found, "It never goes back, and is fine enough for a single query.", **figures)


def text(path: Path) -> str:
    """Returns the text of a small file of the kernel; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

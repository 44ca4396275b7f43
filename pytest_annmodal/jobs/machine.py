"""Describes the machine that a measurement was made on, as plain data."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_annmodal.jobs.quota import cpu_quota
from pytest_annmodal.sandbox.cores import affinity


@lru_cache(maxsize=1)
def cpu_model() -> str:
    """Returns the processor's name from the operating system."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def affinity_cores() -> int:
    """Returns how many cores this process may run on."""
    return len(affinity()) or os.cpu_count() or 1


def usable_cores(quota: float | None) -> int:
    """Returns how many cores this process may keep busy: at most the quota, rounded down."""
    cores = affinity_cores()
    return cores if quota is None else min(cores, max(int(quota), 1))


def describe_machine() -> dict[str, Any]:
    """Returns the CPU model, cores, present load and system."""
    quota = cpu_quota()
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(quota),
        "affinity_cores": affinity_cores(),
        "cpu_quota": quota,
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
    }


def machine_class() -> str:
    """Returns what must be equal on two machines for their times to be compared."""
    cores = usable_cores(cpu_quota())
    many = "core" if cores == 1 else "cores"
    return f"{cpu_model()}, {cores} {many}, {platform.system()} {platform.machine()}"

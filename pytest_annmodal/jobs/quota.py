"""Reads the CPU quota of this process's control groups, and how often they were throttled.

Containers and CI runners are limited in this way: all their processes together get so many
microseconds of CPU in each period. Once these are used up, all threads wait for the next period.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """How often, and for how many seconds, the groups were throttled so far."""

    times: int = 0
    seconds: float = 0.0

    def since(self, before: Throttling) -> Throttling:
        return Throttling(
            times=max(self.times - before.times, 0),
            seconds=max(self.seconds - before.seconds, 0.0),
        )


def cpu_quota(root: Path = ROOT) -> float | None:
    """Returns the smallest CPU quota of this process's groups, in cores; None without one."""
    found = [quota for folder in _groups(root) if (quota := _quota(folder)) is not None]
    return min(found, default=None)


def throttling(root: Path = ROOT) -> Throttling:
    """Returns the sum over this process's groups that have a quota."""
    found = [_throttling(folder) for folder in _groups(root) if _quota(folder) is not None]
    return Throttling(
        times=sum(one.times for one in found), seconds=sum(one.seconds for one in found)
    )


def _groups(root: Path) -> Iterator[Path]:
    """Yields the folders of this process's groups up to the mount, for cgroup v1 and v2."""
    paths = dict(_own_paths(root))
    for words in _lines(root / "proc/self/mountinfo"):
        kind, controllers = _kind_of(words)
        if kind not in ("cgroup", "cgroup2") or (kind == "cgroup" and "cpu" not in controllers):
            continue
        path = paths.get(kind)
        if path is None:
            continue
        mounted, place = Path(words[3]), root / words[4].replace("\\040", " ").lstrip("/")
        # In a container the mount may begin at its own group, or the path may be the host's.
        inside = path.relative_to(mounted) if path.is_relative_to(mounted) else Path()
        if ".." in inside.parts:
            inside = Path()
        folder = place / inside
        yield folder
        while folder != place:
            folder = folder.parent
            yield folder


def _own_paths(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields, by kind of mount, this process's path in the hierarchy that limits CPU time."""
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0" and not controllers:
                yield "cgroup2", Path(path)
            elif "cpu" in controllers.split(","):
                yield "cgroup", Path(path)


def _kind_of(words: list[str]) -> tuple[str, list[str]]:
    """Returns the file system and its options, which follow the optional fields' hyphen."""
    try:
        at = words.index("-", 6)
        return words[at + 1], words[at + 3].split(",")
    except (ValueError, IndexError):
        return "", []


def _quota(folder: Path) -> float | None:
    first = next(_lines(folder / "cpu.max"), None)  # version 2: "150000 100000" or "max 100000"
    if first is None:
        quota, period = (
            next(_lines(folder / name), ["-1"])[0]
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        first = [quota, period]
    with contextlib.suppress(ValueError, IndexError):
        allowed, of = int(first[0]), int(first[1])
        if allowed > 0 and of > 0:
            return allowed / of
    return None  # "max", or -1


def _throttling(folder: Path) -> Throttling:
    stat: Mapping[str, int] = {
        words[0]: int(words[1])
        for words in _lines(folder / "cpu.stat")
        if len(words) == 2 and words[1].isdecimal()
    }
    seconds = stat.get("throttled_usec", 0) / 1e6 + stat.get("throttled_time", 0) / 1e9
    return Throttling(times=stat.get("nr_throttled", 0), seconds=seconds)


def _lines(path: Path) -> Iterator[list[str]]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text().splitlines():
            if words := line.split():
                yield words

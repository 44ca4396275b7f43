"""Finds, stops and ends the processes that a worker started.

A child that starts its own session leaves the worker's process group, and it loses its parent when
the worker ends first. It keeps the environment that it was started with, so it is found by that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pytest_annmodal.sandbox.output import readable

MARK = "ANNMODAL_WORKER"
KILL_S = 20
ASLEEP = "TtZXD"  # stopped, ended, or in a call after which the pending signal stops it
MOST_LOOKS = 20  # each may find processes that were started during the previous one


class ProcessRow(NamedTuple):
    """A row of the process table."""

    parent: int
    state: str


def descendants(pid: int) -> list[int]:
    """Returns all descendants of a living process, parents first."""
    return _descendants(pid, dict(_table()))


def _descendants(pid: int, table: Mapping[int, ProcessRow]) -> list[int]:
    children: dict[int, list[int]] = {}
    for child, row in table.items():
        children.setdefault(row.parent, []).append(child)
    found = list(children.get(pid, ()))
    for one in found:  # the list grows during the loop
        found += children.get(one, ())
    return found


def _table() -> Iterator[tuple[int, ProcessRow]]:
    """Yields every process. psutil takes ten times as long, and a fork bomb grows meanwhile."""
    if not Path("/proc/self/stat").exists():
        import psutil

        for one in psutil.process_iter(["ppid", "status"]):
            state = "T" if one.info["status"] == psutil.STATUS_STOPPED else "R"
            yield one.pid, ProcessRow(one.info["ppid"], state)
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 -- as quick as can be
        if name.isdecimal():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 -- half the time
                    after = file.read().rpartition(b")")[2].split()
                yield int(name), ProcessRow(int(after[1]), after[0].decode())


def end_family(pid: int) -> None:
    """Ends all descendants of a process; stops them first, so that they start no others."""
    _signal(_stop_descendants(pid), signal.SIGKILL)


def pause(pid: int) -> tuple[set[int], bool]:
    """Stops a process and all its descendants until :func:`resume`.

    Args:
        pid: leader of a process group. The group is stopped in one call, so that no fork
            escapes; then processes that have left it are searched and stopped.

    Returns:
        The stopped processes, and whether all were in the group.
    """
    _signal_group(pid, signal.SIGSTOP)
    found = _stop_descendants(pid, group=pid)
    return {pid, *found}, all(_group_of(one) in (pid, None) for one in found)


def pause_group(pid: int) -> None:
    """Stops the group that a process leads; processes that have left it go on."""
    _signal_group(pid, signal.SIGSTOP)


def resume(pid: int, pids: Iterable[int]) -> None:
    """Resumes the processes that :func:`pause` stopped, and the whole group."""
    _signal(pids, signal.SIGCONT)
    _signal_group(pid, signal.SIGCONT)


def _stop_descendants(pid: int, group: int | None = None) -> set[int]:
    """Stops all descendants of a process, until all are found stopped.

    One that still runs can resume the others, so the states are checked.

    Args:
        group: a process group that was stopped before, with the process itself in it.
    """
    seen: set[int] = set()
    for number in range(MOST_LOOKS):
        table = dict(_table())
        found = set(_descendants(pid, table))
        of_group = {one for one in found if group is not None and _group_of(one) == group}
        # At the first look the signal to the group may not have taken effect yet.
        awake = {one for one in found if table[one].state not in ASLEEP} if number else set()
        new = found - seen - of_group
        _signal(awake | new, signal.SIGSTOP)
        if awake and group is not None:
            _signal_group(group, signal.SIGSTOP)
        seen |= found
        if not awake and not new:
            break
    return seen


def _group_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return None


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


@contextlib.contextmanager
def awaited(pids: Iterable[int]) -> Iterator[None]:
    """Waits, at the end of a block that ends these processes, until they are gone (Linux)."""
    watched = []
    if hasattr(os, "pidfd_open"):
        for pid in pids:
            with contextlib.suppress(OSError):
                watched.append(os.pidfd_open(pid))
    try:
        yield
    finally:
        for fd in watched:
            readable(fd, KILL_S)
            os.close(fd)


def end_user(uid: int) -> None:
    """Ends every process of a worker's own user id, in one call that none escapes."""
    everything = ["/bin/sh", "-c", "kill -s KILL -- -1"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            everything, user=uid, group=uid, extra_groups=[], timeout=KILL_S, check=False
        )


def marked(mark: str) -> list[int]:
    """Returns living processes with this mark in their environment (Linux only)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended, or belongs to another user
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def end(pids: Iterable[int]) -> None:
    _signal(pids, signal.SIGKILL)


def end_marked(mark: str) -> None:
    """Ends all processes with the mark, until none is found."""
    for _ in range(MOST_LOOKS):
        found = marked(mark)
        if not found:
            return
        end(found)

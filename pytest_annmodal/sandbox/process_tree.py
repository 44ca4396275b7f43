"""The processes that a worker started, wherever they went, and their end.

A child that begins a session of its own leaves the worker's process group, and loses its
parent when the worker ends first. What it keeps is the environment that it was started with.
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
ASLEEP = "TtZXD"  # stopped, ended, or in a call from which only the signal that stops it comes
MOST_LOOKS = 20  # each may find what was started during the one before


class Living(NamedTuple):
    """A process in the kernel's table."""

    parent: int
    state: str


def descendants(pid: int) -> list[int]:
    """Children of a process that is still there, and theirs, parents first."""
    return _descendants(pid, dict(_table()))


def _descendants(pid: int, table: Mapping[int, Living]) -> list[int]:
    children: dict[int, list[int]] = {}
    for child, row in table.items():
        children.setdefault(row.parent, []).append(child)
    found = list(children.get(pid, ()))
    for one in found:  # which grows meanwhile
        found += children.get(one, ())
    return found


def _table() -> Iterator[tuple[int, Living]]:
    """Every process; psutil needs ten times as long, which a fork bomb uses."""
    if not Path("/proc/self/stat").exists():
        import psutil

        for one in psutil.process_iter(["ppid", "status"]):
            state = "T" if one.info["status"] == psutil.STATUS_STOPPED else "R"
            yield one.pid, Living(one.info["ppid"], state)
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 -- as quick as can be
        if name.isdecimal():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 -- half the time
                    after = file.read().rpartition(b")")[2].split()
                yield int(name), Living(int(after[1]), after[0].decode())


def end_family(pid: int) -> None:
    """End all that descend from a process: stopped first, so that none can start another."""
    _signal(_stop_descendants(pid), signal.SIGKILL)


def pause(pid: int) -> tuple[set[int], bool]:
    """Let a process and all that descend from it do nothing for a while.

    Args:
        pid: leader of a process group. The group is stopped at once, so that no fork escapes; who
            has left it is looked for.

    Returns:
        Who was stopped, and whether all were in the group.
    """
    _signal_group(pid, signal.SIGSTOP)
    found = _stop_descendants(pid, group=pid)
    return {pid, *found}, all(_group_of(one) in (pid, None) for one in found)


def pause_group(pid: int) -> None:
    """Let the group that a process leads do nothing for a while; who has left it goes on."""
    _signal_group(pid, signal.SIGSTOP)


def resume(pid: int, pids: Iterable[int]) -> None:
    """Let them go on: those that :func:`pause` stopped, and all of the group."""
    _signal(pids, signal.SIGCONT)
    _signal_group(pid, signal.SIGCONT)


def _stop_descendants(pid: int, group: int | None = None) -> set[int]:
    """Stop all that descend from a process, until a look finds none of them awake.

    Who is not stopped yet can wake the others, so the state is what counts.

    Args:
        group: that was stopped at once, before any look, with the process itself in it.
    """
    seen: set[int] = set()
    for number in range(MOST_LOOKS):
        table = dict(_table())
        found = set(_descendants(pid, table))
        of_group = {one for one in found if group is not None and _group_of(one) == group}
        # The first look comes too early to see what the signal to the group did.
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
    """Leave the block when these processes, which it ends, are gone (Linux only)."""
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
    """End every process of a user that is one worker's alone, in one call that none escapes."""
    everything = ["/bin/sh", "-c", "kill -s KILL -- -1"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            everything, user=uid, group=uid, extra_groups=[], timeout=KILL_S, check=False
        )


def marked(mark: str) -> list[int]:
    """Living processes that were started with this mark in their environment (Linux only)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def end(pids: Iterable[int]) -> None:
    _signal(pids, signal.SIGKILL)


def end_marked(mark: str) -> None:
    """End all that carry the mark, until a look finds none."""
    for _ in range(MOST_LOOKS):
        found = marked(mark)
        if not found:
            return
        end(found)

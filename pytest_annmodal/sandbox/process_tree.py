"""The processes that a worker started, wherever they went, and their end.

A child that begins a session of its own leaves the worker's process group, and loses its
parent when the worker ends first. What it keeps is the environment that it was started with.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_annmodal.sandbox.output import readable

MARK = "ANNMODAL_WORKER"
KILL_S = 20
MOST_LOOKS = 20  # each may find what was started during the one before


def descendants(pid: int) -> list[int]:
    """Children of a process that is still there, and theirs, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, ()))
    for one in found:  # which grows meanwhile
        found += children.get(one, ())
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Every process with its parent; psutil needs ten times as long, which a fork bomb uses."""
    if not Path("/proc/self/stat").exists():
        import psutil

        yield from ((p.pid, p.info["ppid"]) for p in psutil.process_iter(["ppid"]))
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 -- as quick as can be
        if name.isdecimal():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 -- half the time
                    after = file.read().rpartition(b")")[2].split()
                yield int(name), int(after[1])


def end_family(pid: int) -> None:
    """End all that descend from a process: stopped first, so that none can start another."""
    _signal(_stop_descendants(pid), signal.SIGKILL)


def pause(pid: int) -> set[int]:
    """Let a process and all that descend from it do nothing for a while; who was stopped.

    Args:
        pid: leader of a process group. The group is stopped at once, so that no fork escapes; who
            has left it is looked for.
    """
    _signal_group(pid, signal.SIGSTOP)
    return {pid, *_stop_descendants(pid, group=pid)}


def resume(pid: int, pids: Iterable[int]) -> None:
    """Let them go on: those that :func:`pause` stopped, and all of the group."""
    _signal(pids, signal.SIGCONT)
    _signal_group(pid, signal.SIGCONT)


def _stop_descendants(pid: int, group: int | None = None) -> set[int]:
    """Stop all that descend from a process, until a look finds no other.

    Args:
        group: that is stopped already, and begets nobody.
    """
    seen: set[int] = set()
    for _ in range(MOST_LOOKS):
        new = set(descendants(pid)) - seen
        _signal(new, signal.SIGSTOP)
        seen |= new
        if all(group is not None and _group_of(one) == group for one in new):
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

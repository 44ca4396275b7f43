"""The template: a process that workers of trusted implementations are forked from (Linux only).

Importing numpy and the harness takes longer than many jobs. So one process does it early and is
forked for each job. It runs no implementation and loads no other library or data; its only input
are requests of its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.metadata  # noqa: F401 -- copies use it for the versions of libraries
import json
import mmap
import os
import select
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.channel.copies import GIVEN, RUNNING, SIZE, STATUS
from pytest_annmodal.worker import worker

MARK = "ANNMODAL_WORKER"
MADV_POPULATE_WRITE = 23  # Linux 5.14; on older kernels pages are copied when written
ENTRY_BYTES, PRESENT_BIT = 8, 63  # of /proc/PID/pagemap: man 5 proc_pid_pagemap


@dataclass(slots=True)
class Copy:
    """A copy that runs, or has ended and is kept until the parent knows."""

    pid: int
    control: socket.socket
    pidfd: int | None


def main() -> None:
    """Answers requests on the socket that the only argument names, until its other end closes."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    gc.collect()
    gc.freeze()
    copies: list[Copy] = []
    while True:
        waiting = [requests, *(c.control if c.pidfd is None else c.pidfd for c in copies)]
        ready, _, _ = select.select(waiting, [], [])
        for copy in copies.copy():
            if copy.pidfd is None and copy.control in ready:  # the parent has closed its end
                os.waitpid(copy.pid, 0)
                copy.control.close()
                copies.remove(copy)
            elif copy.pidfd in ready:
                _report(copy)
        if requests in ready:
            asked = _request(requests)
            if asked is None:
                os._exit(0)  # the kernel ends its copies too
            copies.append(_copied(*asked, requests, copies))


def _request(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    head, fds, _, _ = socket.recv_fds(requests, SIZE.size, len(GIVEN))
    if not head:
        return None
    (left,) = SIZE.unpack(head)
    raw = bytearray()
    while len(raw) < left:
        part = requests.recv(left - len(raw))
        if not part:
            return None
        raw += part
    return json.loads(raw), fds


def _report(copy: Copy) -> None:
    """Reports how a copy ended. Its pid stays reserved, so no signal can hit another process."""
    assert copy.pidfd is not None
    ended = os.waitid(os.P_PIDFD, copy.pidfd, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    with contextlib.suppress(OSError):
        copy.control.send(STATUS.pack(copy.pid, code))
    os.close(copy.pidfd)
    copy.pidfd = None


def _copied(
    request: dict[str, Any], fds: list[int], requests: socket.socket, copies: list[Copy]
) -> Copy:
    given = dict(zip(GIVEN, fds, strict=True))
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for held in (requests, *(copy.control for copy in copies)):
                held.close()
            for copy in copies:
                if copy.pidfd is not None:
                    os.close(copy.pidfd)
            with socket.socket(fileno=given.pop("control")) as control:
                _become(request, given, me)
                control.send(STATUS.pack(os.getpid(), RUNNING))
            worker.work(**{f"{name}_fd": fd for name, fd in given.items()})
        except BaseException:  # noqa: BLE001 -- as the interpreter itself does
            traceback.print_exc()
        finally:
            os._exit(1)  # a worker that finished has already exited
    control = socket.socket(fileno=given.pop("control"))
    for fd in given.values():
        os.close(fd)
    return Copy(pid, control, os.pidfd_open(pid))


def _become(request: dict[str, Any], given: dict[str, int], template: int) -> None:
    """Turns this process into the worker of one job, as if newly started."""
    worker.die_with_parent(template)  # first, since the template may end at any time
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = given.pop("output")
    for fd, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(fd, place)
    os.close(nothing)
    os.close(output)
    os.sched_setaffinity(0, request["cores"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _carry(request["environment"][MARK])
    _own_memory()
    if "numpy.random" in sys.modules:  # Python's own generator is reseeded after a fork
        sys.modules["numpy.random"].seed()


def _carry(mark: str) -> None:
    """Overwrites the template's mark in the initial environment that the kernel shows."""
    fields = Path("/proc/self/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start, env_end: man 5 proc_pid_stat
    given = ctypes.string_at(start, end - start)
    place = f"{MARK}={'0' * len(mark)}".encode()
    offset = given.find(place)
    if offset >= 0:
        ctypes.memmove(start + offset, f"{MARK}={mark}".encode(), len(place))


def _own_memory() -> None:
    """Copies shared pages now, so that later writes to them do not count as growth of an index."""
    libc = ctypes.CDLL(None)
    with contextlib.suppress(OSError), Path("/proc/self/pagemap").open("rb", 0) as pages:
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            where, rights = line.split(None, 2)[:2]
            start, end = (int(part, 16) // mmap.PAGESIZE for part in where.split("-"))
            if rights != "rw-p":
                continue
            pages.seek(start * ENTRY_BYTES)
            entries = np.frombuffer(pages.read((end - start) * ENTRY_BYTES), np.uint64)
            there = np.flatnonzero(entries >> np.uint64(PRESENT_BIT))
            for run in np.split(there, np.flatnonzero(np.diff(there) != 1) + 1):
                if run.size:
                    place = (start + int(run[0])) * mmap.PAGESIZE
                    size = run.size * mmap.PAGESIZE
                    libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(size), MADV_POPULATE_WRITE)

"""Restricts a worker before it loads a submission, at every level of isolation.

Worker side; standard library only. Sets limits on files and processes, and a filter of system
calls (seccomp, Linux on x86-64 and arm64) that also holds for all child processes. The filter
forbids what namespaces allow: moving to another core, tracing, memory that no limit counts, kernel
interfaces that an index does not need and, without a network namespace, sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from pathlib import Path

MOST_TASKS = 512  # processes and threads of this worker
FILE_BYTES = 2**29
OPEN_FILES = 256  # of each process
NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1  # constants of prctl and seccomp
SANDBOX_FAMILIES = (1,)  # unix; memory in kernel sockets (netlink) cannot be counted

# name: (number on x86-64, number on arm64)
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "memfd_create": (319, 279),  # memory that no process's size includes and no limit covers
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),  # one byte in a pipe can hold a huge page
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "keyctl": (250, 219),  # keys are not in any namespace
    "add_key": (248, 217),
    "request_key": (249, 218),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),  # it opens sockets past this filter
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
}
SET_AFFINITY, SOCKET = (203, 122), (41, 198)
ARCHITECTURES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
X32 = 0x40000000
LOAD, EQUAL, AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
ALLOW, DO_NOTHING = 0x7FFF0000, 0x00050000  # DO_NOTHING returns success
REFUSE = DO_NOTHING | errno.EPERM
EVERY_BIT = 0xFFFFFFFF
# name: (number on x86-64, on arm64, index of the argument, mask, value, action)
BY_ARGUMENT = {
    # Pipes and sockets are counted at their default size.
    "fcntl(F_SETPIPE_SZ)": (72, 25, 1, EVERY_BIT, 1031, DO_NOTHING),
    "setsockopt(SO_SNDBUF)": (54, 208, 2, EVERY_BIT, 7, DO_NOTHING),
    "setsockopt(SO_SNDBUFFORCE)": (54, 208, 2, EVERY_BIT, 32, DO_NOTHING),
    # Nameless shared memory keeps pages that no process maps any more, so they are not counted.
    "mmap(MAP_SHARED | MAP_ANONYMOUS)": (9, 222, 3, 0x21, 0x21, REFUSE),
    # Kernel threads do the work for what is written to a terminal, on any core.
    "ioctl(TIOCSPTLCK)": (16, 29, 1, EVERY_BIT, 0x40045431, REFUSE),
}
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16


def confine(level: str) -> bool:
    """Sets the limits and the filter of this process; returns whether calls are filtered.

    Args:
        level: of the isolation; ``none`` sets nothing.
    """
    if level == "none":
        return False
    _lower(resource.RLIMIT_FSIZE, FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if sys.platform != "linux":
        return False
    tasks = MOST_TASKS if level != "process" else MOST_TASKS + _tasks_of_user()
    if level != "bubblewrap" or _kernel() >= (5, 14):  # older kernels count all of the user's
        _lower(resource.RLIMIT_NPROC, tasks)
    return filter_calls(families=SANDBOX_FAMILIES if level == "bubblewrap" else ())


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))


def _kernel() -> tuple[int, ...]:
    words = platform.release().split(".")[:2]
    return tuple(int(word) for word in words if word.isdecimal())


def _tasks_of_user() -> int:
    """Returns how many threads this user has in all processes."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                total += sum(1 for _ in (folder / "task").iterdir())
    return total


def filter_calls(*, families: tuple[int, ...]) -> bool:
    """Installs the filter of system calls; returns false where the system has none.

    Args:
        families: address families that sockets may have.
    """
    found = ARCHITECTURES.get(platform.machine())
    if found is None or struct.calcsize("P") != 8:  # not a 64-bit interpreter
        return False
    column, architecture, seccomp = found
    program = program_of(column, architecture, families=families)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    done: int = libc.syscall(seccomp, SET_FILTER, ALL_THREADS, header)
    return done == 0


def program_of(column: int, architecture: int, *, families: tuple[int, ...]) -> bytes:
    """Returns the filter in classic BPF: each rule is one comparison and one return."""
    steps = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSE),  # calls of other architectures have other numbers
        (LOAD, 0, 0, NUMBER_AT),
    ]
    if column == 0:
        steps += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)]
    for numbers in REFUSED.values():
        steps += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, REFUSE)]
    # Only the parent may move a worker; the worker's own call does nothing but succeeds.
    steps += [(EQUAL, 0, 1, SET_AFFINITY[column]), (RETURN, 0, 0, DO_NOTHING)]
    for *numbers_here, argument, bits, value, verdict in BY_ARGUMENT.values():
        steps += [
            (EQUAL, 0, 5, numbers_here[column]),
            (LOAD, 0, 0, FIRST_ARGUMENT_AT + 8 * argument),
            (AND, 0, 0, bits),
            (EQUAL, 0, 1, value),
            (RETURN, 0, 0, verdict),
            (LOAD, 0, 0, NUMBER_AT),
        ]
    allowed = [step for n in families for step in ((EQUAL, 0, 1, n), (RETURN, 0, 0, ALLOW))]
    steps += [(EQUAL, 0, 2 + len(allowed), SOCKET[column]), (LOAD, 0, 0, FIRST_ARGUMENT_AT)]
    steps += [*allowed, (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)

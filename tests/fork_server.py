"""What a process is that has imported something and is copied when asked; standard library only.

It belongs to nobody's process tree. A request is one message on its socket, with descriptors. Into
the last of them it writes ``outer PID`` when the copy exists and ``exit STATUS`` when it has ended.
When the other end of its socket is closed, it ends and ends its copies.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Mapping

REQUEST_BYTES = 2**20
MOST_DESCRIPTORS = 16  # of a request
ABOVE, MOST = 512, 1024  # no number of a descriptor is above


def leave_the_tree() -> None:
    """Go on as an orphan; the process that was started ends."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()


def serve(control: socket.socket) -> tuple[bytes, list[int]]:
    """Copy this process for each request; return in a copy only, with what was asked of it."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, REQUEST_BYTES, MOST_DESCRIPTORS)
                if not message:
                    for child, _ in running.values():
                        os.kill(child, signal.SIGKILL)
                    os._exit(0)
                child = os.fork()
                if child == 0:
                    control.detach()
                    return message, fds
                os.write(fds[-1], f"outer {child}\n".encode())
                for given in fds[:-1]:
                    os.close(given)
                pidfd = os.pidfd_open(child)
                running[pidfd] = child, fds[-1]
                poll.register(pidfd, select.POLLIN)
            else:
                child, told = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                _, state = os.waitpid(child, 0)
                with contextlib.suppress(BrokenPipeError):
                    os.write(told, f"exit {os.waitstatus_to_exitcode(state)}\n".encode())
                os.close(told)


def stand_alone(places: Mapping[int, int]) -> None:
    """Be the leader of a session, with descriptors at these numbers and, from 3 on, no others."""
    os.setsid()
    kept = {place: fcntl.fcntl(fd, fcntl.F_DUPFD, ABOVE) for place, fd in places.items()}
    for fd in range(3, ABOVE):
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)
    for place, fd in kept.items():
        os.dup2(fd, place)
    os.closerange(ABOVE, MOST)
    signal.signal(signal.SIGINT, signal.default_int_handler)

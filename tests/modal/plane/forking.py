"""Asks a process that has imported the client to fork containers; starts it when there is none."""

import atexit
import functools
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .rootfs import interpreter_paths

TEMPLATE = Path(__file__).with_name("template.py")
ENVIRONMENT = {"HOME": "/nonexistent", "LANG": "C.UTF-8"}
"""Of what is imported once for all containers: nobody's settings."""


def fork_container(python: str, spec: Path, descriptors: Sequence[int]) -> None:
    """Start what a specification describes.

    Args:
        python: The interpreter.
        spec: A JSON file for `enter.py`.
        descriptors: Where its output, its errors, and the lines `outer PID`, `pid PID` of its main
            process and `exit STATUS` are written.
    """
    message = [str(spec).encode()]
    try:
        socket.send_fds(_template(python), message, descriptors)
    except OSError:  # it was killed
        _template.cache_clear()
        socket.send_fds(_template(python), message, descriptors)


@functools.lru_cache(maxsize=1)
def _template(python: str) -> socket.socket:
    """The end of a socket at whose other end a `template.py` serves until this one is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    atexit.register(ours.close)
    site = interpreter_paths(python)[2]
    with theirs:
        subprocess.run(
            [python, "-S", "-P", "-B", "-u", TEMPLATE, site, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT,
            pass_fds=[theirs.fileno()],
            check=True,
        )
    return ours

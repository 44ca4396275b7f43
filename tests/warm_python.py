"""Starts Python processes that have what they import already: copies of one that has imported it.

``python -m pytest`` takes more than half a second of CPU time before its first test, and one that
talks to Modal more than a second; a copy takes hundredths. It is a process of its own like any
other: own modules, signals, streams, exit status. What it does not show is what an import does, what
the interpreter's own options and variables (``-W``, ``PYTHONIOENCODING``) do, and what a terminal
sees: tests of these start the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import warm_process
from warm_process import WarmProcess

import pytest_annmodal

TEMPLATE = Path(__file__).with_name("warm_template.py")
ENVIRONMENT = dict(os.environ)  # before any test has changed it
PACKAGE = Path(pytest_annmodal.__file__).parent


Process = WarmProcess | subprocess.Popen[str]


def start(
    kind: str,
    arguments: Sequence[object],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: tuple[int, int] | None = None,
    errors_apart: bool = False,
    cold: bool = False,
) -> Process:
    """Start ``python ARGUMENTS``, the leader of a session of its own, with nothing to read.

    Where its PYTHONPATH leads to another copy of the package, it is the interpreter itself.

    Args:
        kind: what has been imported: ``pytest`` (the plugin too) or ``modal`` (the client as well).
        arguments: ``-m``, a module and its arguments, or a script and its arguments.
        output: descriptors for what it prints and for its errors, if not pipes.
        errors_apart: whether there is a pipe of their own for errors.
        cold: whether nothing has been imported: the interpreter itself is started.
    """
    if cold or _finds_another(env):
        assert not errors_apart
        return _started_cold(arguments, cwd, env, output)
    words = [str(argument) for argument in arguments]
    with contextlib.ExitStack() as stack:

        def pipe() -> tuple[int, int]:
            ours, theirs = os.pipe()
            stack.callback(os.close, theirs)
            return ours, theirs

        nothing = stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123
        pipes = [] if output else [pipe() for _ in range(1 + errors_apart)]
        written = output or (pipes[0][1], pipes[-1][1])
        asked = {
            "cwd": str(cwd),
            "env": env,
            "places": dict(enumerate((nothing.fileno(), *written))),
        }
        try:
            told = warm_process.ask(template(kind).fileno(), words, **asked)
        except OSError:  # a test has killed it
            template.cache_clear()
            told = warm_process.ask(template(kind).fileno(), words, **asked)
    ours = zip(("stdout", "stderr"), (fd for fd, _ in pipes), strict=False)
    return WarmProcess(words, told, **{name: os.fdopen(fd, encoding="utf-8") for name, fd in ours})


def _finds_another(env: Mapping[str, str]) -> bool:
    """Whether a PYTHONPATH leads to a copy of the package, with a change that the test is about."""
    places = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    found = [Path(place, PACKAGE.name) for place in places]
    return any(one.is_dir() and not one.samefile(PACKAGE) for one in found)


def _started_cold(
    arguments: Sequence[object],
    cwd: Path,
    env: Mapping[str, str],
    output: tuple[int, int] | None,
) -> subprocess.Popen[str]:
    out, err = output or (subprocess.PIPE, subprocess.STDOUT)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        text=True,
        start_new_session=True,
    )


@functools.lru_cache
def template(kind: str) -> socket.socket:
    """The socket at whose other end a ``warm_template.py`` serves until this one is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    atexit.register(ours.close)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    with theirs:
        subprocess.run(
            [sys.executable, TEMPLATE, str(theirs.fileno()), kind],
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT,
            pass_fds=[theirs.fileno()],
            check=True,
        )
    return ours

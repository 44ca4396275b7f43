"""Ends ``modal run`` properly on Ctrl-C, or when Modal does not answer.

The client swallows KeyboardInterrupt while it opens or closes an app, and exits with 0 or 1; and
it waits for minutes for a server that does not answer.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from pytest_annmodal.executors.modal.pulse import Pulse

INTERRUPTED = 128 + signal.SIGINT
REPORTING_S = 10.0  # for the main thread to notice by itself, and show finished results


def end_as_interrupted() -> None:
    """Makes Ctrl-C and SIGTERM end the process with 128 + signal, whatever the client does.

    Signals that are ignored or have another handler are left alone.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, interrupt)
    # The exit status can be changed only here.
    atexit.register(lambda: received and leave(128 + received[0]))


def leave(status: int) -> NoReturn:
    """Ends the process at once, without clean-up, after flushing its output."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Verdict:
    """The exit status of the main thread, once it is known.

    Attributes:
        awaited: whether the main thread is working and will set it.
    """

    def __init__(self) -> None:
        self.awaited = False
        self._said = threading.Event()
        self._status = 1

    def say(self, status: int) -> None:
        self._status = status
        self._said.set()

    def wait(self, timeout_s: float) -> int | None:
        return self._status if self._said.wait(timeout_s) else None


def end_when_silent(pulse: Pulse, verdict: Verdict, say: Callable[[str], None]) -> None:
    """Ends the process from a thread when Modal is silent, since the client would not give up."""

    def watch() -> None:
        pulse.silent.wait()
        status = verdict.wait(REPORTING_S if verdict.awaited else 0)
        if not status:  # no failure was reported before
            say(f"{'❌' if status is None else 'Note:'} {pulse.words()}")
        leave(1 if status is None else status)

    threading.Thread(target=watch, name="annmodal watch", daemon=True).start()
    pulse.start()

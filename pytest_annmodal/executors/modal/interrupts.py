"""How ``modal run`` ends on Ctrl-C, and where Modal answers no more.

The client swallows KeyboardInterrupt while it opens or closes an app, and ends with 0 or 1; and
it waits for minutes for a server that does not answer. Both are put right around it.
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
REPORTING_S = 10.0  # for the main thread to notice by itself, and show what was finished


def end_as_interrupted() -> None:
    """On Ctrl-C and SIGTERM, with the status that a shell expects, whatever the client makes of it.

    Signals that are ignored, or that somebody else handles, stay so.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, interrupt)
    # The last word: an exit status can be changed nowhere else.
    atexit.register(lambda: received and leave(128 + received[0]))


def leave(status: int) -> NoReturn:
    """End now, without anybody's clean-up; what was said is out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Verdict:
    """What the main thread has to say, once it has said it: its exit status.

    Attributes:
        awaited: the main thread is at work and will say something.
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
    """Watch from a thread; nothing here can make the client give up."""

    def watch() -> None:
        pulse.silent.wait()
        status = verdict.wait(REPORTING_S if verdict.awaited else 0)
        if not status:  # nothing failed that has been told of already
            say(f"{'❌' if status is None else 'Note:'} {pulse.words()}")
        leave(1 if status is None else status)

    threading.Thread(target=watch, name="annmodal watch", daemon=True).start()
    pulse.start()

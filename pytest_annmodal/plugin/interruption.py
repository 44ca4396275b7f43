"""Lets SIGTERM and SIGHUP end a session as Ctrl-C does.

A cancelled CI job gets SIGTERM, a closed terminal sends SIGHUP; without a handler Python ends
at once, and all results are lost. Here both raise a KeyboardInterrupt: workers and calls end,
the table and grades of finished cases are written, and the exit status is pytest's for an
interrupted session, 2.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Further signals within this time count as the same request: CI runners send several.
SAME_WISH_S = 5.0
FINISHING = b"\nFinishing: results are being written. Another signal ends pytest at once.\n"


class EndedBySignal(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the session to end."""


class Interruption:
    """Signal handlers, and a plugin object that knows whether the session is already ending.

    Handlers set by other code and ignored signals (``nohup``) are left alone. A signal that
    arrives while the session is ending prints a message; the next one ends the process, and
    on Linux the kernel then ends its workers.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[int, Any] = {}
        self._raised_at: float | None = None
        self._finishing = self._warned = False

    def install(self) -> None:
        """Sets the handlers; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                self._before[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Restores the previous handlers, except where another one was set meanwhile."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, before)
        self._before.clear()

    def pytest_keyboard_interrupt(self) -> None:
        self._finishing = True

    def pytest_sessionfinish(self) -> None:
        self._finishing = True

    def pytest_unconfigure(self) -> None:
        self.restore()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = self._clock()
        just_raised = self._raised_at is not None and now - self._raised_at < SAME_WISH_S
        if not (self._finishing or just_raised):
            self._raised_at = now
            raise (
                KeyboardInterrupt
                if number == signal.SIGINT
                else EndedBySignal(signal.Signals(number).name)
            )
        if self._warned:
            os._exit(128 + number)
        self._warned = True
        os.write(2, FINISHING)

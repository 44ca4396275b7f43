"""A session that is told to end: SIGTERM and SIGHUP do what Ctrl-C does, and nobody spoils the end.

A cancelled CI job gets SIGTERM, a closed terminal sends SIGHUP; without a handler Python ends
at once, and what was measured is lost. Here both raise a KeyboardInterrupt: workers and calls
end, the table and the grades of what was finished are written, and the exit status is pytest's
for an interrupted session, 2.
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
# So long after a signal another one is taken for the same wish: CI runners send several.
SAME_WISH_S = 5.0
FINISHING = b"\nFinishing: what was measured is being written. Once more ends it at once.\n"


class EndedBySignal(KeyboardInterrupt):
    """The session was told to end, and not by Ctrl-C."""


class Interruption:
    """Handlers of signals, and a plugin object that knows how far the session has come.

    Handlers that somebody else has set, and signals that are ignored (``nohup``), stay as they
    are. A signal that arrives when the end has begun only asks for patience, and the next one
    after that ends the process; on Linux the kernel then ends its workers.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[int, Any] = {}
        self._raised_at: float | None = None
        self._finishing = self._warned = False

    def install(self) -> None:
        """Set the handlers; only the main thread may."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                self._before[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Set what was there before, where nobody has set anything else meanwhile."""
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
        heard = self._raised_at is not None and now - self._raised_at < SAME_WISH_S
        if not (self._finishing or heard):
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

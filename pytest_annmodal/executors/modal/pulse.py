"""Checks every few seconds whether Modal's server still answers.

The client notices a server that is gone, but not one that accepts connections and never
answers: a call that waits for an image or a job looks the same. So a request that is always
answered at once is sent every few seconds. Any answer counts, even a refusal.
"""

from __future__ import annotations

import threading
import time

import modal

from pytest_annmodal.errors import ExecutorError

ASKS_EVERY_S = 10.0
LOOKS_EVERY_S = 0.2
AT_MOST_S = 2.0  # counted between two checks, as this process may have been stopped meanwhile
NO_ANSWERS = (modal.exception.ConnectionError, modal.exception.ClientClosed)


class Pulse:
    """Watches from two threads, from :meth:`start` until :meth:`stop`.

    Args:
        limit_s: longest time without an answer.

    Attributes:
        silent: set when there was no answer for that long.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.silent = threading.Event()
        self._stopped = threading.Event()
        self._answered = threading.Event()
        self._started = False

    def start(self) -> None:
        """Starts watching, once."""
        if not self._started:
            self._started = True
            for work in (self._ask, self._look):  # daemons: a question may never be answered
                threading.Thread(target=work, name="annmodal pulse", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        """Raises ExecutorError if the server has stopped answering."""
        if self.silent.is_set():
            raise ExecutorError(self.words())

    def words(self) -> str:
        """Returns the error message."""
        return (
            f"Modal does not answer: nothing has come from its server for {self._limit_s:g} s. "
            "Finished results are kept; Modal ends the running jobs once it misses its client. "
            "Try again later; --modal-silence (ANNMODAL_MODAL_SILENCE_S) waits longer."
        )

    def _ask(self) -> None:
        pause_s = min(ASKS_EVERY_S, self._limit_s / 4)
        while not self._stopped.wait(pause_s):
            try:
                modal.Client.from_env().hello()
            except modal.exception.Error as error:
                if not isinstance(error, NO_ANSWERS):
                    self._answered.set()
            except Exception:  # noqa: BLE001, S110 -- the libraries' errors for a broken connection
                pass
            else:
                self._answered.set()

    def _look(self) -> None:
        quiet_s, before = 0.0, time.monotonic()
        while not self._stopped.wait(LOOKS_EVERY_S):
            now = time.monotonic()
            quiet_s, before = quiet_s + min(now - before, AT_MOST_S), now
            if self._answered.is_set():
                self._answered.clear()
                quiet_s = 0.0
            if quiet_s > self._limit_s:
                self.silent.set()
                return

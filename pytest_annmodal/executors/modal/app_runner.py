"""Keeps an ``app.run()`` open in a thread of its own.

In the main thread Ctrl-C could be lost: the client swallows it at the end of a ``with`` block,
and while the client waits, another thread may get the signal, which the main thread handles
only when it wakes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Any


class OpenApp:
    """Opens the app at once; wait for ``opened`` before using it.

    Attributes:
        opened: done when the app runs, or could not be opened.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.opened: Future[None] = Future()
        self.opened.set_running_or_notify_cancel()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        # A daemon: an app that never opens must not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._hold, name="annmodal app", daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._run())
            except BaseException as error:  # noqa: BLE001 -- a waiting thread must not hang
                if not self.opened.done():
                    self.opened.set_exception(error)

    async def _run(self) -> None:
        closing = asyncio.create_task(self._closing.wait())
        opening = asyncio.create_task(self._open_until(closing))
        await asyncio.wait([closing, opening], return_when=asyncio.FIRST_COMPLETED)
        if not self.opened.done():
            opening.cancel()  # the client disconnects from an app that is half open
        closing.cancel()
        await opening

    async def _open_until(self, closing: asyncio.Task[bool]) -> None:
        async with self._app.run():
            self.opened.set_result(None)
            await asyncio.wait([closing])

    def close(self, timeout_s: float) -> None:
        """Closes the app, or stops opening it."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout_s)

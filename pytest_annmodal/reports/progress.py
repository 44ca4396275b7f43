"""A bar for a download: rich's in a terminal, a line per tenth elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pytest_annmodal.datasets.lines import OnProgress
from pytest_annmodal.environments import making
from pytest_annmodal.model import Job
from pytest_annmodal.reports.escape import printable, told

if TYPE_CHECKING:
    import pytest

if TYPE_CHECKING:
    from rich.console import Console

LINE_BYTES = 100 * 10**6  # a line each, where the total is not known


@contextmanager
def download_bar(name: str, console: Console | None = None) -> Iterator[OnProgress]:
    """Give the callback that ``fetch`` and ``resolve`` take; the bar appears with its first call.

    Args:
        name: what is downloaded.
        console: where to; standard error by default.
    """
    from rich.console import Console

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield tenths(name, lambda line: console.print(line, highlight=False, markup=False))
        return
    from rich import progress

    columns = (
        progress.TextColumn("   {task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    bar = progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(name, total=None)

    def on_progress(done: int, total: int | None) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield on_progress
    finally:
        bar.stop()


def tenths(name: str, write: Callable[[str], None]) -> OnProgress:
    """A callback that writes a line whenever another tenth is there."""
    last = -1

    def on_progress(done: int, total: int | None) -> None:
        nonlocal last
        step = 10 * done // total if total else done // LINE_BYTES
        if step == last:
            return
        last = step
        share = f"{10 * step:3d} %  " if total else ""
        of = f" of {total / 1e6:,.1f}" if total else ""
        write(f"   {name}: {share}{done / 1e6:,.1f}{of} MB")

    return on_progress


# Without wrapping, and with the cursor back where it was: what pytest prints next (a dot, a
# line) takes the text's place as if it had never been there.
CUT = "…"
SAVE, RESTORE, NO_WRAP, WRAP, ERASE = "\x1b7", "\x1b8", "\x1b[?7l", "\x1b[?7h", "\x1b[K"


class Progress:
    """What is being done, after pytest's dots on a terminal; else only what may take minutes.

    It is written between phases only, never while queries are timed.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        reporter = self._reporter
        self._shows = reporter is not None and reporter.isatty and reporter.hasmarkup
        self._config = config

    def __call__(self, job: Job, text: str) -> None:
        if not self._shows:
            self._tell(text)
            return
        shown = self._fitting(f"{printable(text)} · {printable(job.label)}")
        self._write(f"{SAVE}{NO_WRAP}  {shown}{ERASE}{WRAP}{RESTORE}")

    def _fitting(self, text: str) -> str:
        """Its beginning, as far as the terminal's line goes on behind the dots."""
        screen = self._reporter._tw
        room = screen.fullwidth - screen.width_of_current_line % screen.fullwidth - len("  ")
        return text if len(text) <= room else text[: max(room - len(CUT), 0)] + CUT

    def _tell(self, text: str) -> None:
        """A line in a CI's log: a library that is compiled is minutes of silence."""
        if self._reporter is None or not text.startswith((making.BEGINS, making.ENDS)):
            return
        with _uncaptured(self._config):
            self._reporter.ensure_newline()
            self._reporter.write_line(told(printable(text)))

    def clear(self) -> None:
        self._write(ERASE)

    def _write(self, text: str) -> None:
        if self._shows:
            with _uncaptured(self._config):
                sys.stdout.write(text)
                sys.stdout.flush()


@contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        yield

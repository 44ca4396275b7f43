"""Progress: bars or lines for downloads, and the present phase of a job."""

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

LINE_BYTES = 100 * 10**6  # between two lines, if the total is not known


@contextmanager
def download_bar(name: str, console: Console | None = None) -> Iterator[OnProgress]:
    """Yields the progress callback for ``fetch`` and ``resolve``; its first call shows the bar.

    Args:
        name: of the download.
        console: to print on; standard error by default.
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
    """Returns a callback that writes a line for each tenth of a download."""
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


# Written without wrapping, with the cursor put back, so that pytest's next output (a dot, a line)
# overwrites the text.
CUT = "…"
SAVE, RESTORE, NO_WRAP, WRAP, ERASE = "\x1b7", "\x1b8", "\x1b[?7l", "\x1b[?7h", "\x1b[K"


class Progress:
    """Shows the present phase after pytest's dots on a terminal; elsewhere only slow steps.

    It writes only between phases, never while queries are timed.
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
        """Returns as much of the text as fits on the line behind the dots."""
        screen = self._reporter._tw
        room = screen.fullwidth - screen.width_of_current_line % screen.fullwidth - len("  ")
        return text if len(text) <= room else text[: max(room - len(CUT), 0)] + CUT

    def _tell(self, text: str) -> None:
        """Writes a line to a CI's log for steps that may take minutes, such as compiling."""
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

"""A bar for a download: rich's in a terminal, a line per tenth elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_annmodal.volumes.fetch import OnProgress

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

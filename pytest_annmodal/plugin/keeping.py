"""What pytest's side does about results that last; imported where a session has ANN benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pytest_annmodal.jobs.machine import machine_class
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.session.state import BenchSession


def attach(bench: BenchSession) -> None:
    """Have the session keep what it measures."""
    settings = bench.settings
    bench.keeper = Keeper(
        settings,
        session=os.urandom(8).hex(),
        content=bench.content,
        machine=lambda: bench.executor.machine or machine_class(),
    )


def lines(keeper: Keeper) -> Iterator[str]:
    """The last lines of a session: what went wrong, how many results are kept, and where."""
    yield from dict.fromkeys(keeper.trouble)
    if keeper.reused:
        yield f"{_results(len(keeper.reused))} taken from the store and not measured again."
    folder = keeper.store.folder
    if keeper.store.n_written and folder is not None:
        shown = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else folder
        yield (
            f"{_results(keeper.store.n_written)} kept in {shown}: `annmodal results` lists the "
            "sessions there, `annmodal export` makes a table."
        )


def _results(number: int) -> str:
    return f"{number} result was" if number == 1 else f"{number} results were"

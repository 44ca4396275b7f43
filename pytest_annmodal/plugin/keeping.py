"""What pytest's side does about results that last; imported where a session has ANN benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_annmodal.jobs.machine import machine_class
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.session.state import BenchSession

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def attach(bench: BenchSession) -> None:
    """Have the session keep what it measures."""
    settings = bench.settings
    bench.keeper = Keeper(
        settings,
        session=os.urandom(8).hex(),
        content=bench.content,
        machine=lambda: bench.executor.machine or machine_class(),
    )


def finish(bench: BenchSession) -> None:
    """Write what a session shows of its results when it ends."""
    if bench.keeper is not None and bench.settings.summary:
        write_step_summary(bench.keeper, os.environ)


def write_step_summary(keeper: Keeper, environ: Mapping[str, str]) -> None:
    """Append the session to the page of a CI run; what goes wrong is said at its end."""
    path = environ.get(STEP_SUMMARY)
    if not path:
        keeper.trouble.append(
            f"--ann-summary: ${STEP_SUMMARY} is not set, so nothing was written. GitHub Actions "
            "sets it; elsewhere give it the name of a file."
        )
        return
    if not keeper.cases:
        return
    from pytest_annmodal.reports.step_summary import step_summary

    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(step_summary(keeper.cases))
    except OSError as error:
        keeper.trouble.append(f"--ann-summary: {path} cannot be written: {error.strerror or error}")


def lines(keeper: Keeper) -> Iterator[str]:
    """The last lines of a session: what went wrong, how many results are kept, and where."""
    yield from dict.fromkeys(keeper.trouble)
    if keeper.reused:
        yield f"{_results(len(keeper.reused))} taken from the store and not measured again."
    folder = keeper.store.folder
    if keeper.store.n_written and folder is not None:
        shown = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else folder
        yield (
            f"{_results(keeper.store.n_written)} kept in {shown}: see `annmodal results` "
            "and `annmodal export`."
        )


def _results(number: int) -> str:
    return f"{number} result was" if number == 1 else f"{number} results were"

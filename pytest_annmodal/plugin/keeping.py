"""Stores results and writes the report page and step summary of a session with ANN benchmarks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_annmodal.errors import AnnModalError
from pytest_annmodal.jobs.machine import machine_class
from pytest_annmodal.results.reading import Results
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.settings.config import Settings

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def make_keeper(bench: BenchSession) -> Keeper:
    """Makes the object that stores a session's outcomes."""
    return Keeper(
        bench.settings,
        session=os.urandom(8).hex(),
        content=bench.content,
        machine=lambda: bench.executor.machine or machine_class(),
    )


def finish(keeper: Keeper, settings: Settings, command: Sequence[str]) -> None:
    """Writes the step summary and the report page at the end of a session, where requested.

    Args:
        command: the arguments of pytest.
    """
    if settings.summary:
        write_step_summary(keeper, os.environ)
    if settings.report and keeper.cases:
        _write_report(keeper, Path(settings.report), command)


def _write_report(keeper: Keeper, path: Path, command: Sequence[str]) -> None:
    """Writes the page of a session; problems are shown at the end of the session."""
    from pytest_annmodal.page.files import write_page

    folder = keeper.store.folder
    names = [case.samples.file for case in keeper.cases if case.samples is not None]
    folders = dict.fromkeys(names, folder) if folder is not None else {}
    try:
        write_page(
            path,
            Results(cases=tuple(keeper.cases), folders=folders),
            command=shlex.join(["pytest", *command]),
            reused=[case.key for case in keeper.reused if case.key],
        )
    except AnnModalError as error:
        keeper.trouble.append(f"--ann-report: {error}")
    else:
        keeper.pages.append(path)


def write_step_summary(keeper: Keeper, environ: Mapping[str, str]) -> None:
    """Appends the session to a CI run's summary; problems are shown at the end of the session."""
    path = environ.get(STEP_SUMMARY)
    if not path:
        keeper.trouble.append(
            f"--ann-summary: ${STEP_SUMMARY} is not set, so nothing was written. GitHub Actions "
            "sets it; elsewhere set it to the name of a file."
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
    """Returns the last lines of a session: problems, and how many results are stored where."""
    yield from dict.fromkeys(keeper.trouble)
    if keeper.reused:
        yield f"{_results(len(keeper.reused))} taken from the store and not measured again."
    folder = keeper.store.folder
    if keeper.store.n_written and folder is not None:
        shown = _near(folder)
        yield (
            f"{_results(keeper.store.n_written)} kept in {shown}: see `annmodal report` "
            "and `annmodal export`."
        )
    for page in keeper.pages:
        yield f"The page is {_near(page)}."


def _near(path: Path) -> str:
    """Returns a path relative to the current directory if it lies there."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _results(number: int) -> str:
    return f"{number} result was" if number == 1 else f"{number} results were"

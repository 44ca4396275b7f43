"""Plans, prepares and submits a session's jobs through its executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_annmodal.errors import (
    AnnModalError,
    ConfigurationError,
    DatasetError,
    ExecutorError,
    VolumeError,
)
from pytest_annmodal.executors.modal.plan import plan_of, refuse_too_large
from pytest_annmodal.executors.registry import BUILTIN, ExecutorSetup
from pytest_annmodal.jobs.machine import machine_class
from pytest_annmodal.model import Case, Dataset, Job
from pytest_annmodal.protocols import Executor
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.progress import Progress, _uncaptured
from pytest_annmodal.session import plan, planning
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names

if TYPE_CHECKING:
    import pytest

    from pytest_annmodal.datasets.lines import Reporter


def make_executor(name: str, settings: Settings, config: pytest.Config) -> Executor:
    """Makes the executor of a name through the plugin hook; it prints on pytest's terminal.

    Raises:
        ConfigurationError: there is no executor of that name.
    """
    from pytest_annmodal.executors.local import DONE

    progress = Progress(config)

    def on_phase(job: Job, text: str) -> None:
        progress(job, text) if text != DONE else progress.clear()

    setup = ExecutorSetup(
        settings=settings,
        say=_speaker(config, quiet=False),
        reporting=lambda dataset: _reporting(
            dataset,
            config,
            _speaker(config, quiet=False) if settings.download_only else _unless_imported(config),
        ),
        on_phase=on_phase,
    )
    made: Executor | None = config.hook.pytest_annmodal_make_executor(name=name, setup=setup)
    if made is None:
        raise ConfigurationError(
            f"--ann-executor {name}: there is no such executor{nearest_names(name, BUILTIN)} "
            f"Built in: {', '.join(BUILTIN)}. A plugin or conftest.py can add others with the hook "
            "pytest_annmodal_make_executor."
        )
    return made


def _reporter(config: pytest.Config) -> pytest.TerminalReporter | None:
    """Returns pytest's terminal reporter, or None with ``-p no:terminal``."""
    found: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    return found


def _speaker(config: pytest.Config, *, quiet: bool) -> Callable[[str], None]:
    """Returns a function that prints a log line on the terminal.

    With ``quiet`` it prints only warnings, to the test's captured output: pytest shows that
    under a failed test, where lines about a usable dataset would distract.
    """
    reporter = _reporter(config)
    if quiet or reporter is None:
        return lambda line: print(line) if _is_warning(line) else None

    def say(line: str) -> None:
        with _uncaptured(config):
            reporter.ensure_newline()
            reporter.write_line(escape.told(line))

    return say


def _unless_imported(config: pytest.Config) -> Callable[[str], None]:
    """Returns a function that is quiet until an import begins, and prints all of that.

    An import takes long, and decides what is measured: the metric, and which rows are queries.
    """
    from pytest_annmodal.datasets.lines import LINES

    speak, loud = (_speaker(config, quiet=quiet) for quiet in (True, False))
    first = tuple(LINES[key].partition("{")[0] for key in ("importing", "metric"))

    def say(line: str) -> None:
        nonlocal speak
        if line.startswith(first):
            speak = loud
        speak(line)

    return say


def _is_warning(line: str) -> bool:
    """Whether a line is a warning; a missing dataset is not: it is fetched next, or an error."""
    return line.startswith(("⚠️", "Note")) and " not found in volume " not in line


@contextmanager
def _reporting(
    dataset: Dataset, config: pytest.Config, line: Callable[[str], None]
) -> Iterator[Reporter]:
    """Yields a Reporter of lines and, for a download, a bar that appears once bytes arrive."""
    from pytest_annmodal.datasets.lines import Reporter
    from pytest_annmodal.datasets.sources.sources import source_of
    from pytest_annmodal.reports.progress import download_bar

    if not source_of(dataset).is_remote:
        yield Reporter(line=line)
        return
    with _uncaptured(config), download_bar(dataset.name) as on_progress:
        yield Reporter(line=line, progress=on_progress)


def submit_all(bench: BenchSession, jobs: Sequence[Job]) -> None:
    """Prepares each distinct dataset once, and starts its jobs as soon as it is there."""
    bench.executor.expect(jobs)
    for dataset in {job.dataset.name: job.dataset for job in jobs}.values():
        try:
            bench.executor.prepare(dataset)
        except (DatasetError, VolumeError, ExecutorError) as error:
            bench.give_up(dataset, error)
        bench.submit_all(job for job in jobs if job.dataset.name == dataset.name)


def show_plan(bench: BenchSession, cases: Sequence[Case], config: pytest.Config) -> None:
    """Prints what would run on Modal, job by job, and the highest possible cost."""
    say = _speaker(config, quiet=False)
    jobs = bench.plan(cases)
    for job in jobs:
        many = "s" if len(job.searches) != 1 else ""
        say(f"  {job.label}: {len(job.searches)} setting{many}")
    at_most = plan_of(jobs, bench.settings)
    say(at_most.line())
    refuse_too_large(at_most, bench.settings)


def show_costs(bench: BenchSession, cases: Sequence[Case], config: pytest.Config) -> None:
    """Prints or writes ``--ann-plan``: the jobs with their estimated cost, and what is left out."""
    say, settings = _speaker(config, quiet=False), bench.settings
    jobs = planning.jobs(cases, settings, remote=bench.executor.remote)
    machine = bench.executor.machine or machine_class()
    made = plan.make(jobs, bench.left_out, settings, machine)
    for line in made.lines():
        say(line)
    if settings.plan_json:
        plan.write(made, Path(settings.plan_json))


def download_only(bench: BenchSession, cases: Sequence[Case], config: pytest.Config) -> int:
    """Resolves each distinct dataset of the cases; returns how many failed."""
    bench.check_volume()
    reporter = _reporter(config)

    def write(line: str, *, red: bool = False) -> None:
        if reporter is not None:
            reporter.write_line(line, red=red)

    datasets = {case.dataset.name: case.dataset for case in cases}
    if not datasets:
        write("No dataset is selected: choose with -k NAME or --dataset NAME.")
        return 1
    failures = 0
    bench.executor.expect([])
    for dataset in datasets.values():
        write("")
        try:
            bench.executor.prepare(dataset)
        except AnnModalError as error:
            failures += 1
            write(escape.told(f"❌ {dataset.name}: {error}"), red=True)
    return failures

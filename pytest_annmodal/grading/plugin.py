"""The pytest plugin of grading, registered only in sessions that grade."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import counted
from pytest_annmodal.grading.grader import Grader, make_grader
from pytest_annmodal.grading.outputs.terminal import table
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.terminal import width_of
from pytest_annmodal.session.state import BenchSession

if TYPE_CHECKING:
    from pytest_annmodal.grading.outputs.gradebook import Book
    from pytest_annmodal.model import Case

FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class GradingPlugin:
    """Connects a Grader with pytest and the session; without benchmarks it does nothing.

    Args:
        not_taken: settings of an ini file that are ignored in this grading.
        has_result: whether a test's report has the outcome of a case.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        not_taken: Sequence[str],
        has_result: Callable[[pytest.TestReport], bool],
    ) -> None:
        self._config, self._not_taken, self._has_result = config, not_taken, has_result
        self._bench: BenchSession | None = None
        self._grader: Grader | None = None
        self._cases: Mapping[str, Case] = {}  # by test id
        self._n_theirs = self._n_others = 0  # failed tests: submissions' own, and the session's
        self._session: pytest.Session | None = None
        self._suite_property: Callable[[str, object], None] | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    @pytest.fixture(autouse=True)  # of a test: pytest 9.2 warns of a session's in an instance
    def _annmodal_grades_in_junit(
        self, record_testsuite_property: Callable[[str, object], None]
    ) -> None:
        """Keeps the function that writes each submission's grade to the JUnit file."""
        self._suite_property = record_testsuite_property

    def begin(self, session: BenchSession, cases: Mapping[str, Case]) -> None:
        """Opens the journal, and passes known outcomes to the session.

        Raises:
            ConfigurationError: the rules, options and submissions do not fit together.
        """
        config = self._config
        if getattr(config.option, "dist", "no") != "no" or hasattr(config, "workerinput"):
            raise ConfigurationError("--ann-grade cannot run in parallel: leave out -n")
        hook = config.hook.pytest_annmodal_score
        self._bench, self._cases = session, cases
        self._grader = make_grader(
            session, lambda measured, rules: hook(measurements=measured, rules=rules)
        )
        if session.keeper is not None and self._grader.rules.feedback != "full":
            session.keeper.hide_words(_only_its_kind)
        session.know(self._grader.known())

    def hear(self, outcome: Outcome) -> None:
        if self._grader is not None:
            self._grader.record(outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Writes to the JUnit file which submission a test measures."""
        if self._grader is not None and item.nodeid in self._cases:
            item.user_properties.extend(self._grader.properties(self._cases[item.nodeid]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts failures of submissions, which are grades, apart from failures of the session."""
        measured = self._has_result(report)
        if report.failed and measured and report.when == "call":
            self._n_theirs += 1
        elif report.failed:
            self._n_others += 1
        case = self._cases.get(report.nodeid)
        if self._grader is None or case is None or measured:
            return
        if report.failed or report.skipped:
            self._grader.problem(case.id, _words(report))

    def end(self) -> None:
        """Writes all outputs; the exit status says whether all submissions have a grade."""
        if self._grader is None or self._session is None:
            return
        finished = self._session.exitstatus in FINISHED
        book = self._grader.finish(os.environ, finished=finished)
        if self._suite_property is not None:
            for plan in self._grader.plans:
                grade = self._grader.grade(plan)
                text = f"{grade.score:g} {grade.status}"
                self._suite_property(f"grade:{plan.submission.name}", text)
        if finished:
            red = book.incomplete or self._n_others or self._grader.trouble
            status = pytest.ExitCode.TESTS_FAILED if red else pytest.ExitCode.OK
            self._session.exitstatus = status

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # below pytest's own list of what failed
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:  # even if pytest-benchmark raised
            if self._grader is not None and self._bench is not None:
                self._write(terminalreporter, self._grader, self._bench)

    def _write(
        self, reporter: pytest.TerminalReporter, grader: Grader, bench: BenchSession
    ) -> None:
        """Writes the table of grades, the notes, where the files are, and what to do next."""
        if not grader.writes:
            reporter.write_line(
                f"Nothing was measured, so nothing was written: {grader.folder} is unchanged.",
                yellow=True,
            )
            return
        book = grader.book(finished=True)
        reporter.section(f"grades: {escape.line(grader.rules.title, 60)}", sep="-", yellow=True)
        for text in book.warnings:
            reporter.write_line(text, yellow=True)
            reporter.write_line("")
        for line in table(book, width=width_of(reporter)):
            reporter.write_line(line)
        reporter.write_line("")
        for text in self._notes(grader, bench):
            reporter.write_line(text)
        if self._not_taken:
            not_taken = escape.line(", ".join(self._not_taken))
            reporter.write_line(
                f"Not taken from an ini file: {not_taken}. In a grading these come only from "
                f"{escape.line(grader.rules.path.name)}, the command line and the environment.",
                yellow=True,
            )
        for text in grader.trouble:
            reporter.write_line(f"  {escape.terminal(escape.line(text))}", red=True)
        self._write_end(reporter, grader, book)

    @staticmethod
    def _notes(grader: Grader, bench: BenchSession) -> Iterator[str]:
        """Yields notes on what was not measured in this session."""
        if grader.n_resumed:
            n_resumed = counted(grader.n_resumed, "finished case was", "finished cases were")
            yield f"{n_resumed} taken from the journal."
        if grader.n_unlike:
            yield (
                f"Nothing was taken from the journal: its {counted(grader.n_unlike, 'case')} had "
                "other files, options or datasets, or are of another version."
            )
        if bench.n_repeated:
            yield (
                f"{counted(bench.n_repeated, 'test')} asked for a setting again (--count, "
                "--reruns, or a parameter of the test): a grading measures each setting once."
            )
        if grader.journal.n_ignored:
            n_torn = counted(grader.journal.n_ignored, "torn line", "torn lines")
            yield f"{n_torn} of the journal could not be read."

    def _write_end(self, reporter: pytest.TerminalReporter, grader: Grader, book: Book) -> None:
        """Writes whether all submissions have a grade, what to do next, and where the files are."""
        n_open = len(book.incomplete)
        if n_open:
            reporter.write_line(
                f"{n_open} of {counted(len(book.entries), 'grade')} "
                f"{'is' if n_open == 1 else 'are'} incomplete. To measure what is missing, run "
                "the same command with --ann-resume.",
                yellow=True,
            )
        else:
            n_graded = counted(len(book.entries), "submission is", "submissions are")
            reporter.write_line(f"{'All ' * (len(book.entries) > 1)}{n_graded} graded.")
        if self._n_theirs and not (n_open or self._n_others):
            reporter.write_line(
                "All failed tests are failures of submissions: they count in the grades, not in "
                "pytest's exit status."
            )
        reporter.write_line(f"Written to {grader.folder}")
        if (aside := grader.journal.aside) is not None:
            reporter.write_line(f"The files of an earlier session are in {aside}")


def _words(report: pytest.TestReport) -> str:
    """Returns why a test was skipped, or the first line of its error."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = [line for line in report.longreprtext.splitlines() if line.strip()]
    return (lines[0] if lines else "").removeprefix("E ").removeprefix(
        escape.BAR
    ).strip() or f"{report.when} failed"


def _only_its_kind(failure: Failure) -> Failure:
    """Returns a failure without the submission's text, which could leak a dataset's vectors."""
    return replace(failure, message=f"{failure.kind} (the rest is not shown)", evidence={})

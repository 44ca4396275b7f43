"""What the pytest plugin asks of grading, hook by hook; ``config`` and reports are pytest's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import counted
from pytest_annmodal.grading.grader import Grader, make_grader
from pytest_annmodal.grading.outputs.terminal import table
from pytest_annmodal.outcome import Failure
from pytest_annmodal.reports import escape
from pytest_annmodal.session.state import BenchSession

if TYPE_CHECKING:
    import pytest

    from pytest_annmodal.grading.outputs.gradebook import Book
    from pytest_annmodal.model import Case

PASSED, TESTS_FAILED = 0, 1  # pytest's exit statuses


class Grading:
    """A Grader and what pytest must be told of it."""

    def __init__(self, grader: Grader, bench: BenchSession) -> None:
        self.grader, self.bench = grader, bench
        self.case_ids: dict[str, str] = {}  # by node id
        self.other_failures = 0
        self.suite_property: Callable[[str, object], None] | None = None

    def hear_report(self, report: pytest.TestReport) -> None:
        """Tell failures of submissions, which are grades, from failures of the session."""
        case_id = self.case_ids.get(report.nodeid)
        graded = getattr(report, "annmodal", None) is not None
        if report.failed and not (graded and report.when == "call"):
            self.other_failures += 1
        if case_id is not None and not graded and (report.failed or report.skipped):
            self.grader.problem(case_id, _words(report))


def _words(report: pytest.TestReport) -> str:
    """Why a test was skipped, or the last line of its error."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = [line for line in report.longreprtext.splitlines() if line.strip()]
    return (lines[0] if lines else "").removeprefix("E ").removeprefix(
        escape.BAR
    ).strip() or f"{report.when} failed"


def begin(
    session: pytest.Session, bench: BenchSession, case_of: Callable[[Any], Case | None]
) -> None:
    """Open the journal and tell the session what is known already; before jobs are planned.

    Raises:
        ConfigurationError: what grading is told does not fit together.
    """
    config = session.config
    if getattr(config.option, "dist", "no") != "no" or hasattr(config, "workerinput"):
        raise ConfigurationError("--ann-grade keeps one journal: run it without -n")
    hook = config.hook.pytest_annmodal_score
    grader = make_grader(bench, lambda measured, rules: hook(measurements=measured, rules=rules))
    bench.grading = grading = Grading(grader, bench)
    bench.on_outcome = grader.heard
    if bench.keeper is not None and grader.rules.feedback != "full":
        bench.keeper.hide = _only_its_kind
    bench.know(grader.known())
    for item in session.items:
        case = case_of(item)
        if case is not None:
            grading.case_ids[item.nodeid] = case.id


def _only_its_kind(failure: Failure) -> Failure:
    """A failure without the submission's words, which could carry vectors out of a dataset."""
    return replace(failure, message=f"{failure.kind} (the rest is not shown)", evidence={})


def finish(session: pytest.Session, grading: Grading) -> None:
    """Write all outputs; the exit status says whether everybody has a grade."""
    grader = grading.grader
    finished = session.exitstatus in (PASSED, TESTS_FAILED)
    book = grader.finish(os.environ, finished=finished)
    if grading.suite_property is not None:
        for key, value in ((f"grade:{p.submission.name}", p) for p in grader.plans):
            grade = grader.grade(value)
            grading.suite_property(key, f"{grade.score:g} {grade.status}")
    if finished:
        red = book.incomplete or grading.other_failures or grader.trouble
        session.exitstatus = TESTS_FAILED if red else PASSED


def write_summary(reporter: Any, grading: Grading, ignored: Sequence[str]) -> None:
    """The class's table, where the files are, and what to do next."""
    grader = grading.grader
    if not grader.writes:
        reporter.write_line(
            f"Nothing was measured, so nothing was written: {grader.folder} is as it was before.",
            yellow=True,
        )
        return
    book = grader.book(finished=True)
    reporter.section(f"grades: {escape.line(grader.rules.title, 60)}", sep="-", yellow=True)
    width = reporter._tw.fullwidth if reporter.isatty else None
    for text in book.warnings:
        reporter.write_line(text, yellow=True)
        reporter.write_line("")
    for line in table(book, width=width):
        reporter.write_line(line)
    reporter.write_line("")
    if grader.n_resumed:
        n_resumed = counted(grader.n_resumed, "finished case was", "finished cases were")
        reporter.write_line(f"{n_resumed} taken from the journal.")
    if n_repeated := grading.bench.n_repeated:
        reporter.write_line(
            f"{counted(n_repeated, 'test')} asked for a setting again (--count, --reruns, or a "
            "parameter of the test): in grading each is measured once, and the first counts."
        )
    if grader.journal.n_ignored:
        n_torn = counted(grader.journal.n_ignored, "torn line", "torn lines")
        reporter.write_line(f"Of the journal {n_torn} could not be read.")
    if ignored:
        reporter.write_line(
            f"Not taken from an ini file: {escape.line(', '.join(ignored))}. What is measured and "
            f"how is said by {escape.line(grader.rules.path.name)}, the command line and the "
            "environment.",
            yellow=True,
        )
    for text in grader.trouble:
        reporter.write_line(f"  {escape.terminal(escape.line(text))}", red=True)
    _write_end(reporter, grading, book)


def _write_end(reporter: Any, grading: Grading, book: Book) -> None:
    """Whether everybody has a grade, what to do next, and where the files are."""
    n_open = len(book.incomplete)
    if n_open:
        reporter.write_line(
            f"{n_open} of {counted(len(book.entries), 'grade')} {'is' if n_open == 1 else 'are'} "
            "incomplete. To go on with what is missing, run the same command with --ann-resume.",
            yellow=True,
        )
    else:
        n_graded = counted(len(book.entries), "submission is", "submissions are")
        reporter.write_line(f"{'All ' * (len(book.entries) > 1)}{n_graded} graded.")
    if not (n_open or grading.other_failures) and reporter.stats.get("failed"):
        reporter.write_line(
            "The tests that failed are submissions' own failures; they are in the grades, and "
            "pytest's exit status does not count them."
        )
    reporter.write_line(f"Written to {grading.grader.folder}")
    if (aside := grading.grader.journal.aside) is not None:
        reporter.write_line(f"What an earlier session wrote is in {aside}")

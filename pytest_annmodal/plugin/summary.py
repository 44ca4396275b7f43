"""Collects the rows of benchmarks from reports, and writes the table at the end."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_annmodal.plugin.collecting import CASE, OUTCOME, SESSION

if TYPE_CHECKING:
    from pytest_annmodal.results.rows import Row

    Groups = list[tuple[str | None, list[dict[str, Any]]]]

OWN_FAILURE = "annmodal_own_failure"  # an attribute of a benchmark's failed report
ROW = "annmodal"  # an attribute of a benchmark's report: the value of Row.plain


class Summary:
    """Keeps the rows of all reports, including those from xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: list[Row] = []
        self._by_test: dict[str, Row] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = getattr(report, ROW, None)
        if row is not None:
            from pytest_annmodal.results.rows import Row

            self._rows.append(Row.of_plain(row))
            self._by_test[report.nodeid] = self._rows[-1]
        if hasattr(report, OWN_FAILURE):
            from pytest_annmodal.reports import repeated

            repeated.note(self._config, report)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_benchmark_group_stats(
        self, benchmarks: list[dict[str, Any]], group_by: str
    ) -> Generator[None, Groups, Groups]:
        """Lets pytest-benchmark group by parts of a case, and shortens the names in its table.

        Whole ids would push the figures off screen. Saved files keep ids and parameters.
        """
        from pytest_annmodal.results.groupings import BY_PARAMETER

        words = group_by.split(",")
        asked = [word.removeprefix(BY_PARAMETER) for word in words if word.startswith(BY_PARAMETER)]
        for one in benchmarks if self._rows else ():
            case = self._by_test.get(one["fullname"])
            parts = case.parts if case is not None else {}
            # pytest-benchmark would raise for a parameter that a test does not have.
            one["params"] = dict.fromkeys(asked, "-") | parts | (one["params"] or {})
        groups = yield
        from pytest_annmodal.reports.names import short_names

        for _, benches in groups:
            ours = {one["fullname"]: self._by_test.get(one["fullname"]) for one in benches}
            names = short_names({test: row for test, row in ours.items() if row is not None})
            for one in benches:
                one["name"] = names.get(one["fullname"], one["name"])
        return groups

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Adds finished gates whose tests did not run, after Ctrl-C or with ``-x``.

        All jobs of a gate are run before its first test ends.
        """
        bench = self._config.stash.get(SESSION, None)
        if bench is None or bench.gating is None:
            return
        from pytest_annmodal.outcome import Measurement
        from pytest_annmodal.results.rows import row

        for item in session.items:
            case = item.stash.get(CASE, None)
            outcome = bench.gating.finished.get(case.id) if case is not None else None
            if case is not None and isinstance(outcome, Measurement) and OUTCOME not in item.stash:
                self._rows.append(row(case, outcome, bench.settings.executor))

    # Runs before the one in hooks: of such wrappers, those registered later are inner ones.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:  # even if pytest-benchmark raised
            if exitstatus != pytest.ExitCode.USAGE_ERROR:  # its message is enough
                self._write(terminalreporter)

    def _write(self, reporter: pytest.TerminalReporter) -> None:
        bench = self._config.stash.get(SESSION, None)
        if not (self._rows or bench):
            return
        from pytest_annmodal.reports.terminal import write_summary
        from pytest_annmodal.session.availability import missing_datasets, no_compiler

        shown = None if bench is None or bench.settings.download_only else bench
        write_summary(
            reporter,
            self._rows,
            libraries=shown.skipped_implementations if shown else {},
            no_compiler=no_compiler(),
            datasets=missing_datasets(shown.skipped_datasets.values()) if shown else (),
        )

"""The fixture ``ann_benchmark``: turns a case into a Measurement, or fails or skips the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.plugin import collecting
from pytest_annmodal.plugin.replay import ReplayClock, replay, replay_failure
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.failure_text import failure_text, infrastructure_text
from pytest_annmodal.results.rows import properties, row
from pytest_annmodal.session import gating
from pytest_annmodal.session.selection import override
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.session.thresholds import doubts, missed_thresholds


class AnnBenchmark:
    """The fixture ``ann_benchmark``: callable once in a test, like pytest-benchmark's own."""

    def __init__(
        self, item: pytest.Item, benchmark: Any, session: BenchSession, marker: dict[str, Any]
    ) -> None:
        self._item, self._benchmark, self._session, self._marker = item, benchmark, session, marker
        self._fetched: dict[str, Outcome] = {}
        self._used = False

    def __repr__(self) -> str:
        return "ann_benchmark"

    def fetch_early(self, case: Case) -> None:
        """Measures during setup, so that pytest reports an infrastructure fault as an error."""
        outcome = self._outcome(case)
        self._show_log(case, "setup")
        self._end_without_result(outcome, case)
        self._fetched[case.id] = outcome

    def _next(self, case: Case) -> tuple[Case, Outcome]:
        """Returns this test's measurement of a case, which may be shared with other tests."""
        next_one = self._session.next_measurement(case, collecting.test_of(self._item))
        return next_one, self._fetched.get(next_one.id) or self._fetch(next_one)

    def _fetch(self, case: Case) -> Outcome:
        """Returns the outcome of a new case; skips or fails the test if it cannot run here."""
        reason = self._session.why_skip(case)
        if reason:
            self._benchmark_is_used()
            pytest.skip(reason)
        unable = self._session.why_unable(case)
        if unable:
            self._benchmark_is_used()
            pytest.fail(escape.told(unable), pytrace=False)
        outcome = self._outcome(case)
        self._show_log(case, "call")
        self._end_without_result(outcome, case)
        return outcome

    def _end_without_result(self, outcome: Outcome, case: Case) -> None:
        """Skips or fails the test at once where the implementation did not run."""
        if isinstance(outcome, Failure) and outcome.kind == "metric":
            self._benchmark_is_used()
            pytest.skip(escape.line(outcome.message))
        if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
            self._benchmark_is_used()
            pytest.fail(infrastructure_text(outcome, case), pytrace=False)

    def _show_log(self, case: Case, when: str) -> None:
        log = self._session.container_log(case)
        if log:
            self._item.add_report_section(when, "container's log", escape.quoted(log, last=True))

    def _outcome(self, case: Case) -> Outcome:
        try:
            return self._session.outcome(case)
        except BaseException:  # Ctrl-C, or a fault of the harness: one message is enough
            self._benchmark_is_used()
            raise

    def _benchmark_is_used(self) -> None:
        """Marks the fixture as used; otherwise pytest-benchmark warns."""
        replay_failure(self._benchmark, Failure(case_id="", kind="", message=""))

    def __call__(
        self,
        case: Case | None = None,
        *,
        implementation: str | None = None,
        dataset: str | None = None,
        k: int | None = None,
        build: dict[str, Any] | None = None,
        search: dict[str, Any] | None = None,
    ) -> Measurement:
        """Measures a case, given as such or by names and parameters.

        Args:
            case: the test's own case; nothing else is needed then.
            implementation, dataset: names, where there is no case.
            k: number of neighbours, instead of the settings' one.
            build, search: parameters to replace, by name.

        Raises:
            ConfigurationError: the names or parameters do not give a case.
        """
        __tracebackhide__ = True
        if self._used:
            raise ConfigurationError("ann_benchmark can be called once in a test")
        self._used = True
        try:
            if case is not None and not isinstance(case, Case):
                raise ConfigurationError(
                    f"ann_benchmark({case!r}): expected a Case, or implementation= and dataset= "
                    "by name"
                )
            wanted = case if case is not None else self._named(implementation, dataset)
            if k is not None or build or search:
                wanted = override(wanted, k=k, build=build or {}, search=search or {})
        except ConfigurationError as error:
            self._benchmark_is_used()
            raise ConfigurationError(str(error)) from None  # the user's line is what matters
        wanted, outcome = self._next(wanted)
        if isinstance(outcome, Failure):
            self._record(wanted, outcome)
            replay_failure(self._benchmark, outcome)
            pytest.fail(failure_text(outcome, wanted), pytrace=False)
        self._check_thresholds(wanted, outcome)
        return outcome

    def _check_thresholds(self, wanted: Case, outcome: Measurement) -> None:
        """Records the measurement, and fails or skips the test by the marker's thresholds."""
        __tracebackhide__ = True
        settings = self._session.settings
        allowed = gating.tolerances_of(settings, self._marker)
        outcome = gating.judged_by(outcome, allowed, settings.sessions)
        worse = gating.failures(outcome, settings)
        missed, undecided = missed_thresholds(outcome, self._marker)
        doubtful = doubts(outcome, self._marker)
        if outcome.load is not None and outcome.load.interrupted:
            self._item.session.shouldstop = "Ctrl-C in a level of load: finished levels are kept"
        self._record(wanted, replace(outcome, notes=(*outcome.notes, *undecided, *doubtful)))
        self._replay(outcome)
        if worse or missed:
            pytest.fail("\n".join((*worse, *missed, *undecided, *doubtful)), pytrace=False)
        if undecided:
            pytest.skip("; ".join(undecided))

    def _named(self, implementation: str | None, dataset: str | None) -> Case:
        __tracebackhide__ = True
        if implementation is None or dataset is None:
            raise ConfigurationError(
                "ann_benchmark needs a case, or implementation= and dataset= "
                "(names as --impl and --dataset take them)"
            )
        case = self._session.named(implementation, dataset, self._marker)
        if case is None:
            self._benchmark_is_used()
            pytest.skip(f"{implementation} on {dataset}: not selected, or its metric is not served")
        return case

    def _replay(self, measurement: Measurement) -> None:
        clock = self._item.get_closest_marker("benchmark").kwargs["timer"]  # type: ignore[union-attr]
        assert isinstance(clock, ReplayClock)
        replay(self._benchmark, clock, measurement, self._session.settings.executor)
        self._item.user_properties.extend(properties(measurement))
        if measurement.log_tail.strip():
            log = escape.quoted(measurement.log_tail.rstrip(), last=True)
            self._item.add_report_section("call", "implementation's output", log)

    def _record(self, case: Case, outcome: Outcome) -> None:
        """Stores the row for the summary table."""
        self._item.stash[collecting.OUTCOME] = row(case, outcome, self._session.settings.executor)

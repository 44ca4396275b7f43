"""What ``ann_benchmark`` is: from a case to a Measurement, or to a failed test that says why."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_annmodal.errors import ConfigurationError, ExecutorError
from pytest_annmodal.model import Case, to_plain
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.replay import ReplayClock, extra_info, properties, replay, replay_failure
from pytest_annmodal.session import BenchSession, failure_text, missed_thresholds, override


class Benchmarker:
    """Callable once per test, like pytest-benchmark's own fixture."""

    def __init__(
        self, item: pytest.Item, benchmark: Any, session: BenchSession, marker: dict[str, Any]
    ) -> None:
        self._item, self._benchmark, self._session, self._marker = item, benchmark, session, marker
        self._fetched: dict[str, Outcome] = {}

    def refuse_workers(self, *, is_worker: bool) -> None:
        """Several workers on one machine would measure against one another."""
        if is_worker and not self._session.settings.modal:
            pytest.fail(
                "ANN benchmarks measure time, so they do not run side by side under -n; "
                "run them without -n (or with -n 0), or with --modal",
                pytrace=False,
            )

    def fetch(self, case: Case) -> Outcome:
        """The case's outcome; skips what cannot be measured here.

        Raises:
            ExecutorError: nobody measured it, and no submission is to blame.
        """
        reason = self._session.why_skip(case)
        if reason:
            pytest.skip(reason)
        outcome = self._session.outcome(case)
        if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
            replay_failure(self._benchmark, outcome)
            raise ExecutorError(f"{case.id}: {outcome.message}")
        self._fetched[case.id] = outcome
        return outcome

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
        """Measure a case, or what names and parameters describe.

        Args:
            case: the test's own case; nothing else is needed then.
            implementation, dataset: names, where there is no case.
            k: another number of neighbours than the settings'.
            build, search: parameters to replace, by name.

        Raises:
            ConfigurationError: names or parameters that do not make a case.
        """
        wanted = case if case is not None else self._named(implementation, dataset)
        if k is not None or build or search:
            wanted = override(wanted, k=k, build=build or {}, search=search or {})
        outcome = self._fetched.get(wanted.id) or self.fetch(wanted)
        self._record(wanted, outcome)
        if isinstance(outcome, Failure):
            replay_failure(self._benchmark, outcome)
            pytest.fail(failure_text(outcome), pytrace=False)
        self._replay(wanted, outcome)
        missed = missed_thresholds(outcome, self._marker)
        if missed:
            pytest.fail(
                "\n".join([f"{wanted.id}:", *("  " + line for line in missed)]), pytrace=False
            )
        return outcome

    def _named(self, implementation: str | None, dataset: str | None) -> Case:
        if implementation is None or dataset is None:
            raise ConfigurationError(
                "ann_benchmark needs a case, or implementation= and dataset= "
                "(names as --impl and --dataset take them)"
            )
        case = self._session.named(implementation, dataset, self._marker)
        if case is None:
            raise ConfigurationError(f"{implementation} does not serve the metric of {dataset}")
        return case

    def _replay(self, case: Case, measurement: Measurement) -> None:
        clock = self._item.get_closest_marker("benchmark").kwargs["timer"]  # type: ignore[union-attr]
        assert isinstance(clock, ReplayClock)
        replay(self._benchmark, clock, measurement, self._session.where)
        self._item.user_properties.extend(properties(measurement))
        if measurement.log_tail.strip():
            self._item.add_report_section("call", "implementation's output", measurement.log_tail)
        log = self._session.container_log(case)
        if log:
            self._item.add_report_section("call", "container's log", log)

    def _record(self, case: Case, outcome: Outcome) -> None:
        """What the summary table will show."""
        from pytest_annmodal.plugin import OUTCOME

        where = self._session.where
        plain = to_plain(outcome) if isinstance(outcome, Failure) else extra_info(outcome, where)
        self._item.stash[OUTCOME] = {
            "label": case.label,
            "dataset": case.dataset.name,
            "k": case.k,
            "where": where,
            "outcome": plain,
        }

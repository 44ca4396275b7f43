"""Thresholds on times that were measured on a busy machine give "cannot tell"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grading_data import DATASET, RULES, measured, plan, rules

from pytest_annmodal.figures import CANNOT_TELL, FIGURES
from pytest_annmodal.grading.grader import Grader
from pytest_annmodal.grading.score import grade, undecided
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.results.journal import Journal
from pytest_annmodal.session.thresholds import missed_thresholds
from pytest_annmodal.settings.config import Settings

PHASES = {
    "qps": "queries", "qps_at_recall": "queries", "batch_qps": "batch", "p50_ms": "queries",
    "p95_ms": "queries", "p99_ms": "queries", "build_s": "build",
}  # fmt: skip
FORMULA = 'datasets = ["tiny-8-euclidean"]\n[score]\nformula = "recall-qps-memory"\n'


def cases_of(made: Any) -> list[Case]:
    return [case for cases in made.cases.values() for case in cases]


def slow(case: Case, **replace: Any) -> Measurement:
    return measured(case, **{"qps": 10.0, "disturbed": ("queries",), **replace})


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_which_figures_hang_on_the_machine(figure: Any) -> None:
    """Figures of a clock depend on the machine; recall, memory and ratios do not."""
    case = cases_of(plan())[0]
    there = {"qps_at_recall": 5.0, "batch_qps": 5.0}
    for phase in ("build", "queries", "batch"):
        told = not figure.cannot_tell(measured(case, disturbed=(phase,), **there))
        assert told == (PHASES.get(figure.name) != phase)
    assert not figure.cannot_tell(measured(case))


def test_a_figure_that_was_not_measured_is_missed_on_any_machine() -> None:
    """Without ``--ann-at-recall`` its figure is missing, also on a busy machine."""
    found = slow(cases_of(plan())[0])
    with_none = [figure for figure in FIGURES if figure.of(found) is None]
    assert "qps_at_recall" in [figure.name for figure in with_none]
    assert not any(figure.cannot_tell(found) for figure in with_none)


class TestMarker:
    def test_a_miss_on_a_busy_machine_cannot_be_told(self) -> None:
        """A missed time on a busy machine is reported separately; other misses stay misses."""
        found = slow(cases_of(plan())[0], recall=0.5)
        missed, open_ = missed_thresholds(found, {"min_qps": 100, "min_recall": 0.9})
        assert [line.split()[0] for line in missed] == ["recall"]
        (line,) = open_
        assert line.startswith("qps 10 should be at least 100")
        assert line.endswith(CANNOT_TELL)

    def test_what_is_reached_is_reached(self) -> None:
        """A threshold that is reached counts, however busy the machine."""
        assert missed_thresholds(slow(cases_of(plan())[0]), {"min_qps": 10}) == ([], [])


class TestGrading:
    def test_a_part_that_cannot_be_told_is_incomplete(self, tmp_path: Path) -> None:
        """A part that depends on a noisy time is incomplete; the other parts are graded."""
        made = plan()
        (case,) = cases_of(made)
        ours, outcomes = rules(tmp_path), {case.id: slow(case)}
        got = grade(made, ours, outcomes, {})
        assert (got.status, got.score) == ("incomplete", 30)
        assert [part.status for part in got.parts] == ["full", "incomplete"]
        assert got.reason.startswith("speed 10 queries/s, wanted at least 1,000: cannot")
        assert CANNOT_TELL in got.reason
        assert undecided(made, ours, outcomes) == {case.id}

    @pytest.mark.parametrize(
        "replace",
        [{"qps": 1000.0}, {"recall": 0.5}, {"disturbed": ("build", "batch")}, {"disturbed": ()}],
        ids=["reached", "lost anyway", "another phase", "quiet"],
    )
    def test_a_part_that_can_be_told_is_graded(
        self, tmp_path: Path, replace: dict[str, Any]
    ) -> None:
        """A part is graded if a quieter machine could not change its points."""
        made = plan()
        (case,) = cases_of(made)
        outcomes = {case.id: slow(case, **replace)}
        ours = rules(tmp_path)
        assert grade(made, ours, outcomes, {}).status == "graded"
        assert not undecided(made, ours, outcomes)

    @pytest.mark.parametrize("counts", ["best", "each-part", "first"])
    def test_another_setting_may_be_the_better_one(self, tmp_path: Path, counts: str) -> None:
        """A noisy setting matters only if it could be the better one; the part names it."""
        made = plan(1, 2)
        one, two = cases_of(made)
        ours = rules(tmp_path, f'{RULES}[score]\ncounts = "{counts}"\n')
        got = grade(made, ours, {one.id: measured(one, qps=10.0), two.id: slow(two)}, {})
        assert got.status == ("graded" if counts == "first" else "incomplete")
        if counts != "first":
            assert f"probe=2: {CANNOT_TELL}" in got.parts[1].why
            assert got.reason.endswith(f"probe=2: {CANNOT_TELL}")
        done = grade(made, ours, {one.id: measured(one), two.id: slow(two)}, {})
        assert (done.status, done.score) == ("graded", 40)

    def test_a_formula_with_speed_in_it_cannot_be_told(self, tmp_path: Path) -> None:
        """A formula with speed is "cannot tell", unless all points are reached or recall is too low."""
        made = plan()
        (case,) = cases_of(made)
        ours = rules(tmp_path, FORMULA)
        got = grade(made, ours, {case.id: slow(case)}, {})
        assert got.status == "incomplete"
        assert CANNOT_TELL in got.parts[0].why[0]
        assert grade(made, ours, {case.id: slow(case, recall=0.1)}, {}).status == "graded"
        full = rules(tmp_path, f"{FORMULA}full_at = 0.1\npoints = 10\n")
        done = grade(made, full, {case.id: slow(case)}, {})
        assert (done.status, done.score) == ("graded", 10)


def test_resuming_measures_again_what_could_not_be_told(tmp_path: Path) -> None:
    """A resumed grading repeats only the cases whose result was "cannot tell"."""
    made = plan(1, 2)
    settings = Settings(rootdir=tmp_path)
    one, two = cases_of(made)
    journal = Journal.open(tmp_path / "grades", resume=False)

    def grader() -> Grader:
        return Grader(
            settings=settings,
            rules=rules(tmp_path),
            plans=[made],
            datasets=[DATASET],
            journal=journal,
        )

    first = grader()
    journal.add(first._key(one), measured(one, qps=10.0))
    journal.add(first._key(two), slow(two))
    again = grader()
    assert [outcome.case_id for outcome in again.known()] == [one.id]
    assert again.n_resumed == 1
    assert again.grade(made).status == "incomplete"
    again.record(measured(two))
    assert (again.grade(made).status, again.grade(made).score) == ("graded", 40)
    assert len(grader().known()) == 2
    journal.close()

"""The table of figures, for thresholds of markers and of grading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from grading_data import measured, plan, rules

from pytest_annmodal.figures import FIGURES, THRESHOLDS, Figure
from pytest_annmodal.grading.score import Plan, grade
from pytest_annmodal.grading.threshold import Threshold
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Dropped, FirstPass, Measurement
from pytest_annmodal.session.thresholds import missed_thresholds

MISSING = [
    ("min_batch_qps", "not measured (there is no batch_query)"),
    ("min_qps_at_recall", "not measured (it needs --ann-at-recall)"),
    ("min_ratio", "not measured (it needs --ann-baseline, and one that serves this metric)"),
]


def case_of(made: Plan) -> Case:
    return next(iter(made.cases.values()))[0]


def outcome(values: Mapping[str, float | None]) -> Measurement:
    return measured(case_of(plan()), **values)


def _field(figure: Figure, value: float) -> dict[str, Any]:
    """The fields of a measurement that give a figure this value."""
    measured_as = value / figure.factor
    if figure.option != "cold":
        return {figure.field: measured_as}
    times = dict.fromkeys(("mean_s", "p50_s", "p95_s", "p99_s"), measured_as)
    first = FirstPass(dropped=Dropped(), disturbed=False, recall=1.0, qps=1.0, **times)
    return {"first_pass": first}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_marker_and_grading_agree(tmp_path: Path, figure: Figure) -> None:
    """Each threshold exists in both places, and both accept the same values."""
    toml = 'datasets = ["tiny-8-euclidean"]\nat_recall = 0.9\nbaseline = "annoy"\n'
    part = f'[[parts]]\nname = "One"\npoints = 1\n{figure.threshold} = 0.5\n'
    (read,) = rules(tmp_path, toml + part).parts[0].thresholds
    assert read == Threshold(name=figure.threshold, none_at=0.5, full_at=0.5)
    if figure.name == "ratio":
        return  # a property of the comparison: test_ratio_thresholds.py
    for value in (0.25, 0.5, 0.75, float("nan")):
        found = outcome(_field(figure, value))
        missed, _ = missed_thresholds(found, {figure.threshold: 0.5})
        reached = value == 0.5 or value == (0.75 if figure.better == "more" else 0.25)
        assert (not missed) == (read.share(found) == 1) == reached
        assert all(line.startswith(f"{figure.name} ") for line in missed)


@pytest.mark.parametrize(("threshold", "words"), MISSING)
def test_a_figure_that_is_missing_is_a_miss_with_its_reason(threshold: str, words: str) -> None:
    """A missing figure is a miss, and both say why it is missing."""
    found = outcome({"batch_qps": None, "qps_at_recall": None})
    (line,), _ = missed_thresholds(found, {threshold: 10})
    assert words in line
    assert f"{threshold} of @pytest.mark.ann" in line
    graded = Threshold(name=threshold, none_at=10, full_at=10)
    assert graded.share(found) == 0
    assert words in graded.words(found)


def test_an_unreached_recall_has_another_reason_than_an_unrequested_one() -> None:
    """With ``--ann-at-recall`` the reason is that no setting reaches the recall."""
    found = outcome({"qps_at_recall": None, "at_recall": 0.99})
    (line,), _ = missed_thresholds(found, {"min_qps_at_recall": 10})
    assert "no two settings of one build bracket that recall" in line


def test_names_and_fields_are_all_there() -> None:
    """Names are distinct, and each field exists in Measurement."""
    assert len(THRESHOLDS) == len({figure.name for figure in FIGURES}) == len(FIGURES)
    assert not [figure.name for figure in FIGURES if not hasattr(Measurement, figure.field)]


def test_a_part_names_its_thresholds_as_the_table_does(tmp_path: Path) -> None:
    """Grading describes a missed threshold with the figure's words and unit."""
    made = plan()
    case = case_of(made)
    toml = 'datasets = ["tiny-8-euclidean"]\n[[parts]]\nname = "A"\npoints = 1\nmax_peak_mb = 1\n'
    found = measured(case, peak_rss_bytes=5_000_000)
    got = grade(made, rules(tmp_path, toml), {case.id: found}, {})
    assert got.parts[0].why == ("peak memory 5 MB, wanted at most 1: missed by 4",)

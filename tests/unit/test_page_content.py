"""The content of the page of results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from stored_cases import failed, measured, stored

from pytest_annmodal.figures import BY_NAME
from pytest_annmodal.finding import Control, Finding, Gated
from pytest_annmodal.levels import Level, Loaded
from pytest_annmodal.outcome import Comparison
from pytest_annmodal.page import page
from pytest_annmodal.page.cases import content_of
from pytest_annmodal.page.content import (
    LEVELS,
    TAIL_SHARES,
    Content,
    Group,
    Point,
    nines,
    on_frontier,
    ranking,
)
from pytest_annmodal.results.reading import read_results
from pytest_annmodal.results.stored import StoredCase


def content(tmp_path: Path, *cases: StoredCase) -> Content:
    stored(tmp_path, *cases)
    return content_of(read_results([tmp_path]))


def point(recall: float, qps: float, name: str = "a", **values: float) -> Point:
    return Point(
        implementation=name,
        setting="",
        values={"recall": recall, "qps": qps, **values},
        n_answers=1000,
    )


def group(*points: Point) -> Group:
    return Group(
        dataset="d",
        content="",
        metric="euclidean",
        n_train=1,
        dim=1,
        n_queries=100,
        k=10,
        points=points,
    )


def test_a_frontier_is_of_one_implementation_and_one_figure() -> None:
    """A setting that another one of its implementation beats in both figures is off the frontier."""
    points = [
        point(0.9, 100, p50_ms=1.0),
        point(0.8, 90, p50_ms=0.1),
        point(0.9, 100, p50_ms=1.0),
        point(0.5, 1, "b", p50_ms=9.0),
    ]
    assert on_frontier(points, BY_NAME["qps"]) == [True, False, False, True]
    assert on_frontier(points, BY_NAME["p50_ms"]) == [True, True, False, True]
    assert on_frontier(points, BY_NAME["batch_qps"]) == [False] * 4


def test_the_axis_of_nines_puts_one_beyond_all() -> None:
    """0.9 is at 1, 0.99 at 2; recall 1 is right of all others."""
    assert nines(0.9) == pytest.approx(1)
    assert nines(0.99) == pytest.approx(2)
    own = group(point(0.99, 1), point(1.0, 1))
    assert own.nines_of(own.points[1]) > own.nines_of(own.points[0])


def test_a_ranking_reads_between_settings_and_never_beyond() -> None:
    """Speeds are interpolated between settings; above the highest recall there is none."""
    (ranked,) = ranking(group(point(0.8, 1000), point(0.95, 100)))
    at = dict(zip(LEVELS, ranked.qps, strict=True))
    assert at[0.95] == pytest.approx(100)
    assert 100 < (at[0.9] or 0) < 1000
    assert at[0.1] == at[0.8] == pytest.approx(1000)
    assert at[0.96] is None
    assert ranked.best_recall == 0.95


def test_samples_become_a_tail_and_a_histogram(tmp_path: Path) -> None:
    """Samples give the tail of latencies and a histogram of recall."""
    (shown,) = content(tmp_path, measured(3)).groups
    (only,) = shown.points
    assert len(only.tail_s) == sum(share >= 1 / 8 for share in TAIL_SHARES)
    assert only.tail_s[0] == pytest.approx(900e-9)
    assert only.tail_s == tuple(sorted(only.tail_s))
    assert np.flatnonzero(only.recalls).tolist() == [2, 10]
    assert sum(only.recalls) == 4
    assert only.hardest_tenth == pytest.approx(0.15)


def test_failures_join_the_dataset_that_others_measured(tmp_path: Path) -> None:
    """A failure, which has no content hash, is shown with the dataset's measurements."""
    (shown,) = content(tmp_path, failed(), measured()).groups
    assert (len(shown.points), len(shown.broken)) == (1, 1)


def test_what_must_not_be_joined_has_distinct_names(tmp_path: Path) -> None:
    """Two machines, two contents of one name and foreign results have different names."""
    page = content(
        tmp_path,
        measured(1),
        measured(1, machine="Another", key="b"),
        measured(1, dataset_sha256="cd" * 32, key="c"),
        measured(1, source="ann-benchmarks", machine="", key=None),
    )
    assert [own.dataset for own in page.groups] == [
        "digits-64-euclidean (abababab)",
        "digits-64-euclidean (cdcdcdcd)",
    ]
    assert page.implementations == (
        "hnswlib (ann-benchmarks)",
        "hnswlib (machine 1)",
        "hnswlib (machine 2)",
    )
    banner = " ".join(page.banner)
    assert "2 machines are mixed" in banner
    assert "shown separately" in banner
    assert "other programs" in banner


def test_the_latest_measurement_of_a_case_is_shown(tmp_path: Path) -> None:
    """The newest measurement is shown; the banner counts the earlier ones."""
    later = dataclasses.replace(measured(1), measured_at="2026-11-30T00:00:00Z", qps=7.0)
    page = content(tmp_path, later, measured(1))
    (own,) = page.groups
    assert [item.values["qps"] for item in own.points] == [7.0]
    assert "1 earlier measurement" in " ".join(page.banner)


def test_marks_say_what_a_reader_must_know(tmp_path: Path) -> None:
    """Noise, quota and reuse are marked at the setting and in the banner."""
    case = measured(1, notes=("noisy: load",), environment={"throttled_s": 0.2})
    stored(tmp_path, case)
    page = content_of(read_results([tmp_path]), reused=[case.key or ""])
    assert page.groups[0].points[0].marks == ("noisy", "throttled", "reused")
    assert len(page.banner) == 3


def test_a_comparison_stands_behind_its_control(tmp_path: Path) -> None:
    """The control is shown once for all settings of a job."""
    made = Comparison(
        baseline="annoy",
        baseline_settings=("search_k=1",),
        sessions=5,
        ratio=1.4,
        low=1.3,
        high=1.5,
        verdict="faster",
        why="",
        difference=0.05,
        recall=0.9,
        baseline_recall=0.9,
        equal_recall=True,
        qps=14,
        baseline_qps=10,
        ratios=(1.4,),
        control_ratio=1.0,
        control_low=0.99,
        control_high=1.01,
        control_ok=True,
        control_ratios=(1.0,),
    )
    page = content(tmp_path, measured(1, comparison=made), measured(2, comparison=made))
    assert [(item.is_control, item.ratio) for item in page.groups[0].raced] == [
        (True, 1.0),
        (False, 1.4),
        (False, 1.4),
    ]
    assert len(page.verdicts) == 2
    assert "faster" in page.verdicts[0]


def test_what_a_gate_found_is_drawn_figure_by_figure(tmp_path: Path) -> None:
    """Each figure of a gate is a ratio beside its control; recall is a difference."""
    slower = Finding(
        figure="speed",
        word="worse",
        change=-0.1,
        low=-0.12,
        high=-0.08,
        bound=0.03,
        at="at recall 0.95",
        control=Control(change=0.0, low=-0.01, high=0.01),
    )
    same = Finding(figure="recall", word="no change", change=0.0, bound=0.002)
    gated = Gated(baseline="annoy@1.17.1", findings=(slower, same))
    page = content(tmp_path, measured(1, gate=gated))
    (raced, control) = page.groups[0].raced
    assert (raced.ratio, raced.low, raced.high) == pytest.approx((0.9, 0.88, 0.92))
    assert raced.label.endswith(" speed at recall 0.95")
    assert (raced.verdict, raced.difference) == ("worse", 0.03)
    assert (control.is_control, control.ratio) == (True, 1.0)
    (words,) = page.verdicts
    assert words.endswith(
        "worse: 10.0 % slower than annoy@1.17.1 at recall 0.95 (99 %: 8.0…12.0 %)"
    )


def test_every_chart_of_the_page_is_vega_lite() -> None:
    """Charts satisfy Vega-Lite's schema, which making a page does not check."""
    pytest.importorskip("altair")
    from pytest_annmodal.page import charts

    drawn = page.charts_of(["a", "b"], charts)
    assert len(drawn) == 8
    for chart in drawn.values():
        assert charts.to_spec(chart) == charts.to_spec(chart, validate=True)


def test_levels_of_load_are_rows_of_two_percentiles(tmp_path: Path) -> None:
    """A level has rows for two percentiles, by offered or answered rate, and marks of knees."""
    levels = (
        Level(kind="open", offered_qps=500, qps=499, p50_s=0.001, p99_s=0.004, recall=0.9),
        Level(kind="open", offered_qps=900, qps=800, p50_s=0.1, p99_s=0.4, marks=("saturated",)),
        Level(kind="open", offered_qps=990, failure="crashed"),
        Level(kind="closed", clients=2, qps=950, p50_s=0.001, p99_s=0.002),
    )
    shown = content(tmp_path, measured(load=Loaded(levels=levels, knee_qps=500)))
    assert shown.has_loads
    (found,) = (group.loads for group in shown.groups)
    assert [(row["loop"], row["percentile"], row["rate"], row["ms"]) for row in found[:2]] == [
        ("open loop", "p50", 500, 1.0),
        ("open loop", "p99", 500, 4.0),
    ]
    assert [row["knee"] for row in found] == [True, True, False, False, False, False]
    assert [row["words"] for row in found[3:5]] == ["at 900 queries/s", "with 2 clients"]
    assert found[3]["marks"] == "saturated"
    assert not content(tmp_path / "none", measured()).has_loads

"""Finds the smallest setting that reaches a recall."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import failed, index, make_job, measured, write
from small_data import write_small

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.jobs.tuning import ranges
from pytest_annmodal.jobs.tuning.axis import CLOSE, Axis, bracket, wanted
from pytest_annmodal.jobs.tuning.tuner import MAX_BLIND, MAX_PROBES, blind
from pytest_annmodal.manifests import header, manifest, narrowing
from pytest_annmodal.model import Arguments, Case, Dataset, Job, Search, Target, Tunable
from pytest_annmodal.outcome import Tuned
from pytest_annmodal.session import planning
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.sources import resolve

ROUNDED = 1.01  # whole values
EF = Axis(low=10, high=2000, log=True, whole=True)
AXES = [
    EF,
    Axis(low=1, high=128, log=True, whole=True),
    Axis(low=10, high=200_000, log=True, whole=True),
    Axis(low=0.0, high=1.0, log=False, whole=False),
]


def looked_for(axis: Axis, target: float, *curves: Callable[[float], float]) -> tuple[int, Any]:
    """Numbers of values tried on the two curves, and the results."""
    guide: dict[float, float] = {}
    found: dict[float, float] = {}
    n_left = MAX_PROBES
    while n_blind := MAX_BLIND + n_left - MAX_PROBES:
        value = blind(axis, guide, target, n_blind)
        if value is None:
            break
        assert value not in guide
        assert axis.low <= value <= axis.high
        guide[value] = curves[0](value)
        n_left -= 1
    while n_left and (value := wanted(axis, found, target, guide, n_left)) is not None:
        assert value not in found
        assert axis.low <= value <= axis.high
        found[value] = curves[-1](value)
        n_left -= 1
    return MAX_PROBES - n_left, bracket(found, target)[1]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("target", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("middle", [0.1, 0.3, 0.5, 0.7])
def test_the_smallest_is_found(axis: Axis, target: float, middle: float) -> None:
    """The result is at most one step above a full sweep's, with few values tried."""

    def recall(value: float, moved: float = 0.0) -> float:
        return 1 / (1 + math.exp(-12 * (axis.position(value) - middle - moved)))

    tried, found = looked_for(axis, target, lambda value: recall(value, 0.005), recall)
    values = [axis.at(n / 2000) for n in range(2001)]
    if axis.whole:
        values = [*range(int(axis.low), min(int(axis.high), 3000) + 1), *values]
    smallest = min((value for value in values if recall(value) >= target), default=None)
    assert tried <= MAX_PROBES
    assert (found is None) == (smallest is None)
    if smallest is not None:
        near = smallest * CLOSE * ROUNDED if axis.log else smallest + 0.01
        assert recall(found) >= target
        assert found <= max(near, smallest + axis.whole) + 1e-9


# Recalls of faiss-ivf (128 cells, 10,000 rows, k = 10) by n_probe, on each half of 400 queries.
CELLS = Axis(low=1, high=128, log=True, whole=True)
# Only values at which recall changes are listed.
RISES = (
    {
        1: 0.7455,
        2: 0.8655,
        3: 0.91,
        4: 0.934,
        5: 0.9445,
        6: 0.957,
        7: 0.9625,
        8: 0.9675,
        9: 0.973,
        10: 0.975,
        11: 0.9775,
        12: 0.9785,
        13: 0.9815,
        15: 0.9845,
        16: 0.987,
        17: 0.9875,
        21: 0.989,
        22: 0.9895,
        23: 0.99,
        24: 0.9905,
        26: 0.991,
        28: 0.9915,
        29: 0.992,
        30: 0.993,
        31: 0.9935,
        36: 0.9955,
        37: 0.9965,
        41: 0.997,
        45: 0.998,
        64: 0.999,
        66: 0.9995,
        89: 1.0,
    },
    {
        1: 0.809,
        2: 0.918,
        3: 0.949,
        4: 0.9625,
        5: 0.9735,
        6: 0.98,
        7: 0.9835,
        8: 0.9855,
        9: 0.9865,
        10: 0.987,
        11: 0.9885,
        12: 0.9895,
        15: 0.99,
        16: 0.991,
        20: 0.9915,
        22: 0.9925,
        23: 0.993,
        25: 0.9945,
        27: 0.9955,
        29: 0.996,
        31: 0.9965,
        39: 0.997,
        50: 0.9975,
        54: 0.998,
        55: 0.999,
        56: 0.9995,
        112: 1.0,
    },
)
HALVES = [
    {value: rises[max(one for one in rises if one <= value)] for value in range(1, 129)}
    for rises in RISES
]


@pytest.mark.parametrize("target", [0.9, 0.95, 0.96, 0.97, 0.98, 0.985])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_recall_that_hardly_rises(target: float, swapped: bool) -> None:
    """The two halves differ more than a few values of the argument; the smallest is found.

    With four values on the tuning queries too few were left: 33 was found where 16 is the smallest.
    """
    tuning, figure = reversed(HALVES) if swapped else HALVES
    smallest = min(value for value, recall in figure.items() if recall >= target)
    tried, found = looked_for(CELLS, target, tuning.__getitem__, figure.__getitem__)
    assert tried <= MAX_PROBES
    assert smallest <= found <= max(smallest * CLOSE, smallest)


@pytest.mark.parametrize("axis", AXES)
def test_a_recall_that_goes_up_and_down(axis: Axis) -> None:
    """For a recall that is not monotonic the search ends, and the result reaches the target."""
    for seed in range(50):
        known: dict[float, float] = {}

        def recall(value: float, seed: int = seed, known: dict[float, float] = known) -> float:
            noise = random.Random(seed * 1000 + value).uniform(-0.3, 0.3)
            known[value] = min(max(axis.position(value) + noise, 0.0), 1.0)
            return known[value]

        tried, found = looked_for(axis, 0.8, recall)
        assert tried <= MAX_PROBES
        assert found is None or known[found] >= 0.8


def test_what_makes_no_difference() -> None:
    """A constant recall needs few values."""
    assert looked_for(EF, 0.9, lambda _value: 1.0)[1] == EF.low
    tried, found = looked_for(EF, 0.9, lambda _value: 0.5)
    assert found is None
    assert tried <= MAX_PROBES
    one = Axis(low=3, high=3, log=True, whole=True)
    assert looked_for(one, 0.9, lambda _value: 1.0) == (2, 3)
    assert looked_for(one, 0.9, lambda _value: 0.0) == (2, None)


HEADER = (
    "# /// script\n# [tool.annmodal]\n# build.cells = [8, 16]\n# search.ef = [1, 50]\n"
    "# tune.{}\n# ///\n"
)


def test_a_header_declares_what_may_be_bisected() -> None:
    """A header declares range, spacing and direction of an argument."""
    head = header.parse(HEADER.format('ef = { range = ["k", 2_000], monotone = "recall" }'))
    assert head is not None
    assert head.tune == (Tunable(name="ef", low="k", high=2000, log=True),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            'eff = { range = [1, 2], monotone = "recall" }',
            "tune.eff: eff is not a parameter of sear",
        ),
        ('cells = { range = [1, 2], monotone = "recall" }', "cells is not a parameter of search"),
        ("ef = 3", "tune.ef: expected a table"),
        ("ef = { range = [1, 2] }", 'tune.ef.monotone: expected "recall"'),
        ('ef = { range = [1, 2], monotone = "time" }', "only recall can be bisected"),
        (
            'ef = { range = [2, 1], monotone = "recall" }',
            "tune.ef.range: expected two ends, the lo",
        ),
        ('ef = { range = [1], monotone = "recall" }', "expected two ends"),
        ('ef = { monotone = "recall" }', "expected two ends"),
        ('ef = { range = [true, 2], monotone = "recall" }', "expected two ends"),
        ('ef = { range = [1, inf], monotone = "recall" }', "expected two ends"),
        (
            'ef = { range = [0, 2], monotone = "recall" }',
            "on a log scale both ends must be above 0",
        ),
        ('ef = { range = [1, "m"], monotone = "recall" }', "tune.ef.range: 'm' is not a parameter"),
        ('ef = { range = [1, 2], scale = "sq", monotone = "recall" }', "expected log or lin"),
        ('ef = { range = [1, 2], monotone = "recall", x = 1 }', "x: there is no such key"),
    ],
)
def test_a_declaration_that_cannot_be_used(line: str, words: str) -> None:
    """An invalid declaration is refused with its key and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        header.parse(HEADER.format(line))
    assert words in str(caught.value)


def test_the_built_ins_declare_theirs() -> None:
    """Built-ins with a search argument declare a range for build and dataset."""
    items = {item.name: item for item in manifest.builtin()}
    tuned = {name: [one.name for one in item.tune] for name, item in items.items() if item.tune}
    assert tuned == {
        "annoy": ["search_k"],
        "faiss-hnsw": ["ef"],
        "faiss-ivf": ["n_probe"],
        "hnswlib": ["ef"],
        "pynndescent": ["epsilon"],
        "usearch": ["expansion_search"],
    }
    search = Search(case_id="s", arguments=Arguments(), k=20, rounds=1)
    job = Job(
        dataset=Dataset(name="d", source="generate:d"),
        implementation=items["faiss-ivf"],
        build=Arguments(kwargs={"n_list": 128}),
        searches=(search,),
    )
    axes, unusable = ranges.axes(job, search, n=390, dim=8)
    assert unusable == ()
    assert axes == {"n_probe": Axis(low=1, high=10, log=True, whole=True)}
    job = dataclasses.replace(job, implementation=items["hnswlib"])
    assert ranges.axes(job, search, n=390, dim=8)[0] == {
        "ef": Axis(low=20, high=2000, log=True, whole=True)
    }


def test_each_build_has_a_case_for_each_recall() -> None:
    """Each build has a case per recall; without a declaration its own settings are kept."""
    (item,) = [item for item in manifest.builtin() if item.name == "hnswlib"]
    (item,) = narrowing.with_values([item], [("M", ("8", "16"))])
    item = narrowing.with_targets(item, [0.95, 0.9, 0.95], 60.0)
    assert [variant.label for variant in item.variants] == [
        f"M={m},ef_construction=100,recall={r}" for m in (8, 16) for r in (0.9, 0.95)
    ]
    target = item.variants[0].target
    assert target is not None
    assert [one.kwargs["ef"] for one in target.settings] == [10, 30, 100]


def test_options_that_do_not_go_together() -> None:
    """Conflicting options and invalid recalls are refused."""
    for given, words in [
        ({"target_recall": ["1.1"]}, "expected numbers above 0 and at most 1"),
        ({"target_recall": ["0,0.5"]}, "expected numbers above 0"),
        ({"target_recall": ["0.9"], "baseline": "annoy"}, "--ann-target-recall and --ann-baseline"),
        ({"target_recall": ["0.9"], "fresh_queries": True}, "and --ann-fresh-queries"),
        ({"target_recall": ["0.9"], "grade": "rules.toml"}, "--ann-target-recall and --ann-grade"),
        ({"tune_budget_s": "0s"}, "expected a number above 0"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            resolve(cli=given.get, ini=lambda _key: "", environ={})
    settings = resolve(
        cli={"target_recall": ["0.9,1"], "tune_budget_s": "5s"}.get, ini=lambda _key: "", environ={}
    )
    assert (settings.target_recall, settings.tune_budget_s) == (((0.9, 1.0),), 5.0)


def test_a_submission_is_not_tuned_on_modal() -> None:
    """On Modal submissions are not tuned: their container has no truth."""
    (item,) = [item for item in manifest.builtin() if item.name == "hnswlib"]
    item = narrowing.with_targets(dataclasses.replace(item, trusted=False), [0.9], 60.0)
    case = Case(
        implementation=item,
        variant=item.variants[0],
        dataset=Dataset(name="d", source="generate:d"),
    )
    with pytest.raises(ConfigurationError, match="container has no ground truth"):
        planning.jobs([case], Settings(), remote=True)
    assert planning.jobs([case], Settings())[0].searches[0].target is not None


# Looks at the first rows only: their share of all is the recall.
REACH = index(
    """
    def set_query_arguments(self, reach, other=0):
        self.reach = reach
    def query(self, v, k):
        return np.argsort(((self.X[:self.reach] - v) ** 2).sum(axis=1), kind="stable")[:k]
    """
)
TUNE = (Tunable(name="reach", low=10, high="n", log=True),)


def tuned_job(
    tmp_path: Path, *recalls: float, tune: tuple[Tunable, ...] = TUNE, source: str = REACH,
    budget_s: float = 60.0, grid: tuple[int, ...] = (30, 200, 300),
) -> tuple[Job, Path]:  # fmt: skip
    data = write_small(tmp_path, n_train=300, n_queries=200)
    settings = tuple(Arguments(kwargs={"reach": reach}) for reach in grid)
    job = make_job(data, write(tmp_path / "mine.py", source), implementation={"tune": tune})
    searches = tuple(
        Search(
            case_id=f"at-{recall}",
            arguments=settings[0],
            k=10,
            rounds=2,
            target=Target(recall=recall, settings=settings, budget_s=budget_s),
        )
        for recall in recalls
    )
    return dataclasses.replace(job, searches=searches), data


def tuned(outcome: Any) -> Tuned:
    assert outcome.tuned is not None
    return outcome.tuned


def test_a_setting_is_found_and_measured(tmp_path: Path) -> None:
    """Probes use half of the queries; the found setting is measured on the other half."""
    job, data = tuned_job(tmp_path, 0.5, 0.9)
    half, most = (measured(outcome) for outcome in run_job(job, data))
    for outcome, target in ((half, 0.5), (most, 0.9)):
        found = tuned(outcome)
        assert found.reached
        assert outcome.n_queries == 100
        assert len(outcome.latencies_ns) == 200
        assert outcome.recall >= target
        value = found.arguments.kwargs["reach"]
        assert outcome.asked == {"reach": value}
        assert found.words == f"≥{target} → reach={value}"
        assert len(found.probes) <= MAX_PROBES
        assert found.qps_low is not None
        assert found.qps_low < outcome.qps
    figure = [probe for probe in tuned(half).probes if probe.part == "figure"]
    below = max(probe.arguments.kwargs["reach"] for probe in figure if probe.recall < 0.5)
    assert tuned(half).arguments.kwargs["reach"] / below <= CLOSE * ROUNDED


def test_a_recall_that_cannot_be_reached(tmp_path: Path) -> None:
    """If the recall cannot be reached, the best setting is measured with a note."""
    tune = (dataclasses.replace(TUNE[0], high=150),)
    job, data = tuned_job(tmp_path, 0.9, tune=tune)
    (outcome,) = run_job(job, data)
    assert not tuned(outcome).reached
    assert tuned(outcome).arguments.kwargs["reach"] == 150
    assert "recall ≥0.9 not reached: reach=150 is nearest" in measured(outcome).notes


def test_an_argument_that_the_library_ignores(tmp_path: Path) -> None:
    """An argument without effect gives a note, and the search ends."""
    source = REACH.replace("self.reach = reach", "self.reach = 100")
    job, data = tuned_job(tmp_path, 0.9, source=source)
    (outcome,) = run_job(job, data)
    (note,) = [note for note in measured(outcome).notes if "did not change recall" in note]
    assert note.startswith("reach did not change recall: the tuning queries had ")
    assert note.endswith(" to 300; does its query read it?")


def test_without_a_declaration_the_fastest_own_setting_is_taken(tmp_path: Path) -> None:
    """Without a declaration the fastest own setting that reaches the recall is taken."""
    job, data = tuned_job(tmp_path, 0.6, tune=())
    (outcome,) = run_job(job, data)
    assert tuned(outcome).names == ()
    assert tuned(outcome).arguments.kwargs["reach"] in {200, 300}
    assert measured(outcome).recall >= 0.6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"low": "k * 50"},
            "tune.reach.range: its lower end k * 50 is 500 and its upper end n is 300 here",
        ),
        ({"low": "k - 10"}, "on a log scale both ends are above 0, and they are 0 and 300 here"),
        ({"high": "cells * 2"}, "tune.reach.range: cells is not set in this build"),
        ({"high": "n // (k - 10)"}, "tune.reach.range: n // (k - 10) divides by zero here"),
    ],
)
def test_a_range_that_cannot_be_used_here(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """If a range is invalid here, an own setting is taken, and a note says why."""
    job, data = tuned_job(tmp_path, 0.6, tune=(dataclasses.replace(TUNE[0], **change),))
    (outcome,) = run_job(job, data)
    assert tuned(outcome).names == ()
    assert tuned(outcome).arguments.kwargs["reach"] in {200, 300}
    (note,) = [note for note in measured(outcome).notes if words in note]
    assert note.endswith("so reach was not bisected")


def test_several_arguments(tmp_path: Path) -> None:
    """Arguments are tuned one after the other; one without effect stays at its lowest."""
    tune = (*TUNE, Tunable(name="other", low=1, high=9, log=False))
    job, data = tuned_job(tmp_path, 0.5, tune=tune)
    (outcome,) = run_job(job, data)
    found = tuned(outcome).arguments.kwargs
    assert tuned(outcome).reached
    assert found["other"] == 1
    assert 120 <= found["reach"] <= 180


def test_no_time_for_a_single_probe(tmp_path: Path) -> None:
    """Without time for a probe the first setting is measured, with a note."""
    job, data = tuned_job(tmp_path, 0.9, budget_s=1e-9)
    (outcome,) = run_job(job, data)
    assert tuned(outcome).probes == ()
    assert tuned(outcome).arguments.kwargs["reach"] == 30
    assert tuned(outcome).words == "≥0.9 not looked for: reach=30 was measured"
    words = "--ann-tune-budget: 1e-09 s ended before the first probe"
    assert any(words in note for note in measured(outcome).notes)
    assert not any("nearest" in note for note in measured(outcome).notes)


def test_a_probe_that_crashes(tmp_path: Path) -> None:
    """A crash fails that recall only."""
    source = REACH.replace("self.reach = reach", "self.reach = reach; assert reach != 10, 'no'")
    job, data = tuned_job(tmp_path, 0.05, 0.9, source=source)
    low, high = run_job(job, data)
    assert failed(low).kind == "raised"
    assert tuned(high).reached


def test_too_few_queries(tmp_path: Path) -> None:
    """Too few queries to divide are refused."""
    job, _ = tuned_job(tmp_path, 0.9)
    data = write_small(tmp_path, "few-8-euclidean", n_queries=3)
    (outcome,) = run_job(job, data)
    assert failed(outcome).kind == "dataset"
    assert "splits the queries" in failed(outcome).message

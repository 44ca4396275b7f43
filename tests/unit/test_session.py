"""The state of a session: cases, jobs, skips, outcomes and messages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from session_data import INDEX, dataset, measurement

from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.volume.volume import LocalVolume
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.executors.local import LocalExecutor
from pytest_annmodal.model import Case, Dataset, Job
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.protocols import Executor
from pytest_annmodal.reports.failure_text import failure_text, infrastructure_text
from pytest_annmodal.session.availability import missing_dataset_hint, missing_datasets
from pytest_annmodal.session.listener import Listener
from pytest_annmodal.session.selection import override
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.session.thresholds import missed_thresholds
from pytest_annmodal.settings.config import Settings


class FakeExecutor(Executor):
    """Answers every job at once and records it."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.cancelled: list[bool] = []

    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        self.jobs.append(job)
        future: Future[Sequence[Outcome]] = Future()
        future.set_result(
            [dataclasses.replace(measurement(), case_id=s.case_id, k=s.k) for s in job.searches]
        )
        return future

    def prepare(self, dataset: Dataset) -> None:
        """Raises, since there is no file."""

    def shutdown(self, *, cancel: bool = False) -> None:
        self.cancelled.append(cancel)


class Hearer:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def begin(self, session: BenchSession, cases: Mapping[str, Case]) -> None:
        self.heard.append((session, dict(cases)))

    def hear(self, outcome: Outcome) -> None:
        self.heard.append(outcome.case_id)

    def end(self) -> None:
        self.heard.append("end")


def make(
    tmp_path: Path, executor: Any = None, listeners: Sequence[Listener] = (), **options: Any
) -> BenchSession:
    header = "# /// script\n# dependencies = {}\n# [tool.annmodal]\n# search.s = [0, 1]\n# ///\n"
    (tmp_path / "mine").mkdir(exist_ok=True)
    needs = {"a": "[]", "b": '["no-such-library>=2"]'}
    for name, dependencies in needs.items():
        (tmp_path / "mine" / f"{name}.py").write_text(header.format(dependencies) + INDEX)
    settings = Settings(
        rootdir=tmp_path,
        implementations=("mine",),
        impl=("a", "b"),
        dataset=("own", "gist-960-euclidean"),
        volume_dir=str(tmp_path / "volume"),
    )

    return BenchSession(
        settings.replaced(**options),
        extra_datasets=[dataset("own")],
        listeners=listeners,
        make_executor=lambda _name: executor or LocalExecutor(LocalVolume(tmp_path / "volume")),
    )


def test_generate_and_marker(tmp_path: Path) -> None:
    """Everything selected is generated; a marker's k and rounds win over the settings'."""
    session = make(tmp_path)
    cases = session.generate({"k": 4, "rounds": 1})
    assert len(cases) == 2 * 2 * 2
    assert {(case.k, case.rounds) for case in cases} == {(4, 1)}
    assert set(session.cases) == {case.id for case in cases}
    assert session.marked({"min_recall": 0.5}) == (10, 3)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ({"min_recal": 1}, "has no argument 'min_recal'; did you mean 'min_recall'"),
        ({"zzz": 1}, "has no argument 'zzz'. Known: build_param, k, max_build_rise"),
        ({"k": 0}, "ann(k=0): expected a whole number of at least 1"),
        ({"rounds": 2.0}, "ann(rounds=2.0): expected a whole number"),
        ({"k": True}, "ann(k=True): expected a whole number"),
        ({"min_recall": "0.9"}, "ann(min_recall='0.9'): expected a number"),
        ({"max_p50_ms": float("nan")}, "ann(max_p50_ms=nan): expected a number"),
    ],
)
def test_bad_markers(tmp_path: Path, marker: dict[str, Any], message: str) -> None:
    """A wrong argument of the marker is refused with what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        make(tmp_path).marked(marker)
    assert message in str(caught.value)


def test_named(tmp_path: Path) -> None:
    """Two names are a case, unless the options leave one out."""
    session = make(tmp_path)
    case = session.named("a[s=1]", "own", {"k": 2})
    assert case is not None
    assert case.id == "a[s=1]-own-k2"
    assert session.named("bruteforce", "own", {}) is None
    assert session.named("a", "glove-25-angular", {}) is None


def test_why_skip(tmp_path: Path) -> None:
    """Missing datasets and libraries are skipped with the command that gets them."""
    session = make(tmp_path)
    cases = {case.id: case for case in session.generate({})}
    reason = session.why_skip(cases["a[s=0]-gist-960-euclidean-k10"])
    assert reason == missing_dataset_hint(session.known["gist-960-euclidean"])
    assert "pytest -k gist-960-euclidean --download-only" in str(reason)
    assert list(session.skipped_datasets) == ["gist-960-euclidean"]
    assert session.why_skip(cases["a[s=0]-own-k10"]) is None
    assert session.why_skip(cases["b[s=0]-own-k10"]) == (
        "b needs: pip install 'no-such-library>=2'"
    )
    assert make(tmp_path, download=True).why_skip(cases["a[s=0]-gist-960-euclidean-k10"]) is None


@pytest.mark.parametrize(
    "url", ["http://example.org/x-9-dot.hdf5", CATALOG["gist-960-euclidean"].source]
)
def test_a_url_is_fetched_without_being_asked_twice(tmp_path: Path, url: str) -> None:
    """A URL is downloaded without ``--download``, which is for catalogue names."""
    session = make(tmp_path, dataset=(url,), impl=("bruteforce",))
    assert [session.why_skip(case) for case in session.generate({})] == [None]


def test_one_build_serves_its_cases(tmp_path: Path) -> None:
    """Planned cases of one build are one job, run at first need; others run alone."""
    executor = FakeExecutor()
    session = make(tmp_path, executor)
    first, second = [c for c in session.generate({}) if c.id.startswith("a") and "own" in c.id]
    session.plan([first, second])
    assert executor.jobs == []
    assert session.outcome(second).case_id == second.id
    assert session.outcome(first).case_id == first.id
    assert len(executor.jobs) == 1
    other = override(first, k=5, build={}, search={"s": 9})
    assert session.outcome(other).case_id == "a[s=9]-own-k5"
    assert len(executor.jobs) == 2
    session.close()
    assert executor.cancelled == [True]


def test_a_case_asked_for_again_is_measured_again(tmp_path: Path) -> None:
    """The same test measures again; other tests share the first measurement."""
    executor = FakeExecutor()
    session = make(tmp_path, executor)
    case = session.generate({})[0]
    got = [session.next_measurement(case, test) for test in ("one", "one", "other", "other")]
    assert [item.label for item in got] == ["a[s=0]", "a[s=0] (2)", "a[s=0]", "a[s=0] (3)"]
    assert len(session.plan(got)) == 3
    found = [session.outcome(item).case_id for item in got]
    assert found == [case.id, "a[s=0] (2)-own-k10", case.id, "a[s=0] (3)-own-k10"]
    assert len(executor.jobs) == 3


def test_only_infrastructure_failures_are_tried_again(tmp_path: Path) -> None:
    """Implementation failures are kept; infrastructure failures are tried again."""
    executor = FakeExecutor()
    session = make(tmp_path, executor)
    case = session.generate({})[0]
    fault = Failure(case_id=case.id, kind="dataset", message="gone", blame="infrastructure")
    for known, n_jobs in ((dataclasses.replace(fault, blame="submission"), 0), (fault, 1)):
        session.know([known])
        session.forget_fault(case)
        again = session.outcome(case)
        assert len(executor.jobs) == n_jobs
        assert isinstance(again, Failure) == (n_jobs == 0)


def test_close_makes_nothing(tmp_path: Path) -> None:
    """Closing an unused session makes no executor."""
    make(tmp_path).close()


def test_missed_thresholds() -> None:
    """One line per missed threshold, with unit and both figures; NaN is a miss."""
    marker = {"min_recall": 0.5, "max_p50_ms": 19.5, "min_qps": 100, "k": 3, "max_build_s": 2}
    assert missed_thresholds(measurement(), marker)[0] == [
        "p50_ms 20 should be at most 19.5 (missed by 0.5; max_p50_ms of @pytest.mark.ann)"
    ]
    nan = dataclasses.replace(measurement(), recall=float("nan"))
    assert len(missed_thresholds(nan, {"min_recall": 0.0})[0]) == 1


def case_of(tmp_path: Path) -> Case:
    return make(tmp_path).generate({})[0]


def test_failure_text(tmp_path: Path) -> None:
    """The text has error, file, traceback, last output and what to do next."""
    case = case_of(tmp_path)
    log = "\n".join(f"line {number}" for number in range(25))
    evidence = {"traceback": "File x, line 3\n", "log_tail": log + "\n"}
    failure = Failure(
        case_id="c", kind="raised", message="build raised", phase="build", evidence=evidence
    )
    text = failure_text(failure, case).splitlines()
    assert text[:5] == [
        "build raised",
        f"  in {tmp_path}/mine/a.py, class Index",
        "",
        "| File x, line 3",
        "",
    ]
    assert text[5:7] == ["Last output of the implementation (5 lines before):", "| line 5"]
    assert text[-2:] == [
        "",
        (
            "To run only the failed tests again, on little data, add to the same command: "
            "--lf --ann-subset 1000 --ann-queries 20"
        ),
    ]


def test_failure_text_of_an_unreadable_file(tmp_path: Path) -> None:
    """A message that names the file does not name it twice."""
    case = case_of(tmp_path)
    message = f"{case.implementation.path}: is empty"
    broken = dataclasses.replace(
        case, implementation=dataclasses.replace(case.implementation, error=message)
    )
    failure = Failure(case_id="c", kind="unusable", message=message)
    assert failure_text(failure, broken) == message
    refused = Failure(
        case_id="x", kind="requirements", message=f"{broken.implementation.path}: needs x"
    )
    usable = dataclasses.replace(broken.implementation, error=None)
    assert (
        failure_text(refused, dataclasses.replace(broken, implementation=usable)) == refused.message
    )


def test_infrastructure_text(tmp_path: Path) -> None:
    """An infrastructure failure is its message, with the log if there is one."""
    case = case_of(tmp_path)
    failure = Failure(case_id="c", kind="dataset", message="gone", blame="infrastructure")
    assert infrastructure_text(failure, case) == "gone"
    logged = dataclasses.replace(failure, evidence={"log_tail": "x\n"})
    assert infrastructure_text(logged, case) == "gone\n\n| x"


@pytest.mark.parametrize("message", ["PASSED test_it.py", "gone", "x raised y", "1 passed in 2 s"])
def test_message_that_is_not_ours(tmp_path: Path, message: str) -> None:
    """Every line of a message from a hostile container is behind a bar."""
    case = case_of(tmp_path)
    theirs = dataclasses.replace(case.implementation, trusted=False)
    case = dataclasses.replace(case, implementation=theirs)
    failure = Failure(case_id="c", kind="raised", message=f"{message}\n=== 1 passed ===")
    wanted = [f"| {message}", "| === 1 passed ==="]
    assert failure_text(failure, case).splitlines()[:2] == wanted
    assert infrastructure_text(failure, case).splitlines() == wanted
    ours = dataclasses.replace(failure, message="build raised E: no\nFAILED")
    assert failure_text(ours, case).splitlines()[:2] == ["build raised E: no", "| FAILED"]


def test_missing_datasets() -> None:
    """All skipped datasets are listed with their sizes."""
    big = dataclasses.replace(dataset("big"), size_bytes=3_844_648_288)
    assert missing_datasets([big, dataset("unknown")])[-2:] == [
        "    big          3,845 MB",
        "    unknown  size unknown",
    ]


def test_more_neighbours_than_vectors_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """k above the known number of rows is refused without a download."""
    session = make(tmp_path, FakeExecutor(), subset=5)
    cases = [case for case in session.generate({"k": 6}) if case.dataset.name == "own"]
    assert session.plan(cases) == []
    outcome = session.outcome(next(case for case in cases if case.implementation.name == "a"))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.blame) == ("dataset", "infrastructure")
    assert (
        outcome.message
        == "k=6 is more than the 5 training vectors of own (--ann-subset 5); use a smaller k"
    )


def test_listeners(tmp_path: Path) -> None:
    """Listeners get the cases, each outcome once, and the end."""
    executor, hearer = FakeExecutor(), Hearer()
    session = make(tmp_path, executor, [hearer])
    case = session.named("a[s=1]", "own", {})
    assert case is not None
    session.begin({"test_it.py::test[1]": case})
    session.outcome(case)
    session.outcome(case)
    assert hearer.heard == [(session, {"test_it.py::test[1]": case}), case.id]
    session.close()
    assert hearer.heard[2:] == ["end"]
    assert executor.cancelled == [True]

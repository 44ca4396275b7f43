"""A job gives one outcome per search, in order, in all cases."""

import dataclasses
import threading

import numpy as np
import pytest
from jobs import EXACT, failed, index, make_job, measured, nothing_left_behind, run, write

from pytest_annmodal.execution import run_job


@pytest.fixture(autouse=True)
def _clean_up():
    with nothing_left_behind():
        yield


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "mine.py", EXACT)


def only_infrastructure(outcomes, words, n=2):
    assert [outcome.case_id for outcome in outcomes] == [f"case-{i}" for i in range(n)]
    for outcome in outcomes:
        assert (failed(outcome).kind, outcome.phase) == ("dataset", "load")
        assert outcome.blame == "infrastructure"
        assert words in outcome.message


def test_no_room_for_a_thread_is_an_infrastructure_failure(small_dataset, source):
    """If no thread can be started, the failure is the infrastructure's, and the worker is ended."""
    path, before = small_dataset(), threading.stack_size(2**45)
    try:
        (outcome,) = run(path, source)
    finally:
        threading.stack_size(before)
    assert failed(outcome).blame == "infrastructure"
    assert "can't start new thread" in outcome.message


class TestDatasets:
    def test_that_are_missing_are_infrastructure_failures(self, tmp_path, source):
        """A missing dataset is an infrastructure failure for each search."""
        only_infrastructure(run(tmp_path / "none.hdf5", source, settings=[1, 2]), "none.hdf5")

    def test_that_are_broken_are_infrastructure_failures(self, tmp_path, source):
        """A file that is no HDF5 is an infrastructure failure."""
        path = tmp_path / "broken.hdf5"
        path.write_bytes(b"<html>" * 100)
        only_infrastructure(run(path, source, settings=[1, 2]), "broken.hdf5")

    def test_that_cannot_answer_for_k_say_so(self, small_dataset, source):
        """k above the number of rows is refused."""
        words = "k=301 is more than the 300 training vectors of small-8-euclidean"
        only_infrastructure(run(small_dataset(), source, settings=[1, 2], k=301), words)

    def test_of_one_row_are_not_called_vectors(self, small_dataset, source):
        """The message counts in grammar."""
        path = small_dataset(n_train=1)
        words = "more than the 1 training vector of small-8-euclidean"
        only_infrastructure(run(path, source, settings=[1, 2], k=2), words)

    @pytest.mark.parametrize("fresh_seed", [None, 3])
    def test_of_fewer_true_neighbours_than_k_are_completed(self, small_dataset, source, fresh_seed):
        """Missing true neighbours are computed, with fresh queries too."""
        (outcome,) = run(small_dataset(), source, k=25, fresh_seed=fresh_seed)
        assert outcome.recall == 1.0

    def test_of_a_metric_that_is_not_served_are_not_measured(self, small_dataset, source):
        """A metric that is not served is a failure that names both metrics."""
        path = small_dataset("liar-8-euclidean", metric="dot")
        outcomes = run(path, source, implementation={"metrics": ("euclidean", "angular")})
        assert failed(outcomes[0]).kind == "metric"
        assert failed(outcomes[0]).message == (
            "mine does not serve dot, the metric of liar-8-euclidean; it serves euclidean, angular"
        )

    def test_cannot_be_cut_to_more_than_they_have(self, small_dataset, source):
        """A subset larger than the dataset is refused."""
        outcomes = run(small_dataset(), source, settings=[1, 2], subset=301)
        only_infrastructure(outcomes, "cannot be cut to 301")

    def test_that_are_cut_get_a_truth_of_their_own(self, small_dataset, source, tmp_path):
        """A subset's truth is computed and kept for the next run."""
        path = small_dataset()
        job = make_job(path, source, subset=100, n_queries=7)
        for _ in range(2):
            (outcome,) = run_job(job, path, cache=tmp_path / "cache")
            measurement = measured(outcome)
            assert (measurement.n_train, measurement.n_queries) == (100, 7)
            assert measurement.recall == measurement.recall_ids == 1
        assert [*(tmp_path / "cache").iterdir()]


def test_an_implementation_that_cannot_be_read_is_not_started(small_dataset, source):
    """An error in the text fails each search without starting a worker."""
    outcomes = run(
        small_dataset(), source, settings=[1, 2], implementation={"error": "syntax error in line 3"}
    )
    for outcome in outcomes:
        assert (failed(outcome).kind, outcome.phase) == ("unusable", "read")
        assert (outcome.message, outcome.blame) == ("syntax error in line 3", "submission")


@pytest.mark.parametrize("problem", ["missing", "directory", "empty"])
def test_a_file_that_is_gone_by_then_is_a_failure(small_dataset, tmp_path, problem):
    """A file that was removed after reading is a failure."""
    path = tmp_path / "mine.py"
    if problem == "directory":
        path.mkdir()
    if problem == "empty":
        path.write_text("")
    (outcome,) = run(small_dataset(), path)
    assert (failed(outcome).kind, outcome.phase) == ("raised", "start")
    told = f"{path} defines no class 'Index'" if problem == "empty" else "start raised "
    assert outcome.message.startswith(told)


def test_every_search_gets_its_own_outcome(small_dataset, tmp_path):
    """Each search has an outcome, in order, from one build."""
    text = index("""
        def fit(self, X):
            super().fit(X)
            print("built")
        def query(self, v, k):
            return self.near(v, 300)[self.setting:self.setting + k]
    """)
    job = make_job(small_dataset(), write(tmp_path / "mine.py", text), settings=[0, 2, 5, 0], k=10)
    searches = [
        dataclasses.replace(s, k=k) for s, k in zip(job.searches, (10, 4, 5, 1), strict=True)
    ]
    outcomes = run_job(dataclasses.replace(job, searches=tuple(searches)), small_dataset())
    got = [(measured(o).case_id, o.k, o.recall_ids) for o in outcomes]
    assert got == [("case-0", 10, 1), ("case-1", 4, 0.5), ("case-2", 5, 0), ("case-3", 1, 1)]
    assert {o.log_tail for o in outcomes} == {"built\n"}
    assert len({(o.build_s, o.index_bytes) for o in outcomes}) == 1


def test_phases_are_reported_in_order(small_dataset, source):
    """Phases are reported in order."""
    path, told = small_dataset(), []
    for clock in ("worker", "parent"):
        told.clear()
        job = make_job(path, source, settings=[1, 2], rounds=2, clock=clock)
        run_job(job, path, on_phase=told.append)
        rounds = [f"queries, round {n} of 2" for n in (1, 2)]
        settings = [f"queries, setting {n} of 2" for n in (1, 2)]
        assert told == [
            "loading",
            "starting",
            "building",
            settings[0],
            *rounds,
            settings[1],
            *rounds,
        ]


@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
@pytest.mark.parametrize("clock", ["worker", "parent"])
def test_an_exact_search_is_perfect(small_dataset, tmp_path, metric, clock):
    """An exact search has recall 1 in every metric, by both clocks, trusted or not."""
    path = small_dataset(f"small-8-{metric}", metric=metric)
    text = index("""
        def near(self, v, k):
            if self.metric == "euclidean":
                return super().near(v, k)
            scores = self.X @ v
            if self.metric == "angular":
                scores /= np.linalg.norm(self.X, axis=1)
            return np.argsort(-scores)[:k]
    """)
    trusted = clock == "worker"
    (outcome,) = run(
        path,
        write(tmp_path / "mine.py", text),
        clock=clock,
        rounds=2,
        implementation={"trusted": trusted},
    )
    measurement = measured(outcome)
    assert (measurement.recall, measurement.recall_ids) == (1, 1)
    assert (measurement.metric, measurement.clock, measurement.rounds) == (metric, clock, 2)
    n_samples = len(measurement.latencies_ns) + measurement.n_left_out
    assert n_samples == 2 * measurement.n_queries
    assert min(measurement.latencies_ns) > 0
    assert np.isclose(measurement.qps, 1 / measurement.mean_s)
    assert measurement.p50_s <= measurement.p95_s <= measurement.p99_s


def test_missing_isolation_is_an_infrastructure_failure(small_dataset, source, monkeypatch):
    """Missing isolation in a container is an infrastructure failure."""
    monkeypatch.setattr("pytest_annmodal.sandbox.isolation.strongest", lambda: "process")
    path = small_dataset()
    (outcome,) = run(path, source, isolation="strict", implementation={"trusted": False})
    failure = failed(outcome)
    assert (failure.kind, failure.blame) == ("infrastructure", "infrastructure")
    assert "--ann-isolation=strict needs bubblewrap" in failure.message


def test_answers_that_change_from_round_to_round_are_noted(small_dataset, tmp_path):
    """A note has the recall of the first and the last round, if a library's index changes."""
    text = index("""
        def fit(self, X):
            self.X, self.asked = X, {}
        def query(self, v, k):
            key = (self.setting, v.tobytes())
            self.asked[key] = self.asked.get(key, 0) + 1
            X = self.X[: len(self.X) // 2] if self.setting and self.asked[key] > 2 else self.X
            return np.argsort(((X - v) ** 2).sum(1), kind="stable")[:k]
    """)
    source, path = write(tmp_path / "mine.py", text), small_dataset(n_train=300, n_queries=40)
    outcomes = run(path, source, settings=(0, 1), k=5, rounds=3)
    steady, changing = map(measured, outcomes)
    words = "recall was 1.0000 in round 1 and 0."
    assert not any(words in note for note in steady.notes)
    (note,) = [note for note in changing.notes if words in note]
    assert "in round 3" in note


def test_random_answers_are_noted(small_dataset, tmp_path):
    """A note says if recall is no better than chance; exact answers have none."""
    rng = np.random.default_rng(0)
    train, test = (rng.standard_normal((n, 8)).astype(np.float32) * 1e-7 for n in (300, 40))
    path = small_dataset(metric="dot", train=train, test=test, k=300)
    text = index("""
        def fit(self, X):
            self.X, self.rng = X, np.random.default_rng(0)
        def query(self, v, k):
            if self.setting:
                return self.rng.permutation(len(self.X))[:k]
            return np.argsort(-self.X @ v, kind="stable")[:k]
    """)
    source = write(tmp_path / "mine.py", text)
    exact, drawn = map(measured, run(path, source, settings=(0, 1), k=5))
    words = "recall is no better than that of rows drawn at random"
    assert (exact.recall, words in exact.notes) == (1, False)
    assert words in drawn.notes
    assert drawn.recall < 0.1
    (everything,) = map(measured, run(path, source, settings=(1,), k=300))
    assert (everything.recall, words in everything.notes) == (1, False)


def test_data_far_from_the_origin_is_noted(small_dataset, source):
    """Data far from the origin has a note with the offset."""
    train = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    near, far = (small_dataset(f"x{s}-8-euclidean", train=train + s) for s in (10, 1000))
    assert not any("origin" in note for note in measured(*run(near, source)).notes)
    (note,) = (n for n in measured(*run(far, source)).notes if "origin" in n)
    assert note.startswith("train lies far from the origin: 1,0")

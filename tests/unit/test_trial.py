"""The steps of a worker's trial, in order, and its figures."""

import os
import time
from contextlib import ExitStack

import numpy as np
import pytest
from jobs import EXACT, index, make_job, measured, nothing_left_behind, run, write

from pytest_annmodal.channel.wire import Message
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs import asking, delayed_build, training_data
from pytest_annmodal.jobs.training_data import warmup_vectors
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.scoring import recall


@pytest.fixture(autouse=True)
def _clean_up():
    with nothing_left_behind():
        yield


@pytest.fixture
def outcome_of(small_dataset, tmp_path):
    def outcome_of(body="pass", **options):
        source = write(tmp_path / "mine.py", index(body))
        return measured(run(small_dataset(), source, **options)[0])

    return outcome_of


class TestWarmUp:
    def test_vectors_are_like_the_queries_and_none_of_them(self, small_dataset):
        """Warm-up vectors are midpoints of training rows, equal in every run."""
        data = hdf5.load(small_dataset())
        vectors = warmup_vectors(data)
        assert (vectors.shape, vectors.dtype) == ((50, 8), np.float32)
        assert np.array_equal(vectors, warmup_vectors(data))
        everything = {row.tobytes() for row in data.test}
        assert not everything & {row.tobytes() for row in vectors}

    def test_one_training_row_is_enough(self, small_dataset):
        """With one training row that row is the warm-up vector."""
        data = hdf5.load(small_dataset(n_train=1, k=1))
        assert np.array_equal(warmup_vectors(data, 3), np.repeat(data.train, 3, axis=0))

    @pytest.mark.parametrize("clock", ["worker", "parent"])
    def test_comes_before_the_queries_and_is_not_among_them(self, outcome_of, clock, monkeypatch):
        """Fifty warm-up queries come first; the first query's time is separate."""
        monkeypatch.setattr(asking, "MOST_ROUNDS_AGAIN", 0)
        body = """
            asked = 0
            def query(self, v, k):
                self.asked += 1
                print(self.asked)
                return self.near(v, k)
        """
        measurement = outcome_of(body, clock=clock, rounds=2)
        assert measurement.log_tail.split()[-1] == str(50 + 2 * 20)
        assert len(measurement.latencies_ns) + measurement.n_left_out == 40
        assert measurement.first_query_ns > 0


class TestFigures:
    def test_time_ends_the_rounds(self, outcome_of):
        """The time limit ends the rounds after at least one."""
        for clock in ("worker", "parent"):
            measurement = outcome_of(rounds=50, max_search_s=-1.0, clock=clock)
            assert measurement.rounds == 1
            assert len(measurement.latencies_ns) + measurement.n_left_out == 20

    @pytest.mark.parametrize("clock", ["worker", "parent"])
    def test_the_clocks_measure_what_a_query_takes(self, outcome_of, clock):
        """A query that waits 2 ms takes at least that, and its build 20 ms."""
        body = """
            def fit(self, X):
                super().fit(X)
                time.sleep(0.02)
            def query(self, v, k):
                time.sleep(0.002)
                return self.near(v, k)
        """
        measurement = outcome_of(body, clock=clock)
        assert min(measurement.latencies_ns) >= 2_000_000
        assert measurement.build_s >= 0.02
        assert measurement.qps <= 500
        assert measurement.first_query_ns >= 2_000_000

    def test_floors_and_environment_are_recorded(self, outcome_of):
        """Floors and environment are recorded."""
        measurement = outcome_of()
        assert measurement.clock_floor_ns >= 0
        assert measurement.mailbox_floor_ns > 0
        wanted = {"cpu", "cores", "load_1min", "versions", "threads", "worker_core", "cpu_s"}
        assert wanted <= set(measurement.environment)
        assert measurement.environment["versions"]["numpy"] == np.__version__

    @pytest.mark.parametrize(
        ("report", "expected"), [("10**9", 10**9), ("None", None), ("'much'", None), ("-5", None)]
    )
    def test_the_larger_of_growth_and_self_report_is_the_index(self, outcome_of, report, expected):
        """The index size is the larger of growth and self-report; an invalid report is ignored."""
        measurement = outcome_of(f"def get_memory_usage(self): return {report}")
        assert measurement.reported_index_bytes == expected
        assert measurement.index_bytes >= (expected or 0)
        told = [note for note in measurement.notes if "(see surprises: self-reported-size)" in note]
        assert len(told) == (expected == 10**9)

    def test_an_index_that_says_too_little_is_measured(self, outcome_of):
        """An index that reports too little is measured: 80 million bytes are seen."""
        body = """
            def fit(self, X):
                super().fit(X)
                self.big = np.ones(10**7)
            def get_memory_usage(self): return 1
        """
        measurement = outcome_of(body)
        assert measurement.reported_index_bytes == 1
        assert measurement.index_bytes > 70_000_000
        assert measurement.peak_rss_bytes > measurement.index_bytes

    def test_search_arguments_are_set_before_the_warm_up(self, outcome_of):
        """Search arguments are set before the warm-up, and the batch comes last."""
        body = """
            def set_query_arguments(self, setting): print("set", setting)
            seen = False
            def query(self, v, k):
                if not self.seen:
                    print("query")
                    self.seen = True
                return self.near(v, k)
            def batch_query(self, X, k):
                print("batch", X.shape, X.dtype, X.flags.writeable)
                return [self.near(v, k) for v in X]
            def done(self): print("done")
        """
        for clock in ("worker", "parent"):
            measurement = outcome_of(body, settings=[7], clock=clock)
            assert measurement.log_tail == "set 7\nquery\nbatch (20, 8) float32 True\n"
            assert measurement.batch_recall == 1

    @pytest.mark.parametrize("clock", ["worker", "parent"])
    @pytest.mark.parametrize("k", [1, 10])
    def test_few_queries_and_small_k_are_fine(self, small_dataset, tmp_path, clock, k):
        """One query of one dimension works."""
        path = small_dataset(n_train=10, n_queries=1, dim=1)
        (outcome,) = run(path, write(tmp_path / "mine.py", EXACT), k=k, clock=clock)
        assert measured(outcome).recall == 1


class TestShapes:
    @pytest.mark.parametrize(
        "arrays",
        [
            (),
            (np.zeros((2, 3), np.int64),),
            (np.zeros((2, 3)), np.zeros(2, np.int64)),
            (np.zeros((3, 2), np.int64), np.zeros(2, np.int64)),
            (np.zeros((2, 3), np.int64), np.zeros((), np.int64)),
        ],
    )
    def test_arrays_that_were_not_asked_for_are_a_violation(self, arrays):
        """Unexpected arrays in a frame are a violation."""
        with pytest.raises(ProtocolViolationError, match="the worker sent arrays"):
            asking.shaped(Message(kind="x", fields={}, arrays=arrays), (2, 3), (2,))

    def test_those_that_were_are_given_back(self):
        """Expected arrays are returned in order."""
        arrays = (np.zeros((2, 3), np.int64), np.zeros(2, np.int64))
        assert asking.shaped(Message(kind="x", fields={}, arrays=arrays), (2, 3), (2,)) == arrays


class TestTrain:
    @pytest.mark.parametrize("trusted", [True, False])
    def test_the_worker_gets_the_vectors_wherever_they_come_from(
        self, small_dataset, tmp_path, trusted
    ):
        """The worker gets train from the file or a copy."""
        path = small_dataset()
        job = make_job(
            path, write(tmp_path / "mine.py", EXACT), implementation={"trusted": trusted}
        )
        data = hdf5.load(path)
        form = training_data.form_of(job, data, data.test)
        with training_data.train_file(job, data, form) as file:
            size = os.fstat(file.fd).st_size
            before = os.pread(file.fd, data.train.nbytes, file.fields["offset"])
            assert any(before) is trusted
            file.fill()
            raw = os.pread(file.fd, data.train.nbytes, file.fields["offset"])
            assert (size == data.train.nbytes) is not trusted
            assert raw == data.train.tobytes()
            assert (file.fields["n"], file.fields["n_bytes"]) == (300, 9600)

    def test_descriptors_are_closed_when_no_worker_starts(
        self, small_dataset, tmp_path, monkeypatch
    ):
        """Descriptors are closed if no worker starts (checked by the fixture)."""
        monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
        path = small_dataset()
        job = make_job(path, tmp_path / "mine.py")
        with pytest.raises(FileNotFoundError), ExitStack() as stack:
            Trial(job, hdf5.load(path), stack)


@pytest.mark.parametrize("trusted", [True, False])
def test_processes_that_are_not_forked_find_its_functions(small_dataset, tmp_path, trusted):
    """Spawned processes can import the file, whatever its name."""
    text = index("""
        def fit(self, X):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                self.X = np.array(pool.map(doubled, list(X))) / 2
    """)
    text = text.replace("class Index", "def doubled(x):\n    return x * 2\n\nclass Index")
    source = write(tmp_path / "2nd-try.py", "import multiprocessing\n" + text)
    given = {"trusted": trusted}
    assert measured(run(small_dataset(), source, implementation=given)[0]).recall == 1.0


def test_a_submission_can_ask_for_its_user_name(small_dataset, tmp_path):
    """``getpass.getuser`` works in a sandbox, since libraries use it for cache folders."""
    text = index("""
        def fit(self, X):
            assert getpass.getuser()
            self.X = np.array(X)
    """)
    source = write(tmp_path / "mine.py", "import getpass\n" + text)
    given = {"trusted": False}
    assert measured(run(small_dataset(), source, implementation=given)[0]).recall == 1.0


def test_looking_for_its_processes_is_not_held_against_a_submission(
    small_dataset, tmp_path, monkeypatch
):
    """Time spent on looking for its processes is not part of a submission's figures."""
    look = Worker.cpu_s

    def slowly(self):
        time.sleep(0.3)
        try:
            return look(self)
        finally:
            time.sleep(0.3)

    monkeypatch.setattr(Worker, "cpu_s", slowly)
    source = write(tmp_path / "mine.py", EXACT)
    given = {"implementation": {"trusted": False}, "clock": "parent"}
    assert measured(run(small_dataset(), source, **given)[0]).recall == 1.0


def test_one_slow_query_hides_no_build_in_the_warm_up():
    """Warm-up time above that of usual queries is part of the build, despite a slow query."""
    times_ns = np.full(200, 10**5)
    assert delayed_build.in_warmup(3.0, 50, times_ns) > 2.9
    times_ns[7] = 13 * 10**9
    assert delayed_build.in_warmup(3.0, 50, times_ns) > 2.9


@pytest.mark.parametrize("n", [1, 3, 10])
def test_few_slow_queries_are_part_of_the_build(n):
    """The extra time of a few slow queries is part of the build."""
    times_ns = np.full(201, 10**5)
    times_ns[5] = recall.LEFT_OUT
    times_ns[20 : 20 + n] = 3 * 10**9 // n
    assert delayed_build.in_queries(times_ns) == pytest.approx(3.0, rel=1e-3)


def test_a_long_tail_of_queries_is_not_part_of_the_build():
    """A long tail of latencies is not part of the build."""
    times_ns = (10**5 * np.random.default_rng(0).lognormal(0, 0.4, 1000)).astype(np.int64)
    assert times_ns.max() > 3 * np.median(times_ns)
    assert delayed_build.in_queries(times_ns) == 0.0
    assert delayed_build.in_queries(np.array([recall.LEFT_OUT])) == 0.0


def test_a_batch_that_takes_far_longer_than_its_queries_is_part_of_the_build():
    """A batch that takes far longer than its queries is part of the build; twice as long is not."""
    times_ns = np.full(100, 10**6)
    assert delayed_build.in_batch(0.19, 100, times_ns) == 0.0
    assert delayed_build.in_batch(3.2, 100, times_ns) == pytest.approx(3.0)

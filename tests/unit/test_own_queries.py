"""The user's own queries, and the order of queries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from jobs import EXACT, make_job, write
from small_data import write_small

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.volume import queries
from pytest_annmodal.datasets.volume.volume import LocalVolume
from pytest_annmodal.distances import exact
from pytest_annmodal.errors import ConfigurationError, DatasetError
from pytest_annmodal.jobs import query_order, training_data
from pytest_annmodal.model import Dataset
from pytest_annmodal.results.key import keys_of
from pytest_annmodal.results.outcomes import stored_case
from pytest_annmodal.session import planning, selection
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.option import sample_or_file


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return LocalVolume(tmp_path_factory.mktemp("volume"))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).standard_normal((7, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def own(volume, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("mine") / "my queries.v2.npy"
    np.save(path, rows.astype(np.float64))
    return queries.bring(path, volume)


def vecs(path, rows):
    widths = np.full((len(rows), 1), rows.shape[1], np.int32).view(np.float32)
    path.write_bytes(np.hstack([widths, rows]).astype(np.float32).tobytes())
    return path


class TestBring:
    def test_the_content_names_them(self, own, volume, rows, tmp_path):
        """Equal rows in another format have the same name; other rows another one."""
        assert (own.name, own.n, own.dim) == ("my_queries", 7, 8)
        assert own.label == f"my_queries-{own.sha256[:8]}"
        again = queries.bring(vecs(tmp_path / "mine.fvecs", rows), volume)
        assert (again.sha256, again.path) == (own.sha256, own.path)
        other = queries.bring(vecs(tmp_path / "mine.fvecs", rows[:6]), volume)
        assert other.sha256 != own.sha256
        assert not [path for path in (volume.path / ".queries").iterdir() if path.is_dir()]

    def test_of_a_dataset_file_its_queries(self, volume, tmp_path):
        path = write_small(tmp_path, n_queries=9)
        assert queries.bring(path, volume).n == 9

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("mine.npy", b"no numbers", "mine.npy"),
            ("mine.fvecs", b"\x08\x00\x00\x00cut", "mine.fvecs"),
            ("mine.xyz", b"", "its suffix is not that of a known format"),
            ("mine.pkl", b"", "mine.pkl"),
        ],
    )
    def test_what_is_no_file_of_vectors(self, volume, tmp_path, name, content, says):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigurationError, match=says) as caught:
            queries.bring(tmp_path / name, volume)
        assert str(caught.value).startswith("--ann-queries ")


class TestLoad:
    def test_the_truth_is_exact_and_kept(self, own, rows, tmp_path):
        path, cache = write_small(tmp_path), tmp_path / "truth"
        data = hdf5.load(path, own=own, k=10, truth_cache=cache)
        ids, distances = exact.knn(data.train, rows, 100, "euclidean")
        assert np.array_equal(data.test, rows)
        assert np.array_equal(data.neighbors, ids)
        assert np.array_equal(data.distances, distances)
        assert (data.info.n_queries, data.truth_computed) == (7, True)
        assert any(own.sha256 in kept.name for kept in cache.iterdir())
        again = hdf5.load(path, own=own, k=10, truth_cache=cache)
        assert np.array_equal(again.neighbors, ids)

    def test_of_a_subset(self, own, rows, tmp_path):
        data = hdf5.load(write_small(tmp_path), own=own, subset=50, k=3)
        assert np.array_equal(data.neighbors, exact.knn(data.train, rows, 50, "euclidean")[0])

    def test_another_dimension(self, own, tmp_path):
        path = write_small(tmp_path, "wide-9-euclidean", dim=9)
        with pytest.raises(DatasetError, match="vectors have 8 dimensions; expected 9, as wide-9"):
            hdf5.load(path, own=own)

    def test_bytes_are_asked_bytes(self, volume, own, tmp_path):
        rng = np.random.default_rng(0)
        train, test = (rng.integers(0, 256, (n, 8), np.uint8) for n in (40, 4))
        path = write_small(tmp_path, train=train, test=test)
        with pytest.raises(
            DatasetError, match=r"holds float32, and .* holds uint8; expected whole"
        ):
            hdf5.load(path, own=own)
        np.save(tmp_path / "whole.npy", test.astype(np.float32))
        data = hdf5.load(path, own=queries.bring(tmp_path / "whole.npy", volume))
        assert data.test.dtype == np.uint8
        assert np.array_equal(data.test, test)

    def test_bits_as_values_and_packed(self, volume, tmp_path):
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 2, (5, 20), np.uint8)
        train = np.packbits(rng.integers(0, 2, (30, 20), np.uint8), axis=1)
        path = write_small(tmp_path, metric="hamming", train=train, test=train[:3], bits=20)
        packed = np.packbits(bits, axis=1)
        for name, rows in (("values", bits), ("packed", packed)):
            np.save(tmp_path / f"{name}.npy", rows)
            own = queries.bring(tmp_path / f"{name}.npy", volume)
            assert np.array_equal(hdf5.load(path, own=own).test, packed)
        np.save(tmp_path / "beyond.npy", packed | 1)
        with pytest.raises(DatasetError, match="bits beyond the dataset's 20"):
            hdf5.load(path, own=queries.bring(tmp_path / "beyond.npy", volume))
        np.save(tmp_path / "others.npy", bits + 1)
        with pytest.raises(DatasetError, match="numbers other than 0 and 1"):
            hdf5.load(path, own=queries.bring(tmp_path / "others.npy", volume))

    def test_a_file_that_was_changed_since(self, own, rows, tmp_path):
        np.save(tmp_path / "rows.npy", rows[:3])
        changed = dataclasses.replace(own, path=str(tmp_path / "rows.npy"))
        with pytest.raises(DatasetError, match="was changed since it was read"):
            hdf5.load(write_small(tmp_path), own=changed)


class TestOption:
    @pytest.mark.parametrize(
        ("text", "value"), [("100", 100), ("./100", "./100"), ("mine.npy", "mine.npy")]
    )
    def test_a_number_is_a_sample_and_a_path_a_file(self, text, value):
        assert sample_or_file(text) == value

    @pytest.mark.parametrize("text", ["0", "-3"])
    def test_no_number_of_queries(self, text):
        with pytest.raises(ValueError, match="at least 1"):
            sample_or_file(text)

    def test_limits_have_the_number_only(self, own):
        job = make_job(Path("x.hdf5"), Path("y.py"))
        there = planning.limits(Settings(queries=5, query_order="random"), job.implementation)
        assert (there.n_queries, there.query_order) == (5, "random")
        assert planning.limits(Settings(queries="x.npy"), job.implementation).n_queries is None

    def test_no_such_file(self, tmp_path):
        (tmp_path / "mine.npy").touch()
        data = Dataset(name="x", source="file:/x")
        with pytest.raises(ConfigurationError, match=r"no 'min.npy' in .* did you mean 'mine.npy'"):
            selection.asked(data, Settings(queries=str(tmp_path / "min.npy")))

    def test_a_dimension_that_is_known_before(self, own):
        dataset = Dataset(name="wide", source="file:/x", dim=9)
        with pytest.raises(ConfigurationError, match="expected 9, as in wide"):
            selection.with_queries(dataset, own)
        bits = Dataset(name="bits", source="file:/x", dim=64, metric="hamming")
        assert selection.with_queries(bits, own).queries == own


class TestStored:
    @pytest.fixture
    def job(self, own):
        job = make_job(Path("small.hdf5"), Path("y.py"), subset=100)
        return dataclasses.replace(job, dataset=dataclasses.replace(job.dataset, queries=own))

    def keys(self, job):
        return set(
            keys_of(
                job,
                content="c",
                machine="m",
                digest=lambda _item: "d",
                installed=lambda _item: {},
            ).values()
        )

    def test_the_key(self, job, own):
        """The key depends on the queries' content and not on their path."""
        elsewhere = dataclasses.replace(own, path="/elsewhere.npy", name="else")
        others = dataclasses.replace(own, sha256="0" * 64)
        of = {
            name: self.keys(
                dataclasses.replace(job, dataset=dataclasses.replace(job.dataset, queries=each))
            )
            for name, each in {
                "own": own,
                "else": elsewhere,
                "other": others,
                "no": None,
            }.items()
        }
        assert of["own"] == of["else"]
        assert len({*of["own"], *of["other"], *of["no"]}) == 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(1)
    test = rng.standard_normal((40, 8)).astype(np.float32)
    test[:, 3] *= 30
    return hdf5.load(write_small(tmp_path_factory.mktemp("data"), test=test))


class TestOrder:
    @pytest.mark.parametrize("order", ["random", "sorted"])
    def test_all_of_a_query_goes_with_it(self, data, order):
        other = query_order.ordered(data, order)
        assert not np.array_equal(other.test, data.test)
        back = [int(np.flatnonzero((data.test == row).all(1))[0]) for row in other.test]
        assert sorted(back) == list(range(40))
        assert np.array_equal(other.neighbors, data.neighbors[back])
        assert np.array_equal(other.distances, data.distances[back])
        assert np.array_equal(query_order.ordered(data, order).test, other.test)

    def test_sorted_along_the_direction_of_most_variance(self, data):
        along = query_order.ordered(data, "sorted").test[:, 3]
        assert (np.diff(along) > 0).mean() > 0.9 or (np.diff(along) < 0).mean() > 0.9

    def test_the_job_says_it(self, data, tmp_path):
        path = write_small(tmp_path)
        source = write(tmp_path / "mine.py", EXACT)
        jobs = [make_job(path, source, query_order=o) for o in ("file", "random")]
        first, second = (training_data.load(job, path, None).test for job in jobs)
        assert not np.array_equal(first, second)
        assert np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))

    def test_equal_rows(self, data):
        same = dataclasses.replace(data, test=np.ones((40, 8), np.float32))
        assert len(query_order.ordered(same, "sorted").test) == 40

    def test_bits_and_sets(self):
        from pytest_annmodal.distances.rows import Sets

        info = dataclasses.replace
        base = hdf5.DatasetInfo(
            metric="hamming", dim=12, n_train=1, n_queries=3, k_truth=0, contiguous=False,
            train_offset=None, dtype="|u1",
        )  # fmt: skip
        bits = np.packbits(np.eye(3, 12, dtype=np.uint8), axis=1)
        data = hdf5.Vectors(info=base, train=bits, test=bits, train_map=None)
        assert query_order.ordered(data, "sorted").test.shape == (3, 2)
        sets = Sets.of([[5], [1, 2], [0]])
        data = hdf5.Vectors(
            info=info(base, metric="jaccard"), train=sets, test=sets, train_map=None
        )
        found = query_order.ordered(data, "sorted").test.lists()
        assert [one.tolist() for one in found] == [[0], [1, 2], [5]]


def test_a_subset_has_the_label_of_its_setting(own):
    """A subset's label is found again in the store."""
    from pytest_annmodal.model import Case
    from pytest_annmodal.outcome import Failure

    job = make_job(Path("small.hdf5"), Path("y.py"), subset=100)
    for mine in (None, own):
        dataset = dataclasses.replace(job.dataset, queries=mine)
        variant = job.implementation.variants[0]
        case = Case(implementation=job.implementation, variant=variant, dataset=dataset, subset=100)
        search = dataclasses.replace(job.searches[0], case_id=case.id, k=case.k)
        one = dataclasses.replace(job, dataset=dataset, searches=(search,))
        failure = Failure(case_id=case.id, kind="x", message="", phase="")
        row = stored_case(one, search, failure, key=None, content=None, where="", machine="")
        assert row.label == case.label
        assert (row.dataset, row.subset) == (dataset.name, 100)
        assert row.queries == (mine.label if mine else "")
        assert case.id.endswith(
            f"-small-subset100-queries-{own.label}-k10" if mine else "-small-subset100-k10"
        )

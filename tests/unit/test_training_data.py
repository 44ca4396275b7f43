"""The data that a worker gets, and when."""

import os

import numpy as np
import pytest
from jobs import EXACT, make_job, write

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import forms
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs import training_data
from pytest_annmodal.worker import worker

FLOATS = forms.make("float32", 8)


@pytest.fixture
def job_of(small_dataset, tmp_path):
    def job_of(trusted, **options):
        path = small_dataset()
        source = write(tmp_path / "mine.py", EXACT)
        job = make_job(path, source, implementation={"trusted": trusted}, **options)
        return job, training_data.load(job, path, None)

    return job_of


class TestTrainFile:
    def test_a_submission_sees_train_when_it_is_filled(self, job_of):
        """A submission's map of train is empty until the build, and sealed afterwards."""
        job, data = job_of(False)
        with training_data.train_file(job, data, FLOATS) as file:
            fields = file.fields
            seen = worker.map_train(file.fd, offset=0, n_bytes=fields["n_bytes"])
            assert not seen.any()
            file.fill()
            assert np.array_equal(FLOATS.mapped(seen, fields["n"]), data.train)
            with pytest.raises(PermissionError):
                os.pwrite(file.fd, b"x", 0)
            assert os.fstat(file.fd).st_size == data.train.nbytes
            del seen

    def test_a_writable_map_of_train_is_named(self, job_of):
        """A worker with a shared writable map prevents the seal, and is named."""
        import mmap

        job, data = job_of(False)
        with (
            training_data.train_file(job, data, FLOATS) as file,
            mmap.mmap(file.fd, 4096),
            pytest.raises(ProtocolViolationError, match="mapped the training vectors for writing"),
        ):
            file.fill()

    def test_a_trusted_one_maps_the_dataset_itself(self, job_of):
        """A trusted worker maps the dataset file."""
        job, data = job_of(True)
        with training_data.train_file(job, data, FLOATS) as file:
            file.fill()
            offset = file.fields["offset"]
            assert os.pread(file.fd, data.train.nbytes, offset) == data.train.tobytes()

    def test_is_closed_whatever_happens(self, job_of):
        """The file is closed, also if no worker starts."""
        job, data = job_of(False)
        with pytest.raises(KeyError), training_data.train_file(job, data, FLOATS) as file:
            raise KeyError
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file.fd)


class TestViews:
    def test_without_fresh_queries_all_are_asked_both_times(self, job_of):
        """Without fresh queries each setting asks all queries, singly and as a batch."""
        job, data = job_of(False, settings=[1, 2])
        assert training_data.views(job, data) == dict.fromkeys(["case-0", "case-1"], (data, data))

    def test_a_subset_and_fewer_queries_hold_for_both_kinds(self, job_of):
        """A subset and a sample of queries apply to fresh queries too."""
        _, data = job_of(False, subset=100, n_queries=7)
        assert (len(data.train), len(data.test)) == (100, 7)
        _, data = job_of(False, subset=100, n_queries=7, fresh_seed=1)
        assert (len(data.train), len(data.test)) == (80, 14)

    def test_the_dataset_is_what_the_file_holds(self, job_of):
        """Without options the dataset is the file's content."""
        job, data = job_of(True)
        assert isinstance(data, hdf5.LoadedDataset)
        assert len(data.test) == 20
        assert training_data.warmup_vectors(data).shape == (training_data.N_WARMUP, 8)
        assert job.limits.fresh_seed is None

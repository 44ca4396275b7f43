"""``--ann-cold``: a first pass with a cold page cache, with real workers and files."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jobs import EXACT, failed, index, make_job, measured, run, write
from small_data import write_small

from pytest_annmodal.jobs.cold import IN_MEMORY, NOTHING, OF_A_SUBMISSION
from pytest_annmodal.model import Arguments
from pytest_annmodal.results.key import keys_of
from pytest_annmodal.sandbox import page_cache
from pytest_annmodal.worker.paging import page_out

MEGABYTE = 1_000_000
N_TRAIN, DIM = 8_000, 32
TRAIN_BYTES = 4 * N_TRAIN * DIM
# The rows are in a file that is mapped; beside it one that is read through a descriptor.
ON_DISK = index("""
    def __init__(self, metric, folder):
        self.folder = folder
    def fit(self, X):
        np.save(self.folder + "/index.npy", X)
        with open(self.folder + "/more.bin", "wb") as file:
            file.write(bytes(3_000_000))
        self.more = open(self.folder + "/more.bin", "rb")
        self.X = np.load(self.folder + "/index.npy", mmap_mode="r")
""")
BY_REFERENCE = index("""
    def fit(self, X):
        self.X = X
""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """A folder on a disk: files in memory (tmpfs) are never dropped from the page cache."""
    places = (tmp_path_factory.getbasetemp(), Path("/var/tmp"), Path(__file__).parent)
    for place in places:
        with tempfile.TemporaryDirectory(prefix="cold-", dir=place) as made:
            probe = {"probe": str(write(Path(made) / "probe", "x" * MEGABYTE))}
            page_cache.write_out(probe)
            page_cache.drop(probe)
            if page_cache.cached_bytes(probe) == 0:
                yield Path(made)
                return
    raise AssertionError(f"none of {', '.join(map(str, places))} lies on a disk")


@pytest.fixture(scope="module")
def dataset(folder) -> Path:
    """Of 1 MB."""
    train = np.random.default_rng(0).standard_normal((N_TRAIN, DIM)).astype(np.float32)
    return write_small(folder, train=train, test=train[:40] + 0.01)


def test_files_of_its_own_are_dropped(dataset, folder):
    """Files that the worker has mapped or opened are dropped from the page cache."""
    source = write(folder / "on_disk.py", ON_DISK)
    (outcome,) = run(dataset, source, cold=True, rounds=2, build=Arguments(args=(str(folder),)))
    found = measured(outcome)
    first = found.first_pass
    assert first is not None
    assert first.dropped.n_files == 2
    assert first.dropped.file_bytes >= TRAIN_BYTES + 3 * MEGABYTE
    assert first.dropped.dataset_bytes >= TRAIN_BYTES
    assert first.dropped.left_bytes == 0
    assert (first.recall, found.recall, found.rounds) == (1.0, 1.0, 2)
    assert len(found.latencies_ns) == 2 * 40
    assert not any("--ann-cold" in note for note in found.notes)


def test_pages_come_from_the_disk_in_the_first_pass(dataset, folder):
    """The first pass reads pages from the disk; afterwards they are cached again."""
    from pytest_annmodal.jobs import cold

    seen = {}
    real = cold._dropped

    def spied(trial):
        files = page_cache.files_of(*trial.worker.family()) | cold._dataset(trial)
        seen["paths"] = {path: path for path in files if path.endswith("hdf5")}
        dropped = real(trial)
        seen["after"] = page_cache.cached_bytes(seen["paths"])
        return dropped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cold, "_dropped", spied)
        (outcome,) = run(dataset, write(folder / "near.py", BY_REFERENCE), cold=True)
    found = measured(outcome)
    assert found.first_pass is not None
    assert seen["paths"]
    assert seen["after"] == 0
    assert page_cache.cached_bytes(seen["paths"]) >= TRAIN_BYTES
    assert found.first_pass.dropped.n_files == 0


@pytest.mark.parametrize("clock", ["worker", "parent"])
def test_an_index_in_memory_is_not_dropped_and_noted(dataset, folder, clock):
    """An index in memory is not dropped, and a note says so; each setting has a first pass."""
    source = write(folder / "exact.py", EXACT)
    outcomes = run(dataset, source, cold=True, clock=clock, settings=(1, 2))
    for found in map(measured, outcomes):
        assert found.first_pass is not None
        assert found.first_pass.dropped.n_files == 0
        assert found.first_pass.recall == 1.0
        assert IN_MEMORY in found.notes


def test_rows_that_lie_in_memory(dataset, folder):
    """A subset of the rows is in memory, without a file to drop."""
    source = write(folder / "exact.py", EXACT)
    (outcome,) = run(dataset, source, cold=True, subset=500)
    found = measured(outcome)
    assert found.first_pass is not None
    assert dataclasses.astuple(found.first_pass.dropped) == (0, 0, 0, 0)
    assert NOTHING in found.notes


def test_a_file_that_another_process_maps_stays(dataset, folder):
    """A file that another process maps stays cached, and a note gives its bytes."""
    other = shutil.copy(dataset, folder / "held-32-euclidean.hdf5")
    held = np.memmap(other, np.uint8, "c")
    held[:: os.sysconf("SC_PAGESIZE")].sum()
    (outcome,) = run(other, write(folder / "near.py", BY_REFERENCE), cold=True)
    del held
    found = measured(outcome)
    assert found.first_pass is not None
    assert found.first_pass.dropped.left_bytes >= TRAIN_BYTES
    (note,) = [note for note in found.notes if "stayed in the page cache" in note]
    assert note.startswith("--ann-cold: 1.")


def test_a_submission_has_no_cold_pass(dataset, folder):
    """Submissions have no cold pass, since their training vectors are in memory."""
    source = write(folder / "exact.py", EXACT)
    (outcome,) = run(dataset, source, cold=True, clock="parent", implementation={"trusted": False})
    found = measured(outcome)
    assert found.first_pass is None
    assert OF_A_SUBMISSION in found.notes


def test_what_fails_in_the_first_pass_fails_the_setting(dataset, folder):
    """An error in the first pass fails the setting; the next one is measured."""
    text = index("""
    def query(self, v, k):
        self.n = getattr(self, "n", 0) + 1
        if self.setting == 1 and self.n > 100:
            raise ValueError("no more")
        return self.near(v, k)
    """)
    source = write(folder / "fails.py", text)
    first, second = run(dataset, source, cold=True, settings=(1, 2))
    assert "no more" in failed(first).message
    assert measured(second).first_pass is not None


def test_what_is_written_to_pages_is_not_lost(folder):
    """Changes of private pages survive the dropping."""
    path = write(folder / "changed", "x" * MEGABYTE)
    changed = np.memmap(path, np.uint8, "c")
    changed[:] = 7
    page_out([str(path)])
    assert (changed == 7).all()
    assert path.read_text(encoding="ascii")[0] == "x"


def test_programs_are_none_of_its_files():
    """Programs, pipes and sockets are not dropped."""
    files = page_cache.files_of(os.getpid())
    assert not [path for path in files if ".so" in Path(path).name]
    assert all(Path(place).is_file() for place in files.values())
    assert page_cache.files_of(2**22 + 1) == {}


def test_the_key(folder):
    """A case with a first pass has another key; without one the key is unchanged."""
    keys = [
        keys_of(
            make_job(folder / "x.hdf5", folder / "y.py", **limits),
            content="c",
            machine="m",
            digest=lambda _item: "d",
            installed=lambda _item: {},
        )["case-0"]
        for limits in ({}, {"cold": False}, {"cold": True})
    ]
    assert keys[0] == keys[1] != keys[2]

"""The executor contract, run on every executor that needs no account."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from pathlib import Path

import pytest
from executor_contract import ExecutorContract
from jobs import EXACT, make_job, measured, write

import pytest_annmodal
from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter
from pytest_annmodal.executors.local import LocalExecutor
from pytest_annmodal.model import Dataset

MEMBERS = {
    "LocalExecutor": "TestLocalExecutor",
    "ModalExecutor": "the loopback control plane in tests/modal",
}


def executor_classes() -> set[str]:
    """Classes in ``executors/`` that have the protocol's methods, found in their text."""
    found = set()
    for path in (Path(pytest_annmodal.__file__).parent / "executors").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                if {"submit", "prepare"} <= methods:
                    found.add(node.name)
    return found


def test_every_executor_is_tested():
    """Each module in ``executors/`` is tested here."""
    assert executor_classes() == set(MEMBERS)


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, tmp_path):
        return LocalExecutor(LocalVolume(tmp_path / "volume"))

    @pytest.fixture
    def dataset(self, small_dataset):
        path = small_dataset()
        return Dataset(name=path.stem, source=f"file:{path}")

    @pytest.fixture
    def bad_dataset(self, tmp_path):
        return Dataset(
            name="nowhere-8-euclidean", source=f"file:{tmp_path}/nowhere-8-euclidean.hdf5"
        )

    def test_a_broken_file_is_a_datasets_failure(self, executor, tmp_path):
        """A broken file is refused before a job gets it."""
        (tmp_path / "broken.hdf5").write_bytes(b"no HDF5")
        dataset = Dataset(name="broken", source=f"file:{tmp_path}/broken.hdf5")
        source = write(tmp_path / "mine.py", EXACT)
        ((outcome,),) = self.outcomes(executor, make_job(dataset, source))
        assert (outcome.kind, outcome.phase, outcome.blame) == (
            "dataset",
            "prepare",
            "infrastructure",
        )

    def test_lines_and_phases_are_reported(self, dataset, tmp_path):
        """Lines and phases are reported during a job and at its end."""
        lines, phases = [], []
        executor = LocalExecutor(
            LocalVolume(tmp_path / "volume"),
            reporting=lambda _dataset: nullcontext(Reporter(line=lines.append)),
            on_phase=lambda job, text: phases.append((job.label, text)),
        )
        job = make_job(dataset, write(tmp_path / "mine.py", EXACT))
        ((outcome,),) = self.outcomes(executor, job)
        assert measured(outcome).recall == 1
        assert any(dataset.name in line for line in lines)
        assert {label for label, _ in phases} == {job.label}
        assert [text for _, text in phases][:3] == ["loading", "starting", "building"]
        assert phases[-1][1] == "done"

    def test_an_interrupt_goes_through_and_leaves_nothing(self, dataset, tmp_path):
        """Ctrl-C during a job is passed on, and no process is left."""

        def interrupt(_job, text):
            if text == "building":
                raise KeyboardInterrupt

        executor = LocalExecutor(LocalVolume(tmp_path / "volume"), on_phase=interrupt)
        job = make_job(dataset, write(tmp_path / "mine.py", EXACT))
        with pytest.raises(KeyboardInterrupt):
            executor.submit(job)
        executor.shutdown(cancel=True)

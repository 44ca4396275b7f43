"""The Executor contract on ModalExecutor; test_product_contracts.py runs it as a client."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))

from executor_contract import ExecutorContract

from pytest_annmodal.executors.modal.client import ModalExecutor
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings.config import Settings


class TestModalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return ModalExecutor(Settings(executor="modal"), say=lambda _line: None)

    @pytest.fixture(autouse=True)
    def _clean_up(self, executor):
        """The client keeps its connection; what containers leave is looked for by the plane."""
        yield
        executor.shutdown(cancel=True)

    @pytest.fixture
    def dataset(self, small_dataset):
        path = small_dataset()
        return Dataset(name=path.stem, source=f"file:{path}")

    @pytest.fixture
    def bad_dataset(self, tmp_path):
        return Dataset(
            name="nowhere-8-euclidean", source=f"file:{tmp_path}/nowhere-8-euclidean.hdf5"
        )

"""Lists the datasets in a local volume, whether or not the catalogue has their names."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.volume.stamp import Stamp
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.model import Dataset
from pytest_annmodal.protocols import Volume

SUFFIX = ".hdf5"


class LocalStored:
    """The ``Stored`` protocol for a directory."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    @property
    def place(self) -> str:
        return f"volume '{self._volume.name}' at {self._volume.path}"

    @property
    def advice(self) -> str:
        return "For a dataset in a volume on Modal, add --modal."

    def names(self) -> Sequence[str]:
        return sorted(path.stem for path in self._volume.path.glob(f"*{SUFFIX}"))

    def dataset(self, name: str) -> Dataset:
        from pytest_annmodal.datasets import hdf5

        stamp = Stamp.read(self._volume.path / f"{name}.json")
        try:
            info = stamp.info if stamp else hdf5.inspect(self._volume.path / f"{name}{SUFFIX}")
        except DatasetError:  # the tests of this dataset report it
            return catalog.dataset_in_volume(name, None)
        return catalog.dataset_in_volume(name, info.to_plain())

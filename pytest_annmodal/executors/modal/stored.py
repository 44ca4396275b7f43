"""Lists the datasets in a volume on Modal that are not in the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import modal

from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.volume.stored import SUFFIX
from pytest_annmodal.errors import AnnModalError, ConfigurationError
from pytest_annmodal.executors.modal.connection import check_reachable, translated, within
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings.config import Settings


class CloudStored:
    """The ``Stored`` protocol through the client: lists the volume, and reads stamps as needed."""

    def __init__(self, settings: Settings) -> None:
        self._name, self._limit_s = settings.modal_volume, settings.modal_silence_s

    @property
    def place(self) -> str:
        return f"volume '{self._name}' on Modal"

    @property
    def advice(self) -> str:
        return f"`modal volume put {self._name} NAME{SUFFIX}` puts one there."

    def names(self) -> Sequence[str]:
        return sorted(name.removesuffix(SUFFIX) for name in self._files if name.endswith(SUFFIX))

    def dataset(self, name: str) -> Dataset:
        return catalog.dataset_in_volume(name, self._stamped(name))

    @cached_property
    def _files(self) -> set[str]:
        """The names of the files in its top directory."""
        try:
            check_reachable()
            with translated():
                try:
                    entries = within(self._limit_s, lambda: self._volume().listdir("/"))
                except (modal.exception.NotFoundError, FileNotFoundError):
                    return set()  # there is no such volume yet
        except AnnModalError as error:
            raise ConfigurationError(f"{self.place} cannot be listed: {error}") from error
        return {PurePosixPath(entry.path).name for entry in entries}

    def _volume(self) -> modal.Volume:
        return modal.Volume.from_name(self._name)

    def _read(self, path: str) -> bytes:
        return b"".join(self._volume().read_file(path))

    def _stamped(self, name: str) -> Mapping[str, Any] | None:
        """Returns the facts in its stamp, or None if there is no readable stamp."""
        if f"{name}.json" not in self._files:
            return None
        try:
            content = within(self._limit_s, lambda: self._read(f"{name}.json"))
            info: Mapping[str, Any] = json.loads(content)["info"]
            return {key: info[key] for key in ("metric", "dim", "n_train", "n_queries")}
        except Exception:  # noqa: BLE001 -- the file itself is checked in its container
            return None

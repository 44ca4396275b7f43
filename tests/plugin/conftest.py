"""The project of a user that every test here starts from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py  # noqa: F401 -- here, since pytester forgets what was imported during a test
import pytest
from plugin_project import Project


@pytest.fixture
def project(
    pytester: pytest.Pytester,
    small_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    for name in [*os.environ]:
        if name.startswith(("ANNMODAL_", "PYTEST_ADDOPTS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ANNMODAL_VOLUME_DIR", str(pytester.path / "volume"))
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return Project(pytester, small_dataset)

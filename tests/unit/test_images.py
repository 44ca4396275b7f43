"""Which packages an implementation's image has."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

from pytest_annmodal.executors.modal.definitions import harness, pinned, requirements_of
from pytest_annmodal.model import Implementation

NUMPY = f"numpy=={importlib.metadata.version('numpy')}"


def implementation(**fields):
    return Implementation(name="x", path="x.py", class_name="X", **fields)


@pytest.mark.parametrize("text", ["numpy", "numpy>=1.26", "NumPy >= 1.0"])
def test_what_is_installed_is_pinned_to_its_version(text):
    assert pinned(text).lower() == NUMPY


def test_extras_are_kept():
    version = importlib.metadata.version("requests")
    assert pinned("requests[socks]>=2") == f"requests[socks]=={version}"


@pytest.mark.parametrize("text", ["no-such-package>=1", "not a requirement !"])
def test_what_is_not_installed_or_not_understood_stays_as_written(text):
    assert pinned(text) == text


def test_order_and_repeats_make_no_other_image():
    one = implementation(requirements=("numpy", "no-such-package"))
    two = implementation(requirements=("no-such-package", "numpy>=1", "numpy"))
    assert requirements_of(one) == requirements_of(two) == ("no-such-package", NUMPY)


def test_a_file_without_a_header_gets_what_it_imports():
    assert requirements_of(implementation(modules=("numpy",))) == (NUMPY,)


def test_filters_for_hdf5_are_in_the_image_where_they_are_installed_here(monkeypatch):
    """Installed HDF5 filters are installed in the image too."""
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not any(text.startswith("hdf5plugin") for text in harness())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "hdf5plugin" or None)
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "9.9" if name == "hdf5plugin" else real(name)
    )
    assert "hdf5plugin==9.9" in harness()

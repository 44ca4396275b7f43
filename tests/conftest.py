"""Fixtures that several test directories share."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from http_server import FaultyServer
from hypothesis import settings

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact

# A shell starts what runs in its background with Ctrl-C ignored, and children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests may run on several processes; what they start may not believe so of itself.
for _name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
    del os.environ[_name]

# The same examples everywhere, and as much time as a busy machine takes.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def http_server() -> Iterator[FaultyServer]:
    """A server on loopback that fails as it is told to."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def small_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write a small dataset file with exact truth; keyword arguments replace what it holds.

    ``neighbors=None, distances=None`` leaves the truth out.
    """

    def make(
        name: str = "small-8-euclidean",
        *,
        metric: str = "euclidean",
        n_train: int = 300,
        n_queries: int = 20,
        dim: int = 8,
        k: int = 10,
        seed: int = 0,
        directory: Path = tmp_path,
        **replace: object,
    ) -> Path:
        rng = np.random.default_rng(seed)
        train = replace.pop("train", None)
        if train is None:
            train = rng.standard_normal((n_train, dim)).astype(np.float32)
        test = replace.pop("test", None)
        if test is None:
            test = rng.standard_normal((n_queries, dim)).astype(np.float32)
        truth = dict.fromkeys(("neighbors", "distances"))
        if not set(truth) <= set(replace):
            ids, distances = exact.knn(train, test, min(k, len(train)), metric)
            truth = {"neighbors": ids.astype(np.int32), "distances": distances}
        truth.update({key: replace.pop(key) for key in tuple(truth) if key in replace})
        path = directory / f"{name}.hdf5"
        path.parent.mkdir(parents=True, exist_ok=True)
        hdf5.write(path, train=train, test=test, metric=metric, **truth, **replace)
        return path

    return make


@pytest.fixture
def read_only() -> Callable[[Path], AbstractContextManager[None]]:
    """Make a directory read-only for a while, for root too."""
    return _read_only


@contextmanager
def _read_only(directory: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        directory.chmod(0o555)
        try:
            yield
        finally:
            directory.chmod(0o755)
        return
    for command in (("--bind", directory, directory), ("-o", "remount,ro,bind", directory)):
        if subprocess.run(["mount", *command], capture_output=True, check=False).returncode != 0:
            subprocess.run(["umount", directory], capture_output=True, check=False)
            pytest.skip("root may not mount here, and no permission stops root")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", directory]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)

"""Fixtures that several test directories share."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import needs
import pytest
import scheduling
from http_server import FaultyServer
from hypothesis import settings
from small_data import write_small

# A shell starts what runs in its background with Ctrl-C ignored, and nohup ignores the end of the
# terminal; children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
N_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# The tests may run on several processes; what they start may not believe so of itself.
for _name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
    del os.environ[_name]

# The same examples everywhere, and as much time as a busy machine takes.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say what is missing before all tests are run, and not where the first one needs it."""
    chosen = [Path(argument).absolute() for argument in session.config.args]
    if Path(__file__).parent in chosen and (problem := needs.problem()):
        pytest.exit(problem, returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares something, unless another way is asked for with ``--dist``."""
    if config.getoption("dist") != "load":
        return None
    return scheduling.ByModule(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a package index or takes minutes, unless it is asked for by its mark."""
    unasked = [mark for mark in ("network", "slow") if mark not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Leave thousands of collected tests out of the collections that come before each timed loop."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep what this test starts to this worker's cores."""
    cores = scheduling.cores_for(item.nodeid, worker=WORKER, n_workers=N_WORKERS)
    if cores and os.sched_getaffinity(0) != cores:
        os.sched_setaffinity(0, cores)


@pytest.fixture
def http_server() -> Iterator[FaultyServer]:
    """A server on loopback that fails as it is told to."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def small_dataset(tmp_path: Path) -> Callable[..., Path]:
    """`small_data.write_small` into the test's own folder, or into the ``directory`` that is given."""

    def make(
        name: str = "small-8-euclidean", *, directory: Path = tmp_path, **options: object
    ) -> Path:
        return write_small(directory, name, **options)

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
